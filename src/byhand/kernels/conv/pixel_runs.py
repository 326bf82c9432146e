"""Pixel runs: neighboring pixels along one axis that see the same taps of a filter inside the image.

With padding, pixels at an edge see fewer taps than those inside. To skip the taps that would read padding, pixels are grouped
by the taps that they see. Example: a row of 5 pixels, a filter of 3 taps, padding 1, stride 1,

    y[i] = w[0] * x[i - 1] + w[1] * x[i] + w[2] * x[i + 1]

has three runs: y[0] sees the taps 1 and 2, y[1] to y[3] all three, y[4] the taps 0 and 1.

Backward, with a stride of s, pixels of grad_x that lie s apart see the same taps: each of these s interleaved grids is a
phase with runs of its own.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from math import ceil
from typing import NamedTuple

from byhand.kernels.conv.problem import ConvShape

# A tap's number along the axis, and the pixel of the operand that pixel 0 of the grid sees through it.
Tap = tuple[int, int]


class PixelRun(NamedTuple):
    """The pixels phase + step * i of an axis, for i from `first` up to `end`, and the taps that they see.

    step: the number of phases, 1 forward.
    """

    phase: int
    first: int
    end: int
    taps: tuple[Tap, ...]


def forward_runs(shape: ConvShape) -> tuple[list[PixelRun], list[PixelRun]]:
    """Return the runs of y's rows and of its columns.

    Through tap r, pixel i of y sees pixel i * stride + r * dilation - padding of x.

    >>> shape = ConvShape((1, 5), (1, 5), (1, 3), (1, 1), (0, 0, 1, 1), (1, 1), groups=1, depth=2, filters_per_group=4)
    >>> for run in forward_runs(shape)[1]:
    ...     print(run)
    PixelRun(phase=0, first=0, end=1, taps=((1, 0), (2, 1)))
    PixelRun(phase=0, first=1, end=4, taps=((0, -1), (1, 0), (2, 1)))
    PixelRun(phase=0, first=4, end=5, taps=((0, -1), (1, 0)))
    """

    def runs(axis: int) -> list[PixelRun]:
        padding, dilation = shape.padding[2 * axis], shape.dilation[axis]
        taps = [(r, r * dilation - padding) for r in range(shape.kernel[axis])]
        return _runs([taps], shape.output[axis], shape.stride[axis], shape.image[axis])

    return runs(0), runs(1)


def backward_data_runs(shape: ConvShape) -> tuple[list[PixelRun], list[PixelRun]]:
    """Return the runs of grad_x's rows and of its columns, a phase for each remainder of p by the stride; the last tap first.

    Through tap r, pixel p of grad_x sees pixel (p + padding - r * dilation) / stride of grad_y, where that is an integer.
    """

    def runs(axis: int) -> list[PixelRun]:
        padding, stride, dilation = shape.padding[2 * axis], shape.stride[axis], shape.dilation[axis]
        distances = [(r, padding - r * dilation) for r in reversed(range(shape.kernel[axis]))]
        taps_by_phase = [
            [(r, (phase + distance) // stride) for r, distance in distances if (phase + distance) % stride == 0]
            for phase in range(stride)
        ]
        return _runs(taps_by_phase, shape.image[axis], 1, shape.output[axis])

    return runs(0), runs(1)


def runs_by_tap(runs: list[PixelRun]) -> list[PixelRun]:
    """Return one run for each tap of an axis, with all pixels that see it: these runs overlap."""
    by_tap: dict[Tap, list[PixelRun]] = {}
    for run in runs:
        for tap in run.taps:
            by_tap.setdefault(tap, []).append(run)
    return [PixelRun(0, seeing[0].first, seeing[-1].end, (tap,)) for tap, seeing in sorted(by_tap.items())]


def _runs(taps_by_phase: list[list[Tap]], size: int, rate: int, operand_size: int) -> list[PixelRun]:
    """Return the runs of an axis of `size` pixels; rate: pixels that a tap advances in the operand per pixel of the grid."""

    def taps_seen(phase: int, i: int) -> tuple[Tap, ...]:
        return tuple((r, at) for r, at in taps_by_phase[phase] if 0 <= at + i * rate < operand_size)

    runs, step = [], len(taps_by_phase)
    for phase in range(step):
        for taps, pixels in groupby(range(ceil((size - phase) / step)), partial(taps_seen, phase)):
            first, *more = pixels
            runs.append(PixelRun(phase, first, first + len(more) + 1, taps))
    return runs
