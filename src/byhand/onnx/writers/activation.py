"""Elementwise ops and softmax as ONNX operators."""

from byhand.graph import Node
from byhand.onnx.graph_writer import GraphWriter
from byhand.onnx.readers.activation import ELEMENTWISE_OPS
from byhand.onnx.registry import writer
from byhand.ops.op import CallSpec

# byhand's op -> the ONNX operator that is the same, and its attributes.
ONNX_OPERATORS = {op: (operator, attributes) for operator, (op, attributes) in ELEMENTWISE_OPS.items()}


@writer(*ONNX_OPERATORS)
def write_elementwise(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write an op that is one elementwise ONNX operator."""
    x = node.inputs["x"]
    operator, attributes = ONNX_OPERATORS[node.op.name]
    values = {name: float(call.attributes[ours]) for name, ours, _ in attributes}
    graph.emit(node, operator, [graph.input(x)], graph.layout(x), **values)


@writer("relu6", "clip")
def write_clip(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Clip with its bounds."""
    x = node.inputs["x"]
    low, high = (0.0, 6.0) if node.op.name == "relu6" else (call.attributes["low"], call.attributes["high"])
    bounds = [graph.initializer(f"{node.name}_low", low), graph.initializer(f"{node.name}_high", high)]
    graph.emit(node, "Clip", [graph.input(x), *bounds], graph.layout(x))


@writer("silu")
def write_silu(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write x * sigmoid(x)."""
    x = node.inputs["x"]
    name = graph.input(x)
    gate = graph.add_node("Sigmoid", [name], graph.unused_name(f"{node.name}_gate"))
    graph.emit(node, "Mul", [name, gate], graph.layout(x))


@writer("gelu")
def write_gelu(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Gelu."""
    x = node.inputs["x"]
    graph.emit(node, "Gelu", [graph.input(x)], graph.layout(x))


@writer("softmax")
def write_softmax(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Softmax along byhand's last axis."""
    x = node.inputs["x"]
    layout = graph.layout(x)
    graph.emit(node, "Softmax", [graph.input(x)], layout, axis=layout.index(len(layout) - 1))
