"""Nodes put together: a convolution with the ReLU and the pooling that follow it, a batch norm with the sum and the ReLU.

What lies between is then never stored. Only what nobody else reads is taken in: a tensor that is used twice, or that the
program returns, stays. In inference a batch norm is folded into the convolution before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from byhand.graph import Graph, Node, Tensor
from byhand.ops import get

CHAINS = {  # what follows what -> the op that does all of it
    ("conv2d", "relu", "max_pool"): "conv2d_max_pool",
    ("conv2d", "max_pool", "relu"): "conv2d_max_pool",  # a maximum and a ReLU may change places
    ("conv2d", "max_pool"): "conv2d_max_pool",
    ("conv2d", "relu"): "conv2d_relu",
    ("linear", "relu"): "linear_relu",
    ("batch_norm", "add", "relu"): "batch_norm_relu",
    ("batch_norm", "relu"): "batch_norm_relu",
}
LONGEST = max(map(len, CHAINS))
FOLDED = ("conv2d", "linear")  # ops that a batch norm folds into


def fuse(graph: Graph, output: Tensor, training: bool) -> Graph:
    """Return a graph that computes the same, its chains put together."""
    fused = _copy(graph, graph.nodes if training else _folded(graph, output))
    readers, chains, taken = _readers(fused), {}, set[str]()
    for node in fused.nodes:
        if node.name not in taken:
            chain = _chain(node, readers, taken, output)
            taken |= {one.name for one in chain}
            chains[chain[-1].name] = chain  # a chain runs where its last node stands: all that it reads is there
    return _copy(fused, [_together(chains[node.name]) for node in fused.nodes if node.name in chains])


def _copy(graph: Graph, nodes: list[Node]) -> Graph:
    """Return a graph with other nodes, and the tensors that these know of."""
    copy = Graph()
    copy.nodes, copy.input = nodes, graph.input
    made = {tensor.name: tensor for node in nodes for tensor in node.outputs.values()}
    copy.tensors = {
        name: tensor for name, tensor in graph.tensors.items() if tensor.kind != "value" or name in made
    } | made
    return copy


def _readers(graph: Graph) -> dict[str, list[Node]]:
    """Return the nodes that read each tensor, once for each time they do."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for value in node.inputs.values():
            for tensor in value if isinstance(value, tuple) else (value,):
                if tensor is not None:
                    readers.setdefault(tensor.name, []).append(node)
    return readers


def _chain(node: Node, readers: Mapping[str, list[Node]], taken: set[str], output: Tensor) -> list[Node]:
    """Return the longest chain that begins with a node: in the least, the node."""
    chain = [node]
    while len(chain) < LONGEST and chain[-1].output is not output:
        following = readers.get(chain[-1].output.name, [])
        if len(following) != 1 or following[0].name in taken:
            break
        if following[0].op.name == "add" and len({one.shape for one in following[0].inputs.values()}) > 1:
            break  # one of them is repeated
        chain.append(following[0])
    while len(chain) > 1 and tuple(one.op.name for one in chain) not in CHAINS:
        chain.pop()
    return chain


def _together(chain: list[Node]) -> Node:
    """Return the one node that does what a chain does; it has the name, and the result, of the last."""
    if len(chain) == 1:
        return chain[0]
    first, last, op = chain[0], chain[-1], get(CHAINS[tuple(node.op.name for node in chain)])
    inputs, attributes, outputs = dict(first.inputs), dict(first.attributes), {**first.outputs, "y": last.output}
    for before, node in pairwise(chain):
        if node.op.name == "max_pool":
            attributes |= {
                f"pool_{key}" if key != "ceil_mode" else key: value for key, value in node.attributes.items()
            }
            outputs["where"] = node.outputs["where"]
        if node.op.name == "add":
            inputs["shortcut"] = next(one for one in node.inputs.values() if one is not before.output)
    if "relu" in op.attributes:
        attributes["relu"] = any(node.op.name == "relu" for node in chain)
    inputs = {name: inputs.get(name) for name in op.inputs}
    return Node(op, last.name, inputs, attributes, {name: outputs[name] for name in op.outputs})


def _folded(graph: Graph, output: Tensor) -> list[Node]:
    """Return a graph's nodes with every batch norm that follows a convolution folded into it."""
    readers, nodes, gone = _readers(graph), [], set()
    for node in graph.nodes:
        following = readers.get(node.output.name, [])
        norm = following[0] if len(following) == 1 and node.output is not output else None
        if (
            node.op.name in FOLDED
            and norm is not None
            and norm.op.name == "batch_norm"
            and not norm.attributes.get("training")
        ):
            nodes += _fold(graph, node, norm)
            gone.add(norm.name)
        elif node.name not in gone:
            nodes.append(node)
    return nodes


def _fold(graph: Graph, node: Node, norm: Node) -> list[Node]:
    """Return the two nodes that do what a convolution and its batch norm do."""
    op, name, weight = get("fold_batch_norm"), f"fold_{norm.name}", node.inputs["weight"]
    while {name, f"{name}_shift"} & graph.tensors.keys():  # a layer may be called so
        name += "_"
    made: dict[str, Any] = {
        "folded": Tensor(graph, name, weight.shape, "value"),
        "shift": Tensor(graph, f"{name}_shift", weight.shape[-1:], "value"),
    }
    kept = {key: value for key, value in norm.inputs.items() if key != "x"}
    attributes = {key: value for key, value in norm.attributes.items() if key == "eps"}
    fold = Node(op, name, {"weight": weight, **kept, "bias": node.inputs["bias"]}, attributes, made)
    inputs = node.inputs | {"weight": made["folded"], "bias": made["shift"]}
    return [fold, Node(node.op, norm.name, inputs, node.attributes, {"y": norm.output})]
