"""max_pool: each window of the image becomes its largest pixel, channel by channel.

    y[n, i, j, c] = max over r, s of  x[n, i*stride - top + r*dilation, j*stride - left + s*dilation, c]

Padding is never the maximum. `argmax` keeps the maximum's tap, r * S + s, for backward, which adds grad_y to its pixel. Of
equal pixels the maximum is the first in reading order, as in PyTorch and ONNX; of several NaNs the last, as in PyTorch.
(`byhand.tutorial` gives the gradient to every equal pixel, as its article does.)

Source: Weng, Ahuja & Huang 1992 (Cresceptron).
"""

from math import gcd, prod

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.kernels.pool_operands import PoolTaps, Row, TapIndex
from byhand.kernels.pool_rows import (
    gather_by_argmax,
    gather_by_argmax_scalar,
    scatter_by_argmax,
    window_max,
    window_max_scalar,
)
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.ops.pool.window_range import (
    PoolShape,
    disjoint_windows,
    interior_windows,
    tail_windows,
    vectorizable_windows,
    visible_taps,
    windows_on,
    windows_over,
)
from byhand.ops.samples import image_and_window
from byhand.ops.windows import pad, unpad, window_views
from byhand.shapes import Padding, Shape, Size2d, axes, window

# Elements of the image in a block of a pooling kernel: a few microseconds of work.
POOL_BLOCK_ELEMENTS = 32768


def contract(
    x: Shape,
    *,
    kernel: Size2d,
    stride: Size2d | None = None,
    padding: Padding = "valid",
    dilation: Size2d = 1,
    ceil_mode: bool = False,
) -> CallSpec:
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
    return CallSpec({"y": y, "argmax": y}, attributes, flops=prod(y) * prod(view.kernel), window=view)


def max_pool_loops(x, y, argmax, *, kernel, stride, padding, dilation):
    _, height, width, _ = x.shape
    for n, i, j, c in np.ndindex(y.shape):
        largest, largest_tap = -np.inf, -1
        for r, s in np.ndindex(kernel):
            p = i * stride[0] - padding[0] + r * dilation[0]
            q = j * stride[1] - padding[2] + s * dilation[1]
            if 0 <= p < height and 0 <= q < width:
                value = x[n, p, q, c]
                if largest_tap < 0 or value > largest or np.isnan(value):
                    largest, largest_tap = value, r * kernel[1] + s
        y[n, i, j, c], argmax[n, i, j, c] = largest, largest_tap


def max_pool_backward_loops(argmax, grad_y, grad_x, *, kernel, stride, padding, dilation):
    grad_x[...] = 0
    for n, i, j, c in np.ndindex(grad_y.shape):
        if argmax[n, i, j, c] >= 0:  # a window wholly in the padding has no maximum
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
        new_maximum = exists & ((argmax < 0) | (pixels > y) | np.isnan(pixels))
        np.copyto(y, pixels, where=new_maximum)
        np.copyto(argmax, r * kernel[1] + s, where=new_maximum)


def max_pool_backward_arrays(argmax, grad_y, grad_x, *, kernel, stride, padding, dilation):
    padded = pad(np.zeros_like(grad_x), grad_y, kernel, stride, padding, dilation)
    for (r, s), pixels in window_views(padded, grad_y, kernel, stride, dilation):
        pixels += np.where(argmax == r * kernel[1] + s, grad_y, 0)
    grad_x[...] = unpad(padded, grad_x, padding)


# compiled: forward a row of y at a time, backward a row of grad_x -----------------------------------------------------
# As above, a window is n, i, j, a tap of it r, s, and its pixel p, q.


@kernel
def max_pool_rows(x, y, argmax, shape, rows, block):
    """Write a block of rows of y and argmax. The windows of a row that lie wholly on the image are done in one call."""
    image, output, kernel, stride, padding, dilation = shape
    _, height, width, channels = image
    images, out_height, out_width, _ = output
    end_row = min((block + 1) * rows, images * out_height)
    end_element = end_row * out_width * channels
    reach = (kernel[1] - 1) * dilation[1]
    first_interior, end_interior = interior_windows(padding[2], stride[1], reach, width, out_width)
    n, i = block * rows // out_height, block * rows % out_height
    for row in range(block * rows, end_row):
        p = i * stride[0] - padding[0]
        r, rows_seen = visible_taps(p, dilation[0], kernel[0], height)
        j = 0
        while j < out_width:
            q = j * stride[1] - padding[2]
            s, columns_seen = visible_taps(q, dilation[1], kernel[1], width)
            windows = max(1, end_interior - first_interior) if j == first_interior else 1
            out_start = (row * out_width + j) * channels
            if rows_seen > 0 and columns_seen > 0:
                start = ((n * height + p + r * dilation[0]) * width + q + s * dilation[1]) * channels
                step = stride[1] * channels
                taps = PoolTaps(rows_seen, columns_seen, dilation[0] * width * channels, dilation[1] * channels)
                tap_index = TapIndex(r * kernel[1] + s, kernel[1], 1)
                side_by_side = Row(start, step, windows, out_start, channels)
                tail = tail_windows(side_by_side, taps, x.size, x.itemsize, end_element)
                head = windows - tail
                window_max(x, Row(start, step, head, out_start, channels), taps, tap_index, y, argmax)
                if tail > 0:
                    rest = Row(start + head * step, step, tail, out_start + head * channels, channels)
                    window_max_scalar(x, rest, taps, tap_index, y, argmax)
            else:  # a window wholly in the padding has no maximum
                for k in range(out_start, out_start + windows * channels):
                    y[k], argmax[k] = -np.inf, -1
            j += windows
        n, i = (n, i + 1) if i + 1 < out_height else (n + 1, 0)


