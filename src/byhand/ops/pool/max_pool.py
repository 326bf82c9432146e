"""max_pool: each window of the image becomes its largest pixel, channel by channel.

    y[n, i, j, c] = max over r, s of  x[n, i*stride - top + r*dilation, j*stride - left + s*dilation, c]

Padding is never the maximum. `argmax` keeps the winner's position in its window, r * S + s, for backward: grad_y goes to the
winner. Of equal pixels the first in reading order wins, as in PyTorch and ONNX; of several NaNs the last, as in PyTorch.
(`byhand.tutorial` gives the gradient to every equal pixel, as its article does.)

Source: Weng, Ahuja & Huang 1992 (Cresceptron).
"""

from math import gcd, prod

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.kernels.pool_operands import Numbering, Row, Window
from byhand.kernels.pool_rows import (
    gather_by_argmax,
    gather_by_argmax_scalar,
    scatter_by_argmax,
    tail_pixels,
    window_max,
    window_max_scalar,
)
from byhand.ops.op import Call, Op
from byhand.ops.pool.window_range import PoolShape, interior_windows, visible_positions, windows_on, windows_over
from byhand.ops.samples import image_and_window
from byhand.ops.windows import pad, unpad, window_views
from byhand.shapes import axes, window

POOL_BLOCK_ELEMENTS = 32768  # of the image in a block of a pooling kernel: a few microseconds of work


def contract(x, *, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False):
    """Keep the largest pixel of every window: x (N, H, W, C) -> y (N, H', W', C).

    stride: pixels, by default the kernel's; ceil_mode: a last window may extend beyond the padding. Raises ShapeError where the
    window is larger than the image. NaN is larger than any number.

    >>> import byhand as bh, numpy as np
    >>> bh.max_pool(np.array([1.0, 5, 2, 3]).reshape(1, 2, 2, 1), kernel=2).ravel()
    array([5.])
    """
    axes("x", x, "N, H, W, C")
    view = window(x[1:3], kernel, kernel if stride is None else stride, padding, dilation, ceil_mode=ceil_mode)
    y = (x[0], *view.output, x[3])
    attributes = {"kernel": view.kernel, "stride": view.stride, "padding": view.padding, "dilation": view.dilation}
    return Call({"y": y, "argmax": y}, attributes, flops=prod(y) * prod(view.kernel), window=view)


def max_pool_loops(x, y, argmax, *, kernel, stride, padding, dilation):
    _, height, width, _ = x.shape
    for n, i, j, c in np.ndindex(y.shape):
        best, place = -np.inf, -1
        for r, s in np.ndindex(kernel):
            p = i * stride[0] - padding[0] + r * dilation[0]
            q = j * stride[1] - padding[2] + s * dilation[1]
            if 0 <= p < height and 0 <= q < width:
                value = x[n, p, q, c]
                if place < 0 or value > best or np.isnan(value):
                    best, place = value, r * kernel[1] + s
        y[n, i, j, c], argmax[n, i, j, c] = best, place


def max_pool_backward_loops(argmax, grad_y, grad_x, *, kernel, stride, padding, dilation):
    grad_x[...] = 0
    for n, i, j, c in np.ndindex(grad_y.shape):
        if argmax[n, i, j, c] >= 0:  # a window wholly in the padding has no winner
            r, s = divmod(argmax[n, i, j, c], kernel[1])
            p = i * stride[0] - padding[0] + r * dilation[0]
            q = j * stride[1] - padding[2] + s * dilation[1]
            grad_x[n, p, q, c] += grad_y[n, i, j, c]


def max_pool_arrays(x, y, argmax, *, kernel, stride, padding, dilation):
    view = {"kernel": kernel, "stride": stride, "dilation": dilation}
    padded = pad(x, y, padding=padding, value=-np.inf, **view)
    real = pad(np.ones((1, *x.shape[1:3], 1), bool), y, padding=padding, value=False, **view)
    y[...], argmax[...] = -np.inf, -1
    for ((r, s), pixels), (_, exists) in zip(window_views(padded, y, **view), window_views(real, y, **view)):
        wins = exists & ((argmax < 0) | (pixels > y) | np.isnan(pixels))
        np.copyto(y, pixels, where=wins)
        np.copyto(argmax, r * kernel[1] + s, where=wins)


def max_pool_backward_arrays(argmax, grad_y, grad_x, *, kernel, stride, padding, dilation):
    padded = pad(np.zeros_like(grad_x), grad_y, kernel, stride, padding, dilation)
    for (r, s), pixels in window_views(padded, grad_y, kernel, stride, dilation):
        pixels += np.where(argmax == r * kernel[1] + s, grad_y, 0)
    grad_x[...] = unpad(padded, grad_x, padding)


