"""avg_pool and global_avg_pool: a window of the image becomes its mean, channel by channel.

    avg_pool         y[n, i, j, c] = the mean over r, s of  x[n, i*stride - top + r, j*stride - left + s, c]
    global_avg_pool  y[n, c]       = the mean over the whole image

Sources: LeCun et al. 1989 (averages); Lin, Chen & Yan 2013, arXiv 1312.4400 (global averages).
"""

from math import prod

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.kernels.pool_rows import Row, Window, repeat, tail_pixels, window_sum, window_sum_scalar
from byhand.ops.op import Call, Op
from byhand.ops.pool.max_pool import GRAIN, pool_sample
from byhand.ops.windows import clear, framed, inside, over, taps, visible
from byhand.shapes import axes, window

# avg_pool: every pixel of a window has the same share in y, and so in the gradient ------------------------------------


def avg_contract(x, *, kernel, stride=None, padding="valid", ceil_mode=False, count_include_pad=True):
    """Average every window: x (N, H, W, C) -> y (N, H', W', C).

    stride: pixels, by default the kernel's; ceil_mode: a last window may hang over the edge; count_include_pad: the zeros
    of the padding count as pixels (those beyond it, where ceil mode reaches, never do). Raises ShapeError where the window
    is larger than the image.

    >>> import byhand as bh, numpy as np
    >>> bh.avg_pool(np.array([1.0, 5, 2, 4]).reshape(1, 2, 2, 1), kernel=2).ravel()
    array([3.])
    """
    axes("x", x, "N, H, W, C")
    view = window(x[1:3], kernel, kernel if stride is None else stride, padding, ceil_mode=ceil_mode)
    y = (x[0], *view.output, x[3])
    attributes = {"kernel": view.kernel, "stride": view.stride, "padding": view.padding}
    attributes["count_include_pad"] = bool(count_include_pad)
    return Call({"y": y}, attributes, flops=prod(y) * prod(view.kernel), window=view)


def avg_pool_loops(x, y, *, kernel, stride, padding, count_include_pad):
    _, height, width, _ = x.shape
    for n, i, j, c in np.ndindex(y.shape):
        total, count = 0.0, 0
        for r, s in np.ndindex(kernel):
            p, q = i * stride[0] - padding[0] + r, j * stride[1] - padding[2] + s
            if 0 <= p < height and 0 <= q < width:
                total += x[n, p, q, c]
                count += 1
            elif count_include_pad and p < height + padding[1] and q < width + padding[3]:
                count += 1
        y[n, i, j, c] = total / max(count, 1)


def avg_pool_backward_loops(grad_y, grad_x, *, kernel, stride, padding, count_include_pad):
    grad_x[...] = 0
    _, height, width, _ = grad_x.shape
    for n, i, j, c in np.ndindex(grad_y.shape):
        seen, count = [], 0
        for r, s in np.ndindex(kernel):
            p, q = i * stride[0] - padding[0] + r, j * stride[1] - padding[2] + s
            if 0 <= p < height and 0 <= q < width:
                seen.append((p, q))
                count += 1
            elif count_include_pad and p < height + padding[1] and q < width + padding[3]:
                count += 1
        for p, q in seen:
            grad_x[n, p, q, c] += grad_y[n, i, j, c] / count


def _counts(x, y, *, kernel, stride, padding, count_include_pad):
    """Return how many pixels count in each window, (H', W', 1): those of its rows times those of its columns."""
    counts = []
    for axis in (0, 1):
        before, after = padding[2 * axis : 2 * axis + 2]
        first = np.arange(y.shape[1 + axis]) * stride[axis] - before
        last = np.minimum(first + kernel[axis], x.shape[1 + axis] + (after if count_include_pad else 0))
        counts.append(np.maximum(last - (first if count_include_pad else np.maximum(first, 0)), 1))
    return np.multiply.outer(*counts)[..., None].astype(y.dtype)


