"""The op calls of a byhand graph, with their weights in either memory layout, for other frameworks to rebuild."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.nn import Model
from byhand.ops.op import Array


@dataclass(frozen=True)
class LayerCall:
    """One op call: the names of its inputs, its parameters and states by argument, its attributes with padding in pixels."""

    op: str
    name: str
    inputs: tuple[str, ...]
    values: dict[str, Array]
    attributes: dict[str, Any]


def layer_calls(model: Model, channels_first: bool) -> list[LayerCall]:
    """Return the calls that compute a model's logits, the output of the last one.

    channels_first: filters are (K, C, R, S) and dense weights (out, in); the first dense layer's inputs are in the order of an
    image that is flattened as (C, H, W).
    """
    graph, numbers = model.graph.up_to(model.logits), {**vars(model.p), **vars(model.state)}
    plans, _ = graph.plan(1, training=False)
    flattened: dict[str, tuple[int, ...]] = {}  # outputs that are a flattened image: its (H, W, C)
    calls = []
    for node in graph.nodes:
        tensors = {key: tensor for key, tensor in node.inputs.items() if tensor is not None}
        values = {key: np.array(numbers[t.name]) for key, t in tensors.items() if t.kind in ("parameter", "state")}
        inputs = tuple(tensor.name for key, tensor in tensors.items() if key not in values)
        (first, *_), op = (tensors[key] for key in tensors if key not in values), node.op.name
        if op == "flatten":
            flattened[node.name] = first.shape[1:]
        elif first.name in flattened and op in ("relu", "dropout"):
            flattened[node.name] = flattened[first.name]
        if channels_first and op == "conv2d":
            values["weight"] = np.ascontiguousarray(values["weight"].transpose(3, 2, 0, 1))
        elif channels_first and op == "linear":
            values["weight"] = _dense(values["weight"], flattened.get(first.name))
        calls.append(LayerCall(op, node.name, inputs, values, plans[node.name].attributes))
    return calls


def _dense(weight: Array, image: tuple[int, ...] | None) -> Array:
    if image is not None:
        weight = weight.reshape(*image, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
    return np.ascontiguousarray(weight.T)


def symmetric_padding(padding: tuple[int, int, int, int]) -> tuple[int, int]:
    """Return (height, width) of a padding that is the same on both sides, as most frameworks require."""
    top, bottom, left, right = padding
    if (top, left) != (bottom, right):
        raise ValueError(f"the padding {padding} is not the same on both sides")
    return top, left
