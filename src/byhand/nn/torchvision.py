"""Weights in torchvision's layout: a PyTorch state dict in a safetensors file.

A layer has the name of PyTorch's module, with '_' for '.': `layer1.0.conv1.weight` is `layer1_0_conv1_weight`; a norm's weight
and bias are gamma and beta. PyTorch's filters are (out, in, height, width) and its matrices (out, in); here they are
(height, width, in, out) and (in, out). A flattened image has another order too: (C, H, W) there, (H, W, C) here.
"""

import os
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from byhand.data.open_file import open_regular_file
from byhand.errors import ByhandError, FileError
from byhand.graph import Graph, Node, Tensor
from byhand.nn.hub import local_file
from byhand.nn.model import Model
from byhand.ops.op import Array
from byhand.shapes import Shape
from byhand.text import one_line

OTHER_NAMES = {"weight": "gamma", "bias": "beta"}
BATCH_COUNTER = "num_batches_tracked"  # of a batch norm; inference does not need it
# PyTorch's filters of the latter are (in, out, ...), those here (..., out, in): the same permutation.
CONVOLUTIONS = ("conv2d", "conv_transpose2d")
AUXILIARY_HEADS = ("aux", "AuxLogits")  # a file may hold them, a model need not


def load(model: Model, path: str | os.PathLike[str]) -> None:
    """Read a state dict into a model: all of it, or nothing. `hf://OWNER/REPO` is one on the Hugging Face Hub (see hub.py).

    Raises FileError where the file can't be read, or holds other names or shapes than the model.
    """
    wanted = {t.name: t for kind in ("parameter", "state") for t in model.graph.of_kind(kind)}
    readers = {t.name: (node, key) for node in model.graph.nodes for key, t in _tensors(node)}
    found: dict[str, Array] = {}
    weights = local_file(path)
    with open_regular_file(
        weights, "a state dict (.safetensors)"
    ):  # the library calls a file that may not be read missing
        pass
    try:
        with safe_open(weights, "numpy") as file:
            for key in list(file.keys()):
                name = _name_of(key, wanted)
                if name is None:
                    if key.endswith(BATCH_COUNTER) or key.startswith(AUXILIARY_HEADS):
                        continue
                    raise FileError(f"it holds '{key}', for which the model has no place")
                tensor, theirs = wanted[name], tuple(file.get_slice(key).get_shape())
                expected = _file_shapes(*readers[name], tensor)
                if theirs not in expected:
                    raise FileError(f"its '{key}' has the shape {theirs}; the model needs {expected[0]}")
                found[name] = _from_torch(model.graph, *readers[name], tensor, file.get_tensor(key))
        if missing := sorted(n for n, t in wanted.items() if n not in found and t.dtype is not np.uint64):
            raise FileError(f"it holds nothing for '{missing[0]}' ({len(missing)} of {len(wanted)} are missing)")
    except (ByhandError, SafetensorError, OSError, ValueError, TypeError) as error:
        raise FileError(f"{path} is no state dict of {model.name}: {one_line(error)}") from None
    for name, values in found.items():
        vars(model.p if wanted[name].kind == "parameter" else model.state)[name][...] = values


def _tensors(node: Node) -> list[tuple[str, Tensor]]:
    """Return a node's single inputs by the op's name for them."""
    return [(key, value) for key, value in node.inputs.items() if isinstance(value, Tensor)]


def _name_of(key: str, wanted: dict[str, Tensor]) -> str | None:
    """Return the model's name for a tensor of the file."""
    *module, last = (part.lstrip("_") for part in key.split("."))
    names = ["_".join([*module, word]) for word in (last, OTHER_NAMES.get(last, last))]
    return next((name for name in names if name in wanted), None)


def _file_shapes(node: Node, key: str, tensor: Tensor) -> list[Shape]:
    """Return the shapes that PyTorch may give a tensor, its usual one first."""
    if key == "weight" and node.op.name in CONVOLUTIONS:
        height, width, depth, filters = tensor.shape
        shapes: list[Shape] = [(filters, depth, height, width)]
        return [*shapes, (filters, depth)] if height == width == 1 else shapes  # a Linear over the last axis is a 1x1
    if key == "weight" and node.op.name == "linear":
        return [tensor.shape[::-1]]
    return [tensor.shape, (*tensor.shape, 1, 1)]


def _from_torch(graph: Graph, node: Node, key: str, tensor: Tensor, values: Array) -> Array:
    """Return an array in PyTorch's layout in the model's layout."""
    if key == "weight" and node.op.name in CONVOLUTIONS and values.ndim == 4:
        return values.transpose(2, 3, 1, 0)
    if key == "weight" and node.op.name == "linear":
        image = _flattened(graph, node.inputs["x"])
        if image is not None:
            height, width, channels = image
            values = values.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        return values.reshape(values.shape[0], -1).T
    return values.T.reshape(tensor.shape) if values.ndim == 2 else values.reshape(tensor.shape)


def _flattened(graph: Graph, value: Any) -> Shape | None:
    """Return the image's shape where a tensor is an image laid out in one row; a ReLU or dropout may stand between."""
    makers = {node.output.name: node for node in graph.nodes}
    while (node := makers.get(value.name)) is not None and node.op.name in ("dropout", "relu"):
        value = node.inputs["x"]
    if node is None or node.op.name != "flatten" or len(node.inputs["x"].shape) != 4:
        return None
    shape: Shape = node.inputs["x"].shape
    return shape[1:]
