"""conv2d: 2-D convolution; every output is the sum of a window of the image times a filter.

    y[n, i, j, k] = bias[k] + sum over r, s, c of  x[n, p, q, c] * weight[r, s, c, k]
                    with  p = i * stride - top + r * dilation,  q = j * stride - left + s * dilation

Pixels outside the image count as 0. With `groups`, channels and filters are split into that many groups, and a filter reads
the channels of its own group only (groups = channels: depthwise). This is cross-correlation: the filter is not flipped, as in
all deep learning frameworks.

Each product x * weight is part of one y, so the gradients are the same sum over other indices:

    grad_weight[r, s, c, k] = sum over n, i, j of  x[n, p, q, c] * grad_y[n, i, j, k]
    grad_x[n, p, q, c]     += weight[r, s, c, k] * grad_y[n, i, j, k]
    grad_bias[k]            = sum over n, i, j of  grad_y[n, i, j, k]

Source: LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition".
"""

from math import prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import compiled, conv
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.ops.windows import pad, unpad, window_views
from byhand.shapes import Padding, Shape, Size2d, axes, integer, window


def contract(
    x: Shape,
    weight: Shape,
    bias: Shape | None = None,
    *,
    stride: Size2d = 1,
    padding: Padding = "valid",
    dilation: Size2d = 1,
    groups: int = 1,
) -> CallSpec:
    """Slide filters over an image: x (N, H, W, C), weight (R, S, C / groups, K), bias (K,) or None -> y (N, H', W', K).

    stride, dilation: pixels, a number or (height, width); padding: "valid", "same", a number, (height, width) or
    (top, bottom, left, right). Raises ShapeError where shapes do not fit.

    >>> import byhand as bh, numpy as np
    >>> edge = np.array([[1.0, -1.0]]).reshape(1, 2, 1, 1)  # a filter that detects falling brightness
    >>> bh.conv2d(np.array([0.0, 9, 9, 0]).reshape(1, 1, 4, 1), edge, hand="loops").ravel()
    array([-9.,  0.,  9.])
    """
    axes("x", x, "N, H, W, C")
    axes("weight", weight, "R, S, C / groups, K")
    groups, (rows, columns, depth, filters) = integer("groups", groups), weight
    if depth * groups != x[3]:
        hint = "; channels come last here: x.transpose(0, 2, 3, 1)" if depth * groups == x[1] else ""
        hint = "; a weight is (R, S, C, K) here: weight.transpose(2, 3, 1, 0)" if columns == x[3] else hint
        raise ShapeError(
            f"x has {x[3]} channels, but weight {weight} in {groups} group(s) reads {depth * groups:d}{hint}"
        )
    if filters % groups:
        raise ShapeError(f"{filters} filters do not fall into {groups} groups; use a multiple of {groups}")
    if bias not in (None, (filters,)):
        raise ShapeError(f"bias has the shape {bias}; expected {(filters,)}, one number a filter")
    view = window(x[1:3], (rows, columns), stride, padding, dilation)
    y = (x[0], *view.output, filters)
    return CallSpec(
        {"y": y},
        {"stride": view.stride, "padding": view.padding, "dilation": view.dilation, "groups": groups},
        flops=prod(y) * (2 * rows * columns * depth - (bias is None)),
        window=view,
    )


# loops ----------------------------------------------------------------------------------------------------------------


def conv2d_loops(x, weight, bias, y, *, stride, padding, dilation, groups):
    _, height, width, _ = x.shape
    rows, columns, depth, filters = weight.shape
    for n, i, j, k in np.ndindex(y.shape):
        total = 0.0 if bias is None else bias[k]
        group = k // (filters // groups)
        for r, s in np.ndindex(rows, columns):
            p = i * stride[0] - padding[0] + r * dilation[0]
            q = j * stride[1] - padding[2] + s * dilation[1]
            if 0 <= p < height and 0 <= q < width:
                for c in range(depth):
                    total += x[n, p, q, group * depth + c] * weight[r, s, c, k]
        y[n, i, j, k] = total


def conv2d_backward_loops(x, weight, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups):
    for grad in (grad_x, grad_weight, grad_bias):
        if grad is not None:
            grad[...] = 0
    _, height, width, _ = x.shape
    rows, columns, depth, filters = weight.shape
    for n, i, j, k in np.ndindex(grad_y.shape):
        if grad_bias is not None:
            grad_bias[k] += grad_y[n, i, j, k]
        group = k // (filters // groups)
        for r, s in np.ndindex(rows, columns):
            p = i * stride[0] - padding[0] + r * dilation[0]
            q = j * stride[1] - padding[2] + s * dilation[1]
            if 0 <= p < height and 0 <= q < width:
                for c in range(depth):
                    if grad_weight is not None:
                        grad_weight[r, s, c, k] += x[n, p, q, group * depth + c] * grad_y[n, i, j, k]
                    if grad_x is not None:
                        grad_x[n, p, q, group * depth + c] += weight[r, s, c, k] * grad_y[n, i, j, k]


# arrays: im2col: every window becomes a column of a matrix; one matrix product per group computes all the sums -------


