"""The kernels of Winograd's convolution: transforms of tiles and filters, and the products between them.

    transform_images     x (N, H, W, C)         -> planes v (n * n, tiles, C)
    transform_filters    weight (3, 3, C, K)    -> panels u (n * n, K / columns, C, columns)
    multiply             v, u                   -> planes of products (n * n, tiles, K): a matrix product for each plane
    transform_products   products               -> y (N, H', W', K), with the residual and the activation of an epilogue

`convolve` does all but the filters for one block of tiles after the other: its planes stay in the L2 cache. Meanwhile it
prefetches the images of the next block, and the memory that y will be written to.

A tile that reaches beyond the edge of an image is copied into a patch, in which pixels outside are 0. No image is padded.
winograd_arrays.py has the equations, winograd.py the launches.
"""

from __future__ import annotations

from typing import NamedTuple

from byhand.kernels.conv.winograd_arrays import TAPS, matrices
from byhand.kernels.conv.winograd_operands import Channels
from byhand.kernels.microkernel.activation import activate, clipped
from byhand.kernels.microkernel.bilinear_map import Grid, bilinear_map, bilinear_map_with_epilogue
from byhand.kernels.microkernel.microkernel import no_epilogue, prefetch, tile
from byhand.kernels.microkernel.operands import ADD, BIAS, RELU, RESIDUAL, ZERO, A, B, C, Epilogue, Extent
from byhand.kernels.runtime.kernel import Kernel, cdiv, kernel

# Tiles that are transformed while the images of as many are prefetched.
PREFETCH_TILES = 14


class WinogradKernels(NamedTuple):
    """The kernels of one tile size."""

    transform_filters: Kernel
    transform_images: Kernel
    transform_gradients: Kernel
    transform_products: Kernel
    transform_sums: Kernel
    convolve: Kernel
    sum_part: Kernel


def make_kernels(outputs: int) -> WinogradKernels:
    """Return the kernels of F(outputs x outputs, 3x3)."""
    size = outputs + TAPS - 1
    planes = size * size
    forward, weights = matrices(outputs, TAPS), matrices(TAPS, outputs)
    map_image, map_filter = bilinear_map(forward.input), bilinear_map(forward.filter)
    map_products = bilinear_map_with_epilogue(forward.output)
    map_gradient, map_sums = bilinear_map(weights.filter), bilinear_map(weights.output)

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
            if taps.scale.size == 0:
                map_filter(Grid(taps.array, start, TAPS * taps.tap_step, taps.tap_step), out, length)
                continue
            scale = taps.scale[k : k + length]
            for tap in range(TAPS * TAPS):
                row, target = taps.array[start + tap * taps.tap_step :], patches.array[patch + tap * u.columns :]
                for n in range(length):
                    target[n] = row[n] * scale[n]
            map_filter(Grid(patches.array, patch, TAPS * u.columns, u.columns), out, length)

    def transform_tiles(x, tiling, v, patches, first, end, row, worker):
        for t in range(first, end):
            source = tile_of(x, tiling, t, size, patches, worker)
            target = worker * v.worker_step + v.rows[row + t - first]
            map_image(source, Grid(v.array, target, size * v.plane_step, v.plane_step), x.channels)

    def transform_gradient_tiles(grad, tiling, w, patches, first, end, row, worker):
        for t in range(first, end):
            source = tile_of(grad, tiling, t, outputs, patches, worker)
            target = worker * w.worker_step + w.rows[row + t - first]
            map_gradient(source, Grid(w.array, target, size * w.plane_step, w.plane_step), grad.channels)

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
    def transform_images(x, tiling, v, patches, start, block, worker):
        """Transform a block of the tiles of images from tile `start` on."""
        first = start + block * tiling.block_tiles
        end = min(first + tiling.block_tiles, start + v.rows.size, tiling.tiles)
        for t in range(first, end, PREFETCH_TILES):
            last = min(t + PREFETCH_TILES, end)
            ahead, ahead_end = memory_of(x, tiling, last, min(last + PREFETCH_TILES, end))
            prefetch(x.array, ahead, ahead_end)
            transform_tiles(x, tiling, v, patches, t, last, t - start, worker)

    @kernel
    def transform_gradients(grad, tiling, w, patches, start, block, worker):
        """Transform a block of the tiles of grad_y from tile `start` on, as filters of outputs x outputs taps."""
        first = start + block * tiling.block_tiles
        end = min(first + tiling.block_tiles, start + w.rows.size, tiling.tiles)
        for t in range(first, end, PREFETCH_TILES):
            last = min(t + PREFETCH_TILES, end)
            ahead, ahead_end = memory_of(grad, tiling, last, min(last + PREFETCH_TILES, end))
            prefetch(grad.array, ahead, ahead_end)
            transform_gradient_tiles(grad, tiling, w, patches, t, last, t - start, worker)

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
        transform_tiles(x, tiling, operands.v, operands.patches, first, end, 0, worker)
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
            transform_tiles(x, tiling, operands.v, patches, first, end, 0, worker)
            transform_gradient_tiles(grad, tiling, operands.w, patches, first, end, 0, worker)
            x_first, x_end = memory_of(x, tiling, end, min(end + tiling.block_tiles, stop))
            grad_first, grad_end = memory_of(grad, tiling, end, min(end + tiling.block_tiles, stop))
            initial = ZERO if first == start else ADD
            for plane in range(planes):
                prefetch_part(x.array, x_first, x_end, plane, planes)
                prefetch_part(grad.array, grad_first, grad_end, plane, planes)
                channels = Channels(0, operands.sums.rows.size, block)
                sum_plane(operands, plane, channels, end - first, initial, worker)

    return WinogradKernels(
        transform_filters,
        transform_images,
        transform_gradients,
        transform_products,
        transform_sums,
        convolve,
        sum_part,
    )


