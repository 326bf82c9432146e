"""Morphological filters of gray images and masks: the largest or smallest pixel in a window, closing, opening.

A window is a square, or a segment along one axis; its cost grows with the logarithm of its side.
"""

from collections.abc import Sequence

import numpy as np

from byhand.shapes import Array


def closing(gray: Array, side: int) -> Array:
    """Fill what is darker and narrower than `side` pixels: the largest in a square window, then the smallest of these."""
    return _filter(gray, side, np.maximum, np.minimum)


def opening(gray: Array, side: int) -> Array:
    """Take away what is lighter and narrower than `side` pixels."""
    return _filter(gray, side, np.minimum, np.maximum)


def _filter(gray: Array, side: int, first: np.ufunc, second: np.ufunc) -> Array:
    around = np.pad(gray, side, mode="edge")  # a strip of the desk goes on beyond the photo
    both = running(running(around, side, first), side, second)
    return both[side:-side, side:-side]


def running(gray: Array, side: int, best: np.ufunc, axes: Sequence[int] = (0, 1)) -> Array:
    """Return the largest (np.maximum) or smallest (np.minimum) in a window of `side` pixels, in log2(side) passes an axis.

    >>> running(np.array([[0, 0, 5, 0, 0, 0]]), 3, np.maximum, (1,))
    array([[0, 5, 5, 5, 0, 0]])
    """
    for axis in axes:
        rows = np.moveaxis(gray, axis, 0)
        length = len(rows)
        before = side // 2
        rows = np.pad(rows, [(before, side - 1 - before), (0, 0)], mode="edge")
        covered = 1
        while covered < side:
            step = min(covered, side - covered)
            rows = best(rows[: len(rows) - step], rows[step:])
            covered += step
        gray = np.moveaxis(rows[:length], 0, axis)
    return gray
