"""The operands of the pooling functions (pool_rows.py): a row of windows, the taps of a window, and the numbers of the taps."""

from __future__ import annotations

from typing import NamedTuple

VECTOR_BYTES = 32  # a register of AVX2, half of one of AVX-512, two of NEON


class Row(NamedTuple):
    """Windows side by side: the first begins at element `start`, the next `step` further; results are written from `to` on."""

    start: int
    step: int
    windows: int
    to: int
    channels: int


class Window(NamedTuple):
    """The taps of a window inside the image, or the windows over a pixel; elements from one to the next, down and across."""

    rows: int
    columns: int
    down: int
    across: int


class Numbering(NamedTuple):
    """The numbers of the taps of a window in argmax: that of the first, and the step a row down and a column across."""

    first: int
    down: int
    across: int
