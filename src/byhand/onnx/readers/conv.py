"""Conv and ConvTranspose, along one, two or three axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.onnx.node_context import NodeContext
from byhand.onnx.readers.window import (
    WindowAttributes,
    along_one_axis,
    check_window_axes,
    slices_of,
    split_padding,
    strides_and_dilations,
    volumes_of,
    window_attributes,
)
from byhand.onnx.registry import reader
from byhand.onnx.symbol import NHWC, OnnxValue, from_layout
from byhand.ops import conv2d, conv_transpose2d
from byhand.ops.op import Array

HWIO = (2, 3, 1, 0)  # the layout of byhand's filters: stored axis -> axis of ONNX's (out, in, H, W)


@reader("Conv")
def read_conv(node: NodeContext, x: OnnxValue, weight: OnnxValue, bias: OnnxValue | None = None) -> OnnxValue:
    """Read Conv: weight (out, in / group, ...)."""
    filters, offset = node.constant(weight, "weight"), node.constant(bias, "bias")
    _check_axes(x, filters)
    kernel = list(node.attribute("kernel_shape", filters.shape[2:]))
    if kernel != list(filters.shape[2:]):
        raise ValueError(f"kernel_shape is {kernel}, but the weight has the shape {filters.shape}")
    window = window_attributes(node, x.shape[2:], kernel)
    if len(kernel) == 1:
        row = window.with_row_axis()
        return along_one_axis(node, x, lambda image: _conv2d(node, image, filters[:, :, None], offset, row))
    if len(kernel) == 2:
        return _conv2d(node, x, filters, offset, window)
    return _conv3d(node, node.constant(x, "volume"), filters, offset, window)


def _check_axes(x: OnnxValue, weight: Array) -> None:
    if x.ndim != weight.ndim or weight.ndim < 3:
        raise ValueError(
            f"x has the shape {x.shape}, its weight {weight.shape}; expected the same number of axes, 3 or more"
        )


def _conv2d(node: NodeContext, x: OnnxValue, weight: Array, bias: Array | None, window: WindowAttributes) -> OnnxValue:
    """Return the convolution of images (N, C, H, W)."""
    y = node.apply(
        conv2d,
        node.in_layout(x, NHWC),
        weight.transpose(HWIO),
        bias,
        stride=tuple(window.strides),
        padding=window.padding,
        dilation=tuple(window.dilations),
        groups=node.attribute("group", 1),
    )
    return from_layout(y, NHWC)


def _conv3d(node: NodeContext, x: Array, weight: Array, bias: Array | None, window: WindowAttributes) -> OnnxValue:
    """Return the convolution of volumes (N, C, D, H, W): for each depth of the filter, that of their slices, summed."""
    check_window_axes(node, weight.ndim - 2)
    before, after, stride, dilation = window.pads[0], window.pads[3], window.strides[0], window.dilations[0]
    node.reserve(*x.shape[:2], x.shape[2] + before + after, *x.shape[3:])
    x = np.pad(x, [(0, 0), (0, 0), (before, after), (0, 0), (0, 0)])
    depth = (x.shape[2] - (weight.shape[2] - 1) * dilation - 1) // stride + 1
    total: Any = 0
    for k in range(weight.shape[2]):
        seen = x[:, :, k * dilation :][:, :, : (depth - 1) * stride + 1 : stride]
        slices = slices_of(seen)
        total = _conv2d(node, slices, weight[:, :, k], bias if k == 0 else None, window.within_slices()) + total
    return volumes_of(total, depth)


@reader("ConvTranspose")
def read_conv_transpose(node: NodeContext, x: OnnxValue, weight: OnnxValue, bias: OnnxValue | None = None) -> OnnxValue:
    """Read ConvTranspose: weight (in, out / group, ...); pads, or the output's shape, may be given."""
    filters, offset = node.constant(weight, "weight"), node.constant(bias, "bias")
    _check_axes(x, filters)
    axes = filters.ndim - 2
    window, output_padding = _transposed_window(node, x.shape[2:], filters.shape[2:])
    if axes == 1:
        row = window.with_row_axis()
        return along_one_axis(
            node,
            x,
            lambda image: _conv_transpose2d(node, image, filters[:, :, None], offset, row, [0, *output_padding]),
        )
    if axes == 2:
        return _conv_transpose2d(node, x, filters, offset, window, output_padding)
    check_window_axes(node, axes)
    return _conv_transpose3d(node, node.constant(x, "volume"), filters, offset, window, output_padding)


