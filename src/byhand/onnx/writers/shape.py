"""Ops that rearrange axes as Reshape, Flatten, Transpose and Concat."""

import numpy as np

from byhand.graph import Node
from byhand.onnx.graph_writer import GraphWriter
from byhand.onnx.registry import writer
from byhand.ops.op import CallSpec


@writer("flatten", "reshape")
def write_reshape(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Flatten or Reshape, of data in byhand's order."""
    x = node.inputs["x"]
    any_order = sum(size > 1 for size in x.shape[1:]) < 2
    name = graph.input(x, None if any_order else range(len(x.shape)))
    if node.op.name == "flatten":
        graph.emit(node, "Flatten", [name])
    else:
        shape = graph.initializer(f"{node.name}_shape", [0, *node.output.shape[1:]], np.int64)
        graph.emit(node, "Reshape", [name, shape], range(len(node.output.shape)))


@writer("transpose")
def write_transpose(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write nothing: the same value with another layout."""
    x, axes = node.inputs["x"], call.attributes["axes"]
    graph.alias(node, x, [axes.index(axis) for axis in graph.layout(x)])


@writer("channel_shuffle")
def write_channel_shuffle(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Reshape to (groups, channels of a group), Transpose, Reshape back."""
    x, groups = node.inputs["x"], call.attributes["groups"]
    last = len(x.shape) - 1
    layout = (0, last, *range(1, last))
    grouped = graph.initializer(
        f"{node.name}_grouped_shape", [0, groups, x.shape[-1] // groups, *x.shape[1:-1]], np.int64
    )
    name = graph.add_node("Reshape", [graph.input(x, layout), grouped], graph.unused_name(f"{node.name}_grouped"))
    perm = [0, 2, 1, *range(3, last + 2)]
    name = graph.add_node("Transpose", [name], graph.unused_name(f"{node.name}_shuffled"), perm=perm)
    shape = graph.initializer(f"{node.name}_shape", [0, x.shape[-1], *x.shape[1:-1]], np.int64)
    graph.emit(node, "Reshape", [name, shape], layout)


@writer("concat")
def write_concat(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Concat, in the layout of the first input."""
    xs = node.inputs["xs"]
    layout = graph.layout(xs[0])
    graph.emit(node, "Concat", [graph.input(x, layout) for x in xs], layout, axis=layout.index(call.attributes["axis"]))
