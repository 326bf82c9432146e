"""The operands of the pooling functions (pool_rows.py): a row of windows, the taps of a window, and the numbers of the taps."""

from __future__ import annotations

from typing import NamedTuple

VECTOR_BYTES = 32  # a register of AVX2, half of one of AVX-512, two of NEON


class Row(NamedTuple):
    """Windows side by side: the first begins at element `start`, the next `step` further; results begin at `out_start`."""

    start: int
    step: int
    windows: int
    out_start: int
    channels: int


class PoolTaps(NamedTuple):
    """The taps of a window inside the image, or the windows over a pixel; strides: elements from one to the next."""

    rows: int
    columns: int
    row_stride: int
    column_stride: int


class TapIndex(NamedTuple):
    """The numbers of the taps of a window in argmax: that of the first, and the stride to the next row and column."""

    first: int
    row_stride: int
    column_stride: int
