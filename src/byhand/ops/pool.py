"""max_pool, avg_pool and global_avg_pool: a window of the image becomes one number, channel by channel.

    max_pool         y[n, i, j, c] = max over r, s of  x[n, i*stride - top + r*dilation, j*stride - left + s*dilation, c]
    avg_pool         y[n, i, j, c] = the mean of the same window
    global_avg_pool  y[n, c]       = the mean over the whole image

Padding never wins a maximum. The gradient of a maximum goes to the first place, in reading order, that holds it, as in
PyTorch and ONNX; `byhand.tutorial` gives it to every such place, because the article does.

Sources: Weng, Ahuja & Huang 1992 (Cresceptron, maxima); LeCun et al. 1989 (averages); Lin, Chen & Yan 2013, arXiv
1312.4400 (global averages).
"""

from math import prod

import numpy as np

from byhand.ops.op import Call, Op
from byhand.ops.taps import framed, inside, taps
from byhand.shapes import axes, window

# max_pool: the winner's place in its window, r * S + s, is kept for backward in `where` -------------------------------


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
    return Call({"y": y, "where": y}, attributes, flops=prod(y) * prod(view.kernel), window=view)


def max_pool_loops(x, y, where, *, kernel, stride, padding, dilation):
    _, height, width, _ = x.shape
    for n, i, j, c in np.ndindex(y.shape):
        best, place = -np.inf, -1
        for r, s in np.ndindex(kernel):
            p = i * stride[0] - padding[0] + r * dilation[0]
            q = j * stride[1] - padding[2] + s * dilation[1]
            if 0 <= p < height and 0 <= q < width:
                value = x[n, p, q, c]
                if place < 0 or value > best or (np.isnan(value) and not np.isnan(best)):
                    best, place = value, r * kernel[1] + s
        y[n, i, j, c], where[n, i, j, c] = best, place


def max_pool_backward_loops(where, grad_y, grad_x, *, kernel, stride, padding, dilation):
    grad_x[...] = 0
    for n, i, j, c in np.ndindex(grad_y.shape):
        if where[n, i, j, c] >= 0:  # a window wholly in the padding has no winner
            r, s = divmod(where[n, i, j, c], kernel[1])
            p = i * stride[0] - padding[0] + r * dilation[0]
            q = j * stride[1] - padding[2] + s * dilation[1]
            grad_x[n, p, q, c] += grad_y[n, i, j, c]


def max_pool_arrays(x, y, where, *, kernel, stride, padding, dilation):
    view = {"kernel": kernel, "stride": stride, "dilation": dilation}
    frame = framed(x, y, padding=padding, value=-np.inf, **view)
    real = framed(np.ones((1, *x.shape[1:3], 1), bool), y, padding=padding, value=False, **view)
    y[...], where[...] = -np.inf, -1
    for ((r, s), seen), (_, exists) in zip(taps(frame, y, **view), taps(real, y, **view)):
        wins = exists & ((where < 0) | (seen > y) | (np.isnan(seen) & ~np.isnan(y)))
        np.copyto(y, seen, where=wins)
        np.copyto(where, r * kernel[1] + s, where=wins)


def max_pool_backward_arrays(where, grad_y, grad_x, *, kernel, stride, padding, dilation):
    frame = framed(np.zeros_like(grad_x), grad_y, kernel, stride, padding, dilation)
    for (r, s), seen in taps(frame, grad_y, kernel, stride, dilation):
        seen += np.where(where == r * kernel[1] + s, grad_y, 0)
    grad_x[...] = inside(frame, grad_x, padding)


def max_sample(draw):
    """Draw a legal call."""
    x, attributes = _sample(draw)
    dilation = draw.integer(1, 2)
    if min(x.shape[1:3]) >= max(attributes["kernel"]) * dilation:
        attributes["dilation"] = dilation
    return (x,), attributes


max_pool = Op(
    "max_pool",
    max_contract,
    loops=(max_pool_loops, max_pool_backward_loops),
    arrays=(max_pool_arrays, max_pool_backward_arrays),
    sample=max_sample,
    onnx="MaxPool",
    dtypes={"where": np.int32},
)


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
    share = grad_y / _counts(
        grad_x, grad_y, kernel=kernel, stride=stride, padding=padding, count_include_pad=count_include_pad
    )
    frame = framed(np.zeros_like(grad_x), grad_y, kernel, stride, padding, (1, 1))
    for _, seen in taps(frame, grad_y, kernel, stride, (1, 1)):
        seen += share
    grad_x[...] = inside(frame, grad_x, padding)


def _sample(draw):
    kernel = (draw.integer(1, 3), draw.integer(1, 3))
    padding = draw.choice(["valid", tuple(k // 2 for k in kernel), (kernel[0] // 2, 0, 0, kernel[1] // 2)])
    x = draw.array(draw.integer(1, 2), *(k + draw.integer(0, 4) for k in kernel), draw.integer(1, 3))
    attributes = {"kernel": kernel, "stride": (draw.integer(1, 3), draw.integer(1, 3)), "padding": padding}
    return x, attributes | {"ceil_mode": draw.choice([True, False])}


def avg_sample(draw):
    """Draw a legal call."""
    x, attributes = _sample(draw)
    return (x,), attributes | {"count_include_pad": draw.choice([True, False])}


avg_pool = Op(
    "avg_pool",
    avg_contract,
    loops=(avg_pool_loops, avg_pool_backward_loops),
    arrays=(avg_pool_arrays, avg_pool_backward_arrays),
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


def global_sample(draw):
    """Draw a legal call."""
    shape = (draw.integer(1, 3), draw.integer(1, 5), draw.integer(1, 5), draw.integer(1, 17))
    return (draw.array(*shape),), {"keepdims": draw.choice([True, False])}


global_avg_pool = Op(
    "global_avg_pool",
    global_contract,
    loops=(global_avg_pool_loops, global_avg_pool_backward_loops),
    arrays=(global_avg_pool_arrays, global_avg_pool_backward_arrays),
    sample=global_sample,
    onnx="GlobalAveragePool",
)
