"""packed: the algorithm that copies the filters into panels as wide as the register tile, which it reads as one stream.

    forward         weight (R, S, C, K)  ->  (groups, tiles, R * S * C, columns), filters side by side
    backward_data   weight (R, S, C, K)  ->  (groups, tiles, R * S reversed, K, columns), channels side by side

A panel (BLIS) is the block of weights that one tile of columns reads. With few pixels, each thread packs the panels that it
is about to need, and they never leave its cache. Where the weights are fixed, panels are packed once, while launches are
captured.
"""

from __future__ import annotations

from math import ceil, prod
from typing import NamedTuple

from byhand.kernels.conv.operands import Channels, Filters, Images, images_of
from byhand.kernels.conv.pixel_copy import spread_gradient, spread_pixels
from byhand.kernels.conv.plan import (
    END_ROW,
    FIRST_PIXEL,
    FIRST_ROW,
    FIRST_SEGMENT,
    MIN_BLOCKS,
    ROW_PIXELS,
    SEGMENT_COUNT,
    SEGMENT_LENGTH,
    backward_data_plan,
    forward_plan,
    single_block_plan,
)
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.conv.sweep import sweep
from byhand.kernels.microkernel.microkernel import initial_of, no_epilogue, prefetch, tile
from byhand.kernels.microkernel.operands import A, B, C, Epilogue, Extent
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import prepared, scratch_workers, weights_are_fixed
from byhand.kernels.runtime.types import Array

# Weights that one block packs.
PACK_BLOCK_WEIGHTS = 16384

# Pixels up to which each thread packs the panels that it needs itself.
PACK_IN_CACHE_MAX_PIXELS = 1024

# Rows of weights that are prefetched before they are packed.
PREFETCH_ROWS = 16

# FLOPs in the time of packing one weight.
PACK_FLOPS = 16


def applies(problem: Problem) -> bool:
    """Tell whether a problem is forward or backward_data of a convolution that is not depthwise."""
    return not problem.shape.depthwise and problem.pass_name in ("forward", "backward_data")