def _transposed_window(
    node: NodeContext, size: Sequence[int], kernel: Sequence[int]
) -> tuple[WindowAttributes, list[int]]:
    """Return the window of a transposed convolution, and its output padding: rows and columns added at the end."""
    axes = len(kernel)
    strides, dilations = strides_and_dilations(node, axes)
    output_padding = list(node.attribute("output_padding", [0] * axes))
    wanted, auto_pad = node.attribute("output_shape"), node.attribute("auto_pad", "NOTSET")
    if wanted is None and auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [pixels * stride for pixels, stride in zip(size, strides)]
    pads = list(node.attribute("pads", [0] * 2 * axes)) if auto_pad == "NOTSET" else [0] * 2 * axes
    if wanted is not None:
        full = _full_sizes(size, kernel, strides, dilations)
        totals = [pixels + added - target for pixels, added, target in zip(full, output_padding, wanted[-axes:])]
        output_padding = [added + max(-total, 0) for added, total in zip(output_padding, totals)]
        pads = split_padding([max(total, 0) for total in totals], upper=auto_pad == "SAME_UPPER")
    return WindowAttributes(list(kernel), strides, pads, dilations), output_padding


def _full_sizes(
    size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Return the size of a transposed convolution's output before padding is cropped."""
    return [(n - 1) * s + (k - 1) * d + 1 for n, k, s, d in zip(size, kernel, strides, dilations)]


def _conv_transpose2d(
    node: NodeContext,
    x: OnnxValue,
    weight: Array,
    bias: Array | None,
    window: WindowAttributes,
    output_padding: list[int],
) -> OnnxValue:
    """Return the transposed convolution of images (N, C, H, W)."""
    y = node.apply(
        conv_transpose2d,
        node.in_layout(x, NHWC),
        weight.transpose(HWIO),
        bias,
        stride=tuple(window.strides),
        padding=window.padding,
        output_padding=tuple(output_padding),
        dilation=tuple(window.dilations),
        groups=node.attribute("group", 1),
    )
    return from_layout(y, NHWC)


def _conv_transpose3d(
    node: NodeContext, x: Array, weight: Array, bias: Array | None, window: WindowAttributes, output_padding: list[int]
) -> OnnxValue:
    """Return the transposed convolution of volumes (N, C, D, H, W): each depth of the filter adds to its slices."""
    node.reserve(*x.shape)
    stride, dilation = window.strides[0], window.dilations[0]
    full = _full_sizes(x.shape[2:], window.kernel, window.strides, window.dilations)[0] + output_padding[0]
    if weight.shape[2] == 0:
        raise ValueError(f"its weight has the shape {weight.shape}; expected sizes of 1 or more")
    slices, within, y = slices_of(x), window.within_slices(), None
    for k in range(weight.shape[2]):
        part = volumes_of(
            np.asarray(_conv_transpose2d(node, slices, weight[:, :, k], None, within, output_padding[1:])), x.shape[2]
        )
        if y is None:
            y = np.zeros(node.reserve(*part.shape[:2], full, *part.shape[3:]), part.dtype)
        y[:, :, k * dilation :][:, :, : (x.shape[2] - 1) * stride + 1 : stride] += part
    assert y is not None
    y = y[:, :, window.pads[0] : y.shape[2] - window.pads[3]]
    return y if bias is None else y + bias.reshape(-1, 1, 1, 1)
