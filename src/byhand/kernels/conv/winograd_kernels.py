"""The kernels of Winograd's convolution: transforms of tiles and filters, and the products between them.

    transform_images     x (N, H, W, C)         -> planes v (n * n, tiles, C)
    transform_filters    weight (3, 3, C, K)    -> panels u (n * n, K / columns, C, columns)
    multiply             v, u                   -> planes of products (n * n, tiles, K): a matrix product for each plane
    transform_products   products               -> y (N, H', W', K), with the residual and the activation of an epilogue

`convolve` does all but the filters for one block of tiles after the other: its planes stay in the L2 cache. Meanwhile it
prefetches the images of the next block, and the memory that y will be written to.

Each is made of steps that depend on the precision: those of float32 are here, those of bfloat16 in winograd_pairs.py.
winograd_arrays.py has the equations, winograd_tiles.py finds tiles in images, winograd.py has the launches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from byhand.kernels.conv.winograd_arrays import TAPS, matrices
from byhand.kernels.conv.winograd_operands import Channels
from byhand.kernels.conv.winograd_tiles import copy, memory_of, prefetch_part, tile_of
from byhand.kernels.microkernel.activation import activate, clipped
from byhand.kernels.microkernel.bilinear_map import Grid, bilinear_map, bilinear_map_with_epilogue
from byhand.kernels.microkernel.microkernel import no_epilogue, prefetch, tile
from byhand.kernels.microkernel.operands import ADD, BIAS, RELU, RESIDUAL, ZERO, A, B, C, Epilogue, Extent
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import Kernel, cdiv, kernel

# Tiles that are transformed while the images of as many are prefetched.
PREFETCH_TILES = 14


class WinogradKernels(NamedTuple):
    """The kernels of one tile size in one precision; those from `transform_sources` on are of backward_weights."""

    transform_filters: Kernel
    transform_images: Kernel
    multiply: Kernel
    transform_products: Kernel
    convolve: Kernel
    transform_sources: Kernel
    transform_gradients: Kernel
    sum_products: Kernel
    transform_sums: Kernel
    sum_part: Kernel


class Steps(NamedTuple):
    """The steps that depend on the precision: the kernel that transforms filters, and functions that the others call.

    transform_images, transform_sources, transform_gradients: of a range of tiles, those of x in forward and in
    backward_weights, and those of grad_y; multiply_plane, sum_plane: the products of one plane.
    """

    transform_filters: Kernel
    transform_images: Callable[..., None]
    multiply_plane: Callable[..., None]
    transform_sources: Callable[..., None]
    transform_gradients: Callable[..., None]
    sum_plane: Callable[..., None]


def make_kernels(outputs: int, steps: Steps) -> WinogradKernels:
    """Return the kernels of F(outputs x outputs, 3x3)."""
    size = outputs + TAPS - 1
    planes = size * size
    map_products = bilinear_map_with_epilogue(matrices(outputs, TAPS).output)
    map_sums = bilinear_map(matrices(TAPS, outputs).output)
    transform_filters, transform_images, multiply_plane, transform_sources, transform_gradients, sum_plane = steps

    def transform_product_tiles(operands, tiling, epilogue, first, end, row, worker):
        y, products, patches = operands.y, operands.products, operands.patches
        line, patch = y.width * y.channels, worker * patches.size
        for t in range(first, end):
            start = worker * products.worker_step + products.rows[row + t - first]
            source = Grid(products.array, start, size * products.plane_step, products.plane_step)
            n, place = t // (tiling.down * tiling.across), t % (tiling.down * tiling.across)
            i, j = place // tiling.across * outputs, place % tiling.across * outputs
            rows, columns = min(outputs, y.height - i), min(outputs, y.width - j)
            target = ((n * y.height + i) * y.width + j) * y.channels
            if rows == outputs and columns == outputs:
                map_products(source, Grid(y.array, target, line, y.channels), y.channels, epilogue)
                for part in range(outputs):
                    activate(y.array, target + part * line, outputs * y.channels, epilogue.steps)
                continue
            whole = Grid(patches.array, patch, outputs * y.channels, y.channels)
            map_products(source, whole, y.channels, no_epilogue(y.array))
            for part in range(rows):
                begin = patch + part * outputs * y.channels
                store(patches.array[begin : begin + columns * y.channels], y.array, target + part * line, epilogue)

    @kernel
    def transform_products(operands, tiling, epilogue, start, block, worker):
        """Transform a block of the tiles of products from tile `start` on to y."""
        first = start + block * tiling.block_tiles
        end = min(first + tiling.block_tiles, start + operands.products.rows.size, tiling.tiles)
        transform_product_tiles(operands, tiling, epilogue, first, end, first - start, worker)

    @kernel
    def transform_sums(sums, weight, filters, block):
        """Transform the sums of one channel, (planes, C, K), to the gradient of the filters (3, 3, C, K)."""
        channels = weight.size // (TAPS * TAPS * filters)
        source = Grid(sums.array, sums.rows[block], size * sums.plane_step, sums.plane_step)
        map_sums(source, Grid(weight, block * filters, TAPS * channels * filters, channels * filters), filters)

    @kernel
    def convolve(operands, tiling, epilogue, block, worker):
        """Compute y of one block of tiles; prefetch the images of the next."""
        x, y = operands.x, operands.y
        first = block * tiling.block_tiles
        end = min(first + tiling.block_tiles, tiling.tiles)
        transform_images(x, tiling, operands.v, operands.patches, first, end, 0, worker)
        x_first, x_end = memory_of(x, tiling, end, min(end + tiling.block_tiles, tiling.tiles))
        y_first, y_end = memory_of(y, tiling, first, end)
        for plane in range(planes):
            prefetch_part(x.array, x_first, x_end, plane, planes)
            prefetch_part(y.array, y_first, y_end, plane, planes)
            if epilogue.steps & RESIDUAL:
                prefetch_part(epilogue.residual, y_first, y_end, plane, planes)
            multiply_plane(operands, epilogue, plane, end - first, worker)
        transform_product_tiles(operands, tiling, epilogue, first, end, 0, worker)

    @kernel
    def sum_part(operands, tiling, parts, block, worker):
        """Write the sums of one part of the tiles, some tiles at a time; prefetch the images of the next."""
        x, grad, patches = operands.x, operands.grad, operands.patches
        start, stop = block * tiling.tiles // parts, (block + 1) * tiling.tiles // parts
        for first in range(start, stop, tiling.block_tiles):
            end = min(first + tiling.block_tiles, stop)
            transform_sources(x, tiling, operands.v, patches, first, end, 0, worker)
            transform_gradients(grad, tiling, operands.w, patches, first, end, 0, worker)
            x_first, x_end = memory_of(x, tiling, end, min(end + tiling.block_tiles, stop))
            grad_first, grad_end = memory_of(grad, tiling, end, min(end + tiling.block_tiles, stop))
            initial = ZERO if first == start else ADD
            for plane in range(planes):
                prefetch_part(x.array, x_first, x_end, plane, planes)
                prefetch_part(grad.array, grad_first, grad_end, plane, planes)
                channels = Channels(0, operands.sums.rows.size, block)
                sum_plane(operands, plane, channels, end - first, initial, worker)

    @kernel
    def multiply(operands, epilogue, count, block):
        """Multiply `count` tiles by the filters, in one plane."""
        multiply_plane(operands, epilogue, block, count, 0)

    @kernel
    def sum_products(operands, parts, count, initial, block):
        """Write, or add, the products of tiles of images and of grad_y, in one plane, for one part of a filter's channels."""
        plane, part, depth = block // parts, block % parts, operands.sums.rows.size
        sum_plane(operands, plane, Channels(part * depth // parts, (part + 1) * depth // parts, 0), count, initial, 0)

    images_kernel = make_transform_kernel(transform_images)
    same = transform_sources is transform_images
    return WinogradKernels(
        transform_filters,
        images_kernel,
        multiply,
        transform_products,
        convolve,
        images_kernel if same else make_transform_kernel(transform_sources),
        make_transform_kernel(transform_gradients),
        sum_products,
        transform_sums,
        sum_part,
    )


def make_transform_kernel(transform_tiles: Callable[..., None]) -> Kernel:
    """Return the kernel that transforms a block of tiles."""

    @kernel
    def transform_images(x, tiling, v, patches, start, block, worker):
        """Transform a block of the tiles of images, or of gradients, from tile `start` on."""
        first = start + block * tiling.block_tiles
        end = min(first + tiling.block_tiles, start + v.rows.size, tiling.tiles)
        for t in range(first, end, PREFETCH_TILES):
            last = min(t + PREFETCH_TILES, end)
            ahead, ahead_end = memory_of(x, tiling, last, min(last + PREFETCH_TILES, end))
            prefetch(x.array, ahead, ahead_end)
            transform_tiles(x, tiling, v, patches, t, last, t - start, worker)

    return transform_images


# float32 --------------------------------------------------------------------------------------------------------------


def float32_steps(outputs: int) -> Steps:
    """Return the steps of F(outputs x outputs, 3x3) in float32."""
    size = outputs + TAPS - 1
    transform_images = make_transform_tiles(bilinear_map(matrices(outputs, TAPS).input), size, size)
    transform_gradients = make_transform_tiles(bilinear_map(matrices(TAPS, outputs).filter), outputs, size)
    return Steps(
        make_transform_filters(outputs),
        transform_images,
        make_multiply_plane(tile),
        transform_images,
        transform_gradients,
        sum_plane,
    )


def make_transform_tiles(map_tile: Intrinsic, size: int, width: int) -> Callable[..., None]:
    """Return the function that transforms tiles of size x size pixels to width x width planes."""

    def transform_tiles(x, tiling, v, patches, first, end, row, worker):
        for t in range(first, end):
            source = tile_of(x, tiling, t, size, patches, worker)
            target = worker * v.worker_step + v.rows[row + t - first]
            map_tile(source, Grid(v.array, target, width * v.plane_step, v.plane_step), x.channels)

    return transform_tiles


def make_transform_filters(outputs: int) -> Kernel:
    """Return the kernel that transforms filters."""
    size = outputs + TAPS - 1
    map_filter = bilinear_map(matrices(outputs, TAPS).filter)

    @kernel
    def transform_filters(taps, u, parts, patches, block, worker):
        """Transform one panel of filters, of one part of the channels: each plane is written as one stream of memory."""
        panel, part, tiles = block // parts, block % parts, cdiv(u.filters_per_group, u.columns)
        group, t = panel // tiles, panel % tiles
        panel_step, k = u.channels * u.columns, group * u.filters_per_group + t * u.columns
        plane_step = u.groups * tiles * panel_step
        length, patch = min(u.columns, u.filters_per_group - t * u.columns), worker * patches.size
        for c in range(part * u.channels // parts, (part + 1) * u.channels // parts):
            start = group * taps.group_step + t * taps.tile_step + c * taps.channel_step
            out = Grid(u.array, panel * panel_step + c * u.columns, size * plane_step, plane_step)
            map_filter(scaled_taps(taps, start, k, length, patches.array, patch, u.columns), out, length)

    return transform_filters


def scaled_taps(taps, start, k, length, patch, at, columns):
    """Return the taps of one channel as a grid: where they lie, or a copy of them, times the scales of filters from k on."""
    if taps.scale.size == 0:
        return Grid(taps.array, start, TAPS * taps.tap_step, taps.tap_step)
    scale = taps.scale[k : k + length]
    for tap in range(TAPS * TAPS):
        row, target = taps.array[start + tap * taps.tap_step :], patch[at + tap * columns :]
        for n in range(length):
            target[n] = row[n] * scale[n]
    return Grid(patch, at, TAPS * columns, columns)


def make_multiply_plane(tile: Intrinsic) -> Callable[..., None]:
    """Return the function that multiplies tiles by filters in one plane, with a form of the register tile."""

    def multiply_plane(operands, epilogue, plane, count, worker):
        """Write the products of one plane.

        The bias is added in the plane of the points (1, 1), which adds to all pixels of a tile alike.
        """
        v, u, products = operands.v, operands.u, operands.products
        initial = BIAS if plane == operands.unit and epilogue.bias.size > 0 else ZERO
        tiles = cdiv(u.filters_per_group, u.columns)
        v_start = worker * v.worker_step + plane * v.plane_step
        start = worker * products.worker_step + plane * products.plane_step
        for panel in range(u.groups * tiles):
            group, t = panel // tiles, panel % tiles
            k = group * u.filters_per_group + t * u.columns
            tile(
                A(v.array, v_start + group * u.channels, v.rows, operands.start, 1),
                B(u.array, (plane * u.groups * tiles + panel) * u.channels * u.columns, operands.start, u.columns),
                C(products.array, start + k, products.rows, k),
                Extent(count, min(u.columns, u.filters_per_group - t * u.columns), 1, u.channels),
                initial,
                Epilogue(0, epilogue.bias, epilogue.bias, epilogue.bias),
            )

    return multiply_plane


def sum_plane(operands, plane, channels, count, initial, worker):
    """Write, or add, the sums over tiles of one plane."""
    v, w, sums, columns = operands.v, operands.w, operands.sums, operands.columns
    filters_per_group = w.channels // operands.groups
    v_start = worker * v.worker_step + plane * v.plane_step + channels.first
    w_start = worker * w.worker_step + plane * w.plane_step
    start = channels.part * sums.worker_step + plane * sums.plane_step + sums.rows[channels.first]
    for group in range(operands.groups):
        for t in range(cdiv(filters_per_group, columns)):
            k = group * filters_per_group + t * columns
            tile(
                A(v.array, v_start + group * sums.rows.size, operands.channel_rows, operands.start, v.row_step),
                B(w.array, w_start + k, operands.start, w.row_step),
                C(sums.array, start + k, sums.rows, 0),
                Extent(channels.end - channels.first, min(columns, filters_per_group - t * columns), 1, count),
                initial,
                no_epilogue(sums.array),
            )


def store(values, y, start, epilogue):
    """Write values, the residual added, clipped and activated, to y from element `start` on."""
    out = y[start : start + values.size]
    if epilogue.steps & RESIDUAL:
        residual = epilogue.residual[start : start + values.size]
        for k in range(values.size):
            values[k] += residual[k]
    if epilogue.steps & RELU:
        for k in range(values.size):
            values[k] = clipped(epilogue.steps, values[k])
    copy(values, out)
    activate(y, start, values.size, epilogue.steps)
