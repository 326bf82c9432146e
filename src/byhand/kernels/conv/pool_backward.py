"""The gradients of a max-pooled convolution: only the pixels that are the maximum of a window, the winners, have a gradient.

    grad_weight[:, k] += grad_y * patch        grad_x[patch] += grad_y * weight[:, k]        for each winner of each filter k

Of a 2x2 window one pixel in four wins, and with a ReLU it has a gradient only where it is positive. So each filter's winners
are listed, each with its gradient and the offset of its patch, the part of the image that it saw. A dense convolution would
multiply the zeros too, which is worth it only for the smallest patches (DENSE_MAX_PATCH).
"""

from __future__ import annotations

from functools import cache
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from byhand.kernels.conv.plan import MIN_SHARED_FLOPS
from byhand.kernels.conv.pool_backward_operands import (
    PaddedImages,
    PartialSums,
    Patch,
    TapGradients,
    TransposedFilters,
    WinnerLists,
    Winners,
)
from byhand.kernels.conv.problem import ConvShape
from byhand.kernels.conv.weights_plan import MAX_BATCH_PARTS, MAX_PARTIAL_BYTES
from byhand.kernels.microkernel.microkernel import no_epilogue, scatter, tile, tile_of_list
from byhand.kernels.microkernel.operands import ADD, A, B, C, Extent
from byhand.kernels.reductions import add_up, sum_transposed
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.kernels.runtime.kernel import kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import scratch_workers
from byhand.kernels.runtime.types import Array, Indices

# Elements of a patch up to which all pixels are summed: listing a winner is more work than multiplying so many by 0.
DENSE_MAX_PATCH = 16


class Pooling(NamedTuple):
    """The attributes of a max_pool."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]


class PooledOutput(NamedTuple):
    """The output of a pooled convolution, (N, rows, columns, K): y, argmax and the gradient of y; relu: y is that of a ReLU."""

    y: Array
    argmax: Array
    grad_y: Array
    relu: bool


class Gradients(NamedTuple):
    """The gradients to write; None: not wanted."""

    x: Array | None
    weight: Array | None
    bias: Array | None


def applies(shape: ConvShape, itemsize: int) -> bool:
    """Tell whether the filters are few enough for each part of the batch to have a sum of its own."""
    return shape.weights * itemsize <= MAX_PARTIAL_BYTES // MAX_BATCH_PARTS


def pad_image(x, n, worker):
    """Copy image n into a worker's padded image, with zeros around it."""
    line = x.padded_width * x.channels
    first = min(max(0, -x.left), x.padded_width) * x.channels
    last = max(0, min(x.padded_width, x.width - x.left)) * x.channels
    for i in range(x.padded_height):
        at, p = (worker * x.padded_height + i) * line, x.top + i
        row = x.padded[at : at + line]
        if p < 0 or p >= x.height or first >= last:
            for k in range(row.size):
                row[k] = 0.0
            continue
        seen = ((n * x.height + p) * x.width + x.left) * x.channels + first
        inside, after, pixels = row[first:last], row[last:], x.array[seen : seen + last - first]
        for k in range(first):
            row[k] = 0.0
        for k in range(inside.size):
            inside[k] = pixels[k]
        for k in range(after.size):
            after[k] = 0.0


