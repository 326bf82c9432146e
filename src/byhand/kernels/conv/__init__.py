"""Convolution over the tile: forward and by data as one sweep over images, by weights as a sum over pixels (plans.py).

Nothing is unrolled into columns (im2col) and nothing is padded: images are read where they lie.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Any

from byhand.kernels.conv.plan import BLOCKS, PACKED, ConvShape, Sweep, data_plan, forward_plan, weights_plan, whole_plan
from byhand.kernels.microkernel.microkernel import (
    ADD,
    BIAS,
    MORE,
    RELU,
    SCALE,
    ZERO,
    fetch,
    tile,
    tile_per_channel,
    tile_per_tap,
)
from byhand.kernels.reductions import add_up, column_sums
from byhand.kernels.runtime.cpu import cache_size, host
from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import workers

SLICE = 16384  # weights that a block packs
FEW = 1024  # pixels: with no more, a thread lays out filters for itself, and they never leave its cache
AHEAD = 16  # rows of weights that are asked for before they are packed

# kernels --------------------------------------------------------------------------------------------------------------


def sweep_kernel(tile):
    @kernel
    def sweep(
        a, images, a_image, a_row, depth, together, rows, parts, grid, phases, a_rows, a_segments, b, b_group, b_block, b_segments,
        b_step, columns, bias, finish, scale, more, c, c_rows, c_image, c_row, groups, filters_per_group, along, block,
    ):  # fmt: skip
        """Sweep the pixels of some images, or of a strip of one."""
        strips, blocks = -(-grid // rows), -(-filters_per_group // columns)
        strip, part = block // parts, block % parts
        n, t = strip // strips * together, strip % strips * rows
        count, start = min(together, images - n), BIAS if bias.size > 0 and not finish & SCALE else ZERO
        for p in range(phases.shape[0]):
            first, last, base, wide, pixel = phases[p, 0], phases[p, 1], phases[p, 2], phases[p, 3], phases[p, 4]
            segment, several, length = phases[p, 5], phases[p, 6], phases[p, 7]
            first, last = max(first, t), min(last, t + rows)
            if first >= last:
                continue
            for unit in range(part * groups * blocks // parts, (part + 1) * groups * blocks // parts):
                g, k = unit // blocks, unit % blocks
                b_start, first_filter = g * b_group + k * b_block, g * filters_per_group + k * columns
                tile(
                    a, n * a_image + t * a_row + g * depth + along * k * columns, a_rows, pixel + (first - t - base) * wide,
                    count * (last - first) * wide, a_segments, segment, several, length, 1, b, b_start, b_segments, b_step,
                    c, n * c_image + t * c_row + first_filter, c_rows, min(columns, filters_per_group - k * columns), start, bias, first_filter,
                    finish, scale, more,
                )  # fmt: skip

    return sweep


def sums_kernel(tile):
    @kernel
    def sums(
        x, images, x_image, x_row, depth, together, rows, grid, phases, a_rows, a_segments, a_step, dy, dy_row, b_segments, columns,
        sums, size, c_rows, groups, filters_per_group, lanes, parts, along, block,
    ):  # fmt: skip
        """Sum up the gradient of some filters over some of the images."""
        strips, filters, blocks = -(-grid // rows), filters_per_group * groups, -(-filters_per_group // columns)
        chunks, lane, part = -(-images // together) * strips, block // parts, block % parts
        units = range(part * groups * blocks // parts, (part + 1) * groups * blocks // parts)
        everywhere = (
            phases.shape[0] == 1 and phases[0, 0] == 0 and phases[0, 1] == grid and phases[0, 6] * filters == size
        )
        start = ZERO if everywhere else ADD  # only where the first chunk writes all sums: one phase, that has every row
        for unit in units if start == ADD else range(0):
            g, k = unit // blocks, unit % blocks * columns
            for m in range(lane * size + g * filters_per_group + k, (lane + 1) * size, filters):
                row = sums[m : m + min(columns, filters_per_group - k)]
                for i in range(row.size):
                    row[i] = 0.0
        for chunk in range(lane * chunks // lanes, (lane + 1) * chunks // lanes):
            n, t = chunk // strips * together, chunk % strips * rows
            count, at = min(together, images - n), (n * grid + t) * dy_row
            if blocks > 1:  # each unit reads a part of every pixel
                x_at = n * x_image + t * x_row
                fetch(dy, at, at + count * min(rows, grid - t) * dy_row)
                fetch(x, x_at, x_at + (count * x_image if together > 1 else rows * x_row))
            for unit in units:
                g, k = unit // blocks, unit % blocks * columns
                for p in range(phases.shape[0]):
                    first, last, base, segment = phases[p, 0], phases[p, 1], phases[p, 2], phases[p, 3]
                    length, place, places = phases[p, 4], phases[p, 5], phases[p, 6]
                    first, last = max(first, t), min(last, t + rows)
                    if first >= last:
                        continue
                    tile(
                        x, n * x_image + t * x_row + g * depth + along * k, a_rows, place, places, a_segments,
                        segment + first - t - base, count * (last - first), length, a_step,
                        dy, at + g * filters_per_group + k, b_segments, filters,
                        sums, lane * size + g * filters_per_group + k, c_rows, min(columns, filters_per_group - k), start, sums, 0, 0, sums, sums,
                    )  # fmt: skip
            start = ADD

    return sums


sweep, sums = sweep_kernel(tile), sums_kernel(tile)
sweep_per_channel, sums_per_channel = sweep_kernel(tile_per_tap), sums_kernel(tile_per_channel)


@kernel
def sweep_packing(
    a, images, depth, phases, a_rows, a_segments, weight, row, numbers, together, panels, b_segments, columns, bias,
    finish, scale, more, c, c_rows, groups, filters_per_group, block, worker,
):  # fmt: skip
    """Lay some filters out side by side, and sweep all pixels with them while they are in the cache."""
    blocks, start = -(-filters_per_group // columns), BIAS if bias.size > 0 and not finish & SCALE else ZERO
    first, last = block * together, min((block + 1) * together, groups * blocks)
    size, base = numbers * columns, worker * together * numbers * columns
    for i in range(numbers):
        for unit in range(first, last):
            g, k = unit // blocks, unit % blocks
            at = i * row + g * filters_per_group + k * columns
            if unit == first:
                fetch(weight, at + AHEAD * row, at + AHEAD * row + (last - first) * columns)
            into, count = base + (unit - first) * size + i * columns, min(columns, filters_per_group - k * columns)
            some, panel = weight[at : at + count], panels[into : into + count]
            for n in range(count):
                panel[n] = some[n]
    for unit in range(first, last):
        g, k = unit // blocks, unit % blocks
        first_filter = g * filters_per_group + k * columns
        for p in range(phases.shape[0]):
            tall, wide, pixel = phases[p, 1] - phases[p, 0], phases[p, 3], phases[p, 4]
            segment, several, length = phases[p, 5], phases[p, 6], phases[p, 7]
            tile(
                a, g * depth, a_rows, pixel, images * tall * wide, a_segments, segment, several, length, 1, panels,
                base + (unit - first) * size, b_segments, columns, c, first_filter, c_rows, min(columns, filters_per_group - k * columns),
                start, bias, first_filter, finish, scale, more,
            )  # fmt: skip


@kernel
def pack_forward(weight, packed, groups, columns, rows, block):
    """Lay filters out side by side, some rows of them in turn: weight (numbers, K) -> (groups, blocks, numbers, columns)."""
    numbers, filters_per_group = weight.shape[0], weight.shape[1] // groups
    for i in range(block * rows, min((block + 1) * rows, numbers)):
        into = i * columns
        for g in range(groups):
            for k in range(0, filters_per_group, columns):
                row, out = weight[i, g * filters_per_group + k :], packed[into:]
                for n in range(min(columns, filters_per_group - k)):
                    out[n] = row[n]
                into += numbers * columns


@kernel
def pack_backward_data(weight, packed, groups, columns, slices, block):
    """Turn a place of the filters round: weight (R * S, depth, K) -> (groups, blocks, R * S turned, filters_per_group, columns)."""
    place, part = block // slices, block % slices
    places, depth, filters_per_group = weight.shape[0], weight.shape[1], weight.shape[2] // groups
    for g in range(groups):
        for c in range(part * depth // slices, (part + 1) * depth // slices):
            at = (g * -(-depth // columns) + c // columns) * places + places - 1 - place
            into = at * filters_per_group * columns + c % columns
            for k in range(filters_per_group):
                packed[into + k * columns] = weight[place, c, g * filters_per_group + k]


# passes ---------------------------------------------------------------------------------------------------------------


def forward(
    x: Any, weight: Any, bias: Any, y: Any, view: ConvShape, relu: bool = False, scale: Any = None, more: Any = None
) -> None:
    """Write y = x convolved with weight, times `scale` (K,), plus bias, plus `more`, an array like y; then the ReLU."""
    columns, numbers = host().columns(x.dtype), weight.size // view.filters
    b, b_step, b_group, b_block = weight.reshape(-1), view.filters, view.filters_per_group, columns
    if not view.depthwise and view.filters_per_group > columns and weight.nbytes > PACKED:
        if len(x) * prod(view.output) <= FEW:
            _launch_packing(x, weight, bias, y, view, relu, scale, more)
            return
        blocks = ceil(view.filters_per_group / columns)
        b, b_step = scratch(view.groups * blocks * numbers * columns, dtype=x.dtype), columns
        b_group, b_block = blocks * numbers * columns, numbers * columns
        rows = cdiv(SLICE, view.filters)
        launch(pack_forward, cdiv(numbers, rows), weight.reshape(numbers, -1), b, view.groups, columns, rows)
    plan = forward_plan(view, len(x), x.itemsize, columns, b_step)
    _launch_sweep(
        plan, x, view.stride[0], b, b_group, b_block, b_step, bias, y, 1, view.groups, view.depth, view.filters_per_group, view.depthwise,
        relu, scale, more,
    )  # fmt: skip


def _launch_packing(x: Any, weight: Any, bias: Any, y: Any, view: ConvShape, relu: bool, scale: Any, more: Any) -> None:
    """Launch a sweep over few pixels: a thread lays out the filters that it is about to need, for itself."""
    columns, numbers = host().columns(x.dtype), weight.size // view.filters
    units = view.groups * ceil(view.filters_per_group / columns)
    together = max(1, min(units // BLOCKS, cache_size(2) // 2 // (numbers * columns * x.itemsize)))
    plan = whole_plan(view, len(x), columns)
    launch(
        sweep_packing, ceil(units / together),
        x.reshape(-1), len(x), view.depth, plan.phases, plan.a_rows, plan.a_segments, weight.reshape(-1), view.filters, numbers,
        together, scratch(workers() * together * numbers * columns, dtype=x.dtype), plan.b_segments, columns,
        *_finish(x, bias, relu, scale, more), y.reshape(-1), plan.c_rows, view.groups, view.filters_per_group,
    )  # fmt: skip


def _finish(a: Any, bias: Any, relu: bool, scale: Any, more: Any) -> tuple[Any, ...]:
    """Return how sums are finished as kernels take it: bias, what is asked for, scale, more; an empty array for None."""
    none, asked = a.reshape(-1)[:0], RELU * relu + SCALE * (scale is not None) + MORE * (more is not None)
    bias, scale, more = (none if one is None else one.reshape(-1) for one in (bias, scale, more))
    return bias, asked, scale, more


def backward_data(weight: Any, grad_y: Any, grad_x: Any, view: ConvShape) -> None:
    """Write the gradient of the images."""
    columns = host().columns(grad_y.dtype)
    plan = data_plan(view, len(grad_x), grad_x.itemsize, columns)
    b, places, blocks = weight.reshape(-1), prod(view.kernel), ceil(view.depth / columns)
    b_block = places * view.filters_per_group * columns
    if not view.depthwise:
        b, slices = scratch(view.groups * blocks * b_block, dtype=weight.dtype), ceil(view.depth * view.filters / SLICE)
        launch(
            pack_backward_data, places * slices, weight.reshape(places, view.depth, -1), b, view.groups, columns, slices
        )
    _launch_sweep(
        plan, grad_y, 1, b, blocks * b_block, b_block, columns, None, grad_x, view.stride[0], view.groups, view.filters_per_group,
        view.depth, view.depthwise,
    )  # fmt: skip


def _launch_sweep(
    plan: Sweep, a: Any, a_step: int, b: Any, b_group: int, b_block: int, b_step: int, bias: Any, c: Any, c_step: int,
    groups: int, depth: int, filters_per_group: int, depthwise: bool, relu: bool = False,
    scale: Any = None, more: Any = None,
) -> None:  # fmt: skip
    """Launch a sweep; a_step, c_step: rows of a and of c from one row of the grid to the next."""
    columns = host().columns(a.dtype)
    if depthwise:
        groups, depth, filters_per_group, b_block = 1, a.shape[3], a.shape[3], columns
    launch(
        sweep_per_channel if depthwise else sweep, plan.blocks,
        a.reshape(-1), len(a), prod(a.shape[1:]), a_step * prod(a.shape[2:]), depth, plan.together, plan.rows, plan.parts,
        ceil(c.shape[1] / c_step), plan.phases, plan.a_rows, plan.a_segments, b, b_group, b_block, plan.b_segments, b_step,
        columns, *_finish(a, bias, relu, scale, more), c.reshape(-1), plan.c_rows, prod(c.shape[1:]),
        c_step * prod(c.shape[2:]), groups, filters_per_group, int(depthwise),
    )  # fmt: skip


def backward_weights(x: Any, grad_y: Any, grad_weight: Any, view: ConvShape) -> None:
    """Write the gradient of the filters."""
    columns = host().columns(x.dtype)
    plan = weights_plan(view, len(x), x.itemsize, columns)
    groups, depth, filters_per_group = (
        (1, view.channels, view.channels) if view.depthwise else (view.groups, view.depth, view.filters_per_group)
    )
    total = grad_weight.reshape(-1)
    sums_of = total if plan.lanes == 1 else scratch(plan.lanes * total.size, dtype=x.dtype)
    row = prod(x.shape[2:])
    launch(
        sums_per_channel if view.depthwise else sums, plan.lanes * plan.parts,
        x.reshape(-1), len(x), x.shape[1] * row, view.stride[0] * row, depth, plan.together, plan.rows, view.output[0],
        plan.phases, plan.a_rows, plan.a_segments, view.stride[1] * view.channels, grad_y.reshape(-1), prod(grad_y.shape[2:]),
        plan.b_segments, columns, sums_of, total.size, plan.c_rows, groups, filters_per_group, plan.lanes, plan.parts, int(view.depthwise),
    )  # fmt: skip
    if plan.lanes > 1:
        add_up(sums_of.reshape(plan.lanes, -1), total)


def backward_bias(grad_y: Any, grad_bias: Any) -> None:
    """Write the gradient of the bias: grad_y summed over all but its last axis."""
    column_sums(grad_y.reshape(-1, grad_y.shape[-1]), grad_bias)
