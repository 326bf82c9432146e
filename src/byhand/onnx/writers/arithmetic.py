"""Arithmetic of two tensors, and linear layers, as ONNX operators."""

from byhand.graph import Node
from byhand.onnx.graph_writer import GraphWriter
from byhand.onnx.registry import writer
from byhand.ops.op import CallSpec

BINARY_OPERATORS = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "power": "Pow",
    "maximum": "Max",
    "minimum": "Min",
    "prelu": "PRelu",
}


@writer(*BINARY_OPERATORS)
def write_binary(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write an op of two tensors that broadcast, in the layout of the larger one."""
    operands = list(node.inputs.values())
    computed = [tensor for tensor in operands if tensor.name in graph.outputs]
    larger = max(computed, key=lambda tensor: (len(tensor.shape), tensor.shape))
    names = [graph.broadcast_input(tensor, larger) for tensor in operands]
    graph.emit(node, BINARY_OPERATORS[node.op.name], names, graph.layout(larger))


@writer("linear")
def write_linear(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write a fully connected layer: Gemm with a transposed weight."""
    inputs = [graph.input(node.inputs["x"], (0, 1)), graph.input(node.inputs["weight"], (1, 0))]
    if node.inputs["bias"] is not None:
        inputs.append(graph.input(node.inputs["bias"]))
    graph.emit(node, "Gemm", inputs, transB=1)
