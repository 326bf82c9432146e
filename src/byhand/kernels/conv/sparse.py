"""sparse: the algorithm for both gradients of a max-pooled convolution, which visits only the maxima of the pooling windows.

    grad_weight[:, k] += grad_y * patch        grad_x[patch] += grad_y * weight[:, k]        for each maximum of each filter k

Of a 2x2 window one pixel in four is the maximum, and with a ReLU it has a gradient only where it is positive. So each
filter's maxima are listed, each with its gradient and the offset of its patch, the part of the image that the filter sees.
A dense convolution would multiply the zeros too, which is worth it only for the smallest patches (small_patch.py).
"""

from __future__ import annotations

from functools import cache
from math import ceil, prod

import numpy as np

from byhand.kernels.conv.operands import Gradients, PooledOutput
from byhand.kernels.conv.padded_images import PaddedImages, pad_image, unpad_image
from byhand.kernels.conv.plan import MIN_SHARED_FLOPS
from byhand.kernels.conv.problem import Algorithm, ConvShape, Pooling, Problem
from byhand.kernels.conv.small_patch import launch_small_patch
from byhand.kernels.conv.sparse_operands import (
    Maxima,
    MaximaLists,
    PartialSums,
    Patch,
    TransposedFilters,
)
from byhand.kernels.conv.weights_plan import MAX_BATCH_PARTS, MAX_PARTIAL_BYTES
from byhand.kernels.microkernel.microkernel import no_epilogue, scatter, tile_of_list
from byhand.kernels.microkernel.operands import ADD, A, B, C, Extent
from byhand.kernels.reductions import sum_transposed
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.kernels.runtime.kernel import kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import scratch_workers
from byhand.kernels.runtime.types import Array, Indices

# Elements of a patch up to which all pixels are summed: listing a maximum is more work than multiplying so many by 0.
DENSE_MAX_PATCH = 16

# FLOPs of the register tile in the time of one FLOP of a maximum, whose patch lies anywhere.
MAXIMUM_FLOPS = 3

# The cost, at most, in parts of that of all pixels.
MAX_COST = 0.9


def applies(problem: Problem) -> bool:
    """Tell whether a max pooling follows, and each part of the batch can have a sum of its own: the filters are few enough."""
    return problem.pooling is not None and problem.weight_bytes <= MAX_PARTIAL_BYTES // MAX_BATCH_PARTS


def cost(problem: Problem) -> float:
    """Return the FLOPs of the maxima, one pixel of each pooling window: each takes the time of MAXIMUM_FLOPS of the tile's.

    The cost ignores that a small patch may be summed over all pixels: that depends on the gradients that are asked for, too.
    Where windows overlap, maxima coincide: it is never more than that of all pixels.
    """
    assert problem.pooling is not None
    return problem.flops * min(MAXIMUM_FLOPS / prod(problem.pooling.stride), MAX_COST)


def max_pool_backward(
    x: Array, weight: Array, pooled: PooledOutput, gradients: Gradients, shape: ConvShape, pooling: Pooling
) -> None:
    """Launch the gradients of a max-pooled convolution."""
    rows, width, padded_size = _patch(shape)
    patch = Patch(rows, np.arange(len(rows)) * width, width)
    parts = min(len(x), MAX_BATCH_PARTS) if shape.flops(len(x)) > MIN_SHARED_FLOPS else 1
    padded_elements = prod(padded_size) * shape.channels if shape.padded else 0
    padded = scratch(scratch_workers() * padded_elements, dtype=x.dtype)
    origin = (-shape.padding[0], -shape.padding[2])
    images = PaddedImages(
        x.reshape(-1), len(x), *shape.image, shape.channels, shape.padded, padded, *padded_size, *origin
    )
    maxima = _maxima(pooled, shape, pooling, padded_size[1])
    small_patch = weight.size // shape.filters <= DENSE_MAX_PATCH
    if gradients.x is None and shape.groups == 1 and small_patch and _all_inside(pooled.y.shape[1:3], shape, pooling):
        launch_small_patch(images, patch, maxima, gradients, parts)
    else:
        _launch_visit(images, patch, maxima, gradients, weight, shape, pooling, parts)


