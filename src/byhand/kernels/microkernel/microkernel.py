"""The register tile: the inner loops of every convolution and matrix product, once in Python and once as LLVM IR.

    c[m, n] = start[m, n] + sum over t, k of  a[m, t, k] * b[t, k, n]

and, where the call says so, finished before it is stored: c * scale[n] + bias[n], then + more[m, n], then 0 if below 0.

m counts rows of the result (pixels, images, filter places), n at most `columns` of it, t segments and k the places in one.
Where the numbers lie is given by tables, so that a padded, strided, dilated or grouped convolution, its two gradients and a
matrix product are all the same sum:

    a[m, t, k] = a_start + a_rows[m] + a_segments[t] + k * a_step        (+ n where each column has its own: per channel)
    b[t, k, n] = b_start + b_segments[t] + k * b_step + n                (b_start + t * b_step where all share it: of a list)
    c[m, n]    = c_start + c_rows[m] + n                         (more[m, n] at the same place; bias, scale: bias_start + n)

The IR keeps a whole tile of sums in registers, rows x vectors of them (host.py), and walks t and k once: each number of b that
is loaded serves all rows, each of a all columns. What is left over at the edges is done by tiles of fewer rows, and by masks
that hide the columns that are not there. With a mask nothing outside of an array is read or written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from byhand.kernels.runtime.cpu import host
from byhand.kernels.runtime.intrinsic import Intrinsic

ZERO, ADD, BIAS = 0, 1, 2  # what a sum starts from: 0, what c holds, the bias of its column
RELU, SCALE, MORE = 1, 2, 4  # how it is finished: any of them together


def _sum(
    a_wide, b_wide, a, a_start, a_rows, first, rows, a_segments, segment, segments, length, a_step, b, b_start, b_segments,
    b_step, c, c_start, c_rows, columns, start, bias, bias_start, finish, scale, more,
):  # fmt: skip
    """Do what the IR does, in rows `first` to `first + rows`, over `segments` segments from `segment` on."""
    for m in range(first, first + rows):
        for n in range(columns):
            place = c_start + c_rows[m] + n
            total = c[place] if start == ADD else bias[bias_start + n] if start == BIAS else 0.0
            for t in range(segments):
                at = a_start + a_rows[m] + a_segments[segment + t] + a_wide * n
                by = b_start + (b_segments[segment + t] + n if b_wide else t * b_step)
                for k in range(length):
                    total += a[at + k * a_step] * b[by + k * b_step]
            total = total * scale[bias_start + n] + bias[bias_start + n] if finish & SCALE else total
            total = total + more[place] if finish & MORE else total
            c[place] = 0.0 if finish & RELU and total < 0.0 else total


def _tile(*arguments):
    _sum(0, 1, *arguments)


def _tile_per_channel(*arguments):
    _sum(1, 1, *arguments)


def _tile_of_list(*arguments):
    _sum(1, 0, *arguments)


def _scatter(
    a, a_start, a_rows, first, rows, places, place, several, b, b_start, c, c_start, c_rows, columns
):  # fmt: skip
    """Add a block of a, `rows` x `columns`, times a number of b to c, at each of several places."""
    for t in range(several):
        for m in range(first, first + rows):
            for n in range(columns):
                at = c_start + places[place + t] + c_rows[m] + n
                c[at] += a[a_start + a_rows[m] + n] * b[b_start + t]


def _fetch(a, first, last):
    """Bring a stretch of an array into the caches, line by line: scattered reads of it would wait for the memory each time."""


def _emit(how: str) -> Callable[[str], Any]:
    def emit(dtype: str) -> Any:
        from byhand.kernels.microkernel import microkernel_ir as emitters  # noqa: PLC0415  (llvmlite)

        own = getattr(emitters, f"{how}_intrinsic", None)
        return own(dtype) if own else emitters.tile_intrinsic(dtype, how)

    return emit


def _version() -> Any:
    return host(), [
        Path(__file__).with_name(name).read_bytes() for name in ("microkernel.py", "microkernel_ir.py", "simd.py")
    ]


tile = Intrinsic(_tile, _emit("matrix"), _version)
tile_per_channel = Intrinsic(_tile_per_channel, _emit("channel"), _version)
tile_per_tap = Intrinsic(_tile_per_channel, _emit("tap"), _version)  # the same for segments of length 1
tile_of_list = Intrinsic(_tile_of_list, _emit("list"), _version)  # b one number a segment, of length 1
scatter = Intrinsic(_scatter, _emit("scatter"), _version)
fetch = Intrinsic(_fetch, _emit("fetch"), _version)
