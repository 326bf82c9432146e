"""Training: optimisers and schedules, the Trainer, and the folder that a run leaves behind."""

from byhand.train.adam import Adam, AdamW
from byhand.train.muon import Muon
from byhand.train.run import Run
from byhand.train.schedule import Constant, Cosine, OneCycle, StepDecay, WarmUp
from byhand.train.sgd import SGD
from byhand.train.trainer import Trainer

__all__ = ["SGD", "Adam", "AdamW", "Constant", "Cosine", "Muon", "OneCycle", "Run", "StepDecay", "Trainer", "WarmUp"]
