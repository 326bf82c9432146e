"""Why a network says what it says of an image: Grad-CAM, saliency and occlusion; a model and an image in, arrays out.

Both gradients are of the class's logit, not of a loss, in the network as it predicts: running statistics, no dropout.

    saliency[i, j] = max over c of |d logit / d x[i, j, c]|
    Grad-CAM[i, j] = ReLU(sum over c of weight[c] * maps[i, j, c]),   weight[c] = mean over i, j of d logit / d maps[i, j, c]
    occlusion[i, j] = mean of the class's probability over the grey patches that cover i, j

Sources: Simonyan et al. 2013, arXiv 1312.6034; Selvaraju et al. 2016, arXiv 1610.02391; Zeiler & Fergus 2013, arXiv 1311.2901.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.errors import ArgumentError, UnknownNameError
from byhand.nn import Model
from byhand.nn.gradients import grad_cam, trace_gradients
from byhand.nn.receptive_field import FieldGrid, feature_maps, last_feature_map, lay_over
from byhand.ops import DEFAULT_HAND
from byhand.ops.op import Array, flat
from byhand.shapes import integer, pair

PARTS, STEPS = 5, 12  # a grey patch is a fifth of the image, and goes over it in so many steps
MOST = 8  # layers that an error tells, the last ones
BATCH = 16  # images with a patch, at a time


@dataclass(frozen=True)
class Explanation:
    """Why a network gives an image's class its probability.

    image: (H, W, C), as it was given; index, name: of the class. cam, saliency, occlusion: (H, W). layer: whose maps
    (H', W', C') Grad-CAM weighs (`places` lays the result over the image), after: the layers that read them; None and () where
    a network has no maps, and then cam and maps are None. first, filters: its first convolution and that's weight
    (R, S, C, K), None where it has none. patch: the grey one's size, (down, across).
    """

    image: Array
    index: int
    name: str
    probability: float
    saliency: Array
    occlusion: Array
    patch: tuple[int, int]
    layer: str | None = None
    after: tuple[str, ...] = ()
    cam: Array | None = None
    maps: Array | None = None
    first: str | None = None
    filters: Array | None = None


def explain(
    model: Model, image: Any, index: int | None = None, *, layer: str | None = None, hand: str = DEFAULT_HAND
) -> Explanation:
    """Explain one image (H, W, C), uint8 or floating point, to a model that has classes.

    index: of the class, by default the most probable; layer: whose maps Grad-CAM weighs, by default `chosen_layer(model)`.
    Raises ArgumentError where the layer has no maps or the class does not exist, where there are no classes, or where the
    network gives no numbers.

    >>> import byhand as bh
    >>> model = bh.models.create("lenet5")
    >>> found = explain(model, bh.data.load("mnist")[1].images[0])
    >>> found.layer, found.maps.shape, found.cam.shape
    ('relu2', (10, 10, 16), (28, 28))
    """
    image = np.asarray(image)
    if not model.classes:
        raise ArgumentError(
            f"{model.name} has no classes, whose score could be explained: {model.output!r} is its output"
        )
    if len(model.input_shape) != 3:
        raise ArgumentError(f"{model.name} takes {model.input_shape}; expected a network of images, (H, W, C)")
    probabilities = model.predict(image[None], batch_size=1, hand=hand)[0]
    if not np.isfinite(probabilities).all():
        raise ArgumentError(f"{model.name} gives NaN for this image; `byhand trace` tells where it begins")
    index = int(probabilities.argmax()) if index is None else _class(model, index)
    graph = model.graph.up_to(model.logits)
    maps = feature_maps(graph)
    if layer is not None and layer not in maps:
        _refuse(model, layer, maps)
    layer = last_feature_map(model) if layer is None else layer
    values = gradients(model, image[None], index, hand=hand)
    assert graph.input is not None
    patch = _patch(image)
    found: dict[str, Any] = {}
    if layer is not None:
        cam = grad_cam(values[layer][0], values[f"grad_{layer}"][0])
        readers = (node.name for node in graph.nodes if any(t.name == layer for t in flat(node.inputs.values())))
        found = {"layer": layer, "after": tuple(readers), "maps": values[layer][0]}
        found["cam"] = lay_over(cam, maps[layer], image.shape[:2])
    first = next((node for node in graph.nodes if node.op.name == "conv2d"), None)
    if first is not None:
        found |= {"first": first.name, "filters": values[first.inputs["weight"].name]}
    seen = saliency(values[f"grad_{graph.input.name}"][0])
    if not all(np.isfinite(one).all() for one in (seen, found.get("cam", seen))):
        raise ArgumentError(f"{model.name}: the gradient of this image's score is NaN or infinite")
    return Explanation(
        image, index, model.classes[index], float(probabilities[index]), seen,
        occlusion(model, image, index, patch=patch, hand=hand), patch, **found,
    )  # fmt: skip


# the three ------------------------------------------------------------------------------------------------------------


def saliency(gradient: Array) -> Array:
    """Return how much each pixel moves a class's score: the largest |d logit / d x| of its channels.

    gradient (H, W, C), by the image as the network receives it -> (H, W). Source: Simonyan et al. 2013, arXiv 1312.6034.

    >>> saliency(np.array([[[1.0, -3.0], [0.0, 2.0]]]))
    array([[3., 2.]])
    """
    return np.abs(gradient).max(-1)  # type: ignore[no-any-return]


def occlusion(
    model: Model, image: Array, index: int, *, patch: Any = None, stride: Any = None, hand: str = DEFAULT_HAND
) -> Array:
    """Return a class's probability where a grey patch covers the image: (H, W, C) -> (H, W), low where it matters.

    Of a pixel, the mean over the patches that cover it. The patch has the image's mean colour: no network's idea of grey is
    another's. patch: its size, by default a fifth of the image; stride: how far it moves, no farther than its size, by
    default a twelfth of the way. Each is a number or (down, across). Source: Zeiler & Fergus 2013, arXiv 1311.2901.

    >>> import byhand as bh
    >>> model = bh.models.create("article")
    >>> occlusion(model, np.zeros((28, 28, 1)), 3, patch=14, stride=7).shape
    (28, 28)
    """
    height, width = image.shape[:2]
    tall, wide = size = _patch(image) if patch is None else pair("occlusion: patch", patch)
    if tall > height or wide > width:
        raise ArgumentError(f"occlusion: patch is {size}; expected no more than the image, {(height, width)}")
    steps = tuple(max(1, (side - part) // STEPS) for side, part in zip((height, width), size))
    steps = steps if stride is None else pair("occlusion: stride", stride)
    if steps[0] > tall or steps[1] > wide:
        raise ArgumentError(
            f"occlusion: stride is {steps}; expected no more than the patch, {size}, which else leaves gaps"
        )
    grey = image.mean((0, 1))
    grey = np.rint(grey).astype(image.dtype) if image.dtype == np.uint8 else grey
    corners = [(top, left) for top in _starts(height, tall, steps[0]) for left in _starts(width, wide, steps[1])]
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for start in range(0, len(corners), BATCH):
        some = corners[start : start + BATCH]
        covered = np.repeat(image[None], len(some), 0)
        for one, (top, left) in zip(covered, some):
            one[top : top + tall, left : left + wide] = grey
        for share, (top, left) in zip(model.predict(covered, hand=hand)[:, index], some):
            total[top : top + tall, left : left + wide] += share
            count[top : top + tall, left : left + wide] += 1
    return total / count


def _patch(image: Array) -> tuple[int, int]:
    return -(-image.shape[0] // PARTS), -(-image.shape[1] // PARTS)


def _starts(side: int, part: int, step: int) -> list[int]:
    """Return where patches begin: a step from one to the next, the last at the very end."""
    return sorted({*range(0, side - part, step), side - part})


# the gradient of a logit ----------------------------------------------------------------------------------------------


def gradients(model: Model, images: Any, index: int, *, hand: str = DEFAULT_HAND) -> dict[str, Array]:
    """Return what `model.trace(images)` does, and d logit[index] / d each of the values as `grad_<name>`, of each image.

    >>> import byhand as bh
    >>> found = gradients(bh.models.create("article"), np.zeros((1, 28, 28, 1)), 3)
    >>> found["conv1"].shape, found["grad_conv1"].shape, found["grad_images"].shape
    ((1, 26, 26, 8), (1, 26, 26, 8), (1, 28, 28, 1))
    """
    grad = np.zeros((len(images), len(model.classes)), model.dtype)
    grad[:, _class(model, index)] = 1
    return trace_gradients(model, images, grad, hand=hand)


def _class(model: Model, index: int) -> int:
    if not 0 <= integer("class", index, 0) < len(model.classes):
        raise ArgumentError(f"class is {index}; expected 0 to {len(model.classes) - 1}, of {model.name}'s classes")
    return index


def _refuse(model: Model, layer: str, maps: Mapping[str, FieldGrid]) -> None:
    """Raise the error for a layer that has no maps."""
    if layer not in model.graph.tensors:
        raise UnknownNameError("layer", layer, maps)
    some = ["..."] * (len(maps) > MOST) + list(maps)[-MOST:]
    having = f"these have: {', '.join(some)}" if maps else f"no layer of {model.name} has"
    raise ArgumentError(f"{model.graph.tensors[layer]!r} has no maps that the logits are made of; {having}")