@kernel
def multiply(operands, epilogue, count, block):
    """Multiply `count` tiles by the filters, in one plane."""
    multiply_plane(operands, epilogue, block, count, 0)


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


@kernel
def sum_products(operands, parts, count, initial, block):
    """Write, or add, the products of tiles of images and of grad_y, in one plane, for one part of the channels of a filter."""
    plane, part, depth = block // parts, block % parts, operands.sums.rows.size
    sum_plane(operands, plane, Channels(part * depth // parts, (part + 1) * depth // parts, 0), count, initial, 0)


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


def tile_of(x, tiling, t, size, patches, worker):
    """Return tile t of some images as a grid: where it lies, or a patch in which pixels beyond the edges are 0."""
    n, place = t // (tiling.down * tiling.across), t % (tiling.down * tiling.across)
    row, column = place // tiling.across * x.step + x.top, place % tiling.across * x.step + x.left
    if row >= 0 and row + size <= x.height and column >= 0 and column + size <= x.width:
        return Grid(x.array, ((n * x.height + row) * x.width + column) * x.channels, x.width * x.channels, x.channels)
    line, patch = size * x.channels, worker * patches.size
    low, high = min(size, max(0, -column)), max(0, min(size, x.width - column))
    for i in range(size):
        target = patches.array[patch + i * line : patch + (i + 1) * line]
        p = row + i
        if p < 0 or p >= x.height or low >= high:
            clear(target)
            continue
        start = ((n * x.height + p) * x.width + column + low) * x.channels
        clear(target[: low * x.channels])
        copy(x.array[start : start + (high - low) * x.channels], target[low * x.channels :])
        clear(target[high * x.channels :])
    return Grid(patches.array, patch, line, x.channels)


def clear(target):
    """Write 0."""
    for k in range(target.size):
        target[k] = 0.0


def copy(source, target):
    """Copy an array to the beginning of another."""
    for k in range(source.size):
        target[k] = source[k]


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


def memory_of(x, tiling, first, end):
    """Return (first, end) of the elements of the rows of images that tiles [first, end) cover."""
    if first >= end:
        return 0, 0
    line, rows = x.width * x.channels, tiling.down * x.step
    top, bottom = first // tiling.across * x.step, ((end - 1) // tiling.across + 1) * x.step - 1
    start = top // rows * x.height + min(top % rows, x.height)
    return start * line, (bottom // rows * x.height + min(bottom % rows + 1, x.height)) * line


def prefetch_part(array, first, end, part, parts):
    """Prefetch one of some equal parts of array[first:end]."""
    prefetch(array, first + (end - first) * part // parts, first + (end - first) * (part + 1) // parts)