def avg_pool_arrays(x, y, *, kernel, stride, padding, count_include_pad):
    frame = framed(x, y, kernel, stride, padding, (1, 1))
    y[...] = 0
    for _, seen in taps(frame, y, kernel, stride, (1, 1)):
        y += seen
    y /= _counts(x, y, kernel=kernel, stride=stride, padding=padding, count_include_pad=count_include_pad)


def avg_pool_backward_arrays(grad_y, grad_x, *, kernel, stride, padding, count_include_pad):
    quotient = grad_y / _counts(
        grad_x, grad_y, kernel=kernel, stride=stride, padding=padding, count_include_pad=count_include_pad
    )
    frame = framed(np.zeros_like(grad_x), grad_y, kernel, stride, padding, (1, 1))
    for _, seen in taps(frame, grad_y, kernel, stride, (1, 1)):
        seen += quotient
    grad_x[...] = inside(frame, grad_x, padding)


@kernel
def avg_pool_rows(x, y, size, out, places, stride, padding, count_include_pad, rows, block):
    _, height, width, channels = size
    images, below, beside, _ = out
    row, last_row, step, line = (
        block * rows,
        min((block + 1) * rows, images * below),
        stride[1] * channels,
        width * channels,
    )
    near, far = clear(padding[2], stride[1], places[1] - 1, width, beside)
    n, i = row // below, row % below
    while row < last_row:
        p, j = i * stride[0] - padding[0], 0
        r, down = visible(p, 1, places[0], height)
        tall = counted(p, down, places[0], height + padding[1], count_include_pad)
        while j < beside:
            q = j * stride[1] - padding[2]
            s, across = visible(q, 1, places[1], width)
            scale = 1.0 / (tall * counted(q, across, places[1], width + padding[3], count_include_pad))
            at, to = ((n * height + p + r) * width + q + s) * channels, (row * beside + j) * channels
            count = max(1, far - near) if j == near else 1
            j += count
            last, final = (
                at + (count - 1) * step + (down - 1) * line + (across - 1) * channels,
                to + (count - 1) * channels,
            )
            left = min(count, tail_pixels(x.size, last, final, last_row * beside * channels, x.itemsize, channels))
            window_sum(x, Row(at, step, count - left, to, channels), Window(down, across, line, channels), scale, y)
            if left > 0:
                at, to = at + (count - left) * step, to + (count - left) * channels
                window_sum_scalar(x, Row(at, step, left, to, channels), Window(down, across, line, channels), scale, y)
        row += 1
        n, i = (n, i + 1) if i + 1 < below else (n + 1, 0)


def counted(first, seen, places, size, count_include_pad):
    """Return how many rows, or columns, of a window count."""
    return max(1, min(places, size - first) if count_include_pad else seen)


@kernel
def avg_pool_shares(grad_y, part, size, places, stride, padding, count_include_pad, rows, block):
    """Divide the gradient of each window by its number of pixels."""
    _, height, width, _ = size
    images, below, beside, channels = grad_y.shape
    for row in range(block * rows, min((block + 1) * rows, images * below)):
        n, i = row // below, row % below
        p = i * stride[0] - padding[0]
        tall = counted(p, visible(p, 1, places[0], height)[1], places[0], height + padding[1], count_include_pad)
        for j in range(beside):
            q = j * stride[1] - padding[2]
            wide = counted(q, visible(q, 1, places[1], width)[1], places[1], width + padding[3], count_include_pad)
            for c in range(channels):
                part[n, i, j, c] = grad_y[n, i, j, c] / (tall * wide)


