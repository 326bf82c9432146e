"""The receptive fields of a network's feature maps: where on the image each element of a map is centered.

A window of `reach` = (kernel - 1) * dilation pixels from its first to its last is centered, for output j, on pixel

    stride * j + reach / 2 - padding

of its input. Through a chain of layers, row (or column) j of a map is centered on pixel start + step * j of the image. A
heatmap is laid over the image by these centers. Stretching it over the image instead is wrong where the windows do not tile
it: without padding, the edge of a map is not the edge of the image.

Source: Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", Distill.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from byhand.graph import Graph, Node, Tensor
from byhand.nn.model import Model
from byhand.ops.op import Array, CallSpec, tree_leaves

NHWC = (0, 1, 2, 3)  # the order of axes
IMAGE_OPS = ("conv2d", "conv_transpose2d", "max_pool", "avg_pool", "lrn", "resize")  # read and write (N, H, W, C)
SUMMARIZING_OPS = ("max_pool", "avg_pool", "global_avg_pool", "dropout", "pad", "slice")  # detect nothing themselves

AxisCenters = tuple[float, float]  # (start, step): element j is centered on pixel start + step * j


@dataclass(frozen=True)
class FieldGrid:
    """The centers of a tensor's receptive fields.

    order: which axis of (N, H, W, C) each of its axes is, () where it has other axes; rows, columns: the pixels of the image
    that its rows and columns are centered on; grid: the number of rows and columns, or the last that was known.
    """

    order: tuple[int, ...] = NHWC
    rows: AxisCenters = (0.0, 1.0)
    columns: AxisCenters = (0.0, 1.0)
    grid: tuple[int, ...] = ()


def last_feature_map(model: Model) -> str | None:
    """Return the last layer whose output is a feature map of more than one pixel, before the pooling; None for no such layer.

    A layer that every path from the image to the logits passes through is preferred to one on a branch.

    >>> import byhand as bh
    >>> last_feature_map(bh.models.create("squeezenet1_1")), last_feature_map(bh.models.create("vgg11", seed=None))
    ('relu26', 'relu8')
    """
    graph = model.graph.up_to(model.logits)
    maps, bottlenecks = feature_maps(graph), _bottlenecks(graph)
    made = [node.output.name for node in graph.nodes if node.op.name not in SUMMARIZING_OPS]
    detected = [name for name in made if name in maps]
    names: list[str | None] = [None, *maps, *detected, *(name for name in detected if name in bottlenecks)]
    return names[-1]


def feature_maps(graph: Graph) -> dict[str, FieldGrid]:
    """Return the centers of every tensor (N, H, W, C) of more than one pixel that depends on the image, by name, in order.

    Axes are followed through transposes, which networks from other frameworks contain.

    >>> import byhand as bh
    >>> feature_maps(bh.models.create("article").graph)["pool1"].rows  # a 3 x 3 convolution, then 2 x 2 pixels
    (1.5, 2.0)
    """
    assert graph.input is not None
    image = graph.input.shape[1:3]
    grids = {graph.input.name: FieldGrid(grid=image)} if len(graph.input.shape) == len(NHWC) else {}
    calls, _ = graph.plan(1, training=False)
    maps, dependent = {}, depends_on_images(graph)
    for node in graph.nodes:
        read = [tensor for tensor in tree_leaves(node.inputs.values()) if tensor.name in grids]
        if read:
            read.sort(key=lambda tensor: not grids[tensor.name].order)  # those that are still images first
            name = node.output.name
            grids[name] = grid = _grid_of(node, calls[node.name], read[0], grids[read[0].name], image)
            if grid.order == NHWC and prod(grid.grid) > 1 and name in dependent:
                maps[name] = grid
    return maps


def depends_on_images(graph: Graph) -> set[str]:
    """Return the names of the tensors whose values depend on the images, the images among them."""
    assert graph.input is not None
    names = {graph.input.name}
    for node in graph.nodes:
        if any(tensor.name in names for i in node.op.differentiable for tensor in tree_leaves([node.inputs[i]])):
            names.add(node.output.name)
    return names


def _bottlenecks(graph: Graph) -> set[str]:
    """Return the names of the tensors that every path from the images to the output passes through."""
    assert graph.input is not None
    dependent, last_read = depends_on_images(graph), dict[str, int]()
    for i, node in enumerate(graph.nodes):
        last_read |= {tensor.name: i for tensor in tree_leaves(node.inputs.values()) if tensor.name in dependent}
    names, farthest = set(), last_read.get(graph.input.name, 0)  # the last node that reads a tensor made so far
    for i, node in enumerate(graph.nodes):
        if node.output.name in dependent:
            if farthest <= i:
                names.add(node.output.name)
            farthest = max(farthest, last_read.get(node.output.name, 0))
    return names


def lay_over(values: Array, grid: FieldGrid, size: tuple[int, int]) -> Array:
    """Return a map (H', W') laid over an image of size (H, W), with linear interpolation between the centers.

    Beyond the outermost centers a value is constant for half a step and then fades to 0 within one: no window looked there.

    >>> lay_over(np.array([[0.0, 4.0]]), FieldGrid(rows=(0, 1), columns=(0.5, 2)), (1, 4))
    array([[0., 1., 3., 4.]])
    """
    axes = zip(size, values.shape, (grid.rows, grid.columns))
    row_weights, column_weights = (_interpolation(pixels, count, centers) for pixels, count, centers in axes)
    return (row_weights @ values @ column_weights.T).astype(values.dtype)


def _interpolation(pixels: int, count: int, centers: AxisCenters) -> Array:
    """Return the weight of each element of a map in every pixel, (pixels, count)."""
    position = (np.arange(pixels) - centers[0]) / centers[1]
    inside = np.clip(position, 0, count - 1)
    fade = np.clip(1.5 - np.abs(position - inside), 0, 1)
    return fade[:, None] * np.maximum(0, 1 - np.abs(inside[:, None] - np.arange(count)))  # type: ignore[no-any-return]


def _grid_of(node: Node, call: CallSpec, read: Tensor, grid: FieldGrid, image: tuple[int, ...]) -> FieldGrid:
    """Return the centers of a node's result, given those of the tensor that it reads."""
    shape, op = node.output.shape, node.op.name
    reshaped = op in ("reshape", "flatten") and shape != read.shape
    if reshaped or not grid.order or len(shape) != len(grid.order):
        return _image_grid(grid, shape, image) if op in IMAGE_OPS or reshaped else replace(grid, order=())
    order = tuple(grid.order[axis] for axis in call.attributes["axes"]) if op == "transpose" else grid.order
    rows, columns = (
        _through(centers, *_axis_centers(node, call, read, i, grid.order.index(1 + i)))
        for i, centers in enumerate((grid.rows, grid.columns))
    )
    return FieldGrid(order, rows, columns, (shape[order.index(1)], shape[order.index(2)]))


