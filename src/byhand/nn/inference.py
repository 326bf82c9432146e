"""The logits of images, a batch at a time."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.data.lazy_images import LazyImages
from byhand.data.prefetch import Prefetcher
from byhand.graph import Node, Tensor
from byhand.nn.output_activation import values_after
from byhand.ops.op import Array, tree_leaves
from byhand.shapes import integer

if TYPE_CHECKING:
    from byhand.nn.model import Model

MAX_BATCH = 250  # images, where no batch size is given
MAX_BATCH_PIXELS = 1 << 20  # in all of these images


def logits_of(model: Model, images: Any, batch_size: int | None, hand: str, precision: str) -> Array:
    """Return the logits (N, classes) of images; see `Model.logits_of`."""
    files = isinstance(images, LazyImages)
    images = images if files else np.atleast_1d(images)
    default = max(1, min(MAX_BATCH, MAX_BATCH_PIXELS // max(1, prod(model.input_shape[:2]))))
    size = default if batch_size is None else integer("batch_size", batch_size)
    if is_empty(model, images):
        return np.empty((0, *model.logits.shape[1:]), model.dtype)

    def batch(start: int) -> Array:
        return np.asarray(images[start : start + size])

    starts, parts = range(0, max(1, len(images)), size), []
    for part in Prefetcher(batch, starts) if files else map(batch, starts):
        part = model.check(part)
        program = model.program(len(part), hand=hand, precision=precision)
        with model.lock.rlock:  # from the images to the result, which the program copies
            x = model.prepare(part, out=program.images[0], hand=hand)
            parts.append(program(x, model.p, model.state, program.arena))
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def is_empty(model: Model, images: Any) -> bool:
    """Tell whether images are none, and in no wrong shape."""
    return not len(images) and images.shape[1:] in ((), model.input_shape)


def outputs_of(model: Model, logits: Array) -> Array:
    """Return the values of a model's output tensor: those that the graph computes from the logits."""
    known = {model.logits.name: logits} | vars(model.p) | vars(model.state)
    before = _before_flatten(model)
    if before is not None:
        known[before.name] = logits.reshape(len(logits), *before.shape[1:])
    return values_after(nodes_after_logits(model), known).get(model.output.name, logits)


def nodes_after_logits(model: Model) -> list[Node]:
    """Return the nodes that compute a model's output tensor from its logits, in order."""
    makers = {tensor.name: node for node in model.graph.nodes for tensor in node.outputs.values()}
    before = _before_flatten(model)
    known = {model.logits.name} if before is None else {model.logits.name, before.name}
    nodes, waiting = list[Node](), [model.output.name]
    while waiting:
        if (name := waiting.pop()) not in known and name in makers:
            nodes = [makers[name], *(node for node in nodes if node is not makers[name])]
            waiting += [tensor.name for tensor in tree_leaves(makers[name].inputs.values())]
    return nodes


def _before_flatten(model: Model) -> Tensor | None:
    """Return x where the logits are a flatten of x: a softmax of (N, 1, 1, K), whose logits (N, K) were added."""
    last = next((node for node in model.graph.nodes if model.logits in node.outputs.values()), None)
    return last.inputs["x"] if last is not None and last.op.name == "flatten" else None