def im2col(x, weight, y, groups, **view):
    """Return im2col of x, every window a column: (groups, R * S * C / groups, N * H' * W')."""
    rows, columns, depth, _ = weight.shape
    result = np.empty((groups, rows, columns, depth, *y.shape[:3]), x.dtype)
    padded = pad(x, y, (rows, columns), **view)
    for (r, s), pixels in window_views(padded, y, (rows, columns), view["stride"], view["dilation"]):
        result[:, r, s] = pixels.transpose(3, 0, 1, 2).reshape(groups, depth, *y.shape[:3])
    return result.reshape(groups, rows * columns * depth, -1)


def split_groups(a, groups):
    """Return the last axis split into groups: a (..., K) -> view (groups, all other axes, K / groups)."""
    return a.reshape(-1, groups, a.shape[-1] // groups).swapaxes(0, 1)


def conv2d_arrays(x, weight, bias, y, *, stride, padding, dilation, groups):
    columns = im2col(x, weight, y, groups, stride=stride, padding=padding, dilation=dilation)
    sums = split_groups(weight, groups).swapaxes(1, 2) @ columns  # (groups, K / groups, N * H' * W')
    y[...] = sums.reshape(y.shape[3], -1).T.reshape(y.shape)
    if bias is not None:
        y += bias


def conv2d_backward_arrays(x, weight, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups):
    view = {"stride": stride, "padding": padding, "dilation": dilation}
    kernel, grads = weight.shape[:2], split_groups(grad_y, groups)
    if grad_bias is not None:
        grad_bias[...] = grad_y.sum((0, 1, 2))
    if grad_weight is not None:
        products = im2col(x, weight, grad_y, groups, **view) @ grads  # (groups, R * S * C / groups, K / groups)
        grad_weight[...] = products.swapaxes(0, 1).reshape(weight.shape)
    if grad_x is not None:
        parts = split_groups(weight, groups) @ grads.swapaxes(1, 2)  # the gradient of each column
        parts = parts.reshape(groups, *weight.shape[:3], *grad_y.shape[:3])
        padded = pad(np.zeros_like(x), grad_y, kernel, **view)
        for (r, s), pixels in window_views(padded, grad_y, kernel, stride, dilation):
            pixels += parts[:, r, s].reshape(-1, *grad_y.shape[:3]).transpose(1, 2, 3, 0)
        grad_x[...] = unpad(padded, x, padding)


# compiled: the sums over a register tile, kernels/conv ----------------------------------------------------------------


def conv_shape(x, weight, y, stride, padding, dilation, groups):
    """Return the sizes and attributes as kernels take them; x, weight, y: shapes."""
    return conv.ConvShape(
        image=tuple(x[1:3]),
        output=tuple(y[1:3]),
        kernel=tuple(weight[:2]),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        depth=weight[2],
        filters_per_group=weight[3] // groups,
    )


def conv2d_algorithms(shapes, call, itemsize):
    """Return the algorithms that kernels choose for a call, by the array that each writes."""
    x, weight, *_ = shapes
    attributes = {name: call.attributes[name] for name in ("stride", "padding", "dilation", "groups")}
    names = conv.names(conv_shape(x, weight, call.shapes["y"], **attributes), x[0], itemsize)
    return {"y": names["forward"], "grad_x": names["backward_data"], "grad_weight": names["backward_weights"]}


@compiled
def conv2d_compiled(x, weight, bias, y, *, stride, padding, dilation, groups):
    shape = conv_shape(x.shape, weight.shape, y.shape, stride, padding, dilation, groups)
    conv.forward(x, weight, y, conv.epilogue(x, bias), shape)


@compiled
def conv2d_backward_compiled(x, weight, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups):
    shape = conv_shape(x.shape, weight.shape, grad_y.shape, stride, padding, dilation, groups)
    if grad_bias is not None:
        conv.backward_bias(grad_y, grad_bias)
    if grad_weight is not None:
        conv.backward_weights(x, grad_y, grad_weight, shape)
    if grad_x is not None:
        conv.backward_data(weight, grad_y, grad_x, shape)


# the op ---------------------------------------------------------------------------------------------------------------


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    groups, depth, filters_per_group = draw.choice(
        [(1, 1, 1), (1, 3, 2), (1, 17, 3), (1, 2, 17), (2, 3, 2), (3, 2, 1), (3, 1, 2), (17, 1, 1)]
    )
    kernel, dilation = (draw.integer(1, 3), draw.integer(1, 3)), (draw.integer(1, 2), draw.integer(1, 2))
    size = [(k - 1) * d + draw.integer(1, 5) for k, d in zip(kernel, dilation)]
    padding = draw.choice(["valid", "same", 1, (0, 2), (2, 0, 1, 1)])
    x = draw.array(draw.integer(1, 2), *size, groups * depth)
    bias = draw.array(groups * filters_per_group) if draw.choice([True, False]) else None
    stride = (draw.integer(1, 3), draw.integer(1, 3))
    weight = draw.array(*kernel, depth, groups * filters_per_group)
    return (x, weight, bias), {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


conv2d = Op(
    "conv2d",
    contract,
    loops=(conv2d_loops, conv2d_backward_loops),
    arrays=(conv2d_arrays, conv2d_backward_arrays),
    compiled=(conv2d_compiled, conv2d_backward_compiled),
    sample=sample,
    algorithms=conv2d_algorithms,
)
