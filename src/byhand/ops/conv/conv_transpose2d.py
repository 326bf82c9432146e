"""conv_transpose2d: transposed convolution; each input pixel adds its value times a filter to a window of the output.

    y[n, p, q, k] = bias[k] + sum of  x[n, i, j, c] * weight[r, s, k, c]  over all i, j, c, r, s that land there:
                    p = i * stride - top + r * dilation,  q = j * stride - left + s * dilation

This is the gradient of conv2d with respect to its image. A stride moves the windows apart, so that the output is larger than
the image; padding crops the output. With `groups`, the channels of x add to the filters of their own group only.

Each product x * weight is part of one y, so

    grad_x[n, i, j, c]      = sum over r, s, k of  weight[r, s, k, c] * grad_y[n, p, q, k]       (conv2d of grad_y)
    grad_weight[r, s, k, c] = sum over n, i, j of  x[n, i, j, c] * grad_y[n, p, q, k]
    grad_bias[k]            = sum over n, p, q of  grad_y[n, p, q, k]

Sources: Long, Shelhamer & Darrell 2015, "Fully convolutional networks for semantic segmentation", arXiv 1411.4038; Dumoulin &
Visin 2016, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285.
"""

from math import prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import compiled, conv
from byhand.ops.arithmetic.broadcast import launch_add
from byhand.ops.conv.conv2d import conv_shape, split_groups
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.ops.windows import pad, unpad, window_views
from byhand.shapes import Padding, Shape, Size2d, axes, integer, transposed_window


def contract(
    x: Shape,
    weight: Shape,
    bias: Shape | None = None,
    *,
    stride: Size2d = 1,
    padding: Padding = 0,
    output_padding: Size2d = 0,
    dilation: Size2d = 1,
    groups: int = 1,
) -> CallSpec:
    """Transposed convolution: x (N, H, W, C), weight (R, S, K / groups, C), bias (K,) -> y (N, H', W', K).

    H' = (H - 1) * stride + (R - 1) * dilation + 1 - top - bottom + output_padding, and W' alike.

    stride, dilation: pixels, a number or (height, width); padding, cropped from the output: a number, (height, width) or
    (top, bottom, left, right); output_padding, extra rows at the bottom and columns at the right: a number or (height, width);
    bias may be None. Raises ShapeError where shapes do not fit.

    >>> import byhand as bh, numpy as np
    >>> brush = np.array([[1.0, 2, 1]]).reshape(1, 3, 1, 1)
    >>> bh.conv_transpose2d(np.array([1.0, 0, 10]).reshape(1, 1, 3, 1), brush, stride=2, hand="loops").ravel()
    array([ 1.,  2.,  1.,  0., 10., 20., 10.])
    """
    axes("x", x, "N, H, W, C")
    axes("weight", weight, "R, S, K / groups, C")
    groups, (rows, columns, depth, channels) = integer("groups", groups), weight
    if channels != x[3]:
        raise ShapeError(f"x has {x[3]} channels, but weight {weight} reads {channels}; its last axis is x's channels")
    if channels % groups:
        raise ShapeError(f"{channels} channels do not fall into {groups} groups; use a multiple of {groups}")
    filters = depth * groups
    if bias not in (None, (filters,)):
        raise ShapeError(f"bias has the shape {bias}; expected {(filters,)}, one number a filter")
    view = transposed_window(x[1:3], (rows, columns), stride, padding, output_padding, dilation)
    return CallSpec(
        {"y": (x[0], *view.output, filters)},
        {"stride": view.stride, "padding": view.padding, "dilation": view.dilation, "groups": groups},
        flops=2 * prod(x) * rows * columns * depth,
        window=view,
    )


# loops ----------------------------------------------------------------------------------------------------------------


def conv_transpose2d_loops(x, weight, bias, y, *, stride, padding, dilation, groups):
    y[...] = 0.0 if bias is None else bias
    _, height, width, _ = y.shape
    rows, columns, depth, channels = weight.shape
    for n, i, j, c in np.ndindex(x.shape):
        group = c // (channels // groups)
        for r, s in np.ndindex(rows, columns):
            p = i * stride[0] - padding[0] + r * dilation[0]
            q = j * stride[1] - padding[2] + s * dilation[1]
            if 0 <= p < height and 0 <= q < width:
                for k in range(depth):
                    y[n, p, q, group * depth + k] += x[n, i, j, c] * weight[r, s, k, c]


def conv_transpose2d_backward_loops(
    x, weight, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups
):
    for grad in (grad_x, grad_weight, grad_bias):
        if grad is not None:
            grad[...] = 0
    if grad_bias is not None:
        for n, p, q, k in np.ndindex(grad_y.shape):
            grad_bias[k] += grad_y[n, p, q, k]
    _, height, width, _ = grad_y.shape
    rows, columns, depth, channels = weight.shape
    for n, i, j, c in np.ndindex(x.shape):
        group = c // (channels // groups)
        for r, s in np.ndindex(rows, columns):
            p = i * stride[0] - padding[0] + r * dilation[0]
            q = j * stride[1] - padding[2] + s * dilation[1]
            if 0 <= p < height and 0 <= q < width:
                for k in range(depth):
                    if grad_weight is not None:
                        grad_weight[r, s, k, c] += x[n, i, j, c] * grad_y[n, p, q, group * depth + k]
                    if grad_x is not None:
                        grad_x[n, i, j, c] += weight[r, s, k, c] * grad_y[n, p, q, group * depth + k]


