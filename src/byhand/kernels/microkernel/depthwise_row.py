"""The depthwise row: a row of output pixels of a depthwise convolution, once in Python and once as LLVM IR.

    y[i, c] = initial[c] + sum over r, s of  x[r, i * stride + s * step, c] * weight[r, s, c],  then the epilogue

i counts pixels of the row, c channels, r and s the taps of the window. Rows of taps that would read padding are left out by
the caller. Of a row of x, the pixels that are not there count as zeros. Strides, dilations and flipped filters (backward_data)
are all the same sum, with other steps.

The IR (depthwise_row_ir.py) holds the sums of some neighboring pixels of a vector of channels in registers. Each weight that
it loads serves all of them; where the windows of neighboring pixels overlap, so does each loaded element of x.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from byhand.kernels.microkernel.activation import activated, clipped
from byhand.kernels.microkernel.operands import ACTIVATION_STEP, BIAS, RESIDUAL, SCALE
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.types import Indices

if TYPE_CHECKING:
    from byhand.kernels.runtime.llvm import NumbaIntrinsic


# Forms of a window, from 1 on: (columns, stride), taps side by side. They may reach beyond a row of x, by half their columns
# at each end. The form 0 is any window, whose taps all lie inside.
OVERLAPPING = ((3, 1), (3, 2), (5, 1), (5, 2), (7, 1))


class PixelRow(NamedTuple):
    """Output pixels of a row.

    The first sees, through the first tap, pixel x_first of a row of x_pixels pixels that begins at x_start. Strides are in
    pixels, from one output pixel to the next.
    """

    x_start: int
    x_first: int
    x_pixels: int
    x_stride: int
    y_start: int
    y_stride: int
    y_offsets: Indices  # of each pixel from y_start
    pixels: int
    channels: int


class WindowTaps(NamedTuple):
    """The taps of a window: rows and columns, their steps in x, and where their weights are.

    form: 0, or the number of one in OVERLAPPING, from 1 on. x_column_step counts pixels, the other steps elements.
    """

    form: int
    rows: int
    columns: int
    x_row_step: int
    x_column_step: int
    weight_start: int
    weight_row_step: int
    weight_column_step: int


def _depthwise_row(x, weight, y, row, taps, initial, epilogue):
    """Write the pixels of a row: the Python twin of the IR."""
    steps, bias, scale, residual = epilogue
    for i in range(row.pixels):
        for c in range(row.channels):
            at_y = row.y_start + i * row.y_stride * row.channels + c
            total = bias[c] if initial == BIAS else 0.0
            for r in range(taps.rows):
                at_x = row.x_start + r * taps.x_row_step + c
                at_weight = taps.weight_start + r * taps.weight_row_step + c
                for s in range(taps.columns):
                    q = row.x_first + i * row.x_stride + s * taps.x_column_step
                    if 0 <= q < row.x_pixels:
                        total += x[at_x + q * row.channels] * weight[at_weight + s * taps.weight_column_step]
            total = total * scale[c] + bias[c] if steps & SCALE else total
            total = total + residual[at_y] if steps & RESIDUAL else total
            y[at_y] = activated(steps // ACTIVATION_STEP, clipped(steps, total))


def _emit(dtype: str) -> NumbaIntrinsic:
    from byhand.kernels.microkernel import depthwise_row_ir  # noqa: PLC0415  (llvmlite)

    return depthwise_row_ir.depthwise_row_intrinsic(dtype)


def _version() -> object:
    own = ("depthwise_row.py", "depthwise_row_ir.py", "operands.py", "simd.py", "activation.py", "activation_ir.py")
    return vector_unit(), [Path(__file__).with_name(name).read_bytes() for name in own]


# depthwise_row(x, weight, y, row: PixelRow, taps: WindowTaps, initial, epilogue: Epilogue)
depthwise_row = Intrinsic(_depthwise_row, _emit, _version)
