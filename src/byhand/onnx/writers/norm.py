"""Normalizations and dropout as ONNX operators."""

from byhand.graph import Node
from byhand.onnx.graph_writer import GraphWriter
from byhand.onnx.registry import writer
from byhand.ops.op import CallSpec
from byhand.shapes import Shape


def channels_second(node: Node) -> Shape:
    """Return the layout of a node's output with the channels second."""
    last = len(node.output.shape) - 1
    return (0, last, *range(1, last))


@writer("batch_norm")
def write_batch_norm(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write BatchNormalization, with the running statistics."""
    layout = channels_second(node)
    statistics = [graph.input(node.inputs[key]) for key in ("gamma", "beta", "running_mean", "running_var")]
    inputs = [graph.input(node.inputs["x"], layout), *statistics]
    graph.emit(node, "BatchNormalization", inputs, layout, epsilon=call.attributes["eps"])


@writer("lrn")
def write_lrn(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write LRN, whose attributes have the same names."""
    layout = channels_second(node)
    graph.emit(node, "LRN", [graph.input(node.inputs["x"], layout)], layout, **call.attributes)


@writer("layer_norm")
def write_layer_norm(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write LayerNormalization over byhand's last axes."""
    layout = range(len(node.output.shape))
    gamma, beta = node.inputs["gamma"], node.inputs["beta"]
    inputs = [graph.input(node.inputs["x"], layout), graph.input(gamma), graph.input(beta)]
    axis = len(layout) - len(gamma.shape)
    graph.emit(node, "LayerNormalization", inputs, layout, axis=axis, epsilon=call.attributes["eps"])


@writer("dropout")
def write_dropout(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write nothing: in inference, dropout is the identity."""
    x = node.inputs["x"]
    graph.alias(node, x, graph.layout(x))
