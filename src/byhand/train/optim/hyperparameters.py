"""The numbers of an optimiser: checked, read anew by each launch; and how many parameters a kernel takes at a time."""

from typing import Any

import numpy as np

from byhand.ops.op import Array
from byhand.shapes import number

Setting = float | Array  # what may change from step to step: a number, or float64 (1,) that each launch reads anew
GRAIN = 16384  # parameters of a block
WIDE = 4 * GRAIN  # of a block that does little with each


def setting(value: Setting) -> Array:
    """Return a setting as an array."""
    return value if isinstance(value, np.ndarray) else np.array([value], np.float64)


def check(settings: Any, **limits: float | None) -> None:
    """Make every named setting a float, or raise an ArgumentError where it is no number from 0 up to its limit."""
    for name, limit in limits.items():
        what = f"{type(settings).__name__}: {name}"
        value = number(what, getattr(settings, name), 0, float("inf") if limit is None else limit)
        object.__setattr__(
            settings, name, value
        )  # a plain float, also for one of NumPy's: it goes into the program's text
