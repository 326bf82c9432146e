"""Poolings as MaxPool, AveragePool and GlobalAveragePool."""

from typing import Any

from byhand.graph import Node
from byhand.onnx.graph_writer import NCHW, GraphWriter
from byhand.onnx.registry import writer
from byhand.onnx.writers.window import onnx_pads
from byhand.ops.op import CallSpec


@writer("max_pool")
def write_max_pool(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write MaxPool."""
    attributes = _window_attributes(node, call) | {"dilations": call.attributes["dilation"]}
    graph.emit(node, "MaxPool", [graph.input(node.inputs["x"], NCHW)], **attributes)


@writer("avg_pool")
def write_avg_pool(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write AveragePool."""
    attributes = _window_attributes(node, call)
    attributes["count_include_pad"] = int(call.attributes["count_include_pad"])
    graph.emit(node, "AveragePool", [graph.input(node.inputs["x"], NCHW)], **attributes)


def _window_attributes(node: Node, call: CallSpec) -> dict[str, Any]:
    """Return the attributes that MaxPool and AveragePool share; ceil_mode, where a last window hangs over the edge."""
    assert call.window is not None
    kernel, stride, padding = (call.attributes[key] for key in ("kernel", "stride", "padding"))
    attributes = {"kernel_shape": kernel, "strides": stride, "pads": onnx_pads(padding)}
    for axis in (0, 1):
        extent = (kernel[axis] - 1) * call.window.dilation[axis] + 1
        end = (call.window.output[axis] - 1) * stride[axis] + extent
        if end > node.inputs["x"].shape[1 + axis] + padding[2 * axis] + padding[2 * axis + 1]:
            attributes["ceil_mode"] = 1
    return attributes


@writer("global_avg_pool")
def write_global_avg_pool(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write GlobalAveragePool, flattened unless keepdims."""
    x = graph.input(node.inputs["x"], NCHW)
    if call.attributes["keepdims"]:
        graph.emit(node, "GlobalAveragePool", [x])
    else:
        pooled = graph.add_node("GlobalAveragePool", [x], graph.unused_name(f"{node.name}_image"))
        graph.emit(node, "Flatten", [pooled])
