"""winograd: 3x3 convolutions with a fraction of the multiplications, through transforms of small tiles.

    F(2x2, 3x3)  16 products for 36     F(4x4, 3x3)  36 for 144     F(6x6, 3x3)  64 for 324

A tile of m x m outputs sees (m + 2)^2 inputs. Tiles and filters are transformed, multiplied element by element, and the
products are transformed to outputs; winograd_arrays.py has the matrices, where they come from, and the sums as arrays. For each
of the (m + 2)^2 elements the sum over channels is a matrix product (tiles, C) x (C, K): that is where the time goes, and the
register tile does it. Larger tiles save more products, and cost more: in transforms, at edges (an image of 14 pixels has 3.5
tiles of 4), in memory for the filters, and in digits. Errors of an output, in parts of the largest sum of |x * weight|, of 256
channels: first of random numbers, then the worst that a search finds (all channels equal, so that roundings add up):

    direct  3e-7, 5e-5     2x2  1e-7, 1e-5     4x4  2e-6, 3e-4     6x6  3e-6, 5e-4

The unit is that of the largest output near by: an outlier costs all outputs of its tile digits, not only those that see it.

Where there are many tiles, each thread takes a block of them through all steps, in its L2 cache. Where there are few (one
image, deep layers), the transformed filters are the most memory, and each step is distributed by itself: threads then read
different filters. backward_data is forward with filters turned by 180 degrees. backward_weights takes the tiles of grad_y as
filters of m x m taps.

An infinity or NaN in an image spreads to all outputs of its tiles; so does an overflow in a transform, of numbers above 1e36.
"""

from __future__ import annotations

from functools import cache, partial
from math import ceil, prod

import numpy as np

from byhand.kernels.conv.packed import PACK_BLOCK_WEIGHTS, pack_transposed
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.conv.weights_plan import MAX_BATCH_PARTS
from byhand.kernels.conv.winograd_arrays import TAPS
from byhand.kernels.conv.winograd_kernels import WinogradKernels, make_kernels, multiply, sum_products
from byhand.kernels.conv.winograd_operands import (
    ForwardOperands,
    Panels,
    Patches,
    Planes,
    Taps,
    TiledImages,
    Tiling,
    WeightsOperands,
)
from byhand.kernels.microkernel.microkernel import no_epilogue
from byhand.kernels.microkernel.operands import ADD, SCALE, ZERO, Epilogue
from byhand.kernels.reductions import add_up
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES, cache_size, vector_unit
from byhand.kernels.runtime.kernel import cdiv
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import prepared, scratch_workers
from byhand.kernels.runtime.types import Array

# Part of the L2 cache that the planes of a block of tiles take.
L2_FRACTION = 4

# Blocks, at least, into which the tiles are divided, so that threads end at the same time.
MIN_BLOCKS = 16

# Tiles up to which each step is distributed by itself.
FEW_TILES = 112

# Tiles, at most, that each step takes at a time where it is distributed by itself.
MAX_CHUNK_TILES = 512

# Channels of a panel of filters that a block transforms.
FILTER_CHANNELS = 32

# Bytes of the sums of backward_weights up to which parts of the batch have sums of their own: they stay in the L2 cache.
MAX_PART_BYTES = 256 * 1024

# Channels of the sums of one block of work, where the sums are larger.
CHANNELS_PER_PART = 64

# Bytes of the planes of a chunk of tiles in backward_weights, and the fewest tiles of one.
CHUNK_BYTES = 4 * 1024 * 1024
MIN_CHUNK_TILES = 128

# FLOPs of the register tile in the time of one of the products of a plane, and in that of one element of a transform: of the
# images, the products and the filters. Fitted to the CPU time of 136 problems (Zen 4, AVX-512).
PRODUCT_FLOPS = {2: 1.05, 4: 1.15, 6: 1.45}
IMAGE_FLOPS, OUTPUT_FLOPS, FILTER_FLOPS = 25, 20, 40

# The same of backward_weights: the images, grad_y and the sums.
WEIGHTS_IMAGE_FLOPS, WEIGHTS_GRADIENT_FLOPS, WEIGHTS_SUM_FLOPS = 38, 20, 45

# FLOPs of the register tile in the time of reading a byte of filters from memory.
MEMORY_FLOPS = 5

# FLOPs of the register tile in the time of the launches that a direct convolution has not.
LAUNCH_FLOPS = 150_000

# Rows that a register tile of fewer rows takes the time of.
MIN_TILE_ROWS = 4