sparse = Algorithm("sparse", applies, cost, max_pool_backward=max_pool_backward)


# kernels --------------------------------------------------------------------------------------------------------------


@kernel
def visit_maxima(x, patch, maxima, filters, sums, lists, block, worker):
    """Add the gradients of one part of the batch, some rows of windows at a time: list each filter's maxima, visit them."""
    patch_size, count = patch.rows.size * patch.width, maxima.filters
    padded_size, size = x.padded_height * x.padded_width * x.channels, x.height * x.width * x.channels
    list_start = worker * (lists.strip_rows * maxima.columns + 1)
    for k in range(block * count * patch_size, (block + 1) * count * patch_size):
        sums.weight[k] = 0.0
    for k in range(block * count, (block + 1) * count):
        sums.bias[k] = 0.0
    for n in range(block * x.images // sums.parts, (block + 1) * x.images // sums.parts):
        image, start, grad_image, grad_start = x.array, n * size, sums.grad_images, n * size
        if x.needs_padding:
            image, start, grad_image, grad_start = (
                x.padded,
                worker * padded_size,
                sums.grad_padded,
                worker * padded_size,
            )
            pad_image(x, n, worker)
        if sums.want_images:
            cleared = grad_image[grad_start : grad_start + padded_size]
            for k in range(cleared.size):
                cleared[k] = 0.0
        for first in range(0, maxima.rows, lists.strip_rows):
            for k in range(count):
                found = list_maxima(maxima, sums.bias, lists, list_start, n, first, block * count + k)
                offsets = lists.offsets[list_start : list_start + found]
                grads = lists.gradients[list_start : list_start + found]
                channel = k // (count // filters.groups) * filters.depth  # the first that the filter sees
                if sums.want_weight:  # += gradient * patch
                    out = (block * count + k) * patch_size
                    for c in range(0, patch.width, filters.columns):
                        tile_of_list(
                            A(image, start + channel + c, patch.rows, offsets, 1),
                            B(grads, 0, offsets, 1),
                            C(sums.weight, out + c, patch.filter_rows, 0),
                            Extent(patch.rows.size, min(filters.columns, patch.width - c), found, 1),
                            ADD,
                            no_epilogue(sums.weight),
                        )
                if sums.want_images:  # += gradient * filter, at the patch
                    for c in range(0, patch.width, filters.columns):
                        scatter(
                            C(filters.array, k * patch_size + c, patch.filter_rows, 0),
                            offsets,
                            grads,
                            C(grad_image, grad_start + channel + c, patch.rows, 0),
                            patch.rows.size,
                            min(filters.columns, patch.width - c),
                        )
        if sums.want_images and x.needs_padding:
            unpad_image(x, n, sums.grad_images, grad_image, grad_start)


def list_maxima(maxima, bias, lists, list_start, n, first, filter_sum):
    """List a filter's maxima in some rows of windows of image n; add their gradients to bias[filter_sum]; return how many."""
    k, found, total = filter_sum % maxima.filters, 0, bias[filter_sum]
    for phase in range(lists.spacing):  # neighbors are kept apart: reading a patch that was just written stalls
        for i in range(first, min(first + lists.strip_rows, maxima.rows)):
            for j in range(phase, maxima.columns, lists.spacing):
                at = ((n * maxima.rows + i) * maxima.columns + j) * maxima.filters + k
                tap, grad = maxima.argmax[at], maxima.grad_y[at]
                window = maxima.start + i * maxima.row_stride + j * maxima.column_stride
                lists.offsets[list_start + found] = window + maxima.taps[tap]
                lists.gradients[list_start + found] = grad
                if tap >= 0 and not (maxima.relu and maxima.y[at] <= 0.0):
                    found += 1
                    total += grad
    bias[filter_sum] = total
    return found


# launches -------------------------------------------------------------------------------------------------------------


def _launch_visit(
    images: PaddedImages,
    patch: Patch,
    maxima: Maxima,
    gradients: Gradients,
    weight: Array,
    shape: ConvShape,
    pooling: Pooling,
    parts: int,
) -> None:
    """Launch the visits to the maxima, and add up the sums of all parts of the batch."""
    dtype, filters, patch_size = weight.dtype, shape.filters, weight.size // shape.filters
    want_x, want_weight = gradients.x is not None, gradients.weight is not None
    row_bytes = images.padded_width * shape.channels * weight.itemsize * pooling.stride[0] * shape.stride[0]
    strip_rows = max(1, min(maxima.rows, cache_size(1) // 2 // max(1, row_bytes)))
    spacing = min(maxima.columns, ceil(shape.window[1] / (pooling.stride[1] * shape.stride[1]))) if want_x else 1
    transposed = scratch(filters, patch_size, dtype=dtype)
    if want_x:
        sum_transposed(weight.reshape(1, patch_size, -1), transposed)
    weights, biases = scratch(parts, filters, patch_size, dtype=dtype), scratch(parts, filters, 1, dtype=dtype)
    list_size = scratch_workers() * (strip_rows * maxima.columns + 1)
    grad_padded = scratch(images.padded.size if want_x else 0, dtype=dtype)
    grad_x = images.array[:0] if gradients.x is None else gradients.x.reshape(-1)
    sums = PartialSums(weights.reshape(-1), biases.reshape(-1), parts, want_weight, grad_x, grad_padded, want_x)
    lists = MaximaLists(scratch(list_size, dtype=np.int64), scratch(list_size, dtype=dtype), strip_rows, spacing)
    operand = TransposedFilters(
        transposed.reshape(-1), shape.groups, shape.depth, 2 * vector_unit().tile_columns(dtype)
    )
    launch(visit_maxima, parts, images, patch, maxima, operand, sums, lists)
    if gradients.weight is not None:
        sum_transposed(weights, gradients.weight.reshape(patch_size, -1))
    if gradients.bias is not None:
        sum_transposed(biases.reshape(parts, 1, -1), gradients.bias.reshape(-1, 1))


@cache
def _patch(shape: ConvShape) -> tuple[Indices, int, tuple[int, int]]:
    """Return (the offsets of the rows of a patch in a padded image, elements of a row, the padded image's size)."""
    height, width = shape.image
    if shape.padded:
        height = max(shape.span[0], shape.padding[0] + height)
        width = max(shape.span[1], shape.padding[2] + width)
    (rows, columns), (row_dilation, column_dilation) = shape.kernel, shape.dilation
    offsets = [
        (r * row_dilation * width + s * column_dilation) * shape.channels for r in range(rows) for s in range(columns)
    ]
    if column_dilation == 1 and shape.groups == 1:
        return np.array(offsets[::columns]), columns * shape.depth, (height, width)
    return np.array(offsets), shape.depth, (height, width)


def _maxima(pooled: PooledOutput, shape: ConvShape, pooling: Pooling, padded_width: int) -> Maxima:
    """Return the pooled output as an operand; padded_width: pixels from one row of a padded image to the next."""
    row, column = shape.stride[0] * padded_width * shape.channels, shape.stride[1] * shape.channels
    taps = [
        r * pooling.dilation[0] * row + s * pooling.dilation[1] * column
        for r in range(pooling.kernel[0])
        for s in range(pooling.kernel[1])
    ]
    _, rows, columns, filters = pooled.y.shape
    arrays = pooled.y.reshape(-1), pooled.argmax.reshape(-1), pooled.grad_y.reshape(-1)
    return Maxima(
        *(*arrays, rows, columns, filters),
        relu=pooled.relu,
        start=-pooling.padding[0] * row - pooling.padding[2] * column,
        row_stride=pooling.stride[0] * row,
        column_stride=pooling.stride[1] * column,
        taps=np.array(taps),
    )


def _all_inside(output: tuple[int, ...], shape: ConvShape, pooling: Pooling) -> bool:
    """Tell whether every pooling window lies inside the convolution's output."""
    sizes = zip(output, pooling.stride, pooling.kernel, pooling.dilation)
    ends = [(rows - 1) * step + (k - 1) * gap + 1 for rows, step, k, gap in sizes]
    return not any(pooling.padding) and all(end <= size for end, size in zip(ends, shape.output))
