"""Steps that are taken back: to find a learning rate, and to see how long an epoch takes, before a training begins."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from math import isfinite, log

import numpy as np

from byhand.data import Dataset
from byhand.errors import DivergedError
from byhand.train.state import Progress
from byhand.train.trainer import Trainer

NUMBERS = ("steps", "progress", "history", "curve", "images_per_second", "waited")  # of a trainer
LOWEST, HIGHEST, STEPS = 1e-4, 1.0, 80  # of a range test
SMOOTH = 0.8  # of the smoothed loss, what stays from step to step
LOST = 2.0  # times the best loss: from here on nothing is learned any more
NEAR = 0.05  # of the fall to the smallest loss: the rate taken is the first at which no more than that is left of it
TIMED = 3.0  # seconds of training whose steps are timed
WARM = 3  # groups of steps before them, which may compile, and of which the images were ready
MANY = 10**6  # epochs: more than are done in that time


@contextmanager
def trial(trainer: Trainer) -> Iterator[None]:
    """Leave a trainer as it was: its model, the optimiser's buffers, and how far it has come."""
    arrays = {**trainer.kept(), **{f"optimizer.{name}": buffer for name, buffer in trainer.buffers.items()}}
    before = {name: array.copy() for name, array in arrays.items()}
    numbers = {name: getattr(trainer, name) for name in NUMBERS}
    try:
        yield
    finally:
        for name, array in arrays.items():
            array[...] = before[name]
        vars(trainer).update(numbers)


@dataclass(frozen=True)
class RangeTest:
    """What a range test found: the rate to train with, and the loss, smoothed, at each rate that was tried."""

    rate: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]


def find_rate(trainer: Trainer, train: Dataset, steps: int = STEPS) -> RangeTest:
    """Find a learning rate: train with one that grows from step to step until the loss explodes, then take all of it back.

    The rate taken, in two digits, is the first at which the smoothed loss has all but reached the smallest one: 95 % of the
    way from where it began. Larger ones gain little, or, where the loss goes to 0, nothing.
    Source: Smith 2015, arXiv 1506.01186 ("LR range test").

    >>> import byhand as bh
    >>> train, test = bh.data.load("mnist")
    >>> 0.001 < find_rate(bh.Trainer(bh.models.create("article"), bh.SGD()), train.take(2000)).rate < 1
    True
    """
    rates = np.exp(np.linspace(log(LOWEST), log(HIGHEST), steps)).tolist()
    tried: list[float] = []
    losses: list[float] = []
    mean = 0.0
    with trial(trainer):
        for number, (images, labels) in enumerate(_batches(trainer, train, steps)):
            loss = float(trainer.try_step(images, labels, rates[number]))
            if not isfinite(loss):
                break
            mean = SMOOTH * mean + (1 - SMOOTH) * loss
            smooth = mean / (1 - SMOOTH ** (number + 1))
            if losses and smooth > LOST * min(losses):
                break
            tried.append(rates[number])
            losses.append(smooth)
    if not tried:
        raise DivergedError("the loss is no number from the first step on: look at the images with byhand data")
    low = min(losses)
    reached = next(rate for rate, loss in zip(tried, losses) if loss <= low + NEAR * (losses[0] - low))
    return RangeTest(float(f"{reached:.2g}"), tuple(tried), tuple(losses))


def seconds_a_step(trainer: Trainer, train: Dataset, seconds: float = TIMED) -> float:
    """Return how long a step takes when training has got going, from the images to the update; all is taken back afterwards.

    seconds: of training that are measured. Of several ranks, the slowest one's.
    """
    from byhand.train.display import Display  # noqa: PLC0415  (rich takes longer to import than all of byhand)

    times: list[float] = []
    with trial(trainer):
        trainer.progress = Progress(MANY, len(train), trainer.steps)
        display = Display(MANY, len(train), quiet=True)
        with closing(trainer.steps_left(train, {}, None, display)) as steps:
            for _ in steps:
                times.append(time.perf_counter())
                if len(times) == WARM:
                    before = trainer.progress.done
                if len(times) > WARM and trainer.ranks.largest(times[-1] - times[WARM - 1]) > seconds:
                    break
        done = trainer.progress.done - before
    return trainer.ranks.largest((times[-1] - times[WARM - 1]) / done)


def _batches(trainer: Trainer, train: Dataset, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield random batches, varied as training varies them."""
    rng = np.random.default_rng([trainer.seed, len(train)])
    size = min(trainer.batch_size, len(train))
    for _ in range(steps):
        rows = rng.choice(len(train), size, replace=False) if size < len(train) else np.arange(size)
        images = train.images[rows]
        if trainer.augment.numbers:
            mixed = train.images[rng.choice(len(train), size)] if trainer.augment.mixup else None
            images = trainer.augment(images, rng.random((size, trainer.augment.numbers)), mixed)
        yield images, train.labels[rows]


def plan(seconds: float, step: float, images: int, batch: int, evaluation: float) -> tuple[int, int]:
    """Return how many epochs fit into so many seconds, and how many images an epoch: all, where one epoch fits at least.

    step: seconds a step of `batch` images; evaluation: seconds that judging takes after an epoch.

    >>> plan(60, step=0.01, images=6400, batch=64, evaluation=0.5)
    (40, 6400)
    >>> plan(5, step=0.1, images=6400, batch=64, evaluation=1)
    (1, 2560)
    """
    whole = -(-images // batch) * step + evaluation
    if seconds >= whole:
        return int(seconds / whole), images
    return 1, max(1, int((seconds - evaluation) / step)) * batch
