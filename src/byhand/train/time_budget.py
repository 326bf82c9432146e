"""Time budgets: how long a training step takes, and how many epochs fit into a number of seconds."""

import time
from contextlib import closing

from byhand.data import Dataset
from byhand.kernels.runtime import cache
from byhand.train.rollback import rollback
from byhand.train.state import TrainingState, steps_per_epoch
from byhand.train.stopping import Stopping
from byhand.train.trainer import Trainer

TIMING_SECONDS = 3.0  # of training that are timed
WARMUP_GROUPS = 3  # of steps before the clock starts, unless they are long: their images were prepared before
UNLIMITED_EPOCHS = 10**6  # more than are done in that time


def seconds_per_step(trainer: Trainer, train: Dataset, seconds: float = TIMING_SECONDS) -> float:
    """Return the seconds of a training step, from the images to the update, and leave the trainer unchanged.

    seconds: how much training is timed, at least a step. The first group of steps, and those that compile kernels, are not.
    With several ranks, the slowest one counts.
    """
    built: list[str] = []
    cache.BUILD_LISTENERS.append(built.append)
    try:
        return _timed(trainer, train, seconds, built)
    finally:
        cache.BUILD_LISTENERS.remove(built.append)


def _timed(trainer: Trainer, train: Dataset, seconds: float, built: list[str]) -> float:
    """Return what `seconds_per_step` does; built: the kernels that were compiled, as a listener collects them."""
    from byhand.train.display import Display  # noqa: PLC0415  (rich takes longer to import than all of byhand)

    with rollback(trainer):
        state = trainer.state = TrainingState(UNLIMITED_EPOCHS, len(train), trainer.steps)
        display = Display(UNLIMITED_EPOCHS, len(train), quiet=True)
        start, first, groups, kernels = time.perf_counter(), state.steps_done, 0, -1
        with closing(trainer.run_epochs(train, {}, Stopping(), display)) as steps:
            for _ in steps:
                now, groups = time.perf_counter(), groups + 1
                if trainer.comm.maximum(len(built)) > kernels:  # the first group, or one that compiled
                    start, first, kernels = now, state.steps_done, int(trainer.comm.maximum(len(built)))
                elif trainer.comm.maximum(now - start) > seconds:
                    break
                elif groups == WARMUP_GROUPS:
                    start, first = now, state.steps_done
        return trainer.comm.maximum((now - start) / (state.steps_done - first))


def plan_epochs(
    seconds: float, *, step_seconds: float, images: int, batch_size: int, evaluation_seconds: float
) -> tuple[int, int]:
    """Return how many epochs fit into a time, and how many images per epoch: all of them, if at least one whole epoch fits.

    step_seconds: of a step of `batch_size` images; evaluation_seconds: of the evaluation after each epoch.

    >>> plan_epochs(60, step_seconds=0.01, images=6400, batch_size=64, evaluation_seconds=0.5)
    (40, 6400)
    >>> plan_epochs(5, step_seconds=0.1, images=6400, batch_size=64, evaluation_seconds=1)
    (1, 2560)
    """
    epoch_seconds = steps_per_epoch(images, batch_size) * step_seconds + evaluation_seconds
    if seconds >= epoch_seconds:
        return int(seconds / epoch_seconds), images
    return 1, max(1, int((seconds - evaluation_seconds) / step_seconds)) * batch_size