@kernel
def visit_winners(x, patch, winners, filters, sums, lists, block, worker):
    """Add the gradients of one part of the batch, some rows of windows at a time: list each filter's winners, visit them."""
    patch_size, count = patch.rows.size * patch.width, winners.filters
    area, size = x.padded_height * x.padded_width * x.channels, x.height * x.width * x.channels
    list_at = worker * (lists.strip_rows * winners.columns + 1)
    for k in range(block * count * patch_size, (block + 1) * count * patch_size):
        sums.weight[k] = 0.0
    for k in range(block * count, (block + 1) * count):
        sums.bias[k] = 0.0
    for n in range(block * x.images // sums.parts, (block + 1) * x.images // sums.parts):
        source, at, target, into = x.array, n * size, sums.images, n * size
        if x.needs_padding:
            source, at, target, into = x.padded, worker * area, sums.padded, worker * area
            pad_image(x, n, worker)
        if sums.want_images:
            zeroed = target[into : into + area]
            for k in range(zeroed.size):
                zeroed[k] = 0.0
        for first in range(0, winners.rows, lists.strip_rows):
            for k in range(count):
                found = list_winners(winners, sums.bias, lists, list_at, n, first, block * count + k)
                group = k // (count // filters.groups) * filters.depth
                offsets, values = lists.offsets[list_at : list_at + found], lists.gradients[list_at : list_at + found]
                for c in range(0, patch.width, filters.columns):
                    width, filter_at = min(filters.columns, patch.width - c), k * patch_size + c
                    if sums.want_weight:
                        tile_of_list(
                            A(source, at + group + c, patch.rows, offsets, 1),
                            B(values, 0, offsets, 1),
                            C(sums.weight, block * count * patch_size + filter_at, patch.filter_rows, 0),
                            Extent(patch.rows.size, width, found, 1),
                            ADD,
                            no_epilogue(sums.weight),
                        )
                    if sums.want_images:
                        scatter(
                            C(filters.array, filter_at, patch.filter_rows, 0),
                            offsets,
                            values,
                            C(target, into + group + c, patch.rows, 0),
                            patch.rows.size,
                            width,
                        )
        if sums.want_images and x.needs_padding:
            unpad_image(x, n, sums.images, target, into)


def list_winners(winners, bias, lists, list_at, n, first, sum_at):
    """List a filter's winners in some rows of windows of image n; add their gradients to bias[sum_at]; return how many."""
    k, found, total = sum_at % winners.filters, 0, bias[sum_at]
    for phase in range(lists.spacing):  # neighbors are kept apart: reading a patch that was just written stalls
        for i in range(first, min(first + lists.strip_rows, winners.rows)):
            for j in range(phase, winners.columns, lists.spacing):
                at = ((n * winners.rows + i) * winners.columns + j) * winners.filters + k
                tap, value = winners.argmax[at], winners.grad_y[at]
                lists.offsets[list_at + found] = (
                    winners.start + i * winners.down + j * winners.across + winners.taps[tap]
                )
                lists.gradients[list_at + found] = value
                if tap >= 0 and not (winners.relu and winners.y[at] <= 0.0):
                    found += 1
                    total += value
    bias[sum_at] = total
    return found


def unpad_image(x, n, image, padded_image, start):
    """Copy the inner part of a padded image to image n."""
    for p in range(x.height):
        begin = start + ((p - x.top) * x.padded_width - x.left) * x.channels
        row = (n * x.height + p) * x.width * x.channels
        line, inner = image[row : row + x.width * x.channels], padded_image[begin : begin + x.width * x.channels]
        for k in range(line.size):
            line[k] = inner[k]


@kernel
def sum_all_pixels(x, patch, winners, grads, sums, block, worker):
    """Sum the gradients of one part of the batch over all pixels, a row of windows at a time."""
    filters, line, taps = winners.filters, winners.columns * winners.filters, winners.taps.size
    area, size = x.padded_height * x.padded_width * x.channels, x.height * x.width * x.channels
    patch_size = patch.rows.size
    for k in range(block * patch_size * filters, (block + 1) * patch_size * filters):
        sums.weight[k] = 0.0
    total = sums.bias[block * line : (block + 1) * line]
    for k in range(line):
        total[k] = 0.0
    for n in range(block * x.images // sums.parts, (block + 1) * x.images // sums.parts):
        source, at = x.array, n * size
        if x.needs_padding:
            source, at = x.padded, worker * area
            pad_image(x, n, worker)
        for i in range(winners.rows):
            first = (n * winners.rows + i) * line
            argmax, out = winners.argmax[first : first + line], winners.y[first : first + line]
            grad = winners.grad_y[first : first + line]
            for tap in range(taps):
                begin = (worker * taps + tap) * line
                tap_grads = grads.array[begin : begin + line]
                for k in range(line):
                    tap_grads[k] = grad[k] if argmax[k] == tap and not (winners.relu and out[k] <= 0.0) else 0.0
                    total[k] += tap_grads[k]
            for k in range(0, filters, grads.columns):
                tile(
                    A(source, at + winners.start + i * winners.down, patch.rows, winners.taps, winners.across),
                    B(grads.array, worker * taps * line + k, grads.starts, filters),
                    C(sums.weight, block * patch_size * filters + k, patch.filter_rows, 0),
                    Extent(patch_size, min(grads.columns, filters - k), taps, winners.columns),
                    ADD,
                    no_epilogue(sums.weight),
                )


# the pass -------------------------------------------------------------------------------------------------------------


@cache
def _patch(shape: ConvShape) -> tuple[Indices, int, tuple[int, int]]:
    """Return (the offsets of the rows of a patch in a padded image, elements of a row, the padded image's size)."""
    height, width = shape.image
    if shape.padded:
        height = max(shape.span[0], shape.padding[0] + height)
        width = max(shape.span[1], shape.padding[2] + width)
    (rows, columns), (down, across) = shape.kernel, shape.dilation
    offsets = [(r * down * width + s * across) * shape.channels for r in range(rows) for s in range(columns)]
    if across == 1 and shape.groups == 1:
        return np.array(offsets[::columns]), columns * shape.depth, (height, width)
    return np.array(offsets), shape.depth, (height, width)


def backward(
    x: Array, weight: Array, pooled: PooledOutput, gradients: Gradients, shape: ConvShape, pooling: Pooling
) -> None:
    """Launch all gradients of a pooled convolution."""
    rows, width, padded_size = _patch(shape)
    patch = Patch(rows, np.arange(len(rows)) * width, width)
    want_x = gradients.x is not None
    parts = min(len(x), MAX_BATCH_PARTS) if shape.flops(len(x)) > MIN_SHARED_FLOPS else 1
    area = prod(padded_size) * shape.channels if shape.padded else 0
    padded = scratch(scratch_workers() * area, dtype=x.dtype)
    origin = (-shape.padding[0], -shape.padding[2])
    images = PaddedImages(
        x.reshape(-1), len(x), *shape.image, shape.channels, shape.padded, padded, *padded_size, *origin
    )
    winners = _winners(pooled, shape, pooling, padded_size[1])
    small_patch = weight.size // shape.filters <= DENSE_MAX_PATCH
    if not want_x and shape.groups == 1 and small_patch and _all_inside(pooled.y.shape[1:3], shape, pooling):
        _launch_dense(images, patch, winners, gradients, parts)
    else:
        _launch_sparse(images, patch, winners, gradients, weight, shape, pooling, parts)


def _winners(pooled: PooledOutput, shape: ConvShape, pooling: Pooling, pitch: int) -> Winners:
    """Return the pooled output as an operand; pitch: pixels from one row of a padded image to the next."""
    down, across = shape.stride[0] * pitch * shape.channels, shape.stride[1] * shape.channels
    taps = [
        r * pooling.dilation[0] * down + s * pooling.dilation[1] * across
        for r in range(pooling.kernel[0])
        for s in range(pooling.kernel[1])
    ]
    start = -pooling.padding[0] * down - pooling.padding[2] * across
    _, rows, columns, filters = pooled.y.shape
    arrays = pooled.y.reshape(-1), pooled.argmax.reshape(-1), pooled.grad_y.reshape(-1)
    return Winners(
        *(*arrays, rows, columns, filters),
        relu=pooled.relu,
        start=start,
        down=pooling.stride[0] * down,
        across=pooling.stride[1] * across,
        taps=np.array(taps),
    )


def _all_inside(output: tuple[int, ...], shape: ConvShape, pooling: Pooling) -> bool:
    """Tell whether every pooling window lies inside the convolution's output."""
    sizes = zip(output, pooling.stride, pooling.kernel, pooling.dilation)
    ends = [(rows - 1) * step + (k - 1) * gap + 1 for rows, step, k, gap in sizes]
    return not any(pooling.padding) and all(end <= size for end, size in zip(ends, shape.output))


def _launch_dense(images: PaddedImages, patch: Patch, winners: Winners, gradients: Gradients, parts: int) -> None:
    """Launch the sums over all pixels: for small patches."""
    dtype, filters, line = images.array.dtype, winners.filters, winners.columns * winners.filters
    rows = (patch.rows[:, None] + np.arange(patch.width)).reshape(-1)
    whole = Patch(rows, np.arange(len(rows)) * filters, 1)  # element by element
    weights = scratch(parts, len(rows) * filters, dtype=dtype)
    biases = scratch(parts * winners.columns, filters, dtype=dtype)
    nothing = images.array[:0]
    sums = PartialSums(weights.reshape(-1), biases.reshape(-1), parts, True, nothing, nothing, False)
    taps = len(winners.taps)
    memory = scratch(scratch_workers() * taps * line, dtype=dtype)
    grads = TapGradients(memory, np.arange(taps) * line, vector_unit().tile_columns(dtype))
    launch(sum_all_pixels, parts, images, whole, winners, grads, sums)
    for total, gradient in ((weights, gradients.weight), (biases, gradients.bias)):
        if gradient is not None:
            add_up(total, gradient.reshape(-1))


def _launch_sparse(
    images: PaddedImages,
    patch: Patch,
    winners: Winners,
    gradients: Gradients,
    weight: Array,
    shape: ConvShape,
    pooling: Pooling,
    parts: int,
) -> None:
    """Launch the visits to the winners."""
    dtype, filters, patch_size = weight.dtype, shape.filters, weight.size // shape.filters
    want_x, want_weight = gradients.x is not None, gradients.weight is not None
    row_bytes = images.padded_width * shape.channels * weight.itemsize * pooling.stride[0] * shape.stride[0]
    strip_rows = max(1, min(winners.rows, cache_size(1) // 2 // max(1, row_bytes)))
    spacing = min(winners.columns, ceil(shape.window[1] / (pooling.stride[1] * shape.stride[1]))) if want_x else 1
    transposed = scratch(filters, patch_size, dtype=dtype)
    if want_x:
        sum_transposed(weight.reshape(1, patch_size, -1), transposed)
    weights, biases = scratch(parts, filters, patch_size, dtype=dtype), scratch(parts, filters, 1, dtype=dtype)
    list_size = scratch_workers() * (strip_rows * winners.columns + 1)
    padded = scratch(images.padded.size if want_x else 0, dtype=dtype)
    grad_x = images.array[:0] if gradients.x is None else gradients.x.reshape(-1)
    sums = PartialSums(weights.reshape(-1), biases.reshape(-1), parts, want_weight, grad_x, padded, want_x)
    lists = WinnerLists(scratch(list_size, dtype=np.int64), scratch(list_size, dtype=dtype), strip_rows, spacing)
    operand = TransposedFilters(
        transposed.reshape(-1), shape.groups, shape.depth, 2 * vector_unit().tile_columns(dtype)
    )
    launch(visit_winners, parts, images, patch, winners, operand, sums, lists)
    if gradients.weight is not None:
        sum_transposed(weights, gradients.weight.reshape(patch_size, -1))
    if gradients.bias is not None:
        sum_transposed(biases.reshape(parts, 1, -1), gradients.bias.reshape(-1, 1))
