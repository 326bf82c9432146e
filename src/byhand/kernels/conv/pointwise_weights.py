"""The gradient of the filters of a 1x1 convolution whose pixels lie a multiple of 4 KB apart, or have a stride.

    grad_weight[c, k] = sum over pixels p of  x[p, c] * grad_y[p, k]

The kernel of backward_weights.py computes it too, one row of the image after the other, from pixels where they lie. With 1024
channels or filters, the cache lines of these pixels share a set of the L1 cache (pixel_copy.py). Here a sum runs over a chunk
of pixels at once: the columns of grad_y that a register tile reads are copied into a panel, and the pixels of x into a chunk
with a free cache line between them.

As in backward_weights.py, the pixels are divided into a fixed number of parts, whose partial sums are added in order.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from byhand.kernels.conv.operands import images_of
from byhand.kernels.conv.pixel_copy import L1_SET_PERIOD_BYTES
from byhand.kernels.conv.problem import ConvShape
from byhand.kernels.conv.weights_plan import parts
from byhand.kernels.microkernel.microkernel import no_epilogue, tile
from byhand.kernels.microkernel.operands import ADD, ZERO, A, B, C, Extent
from byhand.kernels.reductions import add_up
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES, vector_unit
from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import scratch_workers
from byhand.kernels.runtime.types import Array, Indices

# Pixels of a chunk: with fewer, the partial sums are read and written too often; a panel of more would fill the L2 cache.
CHUNK_PIXELS = 512

# Channels, at least, for which a panel of grad_y pays: each of its elements is multiplied once a channel.
MIN_CHANNELS = 48


class Sizes(NamedTuple):
    """Sizes of the product: the grid has height x width pixels of an image; pixels: those of all images."""

    channels: int
    filters: int
    columns: int  # of the register tile
    height: int
    width: int
    pixels: int
    pixel_parts: int  # into which the work is divided
    filter_parts: int


class Tables(NamedTuple):
    """Offsets of the channels in a pixel of x and in grad_weight, and that of the one segment, 0."""

    a_rows: Indices
    c_rows: Indices
    segments: Indices


class Copies(NamedTuple):
    """Memory of all workers for copies of a chunk of x, its pixels x_step apart, and of a panel of grad_y; empty: no copy."""

    x: Array
    x_step: int
    panel: Array


def applies(shape: ConvShape, itemsize: int) -> bool:
    """Tell whether a convolution is 1x1, of images whose pixels are a multiple of 4 KB apart, or have a stride."""
    aliased = any(count * itemsize % L1_SET_PERIOD_BYTES == 0 for count in (shape.depth, shape.filters))
    pointwise = prod(shape.kernel) == shape.groups == 1 and not shape.padded
    return pointwise and shape.depth >= MIN_CHANNELS and (aliased or shape.stride != (1, 1))


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape) -> None:
    """Launch the gradient of the filters."""
    columns, pixels = vector_unit().tile_columns(x.dtype), len(x) * prod(shape.output)
    pixel_parts, filter_parts = parts(shape, len(x), x.itemsize, columns, cdiv(pixels, CHUNK_PIXELS))
    sizes = Sizes(shape.depth, shape.filters, columns, *shape.output, pixels, pixel_parts, filter_parts)
    channels = np.arange(shape.depth)
    tables = Tables(channels, channels * shape.filters, np.zeros(1, np.int64))
    empty, workers = x.reshape(-1)[:0], scratch_workers()
    is_strided = shape.stride != (1, 1)
    x_step = shape.depth + CACHE_LINE_BYTES // x.itemsize
    copied_x, panel = empty, empty
    if is_strided or shape.depth * x.itemsize % L1_SET_PERIOD_BYTES == 0:
        copied_x = scratch(workers * CHUNK_PIXELS * x_step, dtype=x.dtype)
    if shape.filters > columns:
        panel = scratch(workers * CHUNK_PIXELS * columns, dtype=x.dtype)
    total = grad_weight.reshape(-1)
    partials = total if pixel_parts == 1 else scratch(pixel_parts * total.size, dtype=x.dtype)
    operands = images_of(x, shape.stride), grad_y.reshape(-1), partials
    launch(sum_pixels, pixel_parts * filter_parts, *operands, sizes, tables, Copies(copied_x, x_step, panel))
    if pixel_parts > 1:
        add_up(partials.reshape(pixel_parts, -1), total)


@kernel
def sum_pixels(x, grad_y, partials, sizes, tables, copies, block, worker):
    """Write the partial sum over one part of the pixels, for one part of the filters."""
    channels, filters, columns = sizes.channels, sizes.filters, sizes.columns
    pixel_part, filter_part = block // sizes.filter_parts, block % sizes.filter_parts
    tiles, chunks = cdiv(filters, columns), cdiv(sizes.pixels, CHUNK_PIXELS)
    first_tile = filter_part * tiles // sizes.filter_parts
    end_tile = (filter_part + 1) * tiles // sizes.filter_parts
    start, initial = pixel_part * channels * filters, ZERO
    x_copy, panel = worker * CHUNK_PIXELS * copies.x_step, worker * CHUNK_PIXELS * columns
    for chunk in range(pixel_part * chunks // sizes.pixel_parts, (pixel_part + 1) * chunks // sizes.pixel_parts):
        pixel = chunk * CHUNK_PIXELS
        count = min(CHUNK_PIXELS, sizes.pixels - pixel)
        a = A(x.array, pixel * channels, tables.a_rows, tables.segments, channels)
        if copies.x.size > 0:
            copy_chunk(x, copies, x_copy, pixel, count, sizes)
            a = A(copies.x, x_copy, tables.a_rows, tables.segments, copies.x_step)
        for filter_tile in range(first_tile, end_tile):
            k = filter_tile * columns
            width = min(columns, filters - k)
            b = B(grad_y, pixel * filters + k, tables.segments, filters)
            if copies.panel.size > 0:
                for p in range(count):
                    source, target = grad_y[(pixel + p) * filters + k :][:width], copies.panel[panel + p * columns :]
                    for n in range(width):
                        target[n] = source[n]
                b = B(copies.panel, panel, tables.segments, columns)
            c, extent = C(partials, start + k, tables.c_rows, 0), Extent(channels, width, 1, count)
            tile(a, b, c, extent, initial, no_epilogue(partials))
        initial = ADD


def copy_chunk(x, copies, start, pixel, count, sizes):
    """Copy some pixels of the grid, with a free cache line between them."""
    for p in range(count):
        n, rest = (pixel + p) // (sizes.height * sizes.width), (pixel + p) % (sizes.height * sizes.width)
        i, j = rest // sizes.width, rest % sizes.width
        source = x.array[n * x.image_step + i * x.row_step + j * x.pixel_step :]
        target = copies.x[start + p * copies.x_step :]
        for c in range(sizes.channels):
            target[c] = source[c]
