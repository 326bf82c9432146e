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


def tail_pixels(size, last, out_start, end, item, channels):
    """Return how many pixels at the end of a row can't be done in vectors.

    The row's last pixel begins at `last` of `size` elements that may be read, and at `out_start` of those that may be written
    up to `end`; item: bytes of an element.
    """
    lanes = VECTOR_BYTES // item
    if channels >= lanes or (last + lanes <= size and out_start + lanes <= end):
        return 0
    return (lanes + channels - 1) // channels


def window_max_scalar(x, row, taps, tap_index, y, argmax):
    """Write the maximum of each window (of equal ones the first, of NaNs the last) and the number of its tap.

    tap_index.column_stride is 1.
    """
    for i in range(row.windows):
        for c in range(row.channels):
            first = row.start + i * row.step + c
            largest, largest_tap = x[first], tap_index.first
            for r in range(taps.rows):
                for s in range(taps.columns):
                    value = x[first + r * taps.row_stride + s * taps.column_stride]
                    if value > largest or value != value:  # noqa: PLR0124  (NaN)
                        largest = value
                        largest_tap = tap_index.first + r * tap_index.row_stride + s * tap_index.column_stride
            y[row.out_start + i * row.channels + c] = largest
            argmax[row.out_start + i * row.channels + c] = largest_tap


def window_sum_scalar(x, row, taps, scale, y):
    """Write the sum of each window times `scale`."""
    for i in range(row.windows):
        for c in range(row.channels):
            result = 0.0
            for r in range(taps.rows):
                for s in range(taps.columns):
                    result += x[row.start + i * row.step + r * taps.row_stride + s * taps.column_stride + c]
            y[row.out_start + i * row.channels + c] = result * scale


def gather_by_argmax_scalar(x, argmax, row, taps, tap_index, y):
    """Sum the gradients x of the windows whose argmax is this pixel."""
    for c in range(row.channels):
        result = 0.0
        for r in range(taps.rows):
            for s in range(taps.columns):
                at = row.start + r * taps.row_stride + s * taps.column_stride + c
                if argmax[at] == tap_index.first + r * tap_index.row_stride + s * tap_index.column_stride:
                    result += x[at]
        y[row.out_start + c] = result


def scatter_by_argmax_scalar(x, argmax, row, columns, first, y):
    """Write a row of windows side by side, `columns` pixels each: the window's gradient x where argmax is the pixel, else 0."""
    for i in range(row.windows):
        for s in range(columns):
            for c in range(row.channels):
                at = row.start + i * row.channels + c
                y[row.out_start + (i * columns + s) * row.channels + c] = x[at] if argmax[at] == first + s else 0.0


def repeat_scalar(x, row, columns, scale, y):
    """Write a row of windows side by side, `columns` pixels each: the window's gradient x times `scale`."""
    for i in range(row.windows):
        for s in range(columns):
            for c in range(row.channels):
                y[row.out_start + (i * columns + s) * row.channels + c] = x[row.start + i * row.channels + c] * scale


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
