"""Nodes put together: a convolution with the ReLU and the pooling that follow it, a batch norm with the sum and the ReLU.

What lies between is then never stored. Only what nobody else reads is taken in: a tensor that is used twice, or that the
program returns, stays. In inference a convolution takes its batch norm in too, and the sum that follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from byhand.graph import Graph, Node, Tensor
from byhand.ops import get

Chains = dict[tuple[str, ...], str]  # what follows what -> the op that does all of it
CHAINS: Chains = {
    ("conv2d", "relu", "max_pool"): "conv2d_max_pool",
    ("conv2d", "max_pool", "relu"): "conv2d_max_pool",  # a maximum and a ReLU may change places
    ("conv2d", "max_pool"): "conv2d_max_pool",
    ("conv2d", "relu"): "conv2d_relu",
    ("linear", "relu"): "linear_relu",
    ("batch_norm", "add", "relu"): "batch_norm_relu",
    ("batch_norm", "relu"): "batch_norm_relu",
}
INFERENCE: Chains = CHAINS | {
    ("conv2d", "batch_norm", "add", "relu"): "conv2d_block",
    ("conv2d", "batch_norm", "add"): "conv2d_block",
    ("conv2d", "batch_norm", "relu"): "conv2d_block",
    ("conv2d", "batch_norm"): "conv2d_block",
    ("conv2d", "add", "relu"): "conv2d_block",
    ("conv2d", "add"): "conv2d_block",
}
LONGEST = max(map(len, INFERENCE))


def fuse(graph: Graph, output: Tensor, training: bool) -> Graph:
    """Return a graph that computes the same, its chains put together."""
    known, readers, together, taken = CHAINS if training else INFERENCE, _readers(graph), {}, set[str]()
    for node in graph.nodes:
        if node.name not in taken:
            chain = _chain(node, readers, taken, output, known)
            taken |= {one.name for one in chain}
            together[chain[-1].name] = _together(chain, known)  # where its last node stands: all that it reads is there
    return _copy(graph, [together[node.name] for node in graph.nodes if node.name in together])


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


def _chain(node: Node, readers: Mapping[str, list[Node]], taken: set[str], output: Tensor, known: Chains) -> list[Node]:
    """Return the longest chain that begins with a node: in the least, the node."""
    chain = [node]
    while len(chain) < LONGEST and chain[-1].output is not output:
        following = readers.get(chain[-1].output.name, [])
        if len(following) != 1 or following[0].name in taken:
            break
        if following[0].op.name == "add" and len({one.shape for one in following[0].inputs.values()}) > 1:
            break  # one of them is repeated
        chain.append(following[0])
    while len(chain) > 1 and _op_of(chain, known) is None:
        chain.pop()
    return chain


def _op_of(chain: list[Node], known: Chains) -> str | None:
    """Return the op that does all of a chain; a convolution takes in a norm by running statistics alone."""
    op = known.get(tuple(node.op.name for node in chain))
    return None if op == "conv2d_block" and any(node.attributes.get("training") for node in chain) else op


def _together(chain: list[Node], known: Chains) -> Node:
    """Return the one node that does what a chain does; it has the name, and the result, of the last."""
    name = _op_of(chain, known)
    if name is None:
        return chain[0]
    first, last, op = chain[0], chain[-1], get(name)
    inputs, attributes, outputs = dict(first.inputs), dict(first.attributes), {**first.outputs, "y": last.output}
    for before, node in pairwise(chain):
        if node.op.name == "max_pool":
            attributes |= {
                f"pool_{key}" if key != "ceil_mode" else key: value for key, value in node.attributes.items()
            }
            outputs["argmax"] = node.outputs["argmax"]
        if node.op.name == "batch_norm":
            inputs |= {key: value for key, value in node.inputs.items() if key != "x"}
            attributes |= {key: value for key, value in node.attributes.items() if key == "eps"}
        if node.op.name == "add":
            inputs["shortcut"] = next(one for one in node.inputs.values() if one is not before.output)
    if "relu" in op.attributes:
        attributes["relu"] = any(node.op.name == "relu" for node in chain)
    inputs = {name: inputs.get(name) for name in op.inputs}
    return Node(op, last.name, inputs, attributes, {name: outputs[name] for name in op.outputs})
