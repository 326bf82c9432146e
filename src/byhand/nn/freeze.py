"""Freezing by name: layers whose parameters training leaves alone."""

from fnmatch import fnmatch

from byhand.errors import ArgumentError, UnknownNameError
from byhand.graph import Graph, Node
from byhand.nn.graph_copy import copy_nodes, copy_weights
from byhand.nn.model import Model
from byhand.ops.op import tree_leaves


def with_frozen(model: Model, names: tuple[str, ...]) -> Model:
    """Return a model in which layers are frozen; see `Model.with_frozen`."""
    layers = [node.name for node in model.graph.nodes if _learns(node)]
    chosen: set[str] = set()
    for name in names:
        found = [layer for layer in layers if fnmatch(layer, name)]
        if not found:
            raise UnknownNameError("layer with parameters", name, layers)
        chosen.update(found)
    if chosen.issuperset(layers):
        raise ArgumentError(f"with_frozen: all layers of {model.name} are frozen; leave one that learns")

    def is_frozen(node: Node) -> bool:
        return node.name in chosen

    graph = Graph()
    assert model.graph.input is not None
    tensors = {model.graph.input.name: graph.add_input(model.input_shape, model.graph.input.name)}
    copy_nodes(graph, model.graph, model.graph.nodes, tensors, frozen=is_frozen, inference=is_frozen)
    auxiliary = [(tensors[tensor.name], weight) for tensor, weight in model.auxiliary]
    inputs, output = tensors[model.graph.input.name], tensors[model.output.name]
    new = Model(inputs, output, seed=None, auxiliary=auxiliary, **model.output_settings)
    copy_weights(new, model)
    return new


def _learns(node: Node) -> bool:
    return any(tensor.kind == "parameter" for tensor in tree_leaves(node.inputs.values()))