@kernel
def avg_pool_backward_rows(part, grad_x, size, out, places, stride, padding, scale, rows, block):
    """Write each pixel of grad_x once, from the windows that see it."""
    images, height, width, channels = size
    _, below, beside, _ = out
    row, last_row, line = block * rows, min((block + 1) * rows, images * height), beside * channels
    end_row = last_row * width * channels
    near, far = 0, 0
    if stride[1] == places[1]:  # side by side: they share no pixel
        near, far = clear(padding[2], stride[1], places[1] - 1, width, beside)
    start = near * stride[1] if far > near else -1
    n, p, i, bottom = row // height, row % height + padding[0], 0, 0
    while row < last_row:
        i, bottom = over(p, places[0], stride[0], 1, below, i, bottom)
        down, first, end, q = bottom - i, 0, 0, padding[2]
        while q < width + padding[2]:
            first, end = over(q, places[1], stride[1], 1, beside, first, end)
            across, to, at, last = end - first, (row * width + q - padding[2]) * channels, 0, 0
            if down > 0 and across > 0:
                at = ((n * below + i) * beside + first) * channels
                last = at + (down - 1) * line + (across - 1) * channels
                if q == start and down == 1:
                    last, final = at + (far - near - 1) * channels, to + ((far - near) * stride[1] - 1) * channels
                    count = far - near - tail_pixels(part.size, last, final, end_row, part.itemsize, channels)
                    if count > 0:
                        repeat(part, Row(at, channels, count, to, channels), places[1], scale, grad_x)
                        q += count * stride[1]
                        continue
            if tail_pixels(part.size, last, to, end_row, part.itemsize, channels):
                window_sum_scalar(
                    part, Row(at, 0, 1, to, channels), Window(down, across, line, channels), scale, grad_x
                )
            else:
                window_sum(part, Row(at, 0, 1, to, channels), Window(down, across, line, channels), scale, grad_x)
            q += 1
        row, p = row + 1, p + 1
        if p == height + padding[0]:
            n, p, i, bottom = n + 1, padding[0], 0, 0


