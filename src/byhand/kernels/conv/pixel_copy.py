"""A copy of images whose pixels lie a multiple of 4 KB apart, with a cache line between pixels: for 1x1 convolutions.

A register tile reads the first channel of 14 pixels, then the second channel of each, and so on. With 1024 float32 channels
the pixels are 4 KB apart: their cache lines map to one set of the L1 cache, which holds eight lines, so that each line is
fetched again for every channel. In the copy, neighboring pixels are one line further apart. With a stride, the copy has only
the pixels that the convolution reads.
"""

from __future__ import annotations

from math import prod

from byhand.kernels.conv.operands import images_of
from byhand.kernels.conv.problem import ConvShape
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS, cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.types import Array

# Bytes after which addresses map to the same set of the L1 cache again: 64 sets of lines of 64 bytes (x86, most of Arm).
L1_SET_PERIOD_BYTES = 4096

# Columns of the product, at least, for which a copy pays: each number that is copied is multiplied as often.
COPY_MIN_COLUMNS = 128


def spread_pixels(x: Array, shape: ConvShape) -> tuple[Array, ConvShape]:
    """Return images whose pixels map to different sets of the L1 cache, and the shape of the convolution over them.

    The images are x itself, or a copy whose last axis is longer than `shape.channels`.
    """
    if prod(shape.kernel) > 1 or shape.padded or not aliased(x, shape.stride[1], shape.filters_per_group):
        return x, shape
    return copy_of_pixels(x, shape.output, shape.stride), shape._replace(image=shape.output, stride=(1, 1))


def spread_gradient(grad_y: Array, shape: ConvShape) -> Array:
    """Return grad_y, or a copy whose last axis is longer than its filters, for backward_data of a 1x1 convolution."""
    if prod(shape.kernel) > 1 or not aliased(grad_y, 1, shape.depth):
        return grad_y
    return copy_of_pixels(grad_y, shape.output, (1, 1))


def aliased(images: Array, stride: int, columns: int) -> bool:
    """Tell whether every stride-th pixel maps to the same set of the L1 cache, and whether a copy of them pays."""
    pixel_bytes = stride * images.shape[-1] * images.itemsize
    return pixel_bytes % L1_SET_PERIOD_BYTES == 0 and columns >= COPY_MIN_COLUMNS


def copy_of_pixels(images: Array, grid: tuple[int, int], stride: tuple[int, int]) -> Array:
    """Launch the copy of a grid of pixels, (rows, columns), and return it: (N, rows, columns, channels + a line)."""
    pixel = images.shape[-1] + CACHE_LINE_BYTES // images.itemsize
    copy, rows_per_block = scratch(len(images), *grid, pixel, dtype=images.dtype), cdiv(BLOCK_ELEMENTS, grid[1] * pixel)
    blocks, operands = cdiv(len(images) * grid[0], rows_per_block), (images_of(images, stride), images_of(copy))
    launch(copy_pixels, blocks, *operands, images.shape[-1], *grid, rows_per_block)
    return copy


@kernel
def copy_pixels(x, copy, channels, height, width, rows_per_block, block):
    """Copy some rows of pixels."""
    for row in range(block * rows_per_block, min((block + 1) * rows_per_block, x.images * height)):
        n, i = row // height, row % height
        x_row, copy_row = n * x.image_step + i * x.row_step, row * copy.row_step
        for j in range(width):
            source = x.array[x_row + j * x.pixel_step :][:channels]
            target = copy.array[copy_row + j * copy.pixel_step :][:channels]
            for c in range(channels):
                target[c] = source[c]
