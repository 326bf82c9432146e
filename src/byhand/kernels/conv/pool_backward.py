"""Backward through a convolution that was pooled: only the pixels that won a window have a gradient.

Of a 2x2 window one pixel in four won, and with a ReLU only where it is positive. So each filter's winners are listed, place and
gradient, and each adds its gradient times the patch of the image that it saw to the filter's gradient, and its gradient times
the filter to that patch of the image's gradient. A dense convolution would multiply the zeros too.
"""

from __future__ import annotations

from functools import cache
from math import ceil, prod
from typing import Any

import numpy as np

from byhand.kernels.conv.plan import LANES, SUMS, ConvShape
from byhand.kernels.microkernel.microkernel import ADD, scatter, tile, tile_of_list
from byhand.kernels.reductions import add_up, turn
from byhand.kernels.runtime.cpu import cache_size, host
from byhand.kernels.runtime.kernel import kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import workers

FEW = 16  # numbers of a patch: listing a winner is more work than multiplying them by 0


def suits(view: ConvShape, item: int) -> bool:
    """Tell whether the filters are few enough for each lane to have a sum of its own."""
    return prod(view.kernel) * view.depth * view.filters * item <= SUMS // LANES


@cache
def _plan(view: ConvShape) -> tuple[Any, int, tuple[int, int]]:
    """Return where the rows of a patch lie in the frame, how many numbers each has, and the frame's size."""
    height, width = view.image
    if view.framed:
        height = max(view.needs[0], view.padding[0] + height)
        width = max(view.needs[1], view.padding[2] + width)
    (rows, columns), (down, across) = view.kernel, view.dilation
    places = [(r * down * width + s * across) * view.channels for r in range(rows) for s in range(columns)]
    if across == 1 and view.groups == 1:
        return np.array(places[::columns]), columns * view.depth, (height, width)
    return np.array(places), view.depth, (height, width)


@cache
def _places(view: ConvShape, pitch: int, window: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, Any, Any]:
    """Return where, in the frame, the patch of the first window's first pixel begins; steps to the next; and by `where`."""
    down, across = view.stride[0] * pitch * view.channels, view.stride[1] * view.channels
    taps = [r * dilation[0] * down + s * dilation[1] * across for r in range(window[0]) for s in range(window[1])]
    return -padding[0] * down - padding[2] * across, (stride[0] * down, stride[1] * across), np.array(taps)


def fill_frame(frame, start, height, width, image, place, rows, columns, channels, top, left):
    """Copy what a window of `height` x `width` at (top, left) sees of an image into a frame; 0 beyond the image's edge."""
    first, last = min(max(0, -left), width) * channels, max(0, min(width, columns - left)) * channels
    for i in range(height):
        at, p = start + i * width * channels, top + i
        row = frame[at : at + width * channels]
        if p < 0 or p >= rows or first >= last:
            for k in range(row.size):
                row[k] = 0.0
            continue
        seen = place + (p * columns + left) * channels + first
        inside, after, pixels = row[first:last], row[last:], image[seen : seen + last - first]
        for k in range(first):
            row[k] = 0.0
        for k in range(inside.size):
            inside[k] = pixels[k]
        for k in range(after.size):
            after[k] = 0.0