@compiled
def avg_pool_compiled(x, y, *, kernel, stride, padding, count_include_pad):
    rows = max(1, GRAIN // (stride[0] * prod(x.shape[2:])))
    launch(
        avg_pool_rows, cdiv(prod(y.shape[:2]), rows), x.reshape(-1), y.reshape(-1), x.shape, y.shape,
        kernel, stride, padding, count_include_pad, rows,
    )  # fmt: skip


@compiled
def avg_pool_backward_compiled(grad_y, grad_x, *, kernel, stride, padding, count_include_pad):
    part, scale = grad_y, 1.0 / prod(kernel)
    if not whole(grad_x.shape, grad_y.shape, kernel, stride, padding, count_include_pad):
        part, scale = scratch(*grad_y.shape, dtype=grad_y.dtype), 1.0
        rows = max(1, GRAIN // prod(grad_y.shape[2:]))
        launch(
            avg_pool_shares, cdiv(prod(grad_y.shape[:2]), rows), grad_y, part, grad_x.shape, kernel, stride, padding,
            count_include_pad, rows,
        )  # fmt: skip
    rows = max(1, GRAIN // prod(grad_x.shape[2:]))
    launch(
        avg_pool_backward_rows, cdiv(prod(grad_x.shape[:2]), rows), part.reshape(-1), grad_x.reshape(-1), grad_x.shape,
        grad_y.shape, kernel, stride, padding, scale, rows,
    )  # fmt: skip


def whole(size, out, places, stride, padding, count_include_pad):
    """Tell whether all windows count the same number of pixels."""
    return all(
        (out[1 + axis] - 1) * stride[axis] + places[axis]
        <= size[1 + axis] + padding[2 * axis] + (padding[2 * axis + 1] if count_include_pad else 0)
        and (count_include_pad or padding[2 * axis] == 0)
        for axis in (0, 1)
    )


def avg_sample(draw):
    """Draw a legal call."""
    x, attributes = pool_sample(draw)
    return (x,), attributes | {"count_include_pad": draw.choice([True, False])}


avg_pool = Op(
    "avg_pool",
    avg_contract,
    loops=(avg_pool_loops, avg_pool_backward_loops),
    arrays=(avg_pool_arrays, avg_pool_backward_arrays),
    compiled=(avg_pool_compiled, avg_pool_backward_compiled),
    sample=avg_sample,
    onnx="AveragePool",
)


# global_avg_pool ------------------------------------------------------------------------------------------------------


def global_contract(x, *, keepdims=False):
    """Average the whole image: x (N, H, W, C) -> y (N, C), or (N, 1, 1, C) with keepdims.

    >>> import byhand as bh, numpy as np
    >>> bh.global_avg_pool(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]])
    """
    axes("x", x, "N, H, W, C")
    return Call({"y": (x[0], 1, 1, x[3]) if keepdims else (x[0], x[3])}, {"keepdims": bool(keepdims)}, flops=prod(x))


def global_avg_pool_loops(x, y, *, keepdims):
    images, height, width, channels = x.shape
    for n, c in np.ndindex(images, channels):
        total = 0.0
        for p, q in np.ndindex(height, width):
            total += x[n, p, q, c]
        y[(n, 0, 0, c) if keepdims else (n, c)] = total / (height * width)


def global_avg_pool_backward_loops(grad_y, grad_x, *, keepdims):
    _, height, width, _ = grad_x.shape
    for n, p, q, c in np.ndindex(grad_x.shape):
        grad_x[n, p, q, c] = grad_y[(n, 0, 0, c) if keepdims else (n, c)] / (height * width)


def global_avg_pool_arrays(x, y, *, keepdims):
    np.mean(x, (1, 2), keepdims=keepdims, out=y)


def global_avg_pool_backward_arrays(grad_y, grad_x, *, keepdims):
    grad_x[...] = (grad_y if keepdims else grad_y[:, None, None]) / prod(grad_x.shape[1:3])


@kernel
def global_avg_pool_images(x, y, scale, images, block):
    count, pixels, channels = x.shape
    for n in range(block * images, min((block + 1) * images, count)):
        for c in range(channels):
            y[n, c] = 0.0
        tail = pixels // 4 * 4
        for p in range(0, tail, 4):  # four pixels a time: y is read and written a fourth as often
            for c in range(channels):
                y[n, c] += (x[n, p, c] + x[n, p + 1, c]) + (x[n, p + 2, c] + x[n, p + 3, c])
        for p in range(tail, pixels):
            for c in range(channels):
                y[n, c] += x[n, p, c]
        for c in range(channels):
            y[n, c] *= scale


@kernel
def global_avg_pool_backward_images(grad_y, grad_x, scale, images, block):
    count, pixels, channels = grad_x.shape
    for n in range(block * images, min((block + 1) * images, count)):
        for p in range(pixels):
            for c in range(channels):
                grad_x[n, p, c] = grad_y[n, c] * scale


@compiled
def global_avg_pool_compiled(x, y, *, keepdims):
    images, height, width, channels = x.shape
    some = max(1, GRAIN // prod(x.shape[1:]))
    launch(
        global_avg_pool_images, cdiv(images, some), x.reshape(images, height * width, channels), y.reshape(images, channels),
        1.0 / (height * width), some,
    )  # fmt: skip


@compiled
def global_avg_pool_backward_compiled(grad_y, grad_x, *, keepdims):
    images, height, width, channels = grad_x.shape
    some = max(1, GRAIN // prod(grad_x.shape[1:]))
    launch(
        global_avg_pool_backward_images, cdiv(images, some), grad_y.reshape(images, channels),
        grad_x.reshape(images, height * width, channels), 1.0 / (height * width), some,
    )  # fmt: skip


def global_sample(draw):
    """Draw a legal call."""
    shape = (draw.integer(1, 3), draw.integer(1, 5), draw.integer(1, 5), draw.integer(1, 17))
    return (draw.array(*shape),), {"keepdims": draw.choice([True, False])}


global_avg_pool = Op(
    "global_avg_pool",
    global_contract,
    loops=(global_avg_pool_loops, global_avg_pool_backward_loops),
    arrays=(global_avg_pool_arrays, global_avg_pool_backward_arrays),
    compiled=(global_avg_pool_compiled, global_avg_pool_backward_compiled),
    sample=global_sample,
    onnx="GlobalAveragePool",
)