# arrays: per tap (r, s) of the window, one matrix product for all pixels, added to a strided view of the output -------


def conv_transpose2d_arrays(x, weight, bias, y, *, stride, padding, dilation, groups):
    kernel, pixels = weight.shape[:2], split_groups(x, groups)  # (groups, N * H * W, C / groups)
    padded = pad(np.zeros_like(y), x, kernel, stride, padding, dilation)  # with the rows and columns that padding crops
    for tap, window in window_views(padded, x, kernel, stride, dilation):
        products = pixels @ split_groups(weight[tap], groups).swapaxes(1, 2)  # (groups, N * H * W, K / groups)
        window += products.swapaxes(0, 1).reshape(window.shape)
    y[...] = unpad(padded, y, padding)
    if bias is not None:
        y += bias


def conv_transpose2d_backward_arrays(
    x, weight, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups
):
    kernel, pixels = weight.shape[:2], split_groups(x, groups)
    padded = pad(grad_y, x, kernel, stride, padding, dilation)
    if grad_bias is not None:
        grad_bias[...] = grad_y.sum((0, 1, 2))
    if grad_x is not None:
        grad_x[...] = 0
    for tap, window in window_views(padded, x, kernel, stride, dilation):
        grads = split_groups(window, groups)  # (groups, N * H * W, K / groups)
        if grad_weight is not None:
            grad_weight[tap] = (grads.swapaxes(1, 2) @ pixels).swapaxes(0, 1).reshape(weight.shape[2:])
        if grad_x is not None:
            grad_x += (grads @ split_groups(weight[tap], groups)).swapaxes(0, 1).reshape(x.shape)


# compiled: conv2d's kernels with image and output exchanged -----------------------------------------------------------


def as_conv_shape(x, weight, y, stride, padding, dilation, groups):
    """Return the convolution that makes an x of a y, from their shapes."""
    # Along an axis of one pixel a stride changes nothing, but the plan would have `stride` phases.
    stride = tuple(step if pixels > 1 else 1 for step, pixels in zip(stride, x[1:3]))
    return conv_shape(y, weight, x, stride, padding, dilation, groups)


def conv_transpose2d_algorithms(shapes, call, itemsize):
    """Return the algorithms that kernels choose for a call, by the array that each writes."""
    x, weight, *_ = shapes
    names = conv.names(as_conv_shape(x, weight, call.shapes["y"], **call.attributes), x[0], itemsize)
    return {"y": names["backward_data"], "grad_x": names["forward"], "grad_weight": names["backward_weights"]}


@compiled
def conv_transpose2d_compiled(x, weight, bias, y, *, stride, padding, dilation, groups):
    conv.backward_data(weight, x, y, as_conv_shape(x.shape, weight.shape, y.shape, stride, padding, dilation, groups))
    if bias is not None:
        launch_add(y, bias, y)


@compiled
def conv_transpose2d_backward_compiled(
    x, weight, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups
):
    shape = as_conv_shape(x.shape, weight.shape, grad_y.shape, stride, padding, dilation, groups)
    if grad_bias is not None:
        conv.backward_bias(grad_y, grad_bias)
    if grad_weight is not None:
        conv.backward_weights(grad_y, x, grad_weight, shape)
    if grad_x is not None:
        conv.forward(grad_y, weight, grad_x, conv.epilogue(grad_y), shape)


# the op ---------------------------------------------------------------------------------------------------------------


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    groups, depth, channels_per_group = draw.choice(  # filters and channels of a group
        [(1, 1, 1), (1, 3, 2), (1, 17, 3), (1, 2, 17), (2, 3, 2), (3, 2, 1), (3, 1, 2), (17, 1, 1)]
    )
    kernel, dilation = (draw.integer(1, 3), draw.integer(1, 3)), (draw.integer(1, 2), draw.integer(1, 2))
    size, stride = (draw.integer(1, 3), draw.integer(1, 3)), (draw.integer(1, 3), draw.integer(1, 3))
    output_padding = draw.choice([0, 1, (2, 0), (1, 4)])
    padding = draw.choice([0, 1, (0, 1), (2, 0, 1, 1), (0, 3, 0, 2)])
    if min(transposed_window(size, kernel, stride, 0, output_padding, dilation).output) <= 3:
        padding = 0  # the largest would crop all of it
    x, bias = draw.array(draw.integer(1, 2), *size, groups * channels_per_group), draw.array(groups * depth)
    inputs = x, draw.array(*kernel, depth, groups * channels_per_group), bias if draw.choice([True, False]) else None
    attributes = {"stride": stride, "padding": padding, "output_padding": output_padding}
    return inputs, attributes | {"dilation": dilation, "groups": groups}


conv_transpose2d = Op(
    "conv_transpose2d",
    contract,
    loops=(conv_transpose2d_loops, conv_transpose2d_backward_loops),
    arrays=(conv_transpose2d_arrays, conv_transpose2d_backward_arrays),
    compiled=(conv_transpose2d_compiled, conv_transpose2d_backward_compiled),
    sample=sample,
    algorithms=conv_transpose2d_algorithms,
)
