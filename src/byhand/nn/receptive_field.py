"""Which layers give maps, and where on the image each number of a map lies.

A window of `reach` = (kernel - 1) * dilation pixels from its first to its last sees, for output j, the pixels around

    stride * j + reach / 2 - padding

so that through a chain of layers map pixel j lies at start + step * j of the image: the middle of its receptive field. To
stretch a map over the image is the same where the windows tile it, and wrong where they do not: without padding the edge
of a map is not that of the image.

Source: Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", Distill.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from byhand.graph import Graph, Node, Tensor
from byhand.nn.model import Model
from byhand.ops.op import Array, Call, flat

IMAGE = (0, 1, 2, 3)  # the order of axes (N, H, W, C)
IMAGES = ("conv2d", "conv_transpose2d", "max_pool", "avg_pool", "lrn", "resize")  # take and give images, (N, H, W, C)
PASSING = (
    "max_pool",
    "avg_pool",
    "global_avg_pool",
    "dropout",
    "pad",
    "slice",
)  # sum up or hand on what was seen before

Line = tuple[float, float]  # (start, step): number j lies at start + step * j


@dataclass(frozen=True)
class Place:
    """Where an image's tensor lies.

    order: which axis of (N, H, W, C) each of its axes is, () where it is laid out otherwise; down, across: its rows and columns
    in pixels of the image; grid: how many there are of them, or were when it was laid out otherwise.
    """

    order: tuple[int, ...] = IMAGE
    down: Line = (0.0, 1.0)
    across: Line = (0.0, 1.0)
    grid: tuple[int, ...] = ()


def chosen_layer(model: Model) -> str | None:
    """Return the last layer whose maps are still an image of more than one pixel, before the pooling; None for no such layer.

    One through which all that is seen goes, no branch, where there is one.

    >>> import byhand as bh
    >>> chosen_layer(bh.models.create("squeezenet1_1")), chosen_layer(bh.models.create("vgg11"))
    ('relu26', 'relu8')
    """
    graph = model.graph.up_to(model.logits)
    maps, whole = with_maps(graph), _whole(graph)
    seen = [node.output.name for node in graph.nodes if node.output.name in maps and node.op.name not in PASSING]
    names: list[str | None] = [None, *maps, *seen, *(name for name in seen if name in whole)]
    return names[-1]


def with_maps(graph: Graph) -> dict[str, Place]:
    """Return where the tensors lie that are images (N, H, W, C) of more than one pixel, by name, in order.

    Axes are followed through transposes, which networks of others' bring along.

    >>> import byhand as bh
    >>> with_maps(bh.models.create("article").graph)["pool1"].down  # a 3 x 3 convolution, then 2 x 2 pixels
    (1.5, 2.0)
    """
    assert graph.input is not None
    image = graph.input.shape[1:3]
    places = {graph.input.name: Place(grid=image)} if len(graph.input.shape) == len(IMAGE) else {}
    calls, _ = graph.plan(1, training=False)
    found, wanted = {}, from_images(graph)
    for node in graph.nodes:
        read = [tensor for tensor in flat(node.inputs.values()) if tensor.name in places]
        if read:
            read.sort(key=lambda tensor: not places[tensor.name].order)  # what is still an image goes first
            name = node.output.name
            places[name] = place = _place(node, calls[node.name], read[0], places[read[0].name], image)
            if place.order == IMAGE and prod(place.grid) > 1 and name in wanted:
                found[name] = place
    return found


def from_images(graph: Graph) -> set[str]:
    """Return the names of the tensors that depend on the images by more than their shape, the images among them."""
    assert graph.input is not None
    names = {graph.input.name}
    for node in graph.nodes:
        if any(tensor.name in names for i in node.op.differentiable for tensor in flat([node.inputs[i]])):
            names.add(node.output.name)
    return names


def _whole(graph: Graph) -> set[str]:
    """Return the names of the tensors past which nothing that depends on the images goes."""
    wanted, last = from_images(graph), dict[str, int]()  # where each tensor is read last
    for i, node in enumerate(graph.nodes):
        last |= {tensor.name: i for tensor in flat(node.inputs.values()) if tensor.name in wanted}
    assert graph.input is not None
    names, farthest = set(), last.get(graph.input.name, 0)  # where one of those so far is read last
    for i, node in enumerate(graph.nodes):
        if node.output.name in wanted:
            if farthest <= i:
                names.add(node.output.name)
            farthest = max(farthest, last.get(node.output.name, 0))
    return names


def laid(values: Array, place: Place, size: tuple[int, int]) -> Array:
    """Return a map (H', W') laid over an image of size (H, W): linear between its numbers.

    Beyond the last it is the last for half a step, its own half, and then fades within a step: nothing was looked at there.

    >>> laid(np.array([[0.0, 4.0]]), Place(down=(0, 1), across=(0.5, 2)), (1, 4))
    array([[0., 1., 3., 4.]])
    """
    lines = zip(size, values.shape, (place.down, place.across))
    down, across = (_weights(pixels, count, line) for pixels, count, line in lines)
    return (down @ values @ across.T).astype(values.dtype)


def _weights(pixels: int, count: int, line: Line) -> Array:
    """Return how much of each number every pixel takes, (pixels, count)."""
    at = (np.arange(pixels) - line[0]) / line[1]
    inside = np.clip(at, 0, count - 1)
    fade = np.clip(1.5 - np.abs(at - inside), 0, 1)
    return fade[:, None] * np.maximum(0, 1 - np.abs(inside[:, None] - np.arange(count)))  # type: ignore[no-any-return]


def _place(node: Node, call: Call, read: Tensor, place: Place, image: tuple[int, ...]) -> Place:
    """Return where a node's result lies, given where what it read does."""
    shape, op = node.output.shape, node.op.name
    anew = op in ("reshape", "flatten") and shape != read.shape
    if anew or not place.order or len(shape) != len(place.order):
        return _again(place, shape, image) if op in IMAGES or anew else replace(place, order=())
    order = tuple(place.order[axis] for axis in call.attributes["axes"]) if op == "transpose" else place.order
    down, across = (
        _through(line, *_line(node, call, read, i, place.order.index(1 + i)))
        for i, line in enumerate((place.down, place.across))
    )
    return Place(order, down, across, (shape[order.index(1)], shape[order.index(2)]))


def _again(place: Place, shape: tuple[int, ...], image: tuple[int, ...]) -> Place:
    """Return the place of what was laid out otherwise: that of before where it has as many rows and columns again.

    Of the image's proportions, as after space to depth, it is stretched over the image.
    """
    grid = shape[1:3]
    if len(shape) == len(IMAGE) and grid == place.grid:
        return replace(place, order=IMAGE)
    if len(shape) == len(IMAGE) and min(grid) > 1 and grid[0] * image[1] == grid[1] * image[0]:
        down, across = (old / new for old, new in zip(image, grid))
        return Place(IMAGE, ((down - 1) / 2, down), ((across - 1) / 2, across), grid)
    return replace(place, order=())


def _through(line: Line, start: float, step: float) -> Line:
    """Return the place of a result whose number j lies at start + step * j of what was read."""
    return line[0] + line[1] * start, line[1] * step


def _line(node: Node, call: Call, read: Tensor, i: int, axis: int) -> Line:
    """Return where, on one axis of what a node reads, its results lie; i: 0 down, 1 across; axis: which that is there."""
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
