"""Window attributes of Conv, ConvTranspose and the pooling operators, read: pads, strides, one to three spatial axes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from byhand.onnx.node_context import NodeContext
from byhand.onnx.symbol import OnnxValue
from byhand.ops.op import Array

MAX_WINDOW_AXES = 3


class WindowAttributes(NamedTuple):
    """A node's window: one number for each of its axes; pads: all at the start, then all at the end, as ONNX has them."""

    kernel: list[int]
    strides: list[int]
    pads: list[int]
    dilations: list[int]

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """The pads of two axes as byhand's (top, bottom, left, right)."""
        top, left, bottom, right = self.pads
        return top, bottom, left, right

    def with_row_axis(self) -> "WindowAttributes":
        """Return the window of one axis as one of two, the first of a single row."""
        before, after = self.pads
        return WindowAttributes([1, *self.kernel], [1, *self.strides], [0, before, 0, after], [1, *self.dilations])

    def within_slices(self) -> "WindowAttributes":
        """Return a window of three axes without its depth."""
        _, top, left, _, bottom, right = self.pads
        return WindowAttributes(self.kernel[1:], self.strides[1:], [top, left, bottom, right], self.dilations[1:])

    def across_slices(self) -> "WindowAttributes":
        """Return the depth of a window of three axes, as the rows of one of two."""
        before, after = self.pads[0], self.pads[3]
        return WindowAttributes(
            [self.kernel[0], 1], [self.strides[0], 1], [before, 0, after, 0], [self.dilations[0], 1]
        )


def window_attributes(node: NodeContext, size: Sequence[int], kernel: Sequence[int]) -> WindowAttributes:
    """Return the attributes of a node whose window moves over an input of this size."""
    strides, dilations = strides_and_dilations(node, len(kernel))
    return WindowAttributes(list(kernel), strides, _pads(node, size, kernel, strides, dilations), dilations)


def strides_and_dilations(node: NodeContext, axes: int) -> tuple[list[int], list[int]]:
    """Return the strides and the dilations of a node whose window has some axes."""
    strides, dilations = (list(node.attribute(name, [1] * axes)) for name in ("strides", "dilations"))
    if len(strides) != axes or len(dilations) != axes:
        raise ValueError(f"strides are {strides} and dilations {dilations}; expected {axes} of each, as its window has")
    return strides, dilations


def _pads(
    node: NodeContext, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Return the pads that the attributes pads or auto_pad ask for."""
    auto_pad, axes = node.attribute("auto_pad", "NOTSET"), len(kernel)
    if auto_pad == "VALID":
        return [0] * 2 * axes
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        return list(node.attribute("pads", [0] * 2 * axes))
    totals = [
        max(0, (-(-pixels // stride) - 1) * stride + (extent - 1) * dilation + 1 - pixels)
        for pixels, extent, stride, dilation in zip(size, kernel, strides, dilations)
    ]
    return split_padding(totals, upper=auto_pad == "SAME_UPPER")


def split_padding(totals: Sequence[int], *, upper: bool) -> list[int]:
    """Return pads whose sums are given; upper: an odd pixel goes to the end of its axis."""
    smaller = [total // 2 for total in totals]
    larger = [total - part for total, part in zip(totals, smaller)]
    return [*smaller, *larger] if upper else [*larger, *smaller]


def check_window_axes(node: NodeContext, axes: int) -> None:
    """Raise an UnsupportedError unless byhand has windows of so many axes."""
    if not 1 <= axes <= MAX_WINDOW_AXES:
        raise node.unsupported(f"its window has {axes} axes; byhand has windows of one to {MAX_WINDOW_AXES}")


def along_one_axis(node: NodeContext, x: OnnxValue, of_images: Callable[[Any], Any]) -> OnnxValue:
    """Apply a function of images (N, C, H, W) to signals (N, C, W), as images of one row."""
    y: OnnxValue = of_images(node.reshape(x, (*x.shape[:2], 1, x.shape[2])))
    return node.reshape(y, (*y.shape[:2], y.shape[3]))


def slices_of(volumes: Array) -> Array:
    """Return volumes (N, C, D, H, W) as images (N * D, C, H, W)."""
    return volumes.swapaxes(1, 2).reshape(-1, volumes.shape[1], *volumes.shape[3:])


def volumes_of(slices: Array, depth: int) -> Array:
    """Return images (N * D, C, H, W) as volumes (N, C, D, H, W)."""
    return slices.reshape(-1, depth, *slices.shape[1:]).swapaxes(1, 2)
