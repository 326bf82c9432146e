"""max_pool: of every window of the image the largest pixel stays, channel by channel.

    y[n, i, j, c] = max over r, s of  x[n, i*stride - top + r*dilation, j*stride - left + s*dilation, c]

Padding never wins a maximum. The gradient goes to the first place, in reading order, that holds it, as in PyTorch and ONNX
(of several NaNs to the last, as in PyTorch);
`byhand.tutorial` gives it to every such place, because the article does.

Source: Weng, Ahuja & Huang 1992 (Cresceptron).
"""

from math import gcd, prod

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.kernels.pool_rows import (
    Numbering,
    Row,
    Window,
    gather_won,
    gather_won_scalar,
    scatter_won,
    tail_pixels,
    window_max,
    window_max_scalar,
)
from byhand.ops.op import Call, Op
from byhand.ops.windows import clear, every, framed, inside, over, taps, visible
from byhand.shapes import axes, window

GRAIN = 32768  # elements of the image in a block: a few microseconds

# max_pool: the winner's place in its window, r * S + s, is kept for backward in `argmax` -------------------------------


def max_contract(x, *, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False):
    """Keep the largest pixel of every window: x (N, H, W, C) -> y (N, H', W', C).

    stride: pixels, by default the kernel's; ceil_mode: a last window may hang over the edge. Raises ShapeError where the
    window is larger than the image. A NaN wins.

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
    frame = framed(x, y, padding=padding, value=-np.inf, **view)
    real = framed(np.ones((1, *x.shape[1:3], 1), bool), y, padding=padding, value=False, **view)
    y[...], argmax[...] = -np.inf, -1
    for ((r, s), seen), (_, exists) in zip(taps(frame, y, **view), taps(real, y, **view)):
        wins = exists & ((argmax < 0) | (seen > y) | np.isnan(seen))
        np.copyto(y, seen, where=wins)
        np.copyto(argmax, r * kernel[1] + s, where=wins)


def max_pool_backward_arrays(argmax, grad_y, grad_x, *, kernel, stride, padding, dilation):
    frame = framed(np.zeros_like(grad_x), grad_y, kernel, stride, padding, dilation)
    for (r, s), seen in taps(frame, grad_y, kernel, stride, dilation):
        seen += np.where(argmax == r * kernel[1] + s, grad_y, 0)
    grad_x[...] = inside(frame, grad_x, padding)


@kernel
def max_pool_rows(x, y, argmax, size, out, places, stride, padding, dilation, rows, block):
    _, height, width, channels = size
    images, below, beside, _ = out
    row, last_row = block * rows, min((block + 1) * rows, images * below)
    step, line, pixel = stride[1] * channels, dilation[0] * width * channels, dilation[1] * channels
    near, far = clear(padding[2], stride[1], (places[1] - 1) * dilation[1], width, beside)
    n, i = row // below, row % below
    while row < last_row:
        p, j = i * stride[0] - padding[0], 0
        r, down = visible(p, dilation[0], places[0], height)
        while j < beside:
            q = j * stride[1] - padding[2]
            s, across = visible(q, dilation[1], places[1], width)
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
            window_max(
                x,
                Row(at, step, count - left, to, channels),
                Window(down, across, line, pixel),
                Numbering(place, places[1], 1),
                y,
                argmax,
            )
            if left > 0:
                at, to = at + (count - left) * step, to + (count - left) * channels
                window_max_scalar(
                    x,
                    Row(at, step, left, to, channels),
                    Window(down, across, line, pixel),
                    Numbering(place, places[1], 1),
                    y,
                    argmax,
                )
        row += 1
        n, i = (n, i + 1) if i + 1 < below else (n + 1, 0)


@kernel
def max_pool_backward_rows(argmax, grad_y, grad_x, size, out, places, stride, padding, dilation, step, rows, block):
    """Write each pixel of grad_x once, from the windows that see it: `step` of them apart, more than 1 if dilated."""
    images, height, width, channels = size
    _, below, beside, _ = out
    row, last_row = block * rows, min((block + 1) * rows, images * height)
    end_row = last_row * width * channels
    line, pixel = step[0] * beside * channels, step[1] * channels
    upward, leftward = -(step[0] * stride[0] // dilation[0]) * places[1], -(step[1] * stride[1] // dilation[1])
    near, far = 0, 0
    if stride[1] == places[1] and dilation[1] == 1:  # side by side: they share no pixel
        near, far = clear(padding[2], stride[1], places[1] - 1, width, beside)
    start = near * stride[1] if far > near else -1
    n, p, top, bottom = row // height, row % height + padding[0], 0, 0
    while row < last_row:
        top, bottom = over(p, places[0], stride[0], dilation[0], below, top, bottom)
        i, down = every(top, bottom, p, stride[0], dilation[0], step[0])
        first, end, q = 0, 0, padding[2]
        while q < width + padding[2]:
            first, end = over(q, places[1], stride[1], dilation[1], beside, first, end)
            j, across = every(first, end, q, stride[1], dilation[1], step[1])
            to, at, place, last = (row * width + q - padding[2]) * channels, 0, 0, 0
            if down > 0 and across > 0:
                at = ((n * below + i) * beside + j) * channels
                last = at + (down - 1) * line + (across - 1) * pixel
                place = whole(p - i * stride[0], dilation[0]) * places[1] + whole(q - j * stride[1], dilation[1])
                if q == start and down == 1:
                    last, final = at + (far - near - 1) * channels, to + ((far - near) * stride[1] - 1) * channels
                    count = far - near - tail_pixels(grad_y.size, last, final, end_row, grad_y.itemsize, channels)
                    if count > 0:
                        scatter_won(grad_y, argmax, Row(at, channels, count, to, channels), places[1], place, grad_x)
                        q += count * stride[1]
                        continue
            if tail_pixels(grad_y.size, last, to, end_row, grad_y.itemsize, channels):
                gather_won_scalar(
                    grad_y,
                    argmax,
                    Row(at, 0, 1, to, channels),
                    Window(down, across, line, pixel),
                    Numbering(place, upward, leftward),
                    grad_x,
                )
            else:
                gather_won(
                    grad_y,
                    argmax,
                    Row(at, 0, 1, to, channels),
                    Window(down, across, line, pixel),
                    Numbering(place, upward, leftward),
                    grad_x,
                )
            q += 1
        row, p = row + 1, p + 1
        if p == height + padding[0]:
            n, p, top, bottom = n + 1, padding[0], 0, 0


def whole(distance, apart):
    """Return distance / apart, without a division where it can be."""
    return distance if apart == 1 else distance // apart


@compiled
def max_pool_compiled(x, y, argmax, *, kernel, stride, padding, dilation):
    rows = max(1, GRAIN // (stride[0] * prod(x.shape[2:])))
    launch(
        max_pool_rows, cdiv(prod(y.shape[:2]), rows), x.reshape(-1), y.reshape(-1), argmax.reshape(-1), x.shape, y.shape,
        kernel, stride, padding, dilation, rows,
    )  # fmt: skip


@compiled
def max_pool_backward_compiled(argmax, grad_y, grad_x, *, kernel, stride, padding, dilation):
    rows = max(1, GRAIN // prod(grad_x.shape[2:]))
    step = tuple(apart // gcd(apart, move) for apart, move in zip(dilation, stride))
    launch(
        max_pool_backward_rows, cdiv(prod(grad_x.shape[:2]), rows), argmax.reshape(-1), grad_y.reshape(-1),
        grad_x.reshape(-1), grad_x.shape, grad_y.shape, kernel, stride, padding, dilation, step, rows,
    )  # fmt: skip


def pool_sample(draw):
    """Draw an image and a window."""
    kernel = (draw.integer(1, 3), draw.integer(1, 3))
    padding = draw.choice(["valid", tuple(k // 2 for k in kernel), (kernel[0] // 2, 0, 0, kernel[1] // 2)])
    x = draw.array(draw.integer(1, 2), *(k + draw.integer(0, 4) for k in kernel), draw.integer(1, 3))
    attributes = {"kernel": kernel, "stride": (draw.integer(1, 3), draw.integer(1, 3)), "padding": padding}
    return x, attributes | {"ceil_mode": draw.choice([True, False])}


def max_sample(draw):
    """Draw a legal call."""
    x, attributes = pool_sample(draw)
    dilation = draw.integer(1, 2)
    if min(x.shape[1:3]) >= max(attributes["kernel"]) * dilation:
        attributes["dilation"] = dilation
    return (x,), attributes


max_pool = Op(
    "max_pool",
    max_contract,
    loops=(max_pool_loops, max_pool_backward_loops),
    arrays=(max_pool_arrays, max_pool_backward_arrays),
    compiled=(max_pool_compiled, max_pool_backward_compiled),
    sample=max_sample,
    onnx="MaxPool",
    dtypes={"argmax": np.int32},
)
