"""avg_pool: each window of the image becomes its mean, channel by channel.

    y[n, i, j, c] = mean over r, s of  x[n, i*stride - top + r, j*stride - left + s, c]

Each pixel of a window contributes equally to y, so each receives grad_y / (pixels of the window), summed over the windows that
see it.

Source: LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition".
"""

from math import prod

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.kernels.pool_operands import PoolTaps, Row
from byhand.kernels.pool_rows import repeat, window_sum, window_sum_scalar
from byhand.ops.op import Attributes, CallSpec, Op, Sample, SampleSource
from byhand.ops.pool.max_pool import POOL_BLOCK_ELEMENTS
from byhand.ops.pool.window_range import (
    PoolShape,
    disjoint_windows,
    interior_windows,
    tail_windows,
    vectorizable_windows,
    visible_taps,
    windows_over,
)
from byhand.ops.samples import image_and_window
from byhand.ops.windows import pad, unpad, window_views
from byhand.shapes import Padding, Shape, Size2d, axes, window


def contract(
    x: Shape,
    *,
    kernel: Size2d,
    stride: Size2d | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> CallSpec:
    """Average every window: x (N, H, W, C) -> y (N, H', W', C).

    stride: pixels, by default the kernel's; ceil_mode: a last window may extend beyond the padding; count_include_pad: the
    mean counts the zeros of the padding (never those beyond it, which ceil_mode reaches). Raises ShapeError where the window
    is larger than the image.

    >>> import byhand as bh, numpy as np
    >>> bh.avg_pool(np.array([1.0, 5, 2, 4]).reshape(1, 2, 2, 1), kernel=2).ravel()
    array([3.])
    """
    axes("x", x, "N, H, W, C")
    view = window(x[1:3], kernel, kernel if stride is None else stride, padding, ceil_mode=ceil_mode)
    y = (x[0], *view.output, x[3])
    attributes: Attributes = {"kernel": view.kernel, "stride": view.stride, "padding": view.padding}
    attributes["count_include_pad"] = bool(count_include_pad)
    return CallSpec({"y": y}, attributes, flops=prod(y) * prod(view.kernel), window=view)


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


def window_counts(x, y, *, kernel, stride, padding, count_include_pad):
    """Return how many pixels each window averages, (H', W', 1): its rows times its columns."""
    counts = []
    for axis in (0, 1):
        before, after = padding[2 * axis : 2 * axis + 2]
        first = np.arange(y.shape[1 + axis]) * stride[axis] - before
        last = np.minimum(first + kernel[axis], x.shape[1 + axis] + (after if count_include_pad else 0))
        counts.append(np.maximum(last - (first if count_include_pad else np.maximum(first, 0)), 1))
    return np.multiply.outer(*counts)[..., None].astype(y.dtype)


def avg_pool_arrays(x, y, *, kernel, stride, padding, count_include_pad):
    padded = pad(x, y, kernel, stride, padding, (1, 1))
    y[...] = 0
    for _, pixels in window_views(padded, y, kernel, stride, (1, 1)):
        y += pixels
    y /= window_counts(x, y, kernel=kernel, stride=stride, padding=padding, count_include_pad=count_include_pad)


def avg_pool_backward_arrays(grad_y, grad_x, *, kernel, stride, padding, count_include_pad):
    quotient = grad_y / window_counts(
        grad_x, grad_y, kernel=kernel, stride=stride, padding=padding, count_include_pad=count_include_pad
    )
    padded = pad(np.zeros_like(grad_x), grad_y, kernel, stride, padding, (1, 1))
    for _, pixels in window_views(padded, grad_y, kernel, stride, (1, 1)):
        pixels += quotient
    grad_x[...] = unpad(padded, grad_x, padding)


# compiled: forward a row of y at a time, backward a row of grad_x -----------------------------------------------------


@kernel
def avg_pool_rows(x, y, shape, count_include_pad, rows, block):
    """Write a block of rows of y. The windows of a row that lie wholly on the image are done in one call."""
    image, output, kernel, stride, padding, _ = shape
    _, height, width, channels = image
    images, out_height, out_width, _ = output
    end_row = min((block + 1) * rows, images * out_height)
    end_element = end_row * out_width * channels
    first_interior, end_interior = interior_windows(padding[2], stride[1], kernel[1] - 1, width, out_width)
    n, i = block * rows // out_height, block * rows % out_height
    for row in range(block * rows, end_row):
        p = i * stride[0] - padding[0]
        r, rows_seen = visible_taps(p, 1, kernel[0], height)
        rows_counted = taps_counted(p, rows_seen, kernel[0], height + padding[1], count_include_pad)
        j = 0
        while j < out_width:
            q = j * stride[1] - padding[2]
            s, columns_seen = visible_taps(q, 1, kernel[1], width)
            columns_counted = taps_counted(q, columns_seen, kernel[1], width + padding[3], count_include_pad)
            windows = max(1, end_interior - first_interior) if j == first_interior else 1
            start, out_start = ((n * height + p + r) * width + q + s) * channels, (row * out_width + j) * channels
            step, scale = stride[1] * channels, 1.0 / (rows_counted * columns_counted)
            taps = PoolTaps(rows_seen, columns_seen, width * channels, channels)
            side_by_side = Row(start, step, windows, out_start, channels)
            tail = tail_windows(side_by_side, taps, x.size, x.itemsize, end_element)
            head = windows - tail
            window_sum(x, Row(start, step, head, out_start, channels), taps, scale, y)
            if tail > 0:
                rest = Row(start + head * step, step, tail, out_start + head * channels, channels)
                window_sum_scalar(x, rest, taps, scale, y)
            j += windows
        n, i = (n, i + 1) if i + 1 < out_height else (n + 1, 0)


def taps_counted(first, seen, kernel, size, count_include_pad):
    """Return how many rows, or columns, of a window the mean counts."""
    return max(1, min(kernel, size - first) if count_include_pad else seen)


@kernel
def avg_pool_divide(grad_y, part, shape, count_include_pad, rows, block):
    """Divide the gradient of each window by its number of pixels."""
    image, _, kernel, stride, padding, _ = shape
    _, height, width, _ = image
    images, out_height, out_width, channels = grad_y.shape
    for row in range(block * rows, min((block + 1) * rows, images * out_height)):
        n, i = row // out_height, row % out_height
        p = i * stride[0] - padding[0]
        rows_seen = visible_taps(p, 1, kernel[0], height)[1]
        rows_counted = taps_counted(p, rows_seen, kernel[0], height + padding[1], count_include_pad)
        for j in range(out_width):
            q = j * stride[1] - padding[2]
            columns_seen = visible_taps(q, 1, kernel[1], width)[1]
            columns_counted = taps_counted(q, columns_seen, kernel[1], width + padding[3], count_include_pad)
            for c in range(channels):
                part[n, i, j, c] = grad_y[n, i, j, c] / (rows_counted * columns_counted)


@kernel
def avg_pool_backward_rows(part, grad_x, shape, scale, rows, block):
    """Write a block of rows of grad_x, each pixel once, from the windows that see it."""
    image, output, kernel, stride, padding, _ = shape
    images, height, width, channels = image
    _, out_height, out_width, _ = output
    end_row = min((block + 1) * rows, images * height)
    end_element = end_row * width * channels
    first_disjoint, disjoint = disjoint_windows(padding[2], stride[1], kernel[1], 1, width, out_width)
    n, p = block * rows // height, block * rows % height + padding[0]  # p, q: the padded pixel
    top, bottom = 0, 0
    for row in range(block * rows, end_row):
        top, bottom = windows_over(p, kernel[0], stride[0], 1, out_height, top, bottom)
        rows_seen, left, right, q = bottom - top, 0, 0, padding[2]
        while q < width + padding[2]:
            left, right = windows_over(q, kernel[1], stride[1], 1, out_width, left, right)
            columns_seen, start, out_start = right - left, 0, (row * width + q - padding[2]) * channels
            if rows_seen > 0 and columns_seen > 0:
                start = ((n * out_height + top) * out_width + left) * channels
            written = 0
            if disjoint > 0 and rows_seen == 1 and q == first_disjoint * stride[1]:
                side_by_side = Row(start, channels, disjoint, out_start, channels)
                written = vectorizable_windows(side_by_side, kernel[1], part.size, part.itemsize, end_element)
                if written > 0:
                    repeat(part, Row(start, channels, written, out_start, channels), kernel[1], scale, grad_x)
                q += written * stride[1]
            if written == 0:
                taps = PoolTaps(rows_seen, columns_seen, out_width * channels, channels)
                pixel = Row(start, 0, 1, out_start, channels)
                if tail_windows(pixel, taps, part.size, part.itemsize, end_element) > 0:
                    window_sum_scalar(part, pixel, taps, scale, grad_x)
                else:
                    window_sum(part, pixel, taps, scale, grad_x)
                q += 1
        p += 1
        if p == height + padding[0]:  # the next image
            n, p, top, bottom = n + 1, padding[0], 0, 0


@compiled
def avg_pool_compiled(x, y, *, kernel, stride, padding, count_include_pad):
    rows = max(1, POOL_BLOCK_ELEMENTS // (stride[0] * prod(x.shape[2:])))
    shape, blocks = PoolShape(x.shape, y.shape, kernel, stride, padding), cdiv(prod(y.shape[:2]), rows)
    launch(avg_pool_rows, blocks, x.reshape(-1), y.reshape(-1), shape, count_include_pad, rows)


@compiled
def avg_pool_backward_compiled(grad_y, grad_x, *, kernel, stride, padding, count_include_pad):
    part, scale = grad_y, 1.0 / prod(kernel)
    shape = PoolShape(grad_x.shape, grad_y.shape, kernel, stride, padding)
    if not all_counts_equal(grad_x.shape, grad_y.shape, kernel, stride, padding, count_include_pad):
        part, scale = scratch(*grad_y.shape, dtype=grad_y.dtype), 1.0
        rows = max(1, POOL_BLOCK_ELEMENTS // prod(grad_y.shape[2:]))
        launch(avg_pool_divide, cdiv(prod(grad_y.shape[:2]), rows), grad_y, part, shape, count_include_pad, rows)
    rows = max(1, POOL_BLOCK_ELEMENTS // prod(grad_x.shape[2:]))
    blocks = cdiv(prod(grad_x.shape[:2]), rows)
    launch(avg_pool_backward_rows, blocks, part.reshape(-1), grad_x.reshape(-1), shape, scale, rows)


def all_counts_equal(size, output, kernel, stride, padding, count_include_pad):
    """Return whether all windows average the same number of pixels."""
    return all(
        (output[1 + axis] - 1) * stride[axis] + kernel[axis]
        <= size[1 + axis] + padding[2 * axis] + (padding[2 * axis + 1] if count_include_pad else 0)
        and (count_include_pad or padding[2 * axis] == 0)
        for axis in (0, 1)
    )


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    x, attributes = image_and_window(draw)
    return (x,), attributes | {"count_include_pad": draw.choice([True, False])}


avg_pool = Op(
    "avg_pool",
    contract,
    loops=(avg_pool_loops, avg_pool_backward_loops),
    arrays=(avg_pool_arrays, avg_pool_backward_arrays),
    compiled=(avg_pool_compiled, avg_pool_backward_compiled),
    sample=sample,
)
