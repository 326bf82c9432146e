"""Copies of a graph or of a part of it, and of a model's weights."""

from collections.abc import Callable, Sequence
from typing import Any

from byhand.graph import Graph, Node, Tensor
from byhand.nn import init
from byhand.nn.model import Model
from byhand.ops.op import tree_leaves


def copy_graph(graph: Graph, frozen: int = 0, fixed_statistics: bool = False) -> tuple[Graph, dict[str, Tensor]]:
    """Return a graph with the same nodes, and its tensors by name.

    frozen: of how many nodes, from the first, the parameters become states, which training leaves alone; fixed_statistics:
    batch norms keep their running statistics, also those that are not frozen.
    """
    copy, names = Graph(), {node.name for node in graph.nodes[:frozen]}
    assert graph.input is not None
    tensors = {graph.input.name: copy.add_input(graph.input.shape[1:], graph.input.name)}

    def is_frozen(node: Node) -> bool:
        return node.name in names

    def in_inference(node: Node) -> bool:
        return is_frozen(node) or (fixed_statistics and "running_mean" in node.inputs)

    copy_nodes(copy, graph, graph.nodes, tensors, frozen=is_frozen, inference=in_inference)
    return copy, tensors


def copy_nodes(
    copy: Graph,
    graph: Graph,
    nodes: Sequence[Node],
    tensors: dict[str, Tensor],
    *,
    frozen: Callable[[Node], bool] = lambda node: False,
    inference: Callable[[Node], bool] = lambda node: False,
    prefix: str = "",
) -> None:
    """Add nodes of a graph to a copy; `tensors` holds, and gets, the copy's tensors by their names in the graph.

    frozen: whose parameters become states; inference: which nodes run as in inference while the others train; prefix:
    prepended to node names, so that a copy can hold the nodes twice with shared parameters.
    """
    states = {
        t.name for node in nodes if frozen(node) for t in tree_leaves(node.inputs.values()) if t.kind == "parameter"
    }
    read = {tensor.name for node in nodes for tensor in tree_leaves(node.inputs.values())}
    for kind in ("parameter", "state"):
        for tensor in graph.of_kind(kind):
            if tensor.name in read and tensor.name not in tensors:
                copied_kind = "state" if tensor.name in states else kind
                tensors[tensor.name] = copy.add_tensor(tensor.name, tensor.shape, copied_kind, tensor.dtype, init.zeros)
    for node in nodes:
        inputs: dict[str, Any] = {}
        for key, value in node.inputs.items():
            several = isinstance(value, tuple)
            inputs[key] = tuple(tensors[t.name] for t in value) if several else value and tensors[value.name]
        mode = {"training": False} if "training" in node.op.attributes and inference(node) else {}
        copy.add(node.op, inputs, node.attributes | mode, prefix + node.name)
        tensors |= {tensor.name: copy.nodes[-1].outputs[key] for key, tensor in node.outputs.items()}


def copy_weights(target: Model, source: Model) -> None:
    """Copy the parameters and states of `source` into those of `target` that have the same names."""
    written, read = (model.parameters | vars(model.state) for model in (target, source))
    for name in written.keys() & read.keys():
        written[name][...] = read[name]


def boundary(nodes: Sequence[Node], start: int) -> list[Tensor]:
    """Return the values and the input that the nodes from `start` on read of those before them."""
    made = {tensor.name for node in nodes[start:] for tensor in node.outputs.values()}
    read = {
        t.name: t for node in nodes[start:] for t in tree_leaves(node.inputs.values()) if t.kind in ("input", "value")
    }
    return [tensor for name, tensor in read.items() if name not in made]
