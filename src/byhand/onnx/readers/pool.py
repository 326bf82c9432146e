"""MaxPool, AveragePool and LpPool, along one, two or three axes, and the global poolings."""

from collections.abc import Callable
from functools import reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np

from byhand.onnx.node_context import NodeContext
from byhand.onnx.readers.reduce import reduce_axes
from byhand.onnx.readers.window import (
    WindowAttributes,
    along_one_axis,
    check_window_axes,
    slices_of,
    volumes_of,
    window_attributes,
)
from byhand.onnx.registry import reader
from byhand.onnx.symbol import NHWC, OnnxValue, Symbol, dtype_of, from_layout, layout_of, stored_form
from byhand.ops import avg_pool, conv2d, global_avg_pool, max_pool
from byhand.ops.op import Array

CALL_ELEMENTS = 1024  # elements whose work one NumPy call costs, for the budget

Pool2d = Callable[[Any, WindowAttributes], Any]  # of images (N, C, H, W)


def pool(node: NodeContext, x: OnnxValue, pool2d: Pool2d) -> OnnxValue:
    """Pool along as many axes as the window has, by a function that pools images."""
    kernel = list(node.attribute("kernel_shape"))
    axes = len(kernel)
    if x.ndim != axes + 2:
        raise ValueError(f"x has the shape {x.shape}, but kernel_shape is {kernel}; expected {axes + 2} axes of x")
    window = window_attributes(node, x.shape[2:], kernel)
    if axes == 1:
        return along_one_axis(node, x, lambda image: pool2d(image, window.with_row_axis()))
    if axes == 2:
        images: OnnxValue = pool2d(x, window)
        return images
    check_window_axes(node, axes)
    volume = node.constant(x, "volume")
    node.reserve(*volume.shape)
    within = volumes_of(pool2d(slices_of(volume), window.within_slices()), volume.shape[2])
    rows = within.reshape(*within.shape[:3], -1)
    across = pool2d(rows, window.across_slices())
    volumes: Array = across.reshape(*across.shape[:3], *within.shape[3:])
    return volumes


@reader("MaxPool")
def read_max_pool(node: NodeContext, x: OnnxValue) -> OnnxValue | list[OnnxValue]:
    """Read MaxPool, and its second output: the index of each maximum."""
    ceil_mode = bool(node.attribute("ceil_mode", 0))

    def max_pool2d(image: OnnxValue, window: WindowAttributes) -> OnnxValue:
        y = node.apply(
            max_pool,
            node.in_layout(image, NHWC),
            kernel=tuple(window.kernel),
            stride=tuple(window.strides),
            padding=window.padding,
            dilation=tuple(window.dilations),
            ceil_mode=ceil_mode,
        )
        return from_layout(y, NHWC)

    if not isinstance(x, Symbol) and x.dtype.kind in "iu":
        return node.constant(pool(node, x.astype(np.float32), max_pool2d), "input").astype(x.dtype)
    y = pool(node, x, max_pool2d)
    if len(node.outputs) < 2 or not node.outputs[1]:
        return y
    return [
        y,
        argmax_indices(node, node.constant(x, "input, whose Indices are an output,"), node.constant(y, "output")),
    ]


def argmax_indices(node: NodeContext, x: Array, y: Array) -> Array:
    """Return the flat index in x of each window's maximum; of equal ones, the first."""
    kernel = list(node.attribute("kernel_shape"))
    size, window = x.shape[2:], window_attributes(node, x.shape[2:], kernel)
    node.state.budget.charge(prod(kernel) * (CALL_ELEMENTS + y.size))
    column_major = node.attribute("storage_order", 0)
    steps = np.cumprod([1, *size[:-1]]) if column_major else np.cumprod([1, *size[:0:-1]])[::-1]
    indices = np.full(y.shape, -1, np.int64)
    for tap in product(*map(range, kernel)):
        starts = zip(y.shape[2:], window.strides, window.pads, tap, window.dilations)
        positions = [np.arange(n) * stride - pad + t * dilation for n, stride, pad, t, dilation in starts]
        inside = reduce(np.logical_and.outer, [(p >= 0) & (p < pixels) for p, pixels in zip(positions, size)])
        clipped: Any = np.ix_(*[p.clip(0, pixels - 1) for p, pixels in zip(positions, size)])
        seen = x[(slice(None), slice(None), *clipped)]
        index = reduce(np.add.outer, [p * step for p, step in zip(positions, steps)])
        np.copyto(indices, index, where=(indices < 0) & inside & (seen == y))
    images = np.arange(prod(x.shape[:2])).reshape(*x.shape[:2], *[1] * len(size))
    result: Array = indices + images * prod(size)
    return result