def _image_grid(grid: FieldGrid, shape: tuple[int, ...], image: tuple[int, ...]) -> FieldGrid:
    """Return the centers of a tensor that is an image again: the last known ones, where it has as many rows and columns.

    One of the image's proportions, as after space to depth, is stretched over the image.
    """
    size = shape[1:3]
    if len(shape) == len(NHWC) and size == grid.grid:
        return replace(grid, order=NHWC)
    if len(shape) == len(NHWC) and min(size) > 1 and size[0] * image[1] == size[1] * image[0]:
        row_step, column_step = (old / new for old, new in zip(image, size))
        return FieldGrid(NHWC, ((row_step - 1) / 2, row_step), ((column_step - 1) / 2, column_step), size)
    return replace(grid, order=())


def _through(centers: AxisCenters, start: float, step: float) -> AxisCenters:
    """Return the centers of a result whose element j is centered on element start + step * j of its input."""
    return centers[0] + centers[1] * start, centers[1] * step


def _axis_centers(node: Node, call: CallSpec, read: Tensor, i: int, axis: int) -> AxisCenters:
    """Return the centers of a node's results along one axis of its input; i: 0 for rows, 1 for columns; axis: theirs."""
    attributes: Mapping[str, Any] = call.attributes
    if (window := call.window) is not None:
        stride, padding = window.stride[i], window.padding[2 * i]
        middle = (window.kernel[i] - 1) * window.dilation[i] / 2 - padding
        return (-middle / stride, 1 / stride) if window.transposed else (middle, float(stride))
    if node.op.name == "resize":
        step = read.shape[axis] / node.output.shape[axis]
        return (step - 1) / 2, step
    if node.op.name == "pad":
        return -float(attributes["padding"][2 * i]), 1.0
    if node.op.name == "slice":
        return float(attributes["starts"][axis]), float(attributes["steps"][axis])
    return 0.0, 1.0
