"""Attribution methods: Grad-CAM, saliency and occlusion maps of one image; a model and an image in, arrays out.

The gradients are of the class's logit, not of a loss, in inference mode: running statistics, no dropout.

    saliency[i, j] = max over c of |d logit / d x[i, j, c]|
    Grad-CAM[i, j] = ReLU(sum over c of weight[c] * maps[i, j, c]),   weight[c] = mean over i, j of d logit / d maps[i, j, c]
    occlusion[i, j] = mean of the class's probability over the gray patches that cover i, j

Of a network of numbers (a regression), the number takes the place of logit and probability.

Sources: Simonyan et al. 2013, arXiv 1312.6034; Selvaraju et al. 2016, arXiv 1610.02391; Zeiler & Fergus 2013, arXiv 1311.2901.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.errors import ArgumentError, NotFiniteError, UnknownNameError
from byhand.kernels import cdiv
from byhand.nn import Model
from byhand.nn.gradients import first_logits, grad_cam, trace_gradients
from byhand.nn.receptive_field import FieldGrid, feature_maps, last_feature_map, lay_over
from byhand.nn.task import grad_logits
from byhand.ops import DEFAULT_HAND
from byhand.ops.op import Array, tree_leaves
from byhand.shapes import integer, pair

PATCH_PARTS = 5  # the gray patch is a fifth of the image
STRIDE_PARTS = 12  # and moves over it in twelve steps
OCCLUSION_BATCH = 16  # occluded images predicted at a time
EFFECT_ROUNDING = 1e-6  # fraction of a score by which it may change by rounding
LISTED_LAYERS = 8  # in an error message


@dataclass(frozen=True)
class Explanation:
    """Attribution maps of one image for one class, label or number, and what they were computed from.

    image: (H, W, C), as given; task: what the network answers; index, name: of the class; score: its probability, of a number
    its value; cam, saliency, occlusion: (H, W); layer: the layer whose feature maps
    (H', W', C') Grad-CAM weights, after: the layers that read them; None and () where the network has no feature maps, then cam
    and maps are None; first, filters: the first convolution and its weight (R, S, C, K), None where there is none; patch: the
    size of the gray patch, (height, width).
    """

    image: Array
    task: str
    index: int
    name: str
    score: float
    saliency: Array
    occlusion: Array
    patch: tuple[int, int]
    layer: str | None = None
    after: tuple[str, ...] = ()
    cam: Array | None = None
    maps: Array | None = None
    first: str | None = None
    filters: Array | None = None

    @property
    def effect(self) -> Array:
        """How much the score drops under the gray patch, (H, W); of a number, how much it changes."""
        lost = self.score - self.occlusion
        return np.abs(lost) if self.task == "numbers" else lost

    @property
    def occluded_most(self) -> tuple[int, int] | None:
        """The (row, column) where the gray patch has the largest effect; None where it has none."""
        return self.largest(self.effect, EFFECT_ROUNDING * abs(self.score))

    @staticmethod
    def largest(heat_map: Array, least: float = 0.0) -> tuple[int, int] | None:
        """Return the (row, column) of a map's largest value; None where no value is above `least`, or all are the same.

        >>> Explanation.largest(np.array([[0.0, 0.0], [2.0, 1.0]])), Explanation.largest(np.ones((2, 2)))
        ((1, 0), None)
        """
        if heat_map.max() <= max(least, heat_map.min()):
            return None
        row, column = np.unravel_index(int(heat_map.argmax()), heat_map.shape)
        return int(row), int(column)

    def format(self, score: float) -> str:
        """Return a score as text: a probability in percent, or a number."""
        return f"{score:.6g}" if self.task == "numbers" else f"{score:.1%}"


def explain(
    model: Model, image: Any, index: int | None = None, *, layer: str | None = None, hand: str = DEFAULT_HAND
) -> Explanation:
    """Explain a prediction for one image (H, W, C), uint8 or floating point.

    index: of the class, label or number, by default the most probable class, or the only number; layer: whose feature maps
    Grad-CAM weights, by default `last_feature_map(model)`.

    Raises ArgumentError where the layer has no feature maps, the class does not exist, the model gives features, or several
    numbers and none is named; NotFiniteError where its answer is NaN or infinite.

    >>> import byhand as bh
    >>> model = bh.models.create("lenet5")
    >>> found = explain(model, bh.data.load("mnist")[1].images[0])
    >>> found.layer, found.maps.shape, found.cam.shape
    ('relu2', (10, 10, 16), (28, 28))
    """
    image = np.asarray(image)
    if model.task == "features":
        raise ArgumentError(f"{model.name} has no classes; expected a classifier, but its output is {model.output!r}")
    if len(model.input_shape) != 3:
        raise ArgumentError(f"{model.name} takes {model.input_shape}; expected a network of images, (H, W, C)")
    scores = model.predict(image[None], batch_size=1, hand=hand)[0]
    if not np.isfinite(scores).all():
        raise NotFiniteError(f"{model.name} gives NaN for this image; `byhand trace` shows where it first occurs")
    if index is None and model.task == "numbers" and len(scores) > 1:
        raise ArgumentError(
            f"{model.name} gives {len(scores)} numbers; name the one to explain, from 0 to {len(scores) - 1}"
        )
    index = int(scores.argmax()) if index is None else _check_class(model, index)
    graph = model.graph.up_to(model.logits)
    maps = feature_maps(graph)
    if layer is not None and layer not in maps:
        _raise_no_maps(model, layer, maps)
    layer = last_feature_map(model) if layer is None else layer
    values = gradients(model, image[None], index, hand=hand)
    assert graph.input is not None
    patch = _patch(image)
    found: dict[str, Any] = {}
    if layer is not None:
        cam = grad_cam(values[layer][0], values[f"grad_{layer}"][0])
        readers = (node.name for node in graph.nodes if any(t.name == layer for t in tree_leaves(node.inputs.values())))
        found = {"layer": layer, "after": tuple(readers), "maps": values[layer][0]}
        found["cam"] = lay_over(cam, maps[layer], image.shape[:2])
    first = next((node for node in graph.nodes if node.op.name == "conv2d"), None)
    if first is not None:
        found |= {"first": first.name, "filters": values[first.inputs["weight"].name]}
    seen = saliency(values[f"grad_{graph.input.name}"][0])
    if not all(np.isfinite(heat_map).all() for heat_map in (seen, found.get("cam", seen))):
        raise NotFiniteError(f"{model.name}: the gradient of this image's score is NaN or infinite")
    return Explanation(
        image=image,
        task=model.task,
        index=index,
        name=model.classes[index] if model.classes else str(index),
        score=float(scores[index]),
        saliency=seen,
        occlusion=occlusion(model, image, index, patch=patch, hand=hand),
        patch=patch,
        **found,
    )


# Methods --------------------------------------------------------------------------------------------------------------


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
    """Return a class's probability, or a number, under a gray patch, (H, W, C) -> (H, W): low at pixels that matter for it.

    Each pixel holds the mean over the patches that cover it. The patch has the image's mean color. patch: its size, by default
    a fifth of the image; stride: of its positions, at most its size, by default a twelfth of the way; each a number or
    (vertical, horizontal). Source: Zeiler & Fergus 2013, arXiv 1311.2901.

    >>> import byhand as bh
    >>> model = bh.models.create("article")
    >>> occlusion(model, np.zeros((28, 28, 1)), 3, patch=14, stride=7).shape
    (28, 28)
    """
    height, width = image.shape[:2]
    patch_height, patch_width = size = _patch(image) if patch is None else pair("occlusion: patch", patch)
    if patch_height > height or patch_width > width:
        raise ArgumentError(f"occlusion: patch is {size}; expected no more than the image, {(height, width)}")
    steps = tuple(max(1, (side - part) // STRIDE_PARTS) for side, part in zip((height, width), size))
    steps = steps if stride is None else pair("occlusion: stride", stride)
    if steps[0] > patch_height or steps[1] > patch_width:
        raise ArgumentError(
            f"occlusion: stride is {steps}; expected no more than the patch, {size}, or the patches leave gaps"
        )
    gray = image.mean((0, 1))
    gray = np.rint(gray).astype(image.dtype) if image.dtype == np.uint8 else gray
    corners = [
        (top, left) for top in _starts(height, patch_height, steps[0]) for left in _starts(width, patch_width, steps[1])
    ]
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for start in range(0, len(corners), OCCLUSION_BATCH):
        batch = corners[start : start + OCCLUSION_BATCH]
        occluded = np.repeat(image[None], len(batch), 0)
        for occluded_image, (top, left) in zip(occluded, batch):
            occluded_image[top : top + patch_height, left : left + patch_width] = gray
        for score, (top, left) in zip(model.predict(occluded, hand=hand)[:, index], batch):
            total[top : top + patch_height, left : left + patch_width] += score
            count[top : top + patch_height, left : left + patch_width] += 1
    return total / count


def _patch(image: Array) -> tuple[int, int]:
    return cdiv(image.shape[0], PATCH_PARTS), cdiv(image.shape[1], PATCH_PARTS)


def _starts(side: int, part: int, step: int) -> list[int]:
    """Return the start positions of the patches: a step apart, the last one at the end."""
    return sorted({*range(0, side - part, step), side - part})


# Gradients of a logit -------------------------------------------------------------------------------------------------


def gradients(model: Model, images: Any, index: int, *, hand: str = DEFAULT_HAND) -> dict[str, Array]:
    """Return the values of `model.trace(images)`, and d logit[index] / d value of each as `grad_<name>`, per image.

    The logit is that before a softmax or sigmoid, whose own gradient is 0 where it is saturated; before the first, of several.

    >>> import byhand as bh
    >>> found = gradients(bh.models.create("article"), np.zeros((1, 28, 28, 1)), 3)
    >>> found["conv1"].shape, found["grad_conv1"].shape, found["grad_images"].shape
    ((1, 26, 26, 8), (1, 26, 26, 8), (1, 28, 28, 1))
    """
    grad = grad_logits(model.answer, _check_class(model, index), len(images), model.dtype)
    return trace_gradients(model, images, grad, logits=first_logits(model), hand=hand)


def _check_class(model: Model, index: int) -> int:
    count = len(model.classes) or model.logits.shape[-1]
    if not 0 <= integer("class", index, 0) < count:
        raise ArgumentError(f"class is {index}; expected 0 to {count - 1}, of {model.name}'s {model.task}")
    return index


def _raise_no_maps(model: Model, layer: str, maps: Mapping[str, FieldGrid]) -> None:
    """Raise the error for a layer without feature maps."""
    if layer not in model.graph.tensors:
        raise UnknownNameError("layer", layer, maps)
    names = ["..."] * (len(maps) > LISTED_LAYERS) + list(maps)[-LISTED_LAYERS:]
    expected = f"layers that have: {', '.join(names)}" if maps else f"no layer of {model.name} has any"
    raise ArgumentError(f"{model.graph.tensors[layer]!r} has no feature maps that the logits depend on; {expected}")