# The bounds of the error, see Algorithm.
ERRORS = {2: 2e-5, 4: 5e-4, 6: 1e-3}


@cache
def kernels(outputs: int) -> WinogradKernels:
    """Return the kernels of a tile size."""
    return make_kernels(outputs)


def applies(problem: Problem) -> bool:
    """Tell whether a problem is a 3x3 convolution of stride 1."""
    shape = problem.shape
    steps = {*shape.stride, *shape.dilation}
    return shape.kernel == (TAPS, TAPS) and steps == {1} and not problem.matrix and not shape.depthwise


def cost(problem: Problem, outputs: int) -> float:
    """Return the FLOPs of the products, and of the time of the transforms."""
    shape, planes = problem.shape, plane_count(outputs)
    depth, filters, grid = shape.depth, shape.filters_per_group, shape.output
    if problem.pass_name == "backward_data":
        depth, filters, grid = filters, depth, shape.image
    tiles = problem.images * prod(tiles_of(grid, outputs))
    whole, rest = divmod(tiles, vector_unit().tile_rows)
    rows = whole * vector_unit().tile_rows + (max(rest, MIN_TILE_ROWS) if rest else 0)
    products = 2 * PRODUCT_FLOPS[outputs] * rows * depth * filters
    if problem.pass_name == "backward_weights":
        image_flops, output_flops, filter_flops = WEIGHTS_IMAGE_FLOPS, WEIGHTS_GRADIENT_FLOPS, WEIGHTS_SUM_FLOPS
    else:
        image_flops, output_flops, filter_flops = IMAGE_FLOPS, OUTPUT_FLOPS, FILTER_FLOPS
        products = max(products, MEMORY_FLOPS * problem.itemsize * depth * filters)
    channels, outs = (_whole_vectors(shape.groups * count, problem) for count in (depth, filters))
    transforms = tiles * (image_flops * channels + output_flops * outs)
    if not problem.fixed_weights:
        transforms += filter_flops * depth * _whole_vectors(filters, problem) * shape.groups
    return planes * (shape.groups * products + transforms) + LAUNCH_FLOPS


