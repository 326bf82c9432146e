"""Training: optimisers and schedules, the Trainer, and the folder that a run leaves behind."""

from byhand.train.optim.adam import Adam, AdamW
from byhand.train.optim.muon import Muon
from byhand.train.optim.sgd import SGD
from byhand.train.run import Run
from byhand.train.schedule import Constant, Cosine, OneCycle, StepDecay, WarmUp
from byhand.train.trainer import Trainer

__all__ = ["SGD", "Adam", "AdamW", "Constant", "Cosine", "Muon", "OneCycle", "Run", "StepDecay", "Trainer", "WarmUp"]