@kernel
def max_pool_rows(x, y, argmax, shape, rows, block):
    size, out, places, stride, padding, dilation = shape
    _, height, width, channels = size
    images, below, beside, _ = out
    row, last_row = block * rows, min((block + 1) * rows, images * below)
    step, line, pixel = stride[1] * channels, dilation[0] * width * channels, dilation[1] * channels
    near, far = interior_windows(padding[2], stride[1], (places[1] - 1) * dilation[1], width, beside)
    n, i = row // below, row % below
    while row < last_row:
        p, j = i * stride[0] - padding[0], 0
        r, down = visible_positions(p, dilation[0], places[0], height)
        while j < beside:
            q = j * stride[1] - padding[2]
            s, across = visible_positions(q, dilation[1], places[1], width)
            to = (row * beside + j) * channels
            count = max(1, far - near) if j == near else 1
            j += count
            if down == 0 or across == 0:  # a window wholly in the padding has no winner
                for c in range(count * channels):
                    y[to + c], argmax[to + c] = -np.inf, -1
                continue
            at, place = ((n * height + p + r * dilation[0]) * width + q + s * dilation[1]) * channels, r * places[1] + s
            last, final = (
                at + (count - 1) * step + (down - 1) * line + (across - 1) * pixel,
                to + (count - 1) * channels,
            )
            left = min(count, tail_pixels(x.size, last, final, last_row * beside * channels, x.itemsize, channels))
            window, numbering = Window(down, across, line, pixel), Numbering(place, places[1], 1)
            window_max(x, Row(at, step, count - left, to, channels), window, numbering, y, argmax)
            if left > 0:
                at, to = at + (count - left) * step, to + (count - left) * channels
                window_max_scalar(x, Row(at, step, left, to, channels), window, numbering, y, argmax)
        row += 1
        n, i = (n, i + 1) if i + 1 < below else (n + 1, 0)


@kernel
def max_pool_backward_rows(argmax, grad_y, grad_x, shape, step, rows, block):
    """Write each pixel of grad_x once, from the windows that see it, which lie `step` apart."""
    size, out, places, stride, padding, dilation = shape
    images, height, width, channels = size
    _, below, beside, _ = out
    row, last_row = block * rows, min((block + 1) * rows, images * height)
    end_row = last_row * width * channels
    line, pixel = step[0] * beside * channels, step[1] * channels
    upward, leftward = -(step[0] * stride[0] // dilation[0]) * places[1], -(step[1] * stride[1] // dilation[1])
    near, far = 0, 0
    if stride[1] == places[1] and dilation[1] == 1:  # side by side: they share no pixel
        near, far = interior_windows(padding[2], stride[1], places[1] - 1, width, beside)
    start = near * stride[1] if far > near else -1
    n, p, top, bottom = row // height, row % height + padding[0], 0, 0
    while row < last_row:
        top, bottom = windows_over(p, places[0], stride[0], dilation[0], below, top, bottom)
        i, down = windows_on(top, bottom, p, stride[0], dilation[0], step[0])
        first, end, q = 0, 0, padding[2]
        while q < width + padding[2]:
            first, end = windows_over(q, places[1], stride[1], dilation[1], beside, first, end)
            j, across = windows_on(first, end, q, stride[1], dilation[1], step[1])
            to, at, place, last = (row * width + q - padding[2]) * channels, 0, 0, 0
            if down > 0 and across > 0:
                at = ((n * below + i) * beside + j) * channels
                last = at + (down - 1) * line + (across - 1) * pixel
                place = divide(p - i * stride[0], dilation[0]) * places[1] + divide(q - j * stride[1], dilation[1])
                if q == start and down == 1:
                    last, final = at + (far - near - 1) * channels, to + ((far - near) * stride[1] - 1) * channels
                    count = far - near - tail_pixels(grad_y.size, last, final, end_row, grad_y.itemsize, channels)
                    if count > 0:
                        scatter_by_argmax(
                            grad_y, argmax, Row(at, channels, count, to, channels), places[1], place, grad_x
                        )
                        q += count * stride[1]
                        continue
            windows, numbering = Window(down, across, line, pixel), Numbering(place, upward, leftward)
            if tail_pixels(grad_y.size, last, to, end_row, grad_y.itemsize, channels):
                gather_by_argmax_scalar(grad_y, argmax, Row(at, 0, 1, to, channels), windows, numbering, grad_x)
            else:
                gather_by_argmax(grad_y, argmax, Row(at, 0, 1, to, channels), windows, numbering, grad_x)
            q += 1
        row, p = row + 1, p + 1
        if p == height + padding[0]:
            n, p, top, bottom = n + 1, padding[0], 0, 0


def divide(distance, apart):
    """Return distance / apart, without the division where apart is 1."""
    return distance if apart == 1 else distance // apart


@compiled
def max_pool_compiled(x, y, argmax, *, kernel, stride, padding, dilation):
    rows = max(1, POOL_BLOCK_ELEMENTS // (stride[0] * prod(x.shape[2:])))
    shape = PoolShape(x.shape, y.shape, kernel, stride, padding, dilation)
    launch(max_pool_rows, cdiv(prod(y.shape[:2]), rows), x.reshape(-1), y.reshape(-1), argmax.reshape(-1), shape, rows)


@compiled
def max_pool_backward_compiled(argmax, grad_y, grad_x, *, kernel, stride, padding, dilation):
    rows = max(1, POOL_BLOCK_ELEMENTS // prod(grad_x.shape[2:]))
    step = tuple(apart // gcd(apart, move) for apart, move in zip(dilation, stride))
    arrays = argmax.reshape(-1), grad_y.reshape(-1), grad_x.reshape(-1)
    shape = PoolShape(grad_x.shape, grad_y.shape, kernel, stride, padding, dilation)
    launch(max_pool_backward_rows, cdiv(prod(grad_x.shape[:2]), rows), *arrays, shape, step, rows)


def sample(draw):
    """Draw a legal call."""
    x, attributes = image_and_window(draw)
    dilation = draw.integer(1, 2)
    if min(x.shape[1:3]) >= max(attributes["kernel"]) * dilation:
        attributes["dilation"] = dilation
    return (x,), attributes


max_pool = Op(
    "max_pool",
    contract,
    loops=(max_pool_loops, max_pool_backward_loops),
    arrays=(max_pool_arrays, max_pool_backward_arrays),
    compiled=(max_pool_compiled, max_pool_backward_compiled),
    sample=sample,
    dtypes={"argmax": np.int32},
)