def _whole_vectors(channels: int, problem: Problem) -> int:
    """Return how many channels a transform computes: whole vectors."""
    lanes = vector_unit().lanes(f"f{problem.itemsize}")
    return ceil(channels / lanes) * lanes


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape, outputs: int) -> None:
    """Launch y = x convolved with weight."""
    columns = panel_columns(shape.filters_per_group, x.dtype)
    scale = epilogue.scale if epilogue.steps & SCALE else epilogue.scale[:0]
    taps = Taps(weight.reshape(-1), shape.filters_per_group, columns, shape.filters, shape.depth * shape.filters, scale)
    u = Panels(weight, shape.groups, shape.filters_per_group, shape.depth, columns, plane_count(outputs))
    sources = (weight, scale) if scale.size else (weight,)
    fill = partial(_transform_filters, taps, u, outputs)
    u = u._replace(array=prepared(("winograd", outputs, shape.groups), sources, panel_size(u), fill))
    _launch_forward(tiled(x, outputs, *shape.padding[::2]), y, u, epilogue, outputs)


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape, outputs: int) -> None:
    """Launch the gradient of the images: grad_y convolved with the filters turned by 180 degrees."""
    columns = panel_columns(shape.depth, grad_y.dtype)
    u = Panels(weight, shape.groups, shape.depth, shape.filters_per_group, columns, plane_count(outputs))
    fill = partial(_transform_turned_filters, weight, u, outputs)
    u = u._replace(array=prepared(("winograd_turned", outputs, shape.groups), (weight,), panel_size(u), fill))
    top, left = (TAPS - 1 - size for size in shape.padding[::2])
    _launch_forward(tiled(grad_y, outputs, top, left), grad_x, u, no_epilogue(grad_x.reshape(-1)[:0]), outputs)


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape, outputs: int) -> None:
    """Launch the gradient of the filters: sums over tiles, of parts of the batch where they fit into a cache."""
    planes, rows = plane_count(outputs), vector_unit().tile_rows
    down, across = tiles_of(shape.output, outputs)
    tiles, tile_bytes = len(x) * down * across, planes * (shape.channels + shape.filters) * x.itemsize
    sums = shared_planes(shape.depth, shape.filters, planes, x.dtype)
    in_parts = sums.array.nbytes <= MAX_PART_BYTES
    block_tiles = (
        tiles_of_block(tiles, tile_bytes) if in_parts else min(tiles, max(MIN_CHUNK_TILES, CHUNK_BYTES // tile_bytes))
    )
    planes_of = worker_planes if in_parts else shared_planes
    operands = WeightsOperands(
        x=tiled(x, outputs, *shape.padding[::2]),
        grad=tiled(grad_y, outputs, 0, 0),
        v=planes_of(block_tiles, shape.channels, planes, x.dtype),
        w=planes_of(block_tiles, shape.filters, planes, x.dtype),
        sums=sums,
        patches=patches_of(max(shape.channels, shape.filters), planes, x.dtype),
        groups=shape.groups,
        columns=vector_unit().tile_columns(x.dtype),
        channel_rows=np.arange(shape.depth),
        start=np.zeros(1, np.int64),
    )
    if in_parts:
        parts = max(1, min(MAX_BATCH_PARTS, tiles // rows))
        _sum_parts(operands, Tiling(tiles, down, across, block_tiles), parts, outputs)
    else:
        _sum_chunks(operands, Tiling(tiles, down, across, ceil(block_tiles / MIN_BLOCKS)), block_tiles, outputs)
    launch(kernels(outputs).transform_sums, shape.depth, sums, grad_weight.reshape(-1), shape.filters)


def _sum_parts(operands: WeightsOperands, tiling: Tiling, parts: int, outputs: int) -> None:
    """Launch the sums over parts of the batch, and add these up in order."""
    total = operands.sums.array
    partials = scratch(parts * total.size, dtype=total.dtype) if parts > 1 else total
    sums = operands.sums._replace(array=partials, worker_step=total.size)
    launch(kernels(outputs).sum_part, parts, operands._replace(sums=sums), tiling, parts)
    if parts > 1:
        add_up(partials.reshape(parts, -1), total)


def _sum_chunks(operands: WeightsOperands, tiling: Tiling, chunk_tiles: int, outputs: int) -> None:
    """Launch the sums one chunk of tiles after the other, each distributed by planes and channels."""
    own, patches, depth = kernels(outputs), operands.patches, operands.channel_rows.size
    blocks, parts = cdiv(chunk_tiles, tiling.block_tiles), max(1, depth // CHANNELS_PER_PART)
    for start in range(0, tiling.tiles, chunk_tiles):
        count, initial = min(chunk_tiles, tiling.tiles - start), ADD if start else ZERO
        launch(own.transform_images, blocks, operands.x, tiling, operands.v, patches, start)
        launch(own.transform_gradients, blocks, operands.grad, tiling, operands.w, patches, start)
        launch(sum_products, plane_count(outputs) * parts, operands, parts, count, initial)


def algorithm(outputs: int) -> Algorithm:
    """Return the algorithm of a tile size."""
    return Algorithm(
        f"winograd{outputs}x{outputs}",
        applies,
        partial(cost, outputs=outputs),
        forward=partial(forward, outputs=outputs),
        backward_data=partial(backward_data, outputs=outputs),
        backward_weights=partial(backward_weights, outputs=outputs),
        error=ERRORS[outputs],
    )


winograd2x2, winograd4x4, winograd6x6 = map(algorithm, (2, 4, 6))


def _transform_filters(taps: Taps, u: Panels, outputs: int, array: Array) -> None:
    """Launch the transform of filters into an array."""
    size = TAPS * TAPS * u.columns
    patches = Patches(scratch(scratch_workers() * size, dtype=array.dtype), size)
    panels, parts = u.groups * ceil(u.filters_per_group / u.columns), ceil(u.channels / FILTER_CHANNELS)
    launch(kernels(outputs).transform_filters, panels * parts, taps, u._replace(array=array), parts, patches)


def _transform_turned_filters(weight: Array, u: Panels, outputs: int, array: Array) -> None:
    """Launch the transform of filters turned by 180 degrees, inputs and outputs exchanged, into an array."""
    taps, filters, channels = TAPS * TAPS, u.groups * u.channels, u.filters_per_group
    tiles, slices = ceil(channels / u.columns), ceil(channels * filters / PACK_BLOCK_WEIGHTS)
    tap_step = u.channels * u.columns
    turned = scratch(u.groups * tiles * taps * tap_step, dtype=array.dtype)
    launch(pack_transposed, taps * slices, weight.reshape(taps, channels, -1), turned, u.groups, u.columns, slices)
    _transform_filters(
        Taps(turned, tiles * taps * tap_step, taps * tap_step, u.columns, tap_step, turned[:0]), u, outputs, array
    )


def _launch_forward(x: TiledImages, y: Array, u: Panels, epilogue: Epilogue, outputs: int) -> None:
    """Launch y from images and transformed filters."""
    down, across = tiles_of(y.shape[1:3], outputs)
    tiles, filters, start = len(y) * down * across, y.shape[3], np.zeros(1, np.int64)
    in_blocks = tiles > FEW_TILES and u.array.nbytes <= cache_size(3) // 2
    block_tiles = tiles_of_block(tiles, u.planes * (x.channels + filters) * y.itemsize)
    chunk_tiles = block_tiles if in_blocks else min(tiles, MAX_CHUNK_TILES)
    planes_of = worker_planes if in_blocks else shared_planes
    operands = ForwardOperands(
        x=x,
        y=tiled(y, outputs, 0, 0),
        v=planes_of(chunk_tiles, x.channels, u.planes, y.dtype),
        u=u,
        products=planes_of(chunk_tiles, filters, u.planes, y.dtype),
        patches=patches_of(max(x.channels, filters), u.planes, y.dtype),
        unit=outputs + TAPS,
        start=start,
    )
    own = kernels(outputs)
    if in_blocks:
        launch(own.convolve, cdiv(tiles, block_tiles), operands, Tiling(tiles, down, across, block_tiles), epilogue)
        return
    tiling = Tiling(tiles, down, across, cdiv(chunk_tiles, MIN_BLOCKS))
    blocks = cdiv(chunk_tiles, tiling.block_tiles)
    for first in range(0, tiles, chunk_tiles):
        count = min(chunk_tiles, tiles - first)
        launch(own.transform_images, blocks, x, tiling, operands.v, operands.patches, first)
        launch(multiply, u.planes, operands, epilogue, count)
        launch(own.transform_products, blocks, operands, tiling, epilogue, first)


def plane_count(outputs: int) -> int:
    """Return the elements of a transformed tile."""
    return (outputs + TAPS - 1) ** 2


def tiles_of(size: tuple[int, ...], outputs: int) -> tuple[int, int]:
    """Return how many tiles an image has, (down, across)."""
    return ceil(size[0] / outputs), ceil(size[1] / outputs)


def tiles_of_block(tiles: int, tile_bytes: int) -> int:
    """Return the tiles of a block: whole register tiles, whose planes take a part of the L2 cache."""
    rows = vector_unit().tile_rows
    fit = cache_size(2) // L2_FRACTION // tile_bytes // rows * rows
    return max(1, min(max(rows, fit), ceil(tiles / MIN_BLOCKS / rows) * rows))


def panel_columns(filters: int, dtype: np.dtype) -> int:
    """Return the columns of a panel: those of the register tile, or whole vectors of fewer filters."""
    lanes = vector_unit().lanes(dtype)
    return min(vector_unit().tile_columns(dtype), ceil(filters / lanes) * lanes)


def panel_size(u: Panels) -> int:
    """Return the elements of transformed filters."""
    return u.planes * u.groups * ceil(u.filters_per_group / u.columns) * u.channels * u.columns


def tiled(x: Array, step: int, top: int, left: int) -> TiledImages:
    """Return images as tiles; top, left: padding."""
    _, height, width, channels = x.shape
    return TiledImages(x.reshape(-1), height, width, channels, -top, -left, step)


def shared_planes(tiles: int, channels: int, planes: int, dtype: np.dtype) -> Planes:
    """Return planes that all workers write to."""
    return _planes(tiles, channels, planes, dtype, 1)


def worker_planes(tiles: int, channels: int, planes: int, dtype: np.dtype) -> Planes:
    """Return planes for each worker."""
    own = _planes(tiles, channels, planes, dtype, scratch_workers())
    return own._replace(worker_step=planes * own.plane_step)


def _planes(tiles: int, channels: int, planes: int, dtype: np.dtype, copies: int) -> Planes:
    """Return planes; a power of two between them would map them to the same few sets of the L1 cache: a line is left free."""
    step = tiles * channels + CACHE_LINE_BYTES // dtype.itemsize
    return Planes(scratch(copies * planes * step, dtype=dtype), step, 0, channels, np.arange(tiles) * channels)


def patches_of(channels: int, elements: int, dtype: np.dtype) -> Patches:
    """Return memory for a patch of each worker."""
    return Patches(scratch(scratch_workers() * elements * channels, dtype=dtype), elements * channels)
