"""The learning-rate range test: short trial training that finds a learning rate and leaves the trainer unchanged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite, log

import numpy as np

from byhand.data import Dataset
from byhand.errors import DivergedError
from byhand.ops.op import Array
from byhand.train.rollback import rollback
from byhand.train.trainer import Trainer

MIN_LEARNING_RATE = 1e-4  # of a range test
MAX_LEARNING_RATE = 1.0  # of a range test
RANGE_TEST_STEPS = 80
RANGE_TEST_MIN_STEPS = 20  # fewer say too little
LOSS_SMOOTHING = 0.8  # weight of the past in the moving average of the loss
DIVERGENCE_FACTOR = 2.0  # of the smallest loss: a larger loss ends the test
REMAINING_FRACTION = 0.05  # of the fall of the loss, that may be left at the learning rate that is suggested


@dataclass(frozen=True)
class RangeTest:
    """The result of a range test: the learning rate to train with, and the smoothed loss at each one that was tried."""

    learning_rate: float
    learning_rates: tuple[float, ...]
    losses: tuple[float, ...]


def find_learning_rate(
    trainer: Trainer,
    train: Dataset,
    steps: int = RANGE_TEST_STEPS,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> RangeTest:
    """Find a learning rate: train with one that grows exponentially from step to step until the loss explodes, then roll back.

    The suggestion, in two digits, is the first learning rate at which the smoothed loss has fallen 95% of the way from its
    start to its minimum. Larger ones gain little, or nothing where the loss goes to 0.
    progress: called with the steps done and their number.
    Source: Smith 2015, arXiv 1506.01186 ("LR range test"). Raises DivergedError where the first loss is not finite.

    >>> import byhand as bh
    >>> train, test = bh.data.load("mnist")
    >>> trainer = bh.Trainer(bh.models.create("article"), bh.SGD())
    >>> 0.001 < find_learning_rate(trainer, train.take(2000)).learning_rate < 1
    True
    """
    rates = np.exp(np.linspace(log(MIN_LEARNING_RATE), log(MAX_LEARNING_RATE), steps)).tolist()
    losses: list[float] = []
    average = 0.0
    with rollback(trainer):
        for step, (images, labels) in enumerate(_random_batches(trainer, train, steps)):
            loss = trainer.step(images, labels, lr=rates[step])
            if not isfinite(loss):
                break
            average = LOSS_SMOOTHING * average + (1 - LOSS_SMOOTHING) * loss
            smoothed = average / (1 - LOSS_SMOOTHING ** (step + 1))
            if losses and smoothed > DIVERGENCE_FACTOR * min(losses):
                break
            losses.append(smoothed)
            progress(step + 1, steps)
    if not losses:
        raise DivergedError("the loss is not finite from the first step on: look at the images with byhand data")
    smallest = min(losses)
    target = smallest + REMAINING_FRACTION * (losses[0] - smallest)
    suggestion = next(rate for rate, loss in zip(rates, losses) if loss <= target)
    return RangeTest(float(f"{suggestion:.2g}"), tuple(rates[: len(losses)]), tuple(losses))


def affordable_steps(seconds: float, step_seconds: float) -> int:
    """Return how many steps of a range test fit into a time: at most RANGE_TEST_STEPS; 0 for fewer than RANGE_TEST_MIN_STEPS.

    >>> affordable_steps(60, 0.1), affordable_steps(6, 0.1), affordable_steps(6, 1)
    (80, 60, 0)
    """
    steps = min(RANGE_TEST_STEPS, int(seconds / step_seconds))
    return steps if steps >= RANGE_TEST_MIN_STEPS else 0


def trial_step_seconds(trainer: Trainer, train: Dataset) -> float:
    """Return the seconds of the second of two steps, which are taken back; the first one may compile kernels."""
    times = []
    with rollback(trainer):
        for images, labels in _random_batches(trainer, train, 2):
            trainer.step(images, labels, lr=MIN_LEARNING_RATE)
            times.append(time.perf_counter())
    return trainer.comm.maximum(times[1] - times[0])


def _random_batches(trainer: Trainer, train: Dataset, steps: int) -> Iterator[tuple[Array, Array]]:
    """Yield random batches, augmented as in training."""
    rng = np.random.default_rng([trainer.seed, len(train)])
    size = min(trainer.batch_size, len(train))
    for _ in range(steps):
        rows = rng.choice(len(train), size, replace=False) if size < len(train) else np.arange(size)
        images = train.images[rows]
        if trainer.augment.uniforms_per_image:
            partners = train.images[rng.choice(len(train), size)] if trainer.augment.mixup else None
            images = trainer.augment(images, rng.random((size, trainer.augment.uniforms_per_image)), partners)
        yield images, train.labels[rows]