@reader("AveragePool")
def read_avg_pool(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read AveragePool."""
    ceil_mode = bool(node.attribute("ceil_mode", 0))
    count_include_pad = bool(node.attribute("count_include_pad", 0))

    def avg_pool2d(image: OnnxValue, window: WindowAttributes) -> OnnxValue:
        if max(window.dilations) > 1:
            return dilated_avg_pool(node, image, window, ceil_mode, count_include_pad)
        y = node.apply(
            avg_pool,
            node.in_layout(image, NHWC),
            kernel=tuple(window.kernel),
            stride=tuple(window.strides),
            padding=window.padding,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )
        return from_layout(y, NHWC)

    return pool(node, x, avg_pool2d)


def dilated_avg_pool(
    node: NodeContext, x: OnnxValue, window: WindowAttributes, ceil_mode: bool, count_include_pad: bool
) -> OnnxValue:
    """Return the averages of dilated windows: the sum of each divided by its number of pixels."""
    total = window_sums(node, x, window, ceil_mode)
    ones = np.ones(node.reserve(1, 1, *x.shape[2:]), np.float32)
    if count_include_pad:
        top, left, bottom, right = window.pads
        ones = np.pad(ones, [(0, 0), (0, 0), (top, bottom), (left, right)], constant_values=1)
        window = window._replace(pads=[0] * 4)
    counts = node.constant(window_sums(node, ones, window, ceil_mode), "windows")
    return node.binary("multiply", total, (1 / counts).astype(dtype_of(total)))


def window_sums(node: NodeContext, x: OnnxValue, window: WindowAttributes, ceil_mode: bool) -> OnnxValue:
    """Return the sum of every window, channel by channel: a depthwise convolution with ones."""
    pads = list(window.pads)
    if ceil_mode:
        for axis in range(2):
            extent = (window.kernel[axis] - 1) * window.dilations[axis] + 1
            size = x.shape[2 + axis] + pads[axis] + pads[2 + axis]
            pads[2 + axis] += -(size - extent) % window.strides[axis]
    channels = x.shape[1]
    ones = np.ones(node.reserve(*window.kernel, 1, channels), dtype_of(x))
    y = node.apply(
        conv2d,
        node.in_layout(x, NHWC),
        ones,
        stride=tuple(window.strides),
        padding=window._replace(pads=pads).padding,
        dilation=tuple(window.dilations),
        groups=channels,
    )
    return from_layout(y, NHWC)


@reader("LpPool")
def read_lp_pool(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read LpPool: (sum of |x|^p)^(1/p) of every window."""
    p, ceil_mode = float(node.attribute("p", 2)), bool(node.attribute("ceil_mode", 0))

    def sum_pool2d(image: OnnxValue, window: WindowAttributes) -> OnnxValue:
        return window_sums(node, image, window, ceil_mode)

    return power(node, pool(node, power(node, node.elementwise("abs", x), p), sum_pool2d), 1 / p)


def power(node: NodeContext, x: OnnxValue, exponent: float) -> OnnxValue:
    """Return x to the power of a number."""
    if exponent == 1:
        return x
    stored = stored_form(x)
    return from_layout(node.apply("power", stored, np.array([exponent], dtype_of(stored))), layout_of(x))


@reader("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def read_global_pool(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read the poolings over a whole image."""
    axes = list(range(2, x.ndim))
    if node.op_type == "GlobalAveragePool" and x.ndim == 4:
        return from_layout(node.apply(global_avg_pool, node.in_layout(x, NHWC), keepdims=True), NHWC)
    if node.op_type == "GlobalAveragePool":
        return reduce_axes(node, "reduce_mean", x, axes, keepdims=True)
    if node.op_type == "GlobalMaxPool":
        return reduce_axes(node, "reduce_max", x, axes, keepdims=True)
    p = float(node.attribute("p", 2))
    total = reduce_axes(node, "reduce_sum", power(node, node.elementwise("abs", x), p), axes, keepdims=True)
    return power(node, total, 1 / p)
