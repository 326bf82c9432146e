"""The logits of images, a batch at a time."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.data.lazy_images import LazyImages
from byhand.data.prefetch import Prefetcher
from byhand.graph import Graph
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
    if not len(images) and images.shape[1:] in ((), model.input_shape):
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


def outputs_of(model: Model, images: Any) -> Array:
    """Return the values of a model's output tensor for images: those that the graph computes from the logits."""
    logits = model.logits_of(images)
    known = {model.logits.name: logits} | vars(model.p) | vars(model.state)
    makers = {tensor.name: node for node in model.graph.nodes for tensor in node.outputs.values()}
    last = makers.get(model.logits.name)
    if last is not None and last.op.name == "flatten":  # a softmax of (N, 1, 1, K), whose logits (N, K) were added
        x = last.inputs["x"]
        known[x.name] = logits.reshape(len(logits), *x.shape[1:])
    after, waiting = Graph(), [model.output.name]
    while waiting:
        if (name := waiting.pop()) not in known:
            after.nodes = [makers[name], *(node for node in after.nodes if node is not makers[name])]
            waiting += [tensor.name for tensor in tree_leaves(makers[name].inputs.values())]
    return values_after(after.nodes, known).get(model.output.name, logits)
