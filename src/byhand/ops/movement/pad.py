"""pad: images surrounded by pixels of a constant value.

    y[n, top + i, left + j, c] = x[n, i, j, c], elsewhere `value`;   grad_x = the same window of grad_y

Source: ONNX, operator Pad, mode constant.
"""

from math import inf, prod

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.flat_kernels import fill
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Padding, Shape, axes, frame, number


def pad_contract(x: Shape, *, padding: Padding, value: float = 0.0) -> CallSpec:
    """Surround images with pixels of one value: x (N, H, W, C) -> y (N, top + H + bottom, left + W + right, C).

    padding: a number, (height, width) or (top, bottom, left, right).

    >>> import byhand as bh, numpy as np
    >>> bh.pad(np.ones((1, 1, 1, 1)), padding=(0, 0, 1, 2)).ravel()
    array([0., 1., 0., 0.])
    """
    axes("x", x, "N, H, W, C")
    top, bottom, left, right = frame(padding)
    y = (x[0], x[1] + top + bottom, x[2] + left + right, x[3])
    value = inf if value == inf else number("value", value)  # both infinities may surround an image
    return CallSpec({"y": y}, {"padding": (top, bottom, left, right), "value": value})


def pad_loops(x, y, *, padding, value):
    y[...] = value
    for n, i, j, c in np.ndindex(x.shape):
        y[n, padding[0] + i, padding[2] + j, c] = x[n, i, j, c]


def pad_backward_loops(grad_y, grad_x, *, padding, value):
    for n, i, j, c in np.ndindex(grad_x.shape):
        grad_x[n, i, j, c] = grad_y[n, padding[0] + i, padding[2] + j, c]


def pad_arrays(x, y, *, padding, value):
    y[...] = value
    y[:, padding[0] :, padding[2] :][:, : x.shape[1], : x.shape[2]] = x


def pad_backward_arrays(grad_y, grad_x, *, padding, value):
    grad_x[...] = grad_y[:, padding[0] :, padding[2] :][:, : grad_x.shape[1], : grad_x.shape[2]]


@kernel
def pad_rows(x, y, padding, value, rows, block):
    _, height, row_size = x.shape
    images, y_height, _ = y.shape
    for row in range(block * rows, min((block + 1) * rows, images * y_height)):
        out, i = y[row // y_height, row % y_height], row % y_height - padding[0]
        if 0 <= i < height:
            source = x[row // y_height, i]
            fill(out[: padding[1]], value)
            inner = out[padding[1] :]
            for k in range(row_size):
                inner[k] = source[k]
            fill(inner[row_size:], value)
        else:
            fill(out, value)


@kernel
def pad_backward_rows(grad_y, grad_x, padding, rows, block):
    images, height, row_size = grad_x.shape
    for row in range(block * rows, min((block + 1) * rows, images * height)):
        n, i = row // height, row % height
        out, source = grad_x[n, i], grad_y[n, i + padding[0]][padding[1] :]
        for k in range(row_size):
            out[k] = source[k]


@compiled
def pad_compiled(x, y, *, padding, value):
    rows = cdiv(BLOCK_ELEMENTS, prod(y.shape[2:]))
    corner = (padding[0], padding[2] * x.shape[3])
    launch(pad_rows, cdiv(prod(y.shape[:2]), rows), merge_last_axes(x), merge_last_axes(y), corner, value, rows)


@compiled
def pad_backward_compiled(grad_y, grad_x, *, padding, value):
    rows = cdiv(BLOCK_ELEMENTS, prod(grad_x.shape[2:]))
    corner = (padding[0], padding[2] * grad_x.shape[3])
    launch(
        pad_backward_rows,
        cdiv(prod(grad_x.shape[:2]), rows),
        merge_last_axes(grad_y),
        merge_last_axes(grad_x),
        corner,
        rows,
    )


def merge_last_axes(x):
    """Return images (N, H, W, C) as (N, H, W * C)."""
    return x.reshape(*x.shape[:2], -1)


def pad_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    x = draw.array(*(draw.integer(1, 3) for _ in range(4)))
    return (x,), {"padding": tuple(draw.integer(0, 3) for _ in range(4)), "value": draw.choice([0.0, -1.5])}


pad = Op(
    "pad",
    pad_contract,
    loops=(pad_loops, pad_backward_loops),
    arrays=(pad_arrays, pad_backward_arrays),
    compiled=(pad_compiled, pad_backward_compiled),
    sample=pad_sample,
)
