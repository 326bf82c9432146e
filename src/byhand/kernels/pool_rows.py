"""What pooling does to a row of pixels: the largest of each window, its sum, the gradient of what a pixel has won.

A window is `rows` times `columns` places, `down` and `across` elements apart; the next window begins `step` elements further.
LLVM makes vectors of a loop over channels only where it is long, and a network that pools may have 6 of them. So here the
vectors are written by hand, and where a pixel is shorter than one, the vector hangs over its end: the garbage it leaves there
is what the next pixel writes over. Pixels are therefore written in the order in which they lie, and `spare` says how many at
the end of a row have to be left to the function itself, `one_largest` for `largest`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from byhand.kernels.runtime.intrinsic import Intrinsic

BYTES = 32  # of a vector: a register of AVX2, half of one of AVX-512, two of NEON


def spare(size, last, to, end, item, channels):
    """Return how many pixels at the end of a row can't be done in vectors.

    The last of them reads place `last` of `size`, and writes place `to` of what may be written up to `end`.
    """
    lanes = BYTES // item
    if channels >= lanes or (last + lanes <= size and to + lanes <= end):
        return 0
    return (lanes + channels - 1) // channels


def one_largest(
    x, at, step, count, down, across, rows, columns, place, wide, y, where, to, channels,
):  # fmt: skip
    """Write the first largest number of each window, or its last NaN, and its place: `place`, `wide` more a row."""
    for i in range(count):
        for c in range(channels):
            first = at + i * step + c
            best, winner = x[first], place
            for r in range(rows):
                for s in range(columns):
                    value = x[first + r * down + s * across]
                    if value > best or value != value:  # noqa: PLR0124  (NaN)
                        best, winner = value, place + r * wide + s
            y[to + i * channels + c] = best
            where[to + i * channels + c] = winner


def one_total(x, at, step, count, down, across, rows, columns, scale, y, to, channels):
    """Write the sum of each window times `scale`."""
    for i in range(count):
        for c in range(channels):
            result = 0.0
            for r in range(rows):
                for s in range(columns):
                    result += x[at + i * step + r * down + s * across + c]
            y[to + i * channels + c] = result * scale


def one_won(
    x, at, down, across, rows, columns, place, upward, leftward, where, y, to, channels,
):  # fmt: skip
    """Write, for one pixel, the sum of the numbers of those windows that it has won.

    In the first of them it is number `place`, in the next row `upward` more, in the next column `leftward` more.
    """
    for c in range(channels):
        result = 0.0
        for r in range(rows):
            for s in range(columns):
                window = at + r * down + s * across + c
                if where[window] == place + r * upward + s * leftward:
                    result += x[window]
        y[to + c] = result


def one_dealt(x, at, count, columns, place, where, y, to, channels):
    """Write a row of `count` windows side by side, `columns` pixels each: the window's number where it has won, else 0."""
    for i in range(count):
        for s in range(columns):
            for c in range(channels):
                window = at + i * channels + c
                y[to + (i * columns + s) * channels + c] = x[window] if where[window] == place + s else 0.0


def one_repeated(x, at, count, columns, scale, y, to, channels):
    """Write a row of `count` windows side by side, `columns` pixels each: the window's number times `scale`."""
    for i in range(count):
        for s in range(columns):
            for c in range(channels):
                y[to + (i * columns + s) * channels + c] = x[at + i * channels + c] * scale


def _emit(name: str) -> Callable[[str], Any]:
    def emit(dtype: str) -> Any:
        from byhand.kernels import pool_rows_ir  # noqa: PLC0415  (llvmlite)

        return getattr(pool_rows_ir, name)(dtype)

    return emit


def _version() -> Any:
    return [
        (Path(__file__).parent / name).read_bytes()
        for name in ("pool_rows.py", "pool_rows_ir.py", "microkernel/simd.py")
    ]


largest = Intrinsic(one_largest, _emit("largest"), _version)
total = Intrinsic(one_total, _emit("total"), _version)
won = Intrinsic(one_won, _emit("won"), _version)
dealt = Intrinsic(one_dealt, _emit("dealt"), _version)
repeated = Intrinsic(one_repeated, _emit("repeated"), _version)
