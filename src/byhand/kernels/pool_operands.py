"""The operands of the pooling functions (pool_rows.py): a row of windows, the positions of a window, and their numbers."""

from __future__ import annotations

from typing import NamedTuple

VECTOR_BYTES = 32  # a register of AVX2, half of one of AVX-512, two of NEON


class Row(NamedTuple):
    """Windows side by side: the first begins at `start`, the next `step` numbers further; results are written from `to` on."""

    start: int
    step: int
    windows: int
    to: int
    channels: int


class Window(NamedTuple):
    """The positions of a window inside the image, or the windows over a pixel; numbers from one to the next down, across."""

    rows: int
    columns: int
    down: int
    across: int


class Numbering(NamedTuple):
    """The positions of a window, as argmax numbers them: the first, and how much more each is a row down, a column across."""

    first: int
    down: int
    across: int
