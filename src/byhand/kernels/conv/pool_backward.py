"""Backward through a convolution that was pooled: only the pixels that won a window have a gradient.

Of a 2x2 window one pixel in four won, and with a ReLU only where it is positive. So each filter's winners are listed, position
and gradient; each adds its gradient times the patch of the image that it saw to the filter's gradient, and its gradient times
the filter to that patch of the image's gradient. A dense convolution would multiply the zeros too.
"""

from __future__ import annotations

from functools import cache
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from byhand.kernels.conv.plan import MIN_SHARED_FLOPS
from byhand.kernels.conv.problem import ConvShape
from byhand.kernels.conv.weights_plan import MAX_BATCH_PARTS, MAX_PARTIAL_BYTES
from byhand.kernels.microkernel.microkernel import no_epilogue, scatter, tile, tile_of_list
from byhand.kernels.microkernel.operands import ADD, A, B, C, Extent
from byhand.kernels.reductions import add_up, sum_transposed
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.kernels.runtime.kernel import kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import workers
from byhand.kernels.runtime.types import Array, Indices

# Numbers of a patch up to which all pixels are summed: listing a winner is more work than multiplying so many by 0.
DENSE_MAX_PATCH = 16


class Pooling(NamedTuple):
    """The attributes of a max_pool."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]


class PooledOutput(NamedTuple):
    """What a pooled convolution wrote, (N, rows, columns, K): y, argmax, and the gradient of y; relu: y is that of a ReLU."""

    y: Array
    argmax: Array
    grad_y: Array
    relu: bool


class Gradients(NamedTuple):
    """The gradients to write; None: nobody wants one."""

    x: Array | None
    weight: Array | None
    bias: Array | None


def applies(shape: ConvShape, itemsize: int) -> bool:
    """Tell whether the filters are few enough for each part of the batch to have a sum of its own."""
    return shape.weights * itemsize <= MAX_PARTIAL_BYTES // MAX_BATCH_PARTS


# operands of the kernels ----------------------------------------------------------------------------------------------


class PaddedImages(NamedTuple):
    """Images (N, height, width, channels), flat; where windows see beyond the edge, each is copied into a frame of zeros.

    frames: memory for a frame for each worker; top, left: the first pixel of a frame, in pixels of the image.
    """

    array: Array
    images: int
    height: int
    width: int
    channels: int
    padded: bool
    frames: Array
    frame_height: int
    frame_width: int
    top: int
    left: int


class Patch(NamedTuple):
    """What a filter sees: where its rows lie in a frame and in the filter, and how many numbers each has."""

    rows: Indices
    filter_rows: Indices
    width: int


class Winners(NamedTuple):
    """The pooled output, flat, and where the patch of a winner lies: start + i * down + j * across + taps[argmax]."""

    y: Array
    argmax: Array
    grad_y: Array
    rows: int
    columns: int
    filters: int
    relu: bool
    start: int
    down: int
    across: int
    taps: Indices


class TransposedFilters(NamedTuple):
    """The filters, one after the other, in groups; columns: of a tile."""

    array: Array
    groups: int
    depth: int
    columns: int


class PartialSums(NamedTuple):
    """Sums over parts of the batch, (parts, K, patch) and (parts, K); images: the gradient of the images, flat, and frames."""

    weight: Array
    bias: Array
    parts: int
    want_weight: bool
    images: Array
    frames: Array
    want_images: bool


class WinnerLists(NamedTuple):
    """Memory for a list of winners for each worker, of `strip` rows of windows: positions and gradients.

    Every `apart`-th window is listed first, then the next ones.
    """

    positions: Indices
    values: Array
    strip: int
    apart: int


class TapGradients(NamedTuple):
    """Memory for each worker: the gradients of a row of windows, laid out by who won; where those of each tap begin."""

    array: Array
    starts: Indices
    columns: int  # of a tile


def pad_image(x, n, worker):
    """Copy image n into a worker's frame, with 0 beyond its edges."""
    line = x.frame_width * x.channels
    first = min(max(0, -x.left), x.frame_width) * x.channels
    last = max(0, min(x.frame_width, x.width - x.left)) * x.channels
    for i in range(x.frame_height):
        at, p = (worker * x.frame_height + i) * line, x.top + i
        row = x.frames[at : at + line]
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
    """Take a part of the batch, a strip of windows at a time, through each filter's list of winners."""
    numbers, count = patch.rows.size * patch.width, winners.filters
    area, size = x.frame_height * x.frame_width * x.channels, x.height * x.width * x.channels
    list_at = worker * (lists.strip * winners.columns + 1)
    for k in range(block * count * numbers, (block + 1) * count * numbers):
        sums.weight[k] = 0.0
    for k in range(block * count, (block + 1) * count):
        sums.bias[k] = 0.0
    for n in range(block * x.images // sums.parts, (block + 1) * x.images // sums.parts):
        source, at, target, into = x.array, n * size, sums.images, n * size
        if x.padded:
            source, at, target, into = x.frames, worker * area, sums.frames, worker * area
            pad_image(x, n, worker)
        if sums.want_images:
            zeroed = target[into : into + area]
            for k in range(zeroed.size):
                zeroed[k] = 0.0
        for first in range(0, winners.rows, lists.strip):
            for k in range(count):
                found = list_winners(winners, sums.bias, lists, list_at, n, first, block * count + k)
                group = k // (count // filters.groups) * filters.depth
                positions, values = lists.positions[list_at : list_at + found], lists.values[list_at : list_at + found]
                for c in range(0, patch.width, filters.columns):
                    width, filter_at = min(filters.columns, patch.width - c), k * numbers + c
                    if sums.want_weight:
                        tile_of_list(
                            A(source, at + group + c, patch.rows, positions, 1),
                            B(values, 0, positions, 1),
                            C(sums.weight, block * count * numbers + filter_at, patch.filter_rows, 0),
                            Extent(patch.rows.size, width, found, 1),
                            ADD,
                            no_epilogue(sums.weight),
                        )
                    if sums.want_images:
                        scatter(
                            C(filters.array, filter_at, patch.filter_rows, 0),
                            positions,
                            values,
                            C(target, into + group + c, patch.rows, 0),
                            patch.rows.size,
                            width,
                        )
        if sums.want_images and x.padded:
            unpad_image(x, n, sums.images, target, into)


def list_winners(winners, bias, lists, list_at, n, first, sum_at):
    """List a filter's winners in a strip of windows of image n; add their gradients to bias[sum_at]; return how many."""
    k, found, total = sum_at % winners.filters, 0, bias[sum_at]
    for phase in range(lists.apart):  # neighbours far apart: a patch just written is slow to read
        for i in range(first, min(first + lists.strip, winners.rows)):
            for j in range(phase, winners.columns, lists.apart):
                at = ((n * winners.rows + i) * winners.columns + j) * winners.filters + k
                won, value = winners.argmax[at], winners.grad_y[at]
                lists.positions[list_at + found] = (
                    winners.start + i * winners.down + j * winners.across + winners.taps[won]
                )
                lists.values[list_at + found] = value
                if won >= 0 and not (winners.relu and winners.y[at] <= 0.0):
                    found += 1
                    total += value
    bias[sum_at] = total
    return found


def unpad_image(x, n, image, frame, start):
    """Copy what lies inside a frame to image n."""
    for p in range(x.height):
        begin = start + ((p - x.top) * x.frame_width - x.left) * x.channels
        row = (n * x.height + p) * x.width * x.channels
        wrote, seen = image[row : row + x.width * x.channels], frame[begin : begin + x.width * x.channels]
        for k in range(wrote.size):
            wrote[k] = seen[k]


@kernel
def sum_all_pixels(x, patch, winners, grads, sums, block, worker):
    """Take a part of the batch, a row of windows at a time: its gradients, laid out by who won, are summed as they are."""
    filters, line, taps = winners.filters, winners.columns * winners.filters, winners.taps.size
    area, size, numbers = x.frame_height * x.frame_width * x.channels, x.height * x.width * x.channels, patch.rows.size
    for k in range(block * numbers * filters, (block + 1) * numbers * filters):
        sums.weight[k] = 0.0
    total = sums.bias[block * line : (block + 1) * line]
    for k in range(line):
        total[k] = 0.0
    for n in range(block * x.images // sums.parts, (block + 1) * x.images // sums.parts):
        source, at = x.array, n * size
        if x.padded:
            source, at = x.frames, worker * area
            pad_image(x, n, worker)
        for i in range(winners.rows):
            first = (n * winners.rows + i) * line
            won, out = winners.argmax[first : first + line], winners.y[first : first + line]
            grad = winners.grad_y[first : first + line]
            for tap in range(taps):
                begin = (worker * taps + tap) * line
                alive = grads.array[begin : begin + line]
                for k in range(line):
                    alive[k] = grad[k] if won[k] == tap and not (winners.relu and out[k] <= 0.0) else 0.0
                    total[k] += alive[k]
            for k in range(0, filters, grads.columns):
                tile(
                    A(source, at + winners.start + i * winners.down, patch.rows, winners.taps, winners.across),
                    B(grads.array, worker * taps * line + k, grads.starts, filters),
                    C(sums.weight, block * numbers * filters + k, patch.filter_rows, 0),
                    Extent(numbers, min(grads.columns, filters - k), taps, winners.columns),
                    ADD,
                    no_epilogue(sums.weight),
                )


# the pass -------------------------------------------------------------------------------------------------------------


@cache
def _patch(shape: ConvShape) -> tuple[Indices, int, tuple[int, int]]:
    """Return where the rows of a patch lie in the frame, how many numbers each has, and the frame's size."""
    height, width = shape.image
    if shape.padded:
        height = max(shape.span[0], shape.padding[0] + height)
        width = max(shape.span[1], shape.padding[2] + width)
    (rows, columns), (down, across) = shape.kernel, shape.dilation
    places = [(r * down * width + s * across) * shape.channels for r in range(rows) for s in range(columns)]
    if across == 1 and shape.groups == 1:
        return np.array(places[::columns]), columns * shape.depth, (height, width)
    return np.array(places), shape.depth, (height, width)


def backward(
    x: Array, weight: Array, pooled: PooledOutput, gradients: Gradients, shape: ConvShape, pooling: Pooling
) -> None:
    """Launch all gradients of a pooled convolution."""
    rows, width, frame = _patch(shape)
    patch = Patch(rows, np.arange(len(rows)) * width, width)
    want_x = gradients.x is not None
    parts = min(len(x), MAX_BATCH_PARTS) if shape.flops(len(x)) > MIN_SHARED_FLOPS else 1
    area = prod(frame) * shape.channels if shape.padded else 0
    frames = scratch(workers() * area, dtype=x.dtype)
    origin = (-shape.padding[0], -shape.padding[2])
    images = PaddedImages(x.reshape(-1), len(x), *shape.image, shape.channels, shape.padded, frames, *frame, *origin)
    winners = _winners(pooled, shape, pooling, frame[1])
    small_patch = weight.size // shape.filters <= DENSE_MAX_PATCH
    if not want_x and shape.groups == 1 and small_patch and _all_inside(pooled.y.shape[1:3], shape, pooling):
        _launch_dense(images, patch, winners, gradients, parts)
    else:
        _launch_sparse(images, patch, winners, gradients, weight, shape, pooling, parts)


def _winners(pooled: PooledOutput, shape: ConvShape, pooling: Pooling, pitch: int) -> Winners:
    """Return the pooled output as kernels take it; pitch: pixels from one row of a frame to the next."""
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
    """Tell whether every window lies inside of what was pooled."""
    sizes = zip(output, pooling.stride, pooling.kernel, pooling.dilation)
    ends = [(rows - 1) * step + (k - 1) * gap + 1 for rows, step, k, gap in sizes]
    return not any(pooling.padding) and all(end <= size for end, size in zip(ends, shape.output))


def _launch_dense(images: PaddedImages, patch: Patch, winners: Winners, gradients: Gradients, parts: int) -> None:
    """Launch the sums over all pixels: for filters of few numbers."""
    dtype, filters, line = images.array.dtype, winners.filters, winners.columns * winners.filters
    rows = (patch.rows[:, None] + np.arange(patch.width)).reshape(-1)
    whole = Patch(rows, np.arange(len(rows)) * filters, 1)  # number by number
    weights = scratch(parts, len(rows) * filters, dtype=dtype)
    biases = scratch(parts * winners.columns, filters, dtype=dtype)
    nothing = images.array[:0]
    sums = PartialSums(weights.reshape(-1), biases.reshape(-1), parts, True, nothing, nothing, False)
    taps = len(winners.taps)
    memory = scratch(workers() * taps * line, dtype=dtype)
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
    """Launch the visits of the winners."""
    dtype, filters, numbers = weight.dtype, shape.filters, weight.size // shape.filters
    want_x, want_weight = gradients.x is not None, gradients.weight is not None
    row_bytes = images.frame_width * shape.channels * weight.itemsize * pooling.stride[0] * shape.stride[0]
    strip = max(1, min(winners.rows, cache_size(1) // 2 // max(1, row_bytes)))
    apart = min(winners.columns, ceil(shape.window[1] / (pooling.stride[1] * shape.stride[1]))) if want_x else 1
    turned = scratch(filters, numbers, dtype=dtype)
    if want_x:
        sum_transposed(weight.reshape(1, numbers, -1), turned)
    weights, biases = scratch(parts, filters, numbers, dtype=dtype), scratch(parts, filters, 1, dtype=dtype)
    room = workers() * (strip * winners.columns + 1)
    frames = scratch(images.frames.size if want_x else 0, dtype=dtype)
    grad_x = images.array[:0] if gradients.x is None else gradients.x.reshape(-1)
    sums = PartialSums(weights.reshape(-1), biases.reshape(-1), parts, want_weight, grad_x, frames, want_x)
    lists = WinnerLists(scratch(room, dtype=np.int64), scratch(room, dtype=dtype), strip, apart)
    view = TransposedFilters(turned.reshape(-1), shape.groups, shape.depth, 2 * vector_unit().tile_columns(dtype))
    launch(visit_winners, parts, images, patch, winners, view, sums, lists)
    if gradients.weight is not None:
        sum_transposed(weights, gradients.weight.reshape(numbers, -1))
    if gradients.bias is not None:
        sum_transposed(biases.reshape(parts, 1, -1), gradients.bias.reshape(-1, 1))
