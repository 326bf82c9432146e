"""Graphs to JSON and back: the part of a saved model beside its weights.

Saved graphs are untrusted: every field is validated, every node passes through its op's contract again, nothing is executed.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy.typing as npt

from byhand.errors import ByhandError, FileError
from byhand.graph.graph import Graph, Tensor
from byhand.ops.op import Op, get, tree_leaves
from byhand.shapes import Shape, Window

# Limits of one tensor, beyond any machine's memory.
MAX_AXES = 32
MAX_ELEMENTS = 2**40
# Limit of a padded image, which a hand may allocate: this many elements, or MAX_PADDED_RATIO times the image.
MAX_PADDED_ELEMENTS = 2**24
MAX_PADDED_RATIO = 100


def to_json(graph: Graph, output: Tensor, auxiliary: Sequence[tuple[Tensor, float]] = ()) -> dict[str, Any]:
    """Return a graph as plain dicts, lists, numbers and strings; auxiliary: auxiliary outputs with their loss weights."""
    assert graph.input is not None
    return {
        "input": {"name": graph.input.name, "shape": list(graph.input.shape[1:])},
        "parameters": {t.name: list(t.shape) for t in graph.of_kind("parameter")},
        "state": {t.name: list(t.shape) for t in graph.of_kind("state")},
        "nodes": [
            {
                "op": node.op.name,
                "name": node.name,
                "inputs": {name: _names(value) for name, value in node.inputs.items()},
                "attributes": node.attributes,
            }
            for node in graph.nodes
        ],
        "output": output.name,
        "auxiliary": [[tensor.name, weight] for tensor, weight in auxiliary],
    }


def from_json(data: Any) -> tuple[Graph, Tensor, list[tuple[Tensor, float]]]:
    """Return the graph, its output and its auxiliary outputs with their loss weights, as `to_json` wrote them.

    Raises FileError for anything invalid.
    """
    graph = Graph()
    try:
        _check_size(graph.add_input(tuple(_typed(data["input"]["shape"], list)), _typed(data["input"]["name"], str)))
        for name, shape in _typed(data["parameters"], dict).items():
            _check_size(graph.add_tensor(name, tuple(_typed(shape, list)), "parameter"))
        dtypes = _state_types(data["nodes"])
        for name, shape in _typed(data["state"], dict).items():
            _check_size(graph.add_tensor(name, tuple(_typed(shape, list)), "state", dtypes.get(name)))
        usable = {tensor.name for tensor in graph.tensors.values() if tensor.dtype is None}
        for node in _typed(data["nodes"], list):
            op = get(_typed(node["op"], str))
            named = _typed(node["inputs"], dict)
            inputs = {name: _tensors(graph, named.get(name)) for name in op.inputs}
            _check_kinds(op, inputs, usable)
            usable.add(graph.add(op, inputs, _typed(node["attributes"], dict), _typed(node["name"], str)).name)
            for tensor in graph.nodes[-1].outputs.values():  # before other tensors are computed from it
                _check_size(tensor)
        check_sizes(graph)
        output = graph.tensor(_typed(data["output"], str))
        auxiliary = [(graph.tensor(_typed(name, str)), float(weight)) for name, weight in data.get("auxiliary", [])]
        computed = {node.output.name for node in graph.nodes}
        for tensor in (output, *(tensor for tensor, _ in auxiliary)):
            if tensor.name not in computed:
                raise FileError(f"the output '{tensor.name}' is not the output of a node")
        return graph, output, auxiliary
    except (ByhandError, KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FileError(f"its graph can't be read: {problem[:500]}") from None


def _state_types(nodes: Any) -> dict[str, npt.DTypeLike]:
    """Return the dtype of each state that is not floating point, by the op that takes it."""
    found = {}
    for node in nodes:
        op = get(node["op"])
        for name in op.state:
            if name in op.dtypes and isinstance(node["inputs"].get(name), str):
                found[node["inputs"][name]] = op.dtypes[name]
    return found


def check_sizes(graph: Graph) -> None:
    """Raise a FileError where a tensor, or an image that a hand pads, is larger than any network's."""
    for tensor in graph.tensors.values():
        _check_size(tensor)
    for node, call in zip(graph.nodes, graph.plan(1, training=False)[0].values()):
        if call.window is not None:
            _check_padding(node.name, node.inputs["x"].shape, call.window)


def _check_size(tensor: Tensor) -> None:
    if len(tensor.shape) > MAX_AXES or prod(tensor.shape) > MAX_ELEMENTS:
        raise FileError(f"'{tensor.name}' has more elements, or more axes, than any network needs")


def _check_padding(name: str, image: Shape, window: Window) -> None:
    top, bottom, left, right = window.padding
    padded = (image[1] + top + bottom) * (image[2] + left + right) * image[3]
    if padded > max(MAX_PADDED_ELEMENTS, MAX_PADDED_RATIO * prod(image)):
        raise FileError(
            f"{name} pads {image[1]}x{image[2]} images by {window.padding} pixels, more than any network does"
        )


def _check_kinds(op: Op, inputs: dict[str, Any], usable: set[str]) -> None:
    """Raise a FileError for an input of the wrong kind: an op updates states only, all other inputs are floating point."""
    for name, value in inputs.items():
        for tensor in tree_leaves([value]):
            if name in op.state:
                good = tensor.kind == "state" and tensor.dtype is op.dtypes.get(name)
            else:
                good = tensor.name in usable and name not in op.dtypes
            if not good:
                raise FileError(f"{op.name} can't take '{tensor.name}' as its {name}")


def _names(value: Any) -> Any:
    return (
        [tensor.name for tensor in value] if isinstance(value, (tuple, list)) else None if value is None else value.name
    )


def _tensors(graph: Graph, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(graph.tensor(_typed(name, str)) for name in value)
    return None if value is None else graph.tensor(_typed(value, str))


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{str(value)[:60]!r} is not a {kind.__name__}")
    return value
