"""A graph as JSON and back: what a saved model holds beside its numbers.

A stranger's graph is data. Every field is checked, every node goes through its op's contract again, and nothing is run.
"""

from typing import Any

from byhand.errors import ByhandError, FileError
from byhand.graph.graph import Graph, Tensor
from byhand.ops.op import get


def to_json(graph: Graph, output: Tensor) -> dict[str, Any]:
    """Return a graph as plain lists, numbers and strings."""
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
    }


def from_json(data: Any) -> tuple[Graph, Tensor]:
    """Return the graph that `to_json` wrote, and its output.

    Raises FileError for anything else.
    """
    graph = Graph()
    try:
        graph.add_input(tuple(_typed(data["input"]["shape"], list)), _typed(data["input"]["name"], str))
        for name, shape in _typed(data["parameters"], dict).items():
            graph.add_tensor(name, tuple(_typed(shape, list)), "parameter")
        dtypes = _state_types(data["nodes"])
        for name, shape in _typed(data["state"], dict).items():
            graph.add_tensor(name, tuple(_typed(shape, list)), "state", dtypes.get(name))
        for node in _typed(data["nodes"], list):
            op = get(_typed(node["op"], str))
            named = _typed(node["inputs"], dict)
            inputs = {name: _tensors(graph, named.get(name)) for name in op.inputs}
            graph.add(op, inputs, _typed(node["attributes"], dict), _typed(node["name"], str))
        return graph, graph.tensor(_typed(data["output"], str))
    except (ByhandError, KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        trouble = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FileError(f"its graph can't be read: {trouble[:500]}") from None


def _state_types(nodes: Any) -> dict[str, Any]:
    """Return the type of each state that is not floating point, from the op that takes it."""
    found = {}
    for node in nodes:
        op = get(node["op"])
        for name in op.state:
            if name in op.dtypes and isinstance(node["inputs"].get(name), str):
                found[node["inputs"][name]] = op.dtypes[name]
    return found


def _names(value: Any) -> Any:
    return [one.name for one in value] if isinstance(value, (tuple, list)) else None if value is None else value.name


def _tensors(graph: Graph, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(graph.tensor(_typed(name, str)) for name in value)
    return None if value is None else graph.tensor(_typed(value, str))


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{str(value)[:60]!r} stands where a {kind.__name__} is expected")
    return value
