"""Causes of a loss that is not finite: pixels that are no numbers, inputs out of range, a learning rate that is too large."""

from __future__ import annotations

from typing import Any

import numpy as np

from byhand.data import Dataset
from byhand.errors import ArgumentError, DivergedError
from byhand.train.optim import Optimizer

CHUNK_IMAGES = 1024  # that are checked at a time
RATE_REDUCTION = 10.0  # from the learning rate that was too large to the one that is advised


def check_pixels(name: str, data: Dataset) -> None:
    """Raise ArgumentError for floating point images of which one holds NaN or an infinite value; name: of the set, in words.

    >>> check_pixels("training", Dataset(np.full((1, 2, 2, 1), np.nan, np.float32), [0], ["cat"]))
    Traceback (most recent call last):
    byhand.errors.ArgumentError: fit: 1 of 1 training images holds NaN or infinite pixels, image 0 first: ...
    """
    images = getattr(data, "images", None)  # check_data refuses what is no data set
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f":
        return
    axes = tuple(range(1, images.ndim))
    chunks = (images[start : start + CHUNK_IMAGES] for start in range(0, len(images), CHUNK_IMAGES))
    wrong = np.flatnonzero(np.concatenate([~np.isfinite(chunk).all(axis=axes) for chunk in chunks]))
    if len(wrong):
        raise ArgumentError(
            f"fit: {len(wrong):,} of {len(images):,} {name} images hold{'s' * (len(wrong) == 1)} NaN or infinite pixels,"
            f" image {wrong[0]} first: replace these pixels, or leave the images out"
        )


def diverged(what: str, step: int, learning_rate: float, optimizer: Optimizer) -> DivergedError:
    """Return the error of a training that diverged at a step because of its learning rate, which is that of the step.

    The advice is a tenth of that rate, or the optimizer's default where that is smaller.
    """
    advised = min((learning_rate or optimizer.lr) / RATE_REDUCTION, type(optimizer)().lr)
    return DivergedError(
        f"{what} at step {step}: the learning rate {learning_rate:.4g} is too large for this network; "
        f"try {advised:.2g}, or in Python clip_norm=1"
    )


def diverged_at_once(what: str, inputs: Any) -> DivergedError:
    """Return the error of a training whose first loss is not finite; inputs: those of the network in that step."""
    finite = np.abs(inputs[np.isfinite(inputs)])
    return DivergedError(
        f"{what} at the first step, before any update: no learning rate is the cause, but a parameter that is not finite, "
        f"or the inputs, whose largest value is {finite.max() if finite.size else np.nan:.3g}; expected about -3 to 3"
    )
