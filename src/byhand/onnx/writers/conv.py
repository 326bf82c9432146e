"""Convolutions as Conv and ConvTranspose."""

from byhand.graph import Node
from byhand.onnx.graph_writer import NCHW, OIHW, GraphWriter
from byhand.onnx.registry import writer
from byhand.onnx.writers.window import onnx_pads
from byhand.ops.op import CallSpec


@writer("conv2d")
def write_conv2d(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Conv."""
    _write(graph, node, call, "Conv")


@writer("conv_transpose2d")
def write_conv_transpose2d(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write ConvTranspose; output_padding: rows and columns that no filter reaches."""
    top, bottom, left, right = call.attributes["padding"]
    padding = (top + bottom, left + right)
    output_padding = []
    for axis in (0, 1):
        size, extent = node.inputs["x"].shape[1 + axis], node.inputs["weight"].shape[axis]
        stride, dilation = call.attributes["stride"][axis], call.attributes["dilation"][axis]
        reached = (size - 1) * stride + (extent - 1) * dilation + 1 - padding[axis]
        output_padding.append(node.output.shape[1 + axis] - reached)
    _write(graph, node, call, "ConvTranspose", output_padding=output_padding)


def _write(graph: GraphWriter, node: Node, call: CallSpec, operator: str, **attributes: list[int]) -> None:
    inputs = [graph.input(node.inputs["x"], NCHW), graph.input(node.inputs["weight"], OIHW)]
    if node.inputs["bias"] is not None:
        inputs.append(graph.input(node.inputs["bias"]))
    graph.emit(
        node,
        operator,
        inputs,
        kernel_shape=node.inputs["weight"].shape[:2],
        strides=call.attributes["stride"],
        pads=onnx_pads(call.attributes["padding"]),
        dilations=call.attributes["dilation"],
        group=call.attributes["groups"],
        **attributes,
    )
