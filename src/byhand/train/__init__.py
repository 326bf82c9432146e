"""Training: optimisers and schedules, the Trainer, and the folder that a run leaves behind."""

from byhand.train.optim import SGD, Adam, AdamW
from byhand.train.run import Run
from byhand.train.schedule import Constant, Cosine, OneCycle, StepDecay, WarmUp
from byhand.train.trainer import Trainer

__all__ = ["SGD", "Adam", "AdamW", "Constant", "Cosine", "OneCycle", "Run", "StepDecay", "Trainer", "WarmUp"]
