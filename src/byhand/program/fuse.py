"""Fusion: a convolution with the ReLU and pooling that follow it, or a batch norm with the sum and ReLU, as one op.

The tensors between them are then never stored. A chain is fused only where no other node reads them and the program does not
return them. In inference, a convolution also takes in its batch norm, the residual sum and the activation that follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from byhand.graph import Graph, Node, Tensor
from byhand.ops import get
from byhand.ops.fused.conv2d_block import ACTIVATIONS, HARD_SIGMOID

Fusions = dict[tuple[str, ...], str]  # a chain of ops -> the op that does all of it
FUSIONS: Fusions = {
    ("conv2d", "relu", "max_pool"): "conv2d_max_pool",
    ("conv2d", "max_pool", "relu"): "conv2d_max_pool",  # a maximum and a ReLU commute
    ("conv2d", "max_pool"): "conv2d_max_pool",
    ("conv2d", "relu"): "conv2d_relu",
    ("linear", "relu"): "linear_relu",
    ("batch_norm", "add", "relu"): "batch_norm_relu",
    ("batch_norm", "relu"): "batch_norm_relu",
}
# A convolution, then any of a batch norm, a residual sum and an activation, in this order.
BLOCKS: Fusions = {
    ("conv2d", *norm, *residual, *activation): "conv2d_block"
    for norm in ((), ("batch_norm",))
    for residual in ((), ("add",))
    for activation in ((), *((name,) for name in ACTIVATIONS))
    if norm or residual or activation
}
INFERENCE_FUSIONS: Fusions = BLOCKS | FUSIONS
MAX_CHAIN_NODES = max(map(len, INFERENCE_FUSIONS))


def fuse(graph: Graph, output: Tensor, training: bool) -> Graph:
    """Return a graph that computes the same with its chains fused."""
    fusions, readers = FUSIONS if training else INFERENCE_FUSIONS, _readers(graph)
    fused, taken = dict[str, Node](), set[str]()
    for node in graph.nodes:
        if node.name not in taken:
            chain = _chain(node, readers, taken, output, fusions)
            taken |= {part.name for part in chain}
            fused[chain[-1].name] = _fuse_chain(chain, fusions)  # in its last node's place, all that it reads exists
    return _with_nodes(graph, [fused[node.name] for node in graph.nodes if node.name in fused])


def _with_nodes(graph: Graph, nodes: list[Node]) -> Graph:
    """Return a graph with other nodes, and the tensors that these read and write."""
    copy = Graph()
    copy.nodes, copy.input = nodes, graph.input
    made = {tensor.name: tensor for node in nodes for tensor in node.outputs.values()}
    copy.tensors = {
        name: tensor for name, tensor in graph.tensors.items() if tensor.kind != "value" or name in made
    } | made
    return copy


def _readers(graph: Graph) -> dict[str, list[Node]]:
    """Return the nodes that read each tensor, once for each time that they do."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for value in node.inputs.values():
            for tensor in value if isinstance(value, tuple) else (value,):
                if tensor is not None:
                    readers.setdefault(tensor.name, []).append(node)
    return readers


def _chain(
    node: Node, readers: Mapping[str, list[Node]], taken: set[str], output: Tensor, fusions: Fusions
) -> list[Node]:
    """Return the longest chain that begins with a node and can be fused: at least the node itself."""
    chain = [node]
    while len(chain) < MAX_CHAIN_NODES and chain[-1].output is not output:
        following = readers.get(chain[-1].output.name, [])
        if len(following) != 1 or following[0].name in taken:
            break
        if following[0].op.name == "add" and len({tensor.shape for tensor in following[0].inputs.values()}) > 1:
            break  # one of the two is broadcast
        chain.append(following[0])
    while len(chain) > 1 and _op_of(chain, fusions) is None:
        chain.pop()
    return chain


def _op_of(chain: list[Node], fusions: Fusions) -> str | None:
    """Return the op that does all of a chain.

    A convolution takes in a batch norm only with its running statistics, and an activation only with its default attributes.
    """
    op = fusions.get(tuple(node.op.name for node in chain))
    if op == "conv2d_block" and not all(map(_fits_a_block, chain)):
        return None
    return op


def _fits_a_block(node: Node) -> bool:
    """Tell whether a conv2d_block can do what a node does: its attributes are those that the block takes for granted."""
    if node.op.name == "hard_sigmoid":  # a file holds them as float32
        return all(
            np.float32(node.attributes.get(name, value)) == np.float32(value) for name, value in HARD_SIGMOID.items()
        )
    return not node.attributes.get("training")


def _fuse_chain(chain: list[Node], fusions: Fusions) -> Node:
    """Return the one node that does what a chain does; it has the name and the result of the last."""
    name = _op_of(chain, fusions)
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
            inputs["shortcut"] = next(value for value in node.inputs.values() if value is not before.output)
    if "relu" in op.attributes:
        attributes["relu"] = any(node.op.name == "relu" for node in chain)
    if "activation" in op.attributes and last.op.name in ACTIVATIONS:
        attributes["activation"] = last.op.name
    inputs = {name: inputs.get(name) for name in op.inputs}
    written = {name: outputs[name] for name in op.outputs}
    return Node(op, last.name, inputs, attributes, written, fused=tuple(node.name for node in chain))
