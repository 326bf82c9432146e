"""Pooling along a row of pixels: the maximum or the sum of each window, and the gradients of both.

LLVM vectorizes a loop over channels only where it is long, and a network that pools may have 6 channels. So the vectors are
written by hand (pool_rows_ir.py). Where a pixel has fewer channels than a vector has lanes, a store runs over its end, and the
store of the next pixel overwrites what it left there. Pixels are therefore written in the order in which they lie in memory,
and `tail_pixels` tells how many at the end of a row need the scalar form of the function.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from byhand.kernels.pool_operands import VECTOR_BYTES
from byhand.kernels.runtime.intrinsic import Intrinsic

if TYPE_CHECKING:
    from byhand.kernels.runtime.llvm import NumbaIntrinsic


def tail_pixels(size, last, to, end, item, channels):
    """Return how many pixels at the end of a row can't be done in vectors.

    The row's last pixel begins at `last` of `size` elements that may be read, and at `to` of those that may be written up to
    `end`; item: bytes of an element.
    """
    lanes = VECTOR_BYTES // item
    if channels >= lanes or (last + lanes <= size and to + lanes <= end):
        return 0
    return (lanes + channels - 1) // channels


def window_max_scalar(x, row, window, numbering, y, argmax):
    """Write the maximum of each window (of equal ones the first, of NaNs the last) and its tap; numbering.across is 1."""
    for i in range(row.windows):
        for c in range(row.channels):
            first = row.start + i * row.step + c
            best, winner = x[first], numbering.first
            for r in range(window.rows):
                for s in range(window.columns):
                    value = x[first + r * window.down + s * window.across]
                    if value > best or value != value:  # noqa: PLR0124  (NaN)
                        best, winner = value, numbering.first + r * numbering.down + s * numbering.across
            y[row.to + i * row.channels + c] = best
            argmax[row.to + i * row.channels + c] = winner


def window_sum_scalar(x, row, window, scale, y):
    """Write the sum of each window times `scale`."""
    for i in range(row.windows):
        for c in range(row.channels):
            result = 0.0
            for r in range(window.rows):
                for s in range(window.columns):
                    result += x[row.start + i * row.step + r * window.down + s * window.across + c]
            y[row.to + i * row.channels + c] = result * scale


def gather_by_argmax_scalar(x, argmax, row, window, numbering, y):
    """Sum the gradients x of the windows whose argmax is this pixel."""
    for c in range(row.channels):
        result = 0.0
        for r in range(window.rows):
            for s in range(window.columns):
                at = row.start + r * window.down + s * window.across + c
                if argmax[at] == numbering.first + r * numbering.down + s * numbering.across:
                    result += x[at]
        y[row.to + c] = result


def scatter_by_argmax_scalar(x, argmax, row, columns, first, y):
    """Write a row of windows side by side, `columns` pixels each: the window's gradient x where argmax is the pixel, else 0."""
    for i in range(row.windows):
        for s in range(columns):
            for c in range(row.channels):
                at = row.start + i * row.channels + c
                y[row.to + (i * columns + s) * row.channels + c] = x[at] if argmax[at] == first + s else 0.0


def repeat_scalar(x, row, columns, scale, y):
    """Write a row of windows side by side, `columns` pixels each: the window's gradient x times `scale`."""
    for i in range(row.windows):
        for s in range(columns):
            for c in range(row.channels):
                y[row.to + (i * columns + s) * row.channels + c] = x[row.start + i * row.channels + c] * scale


def _emit(name: str) -> Callable[[str], NumbaIntrinsic]:
    def emit(dtype: str) -> NumbaIntrinsic:
        from byhand.kernels import pool_rows_ir  # noqa: PLC0415  (llvmlite)

        return getattr(pool_rows_ir, name)(dtype)

    return emit


def _version() -> object:
    files = ("pool_operands.py", "pool_rows.py", "pool_rows_ir.py", "microkernel/simd.py")
    return [(Path(__file__).parent / name).read_bytes() for name in files]


window_max = Intrinsic(window_max_scalar, _emit("window_max"), _version)
window_sum = Intrinsic(window_sum_scalar, _emit("window_sum"), _version)
gather_by_argmax = Intrinsic(gather_by_argmax_scalar, _emit("gather_by_argmax"), _version)
scatter_by_argmax = Intrinsic(scatter_by_argmax_scalar, _emit("scatter_by_argmax"), _version)
repeat = Intrinsic(repeat_scalar, _emit("repeat"), _version)
