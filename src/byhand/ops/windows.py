"""Sliding windows as NumPy views, for the arrays hands of convolution and pooling.

At one tap (r, s) of the window, the pixels that all outputs see form a strided view of the padded image. A loop over the
few taps of the window therefore replaces the loop over the many outputs.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from byhand.ops.op import Array


def pad(
    x: Array,
    y: Array,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    value: float = 0,
) -> Array:
    """Return a padded copy of x (N, H, W, C), large enough for every window of y (N, H', W', K)."""
    top, _, left, _ = padding
    height, width = (
        max((out - 1) * step + (taps - 1) * spacing + 1, before + size)
        for out, step, taps, spacing, before, size in zip(
            y.shape[1:3], stride, kernel, dilation, (top, left), x.shape[1:3]
        )
    )
    padded = np.full((x.shape[0], height, width, x.shape[3]), value, x.dtype)
    unpad(padded, x, padding)[...] = x
    return padded


def unpad(padded: Array, x: Array, padding: Sequence[int]) -> Array:
    """Return the view of a padded array where x lies."""
    top, _, left, _ = padding
    return padded[:, top : top + x.shape[1], left : left + x.shape[2]]


def window_views(
    padded: Array, y: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[tuple[int, int], Array]]:
    """Yield ((r, s), view): the pixels at tap (r, s) of the windows of all outputs, a strided view (N, H', W', C)."""
    for r, s in np.ndindex(*kernel):
        rows, columns = (
            slice(tap * spacing, tap * spacing + (out - 1) * step + 1, step)
            for tap, spacing, out, step in zip((r, s), dilation, y.shape[1:3], stride)
        )
        yield (r, s), padded[:, rows, columns]
