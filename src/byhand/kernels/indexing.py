"""Index arithmetic of the kernels that broadcast and move arrays: strides in elements, merged axes, starts of rows."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

# Axes that every kernel gets: it is compiled once, not for each number of axes.
KERNEL_AXES = 4


def element_strides(shape: Sequence[int], broadcast_to: Sequence[int] | None = None) -> list[int]:
    """Return an array's strides in elements; 0 along axes that repeat to fill the shape `broadcast_to`."""
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    if broadcast_to is None:
        return strides
    strides = [0 if size == 1 else stride for size, stride in zip(shape, strides)]
    return [0] * (len(broadcast_to) - len(shape)) + strides


def merge_axes(shape: Sequence[int], *all_strides: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return (sizes, strides, ...) with size-1 axes dropped and contiguous neighboring axes merged.

    Where fewer than KERNEL_AXES axes are left, axes of size 1 are put in front.
    """
    axes: list[list[int]] = []
    for size, *strides in zip(shape, *all_strides):
        if size == 1:
            continue
        if axes and all(before == size * stride for before, stride in zip(axes[-1][1:], strides)):
            axes[-1] = [axes[-1][0] * size, *strides]
        else:
            axes.append([size, *strides])
    unit_axis = [1, *[0] * len(all_strides)]
    return tuple(zip(*[unit_axis] * (KERNEL_AXES - len(axes)), *axes))


def row_start(item: int, sizes: Sequence[int], strides: Sequence[int]) -> int:
    """Return the offset of row `item`, counted in order over all rows along the last axis."""
    at = 0
    for i in range(len(sizes) - 2, 0, -1):
        if sizes[i] > 1:  # a division costs as much as a short row
            at += item % sizes[i] * strides[i]
            item //= sizes[i]
    return at + item * strides[0]