@kernel
def max_pool_backward_rows(argmax, grad_y, grad_x, shape, window_step, rows, block):
    """Write a block of rows of grad_x, each pixel once, from the windows with a tap on it, `window_step` apart."""
    image, output, kernel, stride, padding, dilation = shape
    images, height, width, channels = image
    _, out_height, out_width, _ = output
    end_row = min((block + 1) * rows, images * height)
    end_element = end_row * width * channels
    first_disjoint, disjoint = disjoint_windows(padding[2], stride[1], kernel[1], dilation[1], width, out_width)
    row_stride, column_stride = window_step[0] * out_width * channels, window_step[1] * channels
    # In the next window down, or across, the pixel has an earlier tap.
    upward = -(window_step[0] * stride[0] // dilation[0]) * kernel[1]
    leftward = -(window_step[1] * stride[1] // dilation[1])
    n, p = block * rows // height, block * rows % height + padding[0]  # p, q: the padded pixel
    top, bottom = 0, 0
    for row in range(block * rows, end_row):
        top, bottom = windows_over(p, kernel[0], stride[0], dilation[0], out_height, top, bottom)
        i, rows_seen = windows_on(top, bottom, p, stride[0], dilation[0], window_step[0])
        left, right, q = 0, 0, padding[2]
        while q < width + padding[2]:
            left, right = windows_over(q, kernel[1], stride[1], dilation[1], out_width, left, right)
            j, columns_seen = windows_on(left, right, q, stride[1], dilation[1], window_step[1])
            start, tap, out_start = 0, 0, (row * width + q - padding[2]) * channels
            if rows_seen > 0 and columns_seen > 0:
                start = ((n * out_height + i) * out_width + j) * channels
                tap = divide(p - i * stride[0], dilation[0]) * kernel[1] + divide(q - j * stride[1], dilation[1])
            written = 0
            if disjoint > 0 and rows_seen == 1 and q == first_disjoint * stride[1]:
                side_by_side = Row(start, channels, disjoint, out_start, channels)
                written = vectorizable_windows(side_by_side, kernel[1], grad_y.size, grad_y.itemsize, end_element)
                if written > 0:
                    disjoint_row = Row(start, channels, written, out_start, channels)
                    scatter_by_argmax(grad_y, argmax, disjoint_row, kernel[1], tap, grad_x)
                q += written * stride[1]
            if written == 0:
                taps = PoolTaps(rows_seen, columns_seen, row_stride, column_stride)
                tap_index = TapIndex(tap, upward, leftward)
                pixel = Row(start, 0, 1, out_start, channels)
                if tail_windows(pixel, taps, grad_y.size, grad_y.itemsize, end_element) > 0:
                    gather_by_argmax_scalar(grad_y, argmax, pixel, taps, tap_index, grad_x)
                else:
                    gather_by_argmax(grad_y, argmax, pixel, taps, tap_index, grad_x)
                q += 1
        p += 1
        if p == height + padding[0]:  # the next image
            n, p, top, bottom = n + 1, padding[0], 0, 0


def divide(distance, dilation):
    """Return distance / dilation, without the division where dilation is 1."""
    return distance if dilation == 1 else distance // dilation


@compiled
def max_pool_compiled(x, y, argmax, *, kernel, stride, padding, dilation):
    rows = max(1, POOL_BLOCK_ELEMENTS // (stride[0] * prod(x.shape[2:])))
    shape = PoolShape(x.shape, y.shape, kernel, stride, padding, dilation)
    launch(max_pool_rows, cdiv(prod(y.shape[:2]), rows), x.reshape(-1), y.reshape(-1), argmax.reshape(-1), shape, rows)


@compiled
def max_pool_backward_compiled(argmax, grad_y, grad_x, *, kernel, stride, padding, dilation):
    rows = max(1, POOL_BLOCK_ELEMENTS // prod(grad_x.shape[2:]))
    window_step = tuple(d // gcd(d, s) for d, s in zip(dilation, stride))
    arrays = argmax.reshape(-1), grad_y.reshape(-1), grad_x.reshape(-1)
    shape = PoolShape(grad_x.shape, grad_y.shape, kernel, stride, padding, dilation)
    launch(max_pool_backward_rows, cdiv(prod(grad_x.shape[:2]), rows), *arrays, shape, window_step, rows)


def sample(draw: SampleSource) -> Sample:
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