@kernel
def pooled_lane(
    x, height, width, depth, frames, frame, framed, origin, a_rows, b_rows, wide, columns, turned, where, y, relu, grad_y,
    shape, taps, step, start, groups, strip, apart, grad_frames, places, values, sums, biases, grad_x, want_x,
    want_weight, lanes, images, block, worker,
):  # fmt: skip
    """Take a lane's images, a strip of windows at a time, through each filter's list of winners."""
    channels, filters, patch = depth * groups, shape[2], a_rows.size * wide
    area, size, list_at = frame[0] * frame[1] * channels, height * width * channels, worker * (strip * shape[1] + 1)
    for k in range(block * filters * patch, (block + 1) * filters * patch):
        sums[k] = 0.0
    for k in range(block * filters, (block + 1) * filters):
        biases[k] = 0.0
    for n in range(block * images // lanes, (block + 1) * images // lanes):
        source, at, target, into = x, n * size, grad_x, n * size
        if framed:
            source, at, target, into = frames, worker * area, grad_frames, worker * area
            fill_frame(frames, at, frame[0], frame[1], x, n * size, height, width, channels, origin[0], origin[1])
        if want_x:
            zeroed = target[into : into + area]
            for k in range(zeroed.size):
                zeroed[k] = 0.0
        for first in range(0, shape[0], strip):
            for k in range(filters):
                count, total = 0, biases[block * filters + k]
                for phase in range(apart):  # neighbours far apart: a patch just written is slow to read
                    for i in range(first, min(first + strip, shape[0])):
                        for j in range(phase, shape[1], apart):
                            at_y = ((n * shape[0] + i) * shape[1] + j) * filters + k
                            won, value = where[at_y], grad_y[at_y]
                            places[list_at + count] = start + i * step[0] + j * step[1] + taps[won]
                            values[list_at + count] = value
                            if won >= 0 and not (relu and y[at_y] <= 0.0):
                                count += 1
                                total += value
                biases[block * filters + k] = total
                group = k // (filters // groups) * depth
                for c in range(0, wide, columns):
                    some, filter_at = min(columns, wide - c), (block * filters + k) * patch + c
                    if want_weight:
                        tile_of_list(
                            source, at + group + c, a_rows, 0, a_rows.size, places, list_at, count, 1, 1, values, list_at,
                            places, 1, sums, filter_at, b_rows, some, ADD, sums, 0, 0, sums, sums,
                        )  # fmt: skip
                    if want_x:
                        scatter(
                            turned, k * patch + c, b_rows, 0, b_rows.size, places, list_at, count, values, list_at,
                            target, into + group + c, a_rows, some,
                        )  # fmt: skip
        if want_x and framed:
            for p in range(height):
                begin = into + ((p - origin[0]) * frame[1] - origin[1]) * channels
                row = n * size + p * width * channels
                wrote, seen = grad_x[row : row + width * channels], target[begin : begin + width * channels]
                for k in range(wrote.size):
                    wrote[k] = seen[k]


@kernel
def pooled_sums(
    x, height, width, channels, frames, frame, framed, origin, a_rows, where, y, relu, grad_y, shape, taps, step, start,
    b_segments, c_rows, columns, grads, sums, biases, lanes, images, block, worker,
):  # fmt: skip
    """Take a lane's images, a row of windows at a time: its gradients, laid out by who won, are summed over as they are."""
    filters, line = shape[2], shape[1] * shape[2]
    area, size, patch, room = frame[0] * frame[1] * channels, height * width * channels, a_rows.size, taps.size * line
    for k in range(block * patch * filters, (block + 1) * patch * filters):
        sums[k] = 0.0
    total = biases[block * line : (block + 1) * line]
    for k in range(line):
        total[k] = 0.0
    for n in range(block * images // lanes, (block + 1) * images // lanes):
        source, at = x, n * size
        if framed:
            source, at = frames, worker * area
            fill_frame(frames, at, frame[0], frame[1], x, n * size, height, width, channels, origin[0], origin[1])
        for i in range(shape[0]):
            first = (n * shape[0] + i) * line
            won, out, grad = where[first : first + line], y[first : first + line], grad_y[first : first + line]
            for tap in range(taps.size):
                begin = worker * room + tap * line
                alive = grads[begin : begin + line]
                for k in range(line):
                    alive[k] = grad[k] if won[k] == tap and not (relu and out[k] <= 0.0) else 0.0
                    total[k] += alive[k]
            for k in range(0, filters, columns):
                tile(
                    source, at + start + i * step[0], a_rows, 0, patch, taps, 0, taps.size, shape[1], step[1],
                    grads, worker * room + k, b_segments, filters, sums, block * patch * filters + k, c_rows,
                    min(columns, filters - k), ADD, sums, 0, 0, sums, sums,
                )  # fmt: skip


def backward(
    x: Any, weight: Any, y: Any, where: Any, grad_y: Any, grad_x: Any, grad_weight: Any, grad_bias: Any, view: ConvShape, relu: bool,
    window: Any, stride: Any, padding: Any, dilation: Any,
) -> None:  # fmt: skip
    """Write all gradients of a pooled convolution."""
    a_rows, wide, frame = _plan(view)
    shape, patch, dtype = y.shape[1:], weight.size // view.filters, x.dtype
    lanes = min(len(x), LANES) if view.flops(len(x)) > 2_000_000 else 1
    strip = max(
        1,
        min(shape[0], cache_size(1) // 2 // max(1, frame[1] * view.channels * x.itemsize * stride[0] * view.stride[0])),
    )
    apart = 1 if grad_x is None else min(shape[1], ceil(view.reach[1] / (stride[1] * view.stride[1])))
    start, steps, taps = _places(view, frame[1], window, stride, padding, dilation)
    area = prod(frame) * view.channels if view.framed else 0
    threads = workers()
    frames, origin = scratch(threads * area, dtype=dtype), (-view.padding[0], -view.padding[2])
    ends = [(rows - 1) * step + (k - 1) * gap + 1 for rows, step, k, gap in zip(shape, stride, window, dilation)]
    inside = not any(padding) and all(end <= size for end, size in zip(ends, view.output))  # of what was pooled
    if grad_x is None and view.groups == 1 and patch <= FEW and inside:
        line = shape[1] * view.filters
        sums, biases = scratch(lanes, weight.size, dtype=dtype), scratch(lanes * shape[1], view.filters, dtype=dtype)
        launch(
            pooled_sums, lanes,
            x.reshape(-1), *view.image, view.channels, frames, frame, view.framed, origin,
            (a_rows[:, None] + np.arange(wide)).reshape(-1), where.reshape(-1), y.reshape(-1), relu, grad_y.reshape(-1), shape,
            taps, steps, start, np.arange(len(taps)) * line, np.arange(patch) * view.filters, host().columns(dtype),
            scratch(threads * len(taps) * line, dtype=dtype), sums.reshape(-1), biases.reshape(-1), lanes, len(x),
        )  # fmt: skip
        for total, gradient in ((sums, grad_weight), (biases, grad_bias)):
            if gradient is not None:
                add_up(total, gradient.reshape(-1))
        return
    turned = scratch(view.filters, patch, dtype=dtype)
    if grad_x is not None:
        turn(weight.reshape(1, patch, -1), turned)
    sums, biases = scratch(lanes, view.filters, patch, dtype=dtype), scratch(lanes, view.filters, 1, dtype=dtype)
    room = threads * (strip * shape[1] + 1)
    launch(
        pooled_lane, lanes,
        x.reshape(-1), *view.image, view.depth, frames, frame, view.framed,
        origin, a_rows, np.arange(len(a_rows)) * wide, wide, 2 * host().columns(dtype),
        turned.reshape(-1), where.reshape(-1), y.reshape(-1), relu, grad_y.reshape(-1), shape, taps, steps, start,
        view.groups, strip, apart, scratch(threads * area if grad_x is not None else 0, dtype=dtype),
        scratch(room, dtype=np.int64), scratch(room, dtype=dtype), sums.reshape(-1), biases.reshape(-1),
        x.reshape(-1)[:0] if grad_x is None else grad_x.reshape(-1), grad_x is not None, grad_weight is not None, lanes, len(x),
    )  # fmt: skip
    if grad_weight is not None:
        turn(sums, grad_weight.reshape(patch, -1))
    if grad_bias is not None:
        turn(biases.reshape(lanes, 1, -1), grad_bias.reshape(-1, 1))
