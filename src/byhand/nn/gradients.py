"""Every value of a forward pass in inference, and the gradient of any function of the logits with respect to each of them.

`Model.trace` computes the gradients of a training step, in which a batch norm uses its batch's statistics; here it uses the
running ones.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from byhand.errors import ShapeError
from byhand.graph import Node, Tensor
from byhand.nn.model import Model
from byhand.nn.output_activation import read_ending
from byhand.nn.receptive_field import depends_on_images
from byhand.nn.task import SIGMOIDS, SOFTMAXES
from byhand.ops import DEFAULT_HAND
from byhand.ops.op import Array, CallSpec


def trace_gradients(
    model: Model, images: Any, grad_logits: Any, *, logits: Tensor | None = None, hand: str = DEFAULT_HAND
) -> dict[str, Array]:
    """Return what `model.trace(images)` does, and under `grad_<name>` the gradient of each value that depends on the images.

    grad_logits (N, classes): the gradient with respect to the logits, for instance 1 at a class for its own logit, or
    probabilities minus labels for a loss; logits: another tensor of that shape, whose gradient it is. The nodes run in
    reverse; each op's `backward` returns the gradients of its inputs once the gradient of its output is complete, and a
    tensor that several nodes read gets their sum.
    Raises ShapeError where grad_logits has not the logits' shape.

    >>> import byhand as bh
    >>> model, image = bh.models.create("article"), np.zeros((1, 28, 28, 1), np.float32)
    >>> found = trace_gradients(model, image, model.predict(image) - np.eye(10, dtype=np.float32)[[3]])
    >>> found["grad_fc1"].sum().round(6), found["grad_images"].shape
    (np.float32(0.0), (1, 28, 28, 1))
    """
    values = model.trace(images, hand=hand)
    logits = model.logits if logits is None else logits
    name, grad = logits.name, np.asarray(grad_logits, model.dtype)
    if grad.shape != values[name].shape:
        raise ShapeError(f"{model.name}: grad_logits has the shape {grad.shape}; expected {values[name].shape}")
    graph = model.graph.up_to(logits)
    calls, _ = graph.plan(len(grad), training=False)
    needs_gradient, gradients = depends_on_images(graph), {name: grad}
    for node in reversed(graph.nodes):
        if node.output.name in gradients and node.output.name in needs_gradient:
            for name, part in _backward(
                node, calls[node.name], values, gradients[node.output.name], needs_gradient, hand
            ):
                gradients[name] = gradients[name] + part if name in gradients else part
    return values | {f"grad_{name}": value for name, value in gradients.items()}


def first_logits(model: Model) -> Tensor:
    """Return the logits before the first of several activations, as of the softmax of a softmax; else the model's logits.

    A class's gradient passes a saturated softmax or sigmoid as 0; its value before it has another.
    """
    graph, logits = model.graph.up_to(model.logits), model.logits
    while (ending := read_ending(graph, logits)).activation in (*SOFTMAXES, *SIGMOIDS):
        if ending.logits.shape != logits.shape or ending.logits.name not in model.graph.tensors:
            break
        logits = ending.logits
    return logits


def grad_cam(maps: Array, gradient: Array) -> Array:
    """Return the Grad-CAM heatmap of a class: ReLU(sum over c of weight[c] maps[..., c]), weight[c] = mean of gradient[..., c].

    maps (H, W, C), gradient of the class's logit with respect to maps (H, W, C) -> (H, W).
    Source: Selvaraju et al. 2016, arXiv 1610.02391.

    >>> grad_cam(np.array([[[1.0, 2.0], [3.0, 1.0]]]), np.array([[[1.0, -1.0], [1.0, -1.0]]]))
    array([[0., 2.]])
    """
    return np.maximum(maps @ gradient.mean((0, 1)), 0)  # type: ignore[no-any-return]


def _backward(
    node: Node, call: CallSpec, values: Mapping[str, Array], grad: Array, needs_gradient: set[str], hand: str
) -> list[tuple[str, Array]]:
    """Return (name, gradient) of each tensor that a node reads, given the gradient of its output."""
    op, returned = node.op, list[tuple[str, Array]]()

    def value_of(tensors: Any) -> Any:
        return tuple(map(value_of, tensors)) if isinstance(tensors, tuple) else tensors and values[tensors.name]

    def output_array(tensors: Any) -> Any:  # a hand that takes a list writes all of it
        if isinstance(tensors, tuple):
            return tuple(_empty(tensor, values, returned) for tensor in tensors)
        return None if tensors is None or tensors.name not in needs_gradient else _empty(tensors, values, returned)

    arguments = {name: value_of(value) for name, value in (node.inputs | node.outputs).items()}
    arguments |= {f"grad_{name}": output_array(node.inputs[name]) for name in op.differentiable}
    arguments[f"grad_{op.outputs[0]}"] = grad
    with np.errstate(all="ignore"):
        op.hand(hand).backward(*(arguments[name] for name in op.backward_arguments), **call.attributes)
    return [(name, part) for name, part in returned if name in needs_gradient]


def _empty(tensor: Tensor, values: Mapping[str, Array], returned: list[tuple[str, Array]]) -> Array:
    """Return an unwritten array like a tensor's, and note whose gradient it will be."""
    returned.append((tensor.name, np.empty_like(values[tensor.name])))
    return returned[-1][1]
