"""Index arithmetic of the kernels that broadcast and move arrays: strides in elements, merged axes, starts of rows."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

RANK = 4  # axes that every kernel gets: it is compiled once, not for each number of axes


def steps_of(shape: Sequence[int], y: Sequence[int] | None = None) -> list[int]:
    """Return the step of each axis of an array; in a `y` that it is broadcast to, 0 for an axis that is repeated."""
    steps = [prod(shape[i + 1 :]) for i in range(len(shape))]
    if y is None:
        return steps
    steps = [0 if size == 1 else step for size, step in zip(shape, steps)]
    return [0] * (len(y) - len(shape)) + steps


def merged(shape: Sequence[int], *all_steps: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return (sizes, steps, ...) with size-1 axes dropped and contiguous neighboring axes merged.

    Where fewer than RANK axes are left, axes of size 1 are put in front.
    """
    axes: list[list[int]] = []
    for size, *steps in zip(shape, *all_steps):
        if size == 1:
            continue
        if axes and all(before == size * step for before, step in zip(axes[-1][1:], steps)):
            axes[-1] = [axes[-1][0] * size, *steps]
        else:
            axes.append([size, *steps])
    unit_axis = [1, *[0] * len(all_steps)]
    return tuple(zip(*[unit_axis] * (RANK - len(axes)), *axes))


def row_start(item: int, sizes: Sequence[int], steps: Sequence[int]) -> int:
    """Return the offset of row `item`, counted in order over all rows along the last axis."""
    at = 0
    for i in range(len(sizes) - 2, 0, -1):
        if sizes[i] > 1:  # a division costs as much as a short row
            at += item % sizes[i] * steps[i]
            item //= sizes[i]
    return at + item * steps[0]
