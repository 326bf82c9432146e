"""A new last layer on the features of a network that has learned already.

Source: Donahue et al. 2014, "DeCAF", arXiv 1310.1531: what a network learned of one set of images serves for another.
"""

from collections.abc import Sequence
from typing import Any

from byhand.errors import ArgumentError
from byhand.graph import Graph, Node, Tensor
from byhand.nn import init
from byhand.nn.layers import GlobalAvgPool2d, Linear
from byhand.nn.model import Model
from byhand.shapes import integer

AFTER = (
    "flatten",
    "reshape",
    "global_avg_pool",
    "avg_pool",
    "relu",
    "dropout",
    "transpose",
)  # between last weights and logits


def replaced(model: Model, classes: int | Sequence[str], frozen: bool, seed: int) -> Model:
    """Return a model with another head."""
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        classes = list(map(str, range(integer("replace_head: classes", classes))))
    head = _head(model)
    graph, made = _copy(model.graph.up_to(head.inputs["x"]), frozen)
    features = made[head.inputs["x"].name]
    if len(features.shape) == 4:  # a convolution with a filter a class, then the average of the image
        features = GlobalAvgPool2d()(features)
    logits = Linear(len(classes), name=graph.free_name("head"))(features)
    assert graph.input is not None
    new = Model(
        graph.input, logits, name=model.name, seed=seed, classes=classes, mean=model.mean, std=model.std, dtype=model.dtype
    )  # fmt: skip
    ours, theirs = model.parameters | vars(model.state), new.parameters | vars(new.state)
    for name in made.keys() & ours.keys():
        theirs[name][...] = ours[name]
    return new


def _head(model: Model) -> Node:
    """Return the node that holds a network's last weights."""
    makers = {node.output.name: node for node in model.graph.nodes}
    node = makers.get(model.logits.name)
    while node is not None and node.op.name in AFTER:
        node = makers.get(node.inputs["x"].name)
    if node is None or node.op.name not in ("linear", "conv2d"):
        what = "its input" if node is None else f"{node.name} ({node.op.name})"
        raise ArgumentError(
            f"{model.name}: its output comes from {what}; expected a linear layer or a convolution to replace"
        )
    return node


def _copy(graph: Graph, frozen: bool) -> tuple[Graph, dict[str, Tensor]]:
    """Return a graph with the same nodes, and its tensors by name; frozen: its parameters are states, which nothing changes."""
    copy = Graph()
    assert graph.input is not None
    made = {graph.input.name: copy.add_input(graph.input.shape[1:], graph.input.name)}
    for kind in ("parameter", "state"):
        for tensor in graph.of_kind(kind):
            home = "state" if frozen else kind
            made[tensor.name] = copy.add_tensor(tensor.name, tensor.shape, home, tensor.dtype, init.zeros)
    for node in graph.nodes:
        inputs: dict[str, Any] = {}
        for key, value in node.inputs.items():
            several = isinstance(value, tuple)
            inputs[key] = tuple(made[one.name] for one in value) if several else value and made[value.name]
        still = {"training": False} if frozen and "training" in node.op.attributes else {}
        copy.add(node.op, inputs, node.attributes | still, node.name)
        made |= {tensor.name: copy.tensors[tensor.name] for tensor in node.outputs.values()}
    return copy, made