def cost(problem: Problem) -> float:
    """Return the FLOPs, plus those in the time of packing, which fixed weights need only once."""
    return problem.tile_flops + (0 if problem.fixed_weights else PACK_FLOPS * problem.shape.weights)


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch the packing, and y = x convolved with weight."""
    x, shape = spread_pixels(x, shape)
    if len(x) * prod(shape.output) <= PACK_IN_CACHE_MAX_PIXELS and not weights_are_fixed():
        _forward_in_cache(x, weight, y, epilogue, shape)
        return
    columns, rows = vector_unit().tile_columns(x.dtype), weight.size // shape.filters
    tiles, rows_per_block = ceil(shape.filters_per_group / columns), cdiv(PACK_BLOCK_WEIGHTS, shape.filters)

    def fill(panels: Array) -> None:
        launch(
            pack, cdiv(rows, rows_per_block), weight.reshape(rows, -1), panels, shape.groups, columns, rows_per_block
        )

    panels = prepared(("panels", shape.groups), (weight,), shape.groups * tiles * rows * columns, fill)
    filters = Filters(panels, tiles * rows * columns, rows * columns, columns)
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, columns, 0)
    plan = forward_plan(shape, len(x), x.itemsize, columns, columns, x.shape[3])
    launch(sweep, plan.blocks, images_of(x, shape.stride), filters, images_of(y), channels, epilogue, plan)


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape) -> None:
    """Launch the packing of the transposed filters, and the sweep of grad_x."""
    columns, taps = vector_unit().tile_columns(grad_y.dtype), prod(shape.kernel)
    tiles, slices = ceil(shape.depth / columns), ceil(shape.depth * shape.filters / PACK_BLOCK_WEIGHTS)
    tile_step = taps * shape.filters_per_group * columns

    def fill(panels: Array) -> None:
        by_tap = weight.reshape(taps, shape.depth, -1)
        launch(pack_transposed, taps * slices, by_tap, panels, shape.groups, columns, slices)

    panels = prepared(("transposed_panels", shape.groups), (weight,), shape.groups * tiles * tile_step, fill)
    filters = Filters(panels, tiles * tile_step, tile_step, columns)
    channels = Channels(shape.groups, shape.filters_per_group, shape.depth, columns, 0)
    grad_y = spread_gradient(grad_y, shape)
    plan = backward_data_plan(shape, len(grad_x), grad_x.itemsize, columns, grad_y.shape[3])
    grads, nothing = images_of(grad_x, shape.stride), no_epilogue(grad_x.reshape(-1)[:0])
    launch(sweep, plan.blocks, images_of(grad_y), filters, grads, channels, nothing, plan)


packed = Algorithm("packed", applies, cost, forward=forward, backward_data=backward_data)


@kernel
def pack(weight, panels, groups, columns, rows_per_block, block):
    """Pack some rows of the weights: (rows, K) -> (groups, tiles, rows, columns)."""
    rows, filters_per_group = weight.shape[0], weight.shape[1] // groups
    for i in range(block * rows_per_block, min((block + 1) * rows_per_block, rows)):
        panel_start = i * columns
        for g in range(groups):
            for k in range(0, filters_per_group, columns):
                row, out = weight[i, g * filters_per_group + k :], panels[panel_start:]
                for n in range(min(columns, filters_per_group - k)):
                    out[n] = row[n]
                panel_start += rows * columns


@kernel
def pack_transposed(weight, panels, groups, columns, slices, block):
    """Pack one tap of the transposed filters: (R * S, depth, K) -> (groups, tiles, R * S reversed, K / groups, columns)."""
    tap, part = block // slices, block % slices
    taps, depth, filters_per_group = weight.shape[0], weight.shape[1], weight.shape[2] // groups
    for g in range(groups):
        for c in range(part * depth // slices, (part + 1) * depth // slices):
            at = (g * cdiv(depth, columns) + c // columns) * taps + taps - 1 - tap
            panel_start = at * filters_per_group * columns + c % columns
            for k in range(filters_per_group):
                panels[panel_start + k * columns] = weight[tap, c, g * filters_per_group + k]


# few pixels -----------------------------------------------------------------------------------------------------------


class Panels(NamedTuple):
    """Filters to be packed in the cache: weight, flat, and its rows; array: memory for `tiles` panels for each worker."""

    weight: Array
    rows: int
    array: Array
    tiles: int


def _forward_in_cache(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch a sweep whose threads pack their panels themselves."""
    columns, rows = vector_unit().tile_columns(x.dtype), weight.size // shape.filters
    filter_tiles = shape.groups * ceil(shape.filters_per_group / columns)
    tiles = max(1, min(filter_tiles // MIN_BLOCKS, cache_size(2) // 2 // (rows * columns * x.itemsize)))
    panels = Panels(weight.reshape(-1), rows, scratch(scratch_workers() * tiles * rows * columns, dtype=x.dtype), tiles)
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, columns, 0)
    images: tuple[Images, Images] = images_of(x), images_of(y)
    plan, blocks = single_block_plan(shape, len(x), columns, x.shape[3]), ceil(filter_tiles / tiles)
    launch(sweep_packing, blocks, *images, channels, epilogue, plan, panels)


@kernel
def sweep_packing(x, y, channels, epilogue, plan, panels, block, worker):
    """Pack some panels of filters, and sweep all pixels with them while they are in the cache."""
    filters_per_group, columns, initial = channels.filters_per_group, channels.columns, initial_of(epilogue)
    tiles, filters = cdiv(filters_per_group, columns), channels.groups * filters_per_group  # tiles of a group
    first, end = block * panels.tiles, min((block + 1) * panels.tiles, channels.groups * tiles)
    size, base = panels.rows * columns, worker * panels.tiles * panels.rows * columns
    for i in range(panels.rows):
        for filter_tile in range(first, end):
            k = filter_tile // tiles * filters_per_group + filter_tile % tiles * columns
            at = i * filters + k
            if filter_tile == first:
                ahead = at + PREFETCH_ROWS * filters
                prefetch(panels.weight, ahead, ahead + (end - first) * columns)
            panel_start = base + (filter_tile - first) * size + i * columns
            width = min(columns, filters_per_group - filter_tile % tiles * columns)
            row, panel = panels.weight[at : at + width], panels.array[panel_start : panel_start + width]
            for n in range(width):
                panel[n] = row[n]
    for filter_tile in range(first, end):
        group, t = filter_tile // tiles, filter_tile % tiles
        k = group * filters_per_group + t * columns
        for p in range(plan.phases.shape[0]):
            phase = plan.phases[p]
            pixel, segment = phase[FIRST_PIXEL], phase[FIRST_SEGMENT]
            pixels = x.images * (phase[END_ROW] - phase[FIRST_ROW]) * phase[ROW_PIXELS]
            tile(
                A(x.array, group * channels.depth, plan.a_rows[pixel:], plan.a_segments[segment:], 1),
                B(panels.array, base + (filter_tile - first) * size, plan.b_segments[segment:], columns),
                C(y.array, k, plan.c_rows[pixel:], k),
                Extent(
                    pixels, min(columns, filters_per_group - t * columns), phase[SEGMENT_COUNT], phase[SEGMENT_LENGTH]
                ),
                initial,
                epilogue,
            )
