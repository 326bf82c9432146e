"""Uninitialized memory: arrays that are still to be written.

With BYHAND_POISON=1, as in the tests, scratch memory, arenas and outputs are filled before each use with bytes that are NaN as
float32 and as float64 and 2,147,016,365 as int32, so that an element that no hand writes shows as NaN in the results.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from byhand.kernels.runtime.types import Array

POISON = os.environ.get("BYHAND_POISON", "0") not in ("", "0")
POISON_WORD = 0x7FF8DEAD  # a quiet NaN as float32, and twice in a row as float64


def poison(array: Array) -> Array:
    """Return a contiguous array, filled where memory is poisoned."""
    if POISON:
        memory = words(array)
        memory[...] = POISON_WORD & np.iinfo(memory.dtype).max
    return array


def words(array: Array) -> Array:
    """Return an array's memory as 32-bit words; where it is no whole number of them, as bytes."""
    return array.reshape(-1).view(np.uint8 if array.nbytes % 4 else np.uint32)


def empty(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return an unwritten array."""
    return poison(np.empty(shape, dtype))


def empty_like(array: Array) -> Array:
    """Return an unwritten array of another's shape and type."""
    return empty(array.shape, array.dtype)
