"""packed: the filters are copied into panels first, as wide as the register tile, so that the sweep reads them in one stream.

    forward         weight (R, S, C, K)  ->  (groups, tiles, R * S * C, columns), filters side by side
    backward_data   weight (R, S, C, K)  ->  (groups, tiles, R * S turned round, K, columns), channels side by side

With few pixels, each thread packs the filters that it is about to need, and they never leave its cache.
"""

from __future__ import annotations

from math import ceil, prod
from typing import NamedTuple

from byhand.kernels.conv.operands import Channels, Filters, Images, images_of
from byhand.kernels.conv.plan import (
    FIRST,
    LAST,
    LENGTH,
    MIN_BLOCKS,
    PIXEL,
    SEGMENT,
    SEGMENTS,
    WIDTH,
    data_plan,
    forward_plan,
    whole_plan,
)
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.conv.sweep import sweep
from byhand.kernels.microkernel.microkernel import fetch, initial_of, no_epilogue, tile
from byhand.kernels.microkernel.operands import A, B, C, Epilogue, Extent
from byhand.kernels.runtime.cpu import cache_size, host
from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import workers
from byhand.kernels.runtime.types import Array

PACK_BLOCK_WEIGHTS = 16384  # that a block packs
PACK_IN_CACHE_MAX_PIXELS = 1024  # with no more, a thread packs filters for itself
PREFETCH_ROWS = 16  # of weights that are asked for before they are packed
PACK_FLOPS = 16  # FLOPs in the time of packing one weight


def applies(problem: Problem) -> bool:
    """Tell whether the filters of a problem can be packed."""
    return not problem.shape.depthwise and problem.direction in ("forward", "backward_data")


def cost(problem: Problem) -> float:
    """Return the work, and the packing."""
    return problem.tile_flops + PACK_FLOPS * problem.shape.weights


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch the packing and y = x convolved with weight."""
    if len(x) * prod(shape.output) <= PACK_IN_CACHE_MAX_PIXELS:
        _forward_in_cache(x, weight, y, epilogue, shape)
        return
    columns, rows = host().columns(x.dtype), weight.size // shape.filters
    tiles, rows_per_block = ceil(shape.filters_per_group / columns), cdiv(PACK_BLOCK_WEIGHTS, shape.filters)
    panels = scratch(shape.groups * tiles * rows * columns, dtype=x.dtype)
    launch(pack, cdiv(rows, rows_per_block), weight.reshape(rows, -1), panels, shape.groups, columns, rows_per_block)
    filters = Filters(panels, tiles * rows * columns, rows * columns, columns)
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, columns, 0)
    plan = forward_plan(shape, len(x), x.itemsize, columns, columns)
    launch(sweep, plan.blocks, images_of(x, shape.stride), filters, images_of(y), channels, epilogue, plan)


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape) -> None:
    """Launch the packing of the filters, turned round, and the sweep over grad_y."""
    columns, positions = host().columns(grad_y.dtype), prod(shape.kernel)
    tiles, slices = ceil(shape.depth / columns), ceil(shape.depth * shape.filters / PACK_BLOCK_WEIGHTS)
    tile_step = positions * shape.filters_per_group * columns
    panels = scratch(shape.groups * tiles * tile_step, dtype=weight.dtype)
    turned = weight.reshape(positions, shape.depth, -1)
    launch(pack_turned, positions * slices, turned, panels, shape.groups, columns, slices)
    filters = Filters(panels, tiles * tile_step, tile_step, columns)
    channels = Channels(shape.groups, shape.filters_per_group, shape.depth, columns, 0)
    plan = data_plan(shape, len(grad_x), grad_x.itemsize, columns)
    grads, nothing = images_of(grad_x, shape.stride), no_epilogue(grad_x.reshape(-1)[:0])
    launch(sweep, plan.blocks, images_of(grad_y), filters, grads, channels, nothing, plan)


packed = Algorithm("packed", applies, cost, forward=forward, backward_data=backward_data)


@kernel
def pack(weight, panels, groups, columns, rows_per_block, block):
    """Lay filters out side by side, some rows of them in turn: weight (rows, K) -> (groups, tiles, rows, columns)."""
    rows, filters_per_group = weight.shape[0], weight.shape[1] // groups
    for i in range(block * rows_per_block, min((block + 1) * rows_per_block, rows)):
        into = i * columns
        for g in range(groups):
            for k in range(0, filters_per_group, columns):
                row, out = weight[i, g * filters_per_group + k :], panels[into:]
                for n in range(min(columns, filters_per_group - k)):
                    out[n] = row[n]
                into += rows * columns


@kernel
def pack_turned(weight, panels, groups, columns, slices, block):
    """Turn a position of the filters round: weight (R * S, depth, K) -> (groups, tiles, R * S turned, K / groups, columns)."""
    position, part = block // slices, block % slices
    positions, depth, filters_per_group = weight.shape[0], weight.shape[1], weight.shape[2] // groups
    for g in range(groups):
        for c in range(part * depth // slices, (part + 1) * depth // slices):
            at = (g * cdiv(depth, columns) + c // columns) * positions + positions - 1 - position
            into = at * filters_per_group * columns + c % columns
            for k in range(filters_per_group):
                panels[into + k * columns] = weight[position, c, g * filters_per_group + k]


# few pixels -----------------------------------------------------------------------------------------------------------


class Panels(NamedTuple):
    """Filters to be packed in cache: weight, flat, of so many rows; memory for each worker's panels; tiles of a block."""

    weight: Array
    rows: int
    array: Array
    tiles: int


