"""Hyperparameters: their ranges, and values that change from step to step."""

import numpy as np

from byhand.ops.op import Array
from byhand.shapes import number

Scheduled = float | Array  # a learning rate or a step number: a number, or float64 (1,) that each launch reads again
BLOCK_PARAMETERS = 16384  # of an update: 64 KB of float32, a few microseconds
REDUCTION_BLOCK_PARAMETERS = 4 * BLOCK_PARAMETERS  # of a sum or a scaling, which do little with each parameter


def as_array(value: Scheduled) -> Array:
    """Return a scheduled value as float64 (1,), which a captured launch reads when it runs."""
    return value if isinstance(value, np.ndarray) else np.array([value], np.float64)


def check_ranges(optimizer: object, **limits: float | None) -> None:
    """Make each named hyperparameter a float; raise ArgumentError where it is no number from 0 up to, without, its limit."""
    for name, limit in limits.items():
        what = f"{type(optimizer).__name__}: {name}"
        value = number(what, getattr(optimizer, name), 0, float("inf") if limit is None else limit)
        object.__setattr__(optimizer, name, value)  # a plain float: it becomes text of the generated program
