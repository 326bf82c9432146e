"""Training: optimizers, learning-rate schedules, the Trainer, and the folder of a run.

trainer.py        the Trainer: one update, a whole training; batches.py the order of the images, evaluation.py the metrics
state.py          how far a training has come; checkpoint.py writes and reads it; run.py the folder of a run
optim/            the optimizers, a file each, and gradient clipping
distributed/      data-parallel training over MPI
schedule.py       learning-rate schedules; settings.py optimizers and schedules as JSON
lr_finder.py      the learning-rate range test; time_budget.py the time of a step; rollback.py undoes their steps
features.py       the output of a frozen backbone, cached on disk
history.py, display.py, signals.py   rows and charts, the progress bar, Ctrl-C
"""

import typing as _typing

from byhand.hints import unknown_attribute as _unknown_attribute
from byhand.train.fitting import fit
from byhand.train.optim import OPTIMIZERS as _OPTIMIZERS
from byhand.train.optim.catalog import *  # noqa: F403
from byhand.train.run import Run
from byhand.train.schedule import Constant, Cosine, OneCycle, StepDecay, Warmup
from byhand.train.trainer import Trainer

__all__ = ["Constant", "Cosine", "OneCycle", "Run", "StepDecay", "Trainer", "Warmup", "fit"]
__all__ += list(_OPTIMIZERS)  # every optimizer

if not _typing.TYPE_CHECKING:  # else type checkers would take any name for one that is there

    def __getattr__(name):
        """Raise the error for a name that there is not: it says what to write."""
        raise _unknown_attribute("byhand.train", name, __all__)