def _forward_in_cache(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch a sweep whose threads pack the filters themselves."""
    columns, rows = host().columns(x.dtype), weight.size // shape.filters
    units = shape.groups * ceil(shape.filters_per_group / columns)
    tiles = max(1, min(units // MIN_BLOCKS, cache_size(2) // 2 // (rows * columns * x.itemsize)))
    panels = Panels(weight.reshape(-1), rows, scratch(workers() * tiles * rows * columns, dtype=x.dtype), tiles)
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, columns, 0)
    images: tuple[Images, Images] = images_of(x), images_of(y)
    launch(sweep_packing, ceil(units / tiles), *images, channels, epilogue, whole_plan(shape, len(x), columns), panels)


@kernel
def sweep_packing(x, y, channels, epilogue, plan, panels, block, worker):
    """Lay some filters out side by side, and sweep all pixels with them while they are in the cache."""
    count, columns, initial = channels.filters_per_group, channels.columns, initial_of(epilogue)
    tiles, filters = cdiv(count, columns), channels.groups * count
    first, last = block * panels.tiles, min((block + 1) * panels.tiles, channels.groups * tiles)
    size, base = panels.rows * columns, worker * panels.tiles * panels.rows * columns
    for i in range(panels.rows):
        for unit in range(first, last):
            k = unit // tiles * count + unit % tiles * columns
            at = i * filters + k
            if unit == first:
                ahead = at + PREFETCH_ROWS * filters
                fetch(panels.weight, ahead, ahead + (last - first) * columns)
            into, width = base + (unit - first) * size + i * columns, min(columns, count - unit % tiles * columns)
            row, panel = panels.weight[at : at + width], panels.array[into : into + width]
            for n in range(width):
                panel[n] = row[n]
    for unit in range(first, last):
        group, t = unit // tiles, unit % tiles
        k = group * count + t * columns
        for p in range(plan.phases.shape[0]):
            phase = plan.phases[p]
            pixel, segment, pixels = (
                phase[PIXEL],
                phase[SEGMENT],
                x.images * (phase[LAST] - phase[FIRST]) * phase[WIDTH],
            )
            tile(
                A(x.array, group * channels.depth, plan.a_rows[pixel:], plan.a_segments[segment:], 1),
                B(panels.array, base + (unit - first) * size, plan.b_segments[segment:], columns),
                C(y.array, k, plan.c_rows[pixel:], k),
                Extent(pixels, min(columns, count - t * columns), phase[SEGMENTS], phase[LENGTH]),
                initial,
                epilogue,
            )
