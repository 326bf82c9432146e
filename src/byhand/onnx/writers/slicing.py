"""Slice and pad as ONNX operators."""

import numpy as np

from byhand.graph import Node
from byhand.onnx.graph_writer import GraphWriter
from byhand.onnx.registry import writer
from byhand.ops.op import CallSpec

MIN_INT32 = -(2**31)  # as the end of a slice with a negative step: before the first position


@writer("slice")
def write_slice(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Slice of the axes that are cut."""
    x, layout = node.inputs["x"], graph.layout(node.inputs["x"])
    starts, steps, sizes = call.attributes["starts"], call.attributes["steps"], node.output.shape
    onnx_axes = [
        k for k, axis in enumerate(layout) if (starts[axis], steps[axis], sizes[axis]) != (0, 1, x.shape[axis])
    ]
    axes = [layout[k] for k in onnx_axes]
    ends = [starts[axis] + sizes[axis] * steps[axis] for axis in axes]
    inputs = {
        "starts": [starts[axis] for axis in axes],
        "ends": [end if end >= 0 else MIN_INT32 for end in ends],
        "axes": onnx_axes,
        "steps": [steps[axis] for axis in axes],
    }
    names = [graph.initializer(f"{node.name}_{key}", values, np.int64) for key, values in inputs.items()]
    graph.emit(node, "Slice", [graph.input(x), *names], layout)


@writer("pad")
def write_pad(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Pad of rows and columns."""
    x, layout = node.inputs["x"], graph.layout(node.inputs["x"])
    top, bottom, left, right = call.attributes["padding"]
    before, after = (0, top, left, 0), (0, bottom, right, 0)
    pads = [*(before[axis] for axis in layout), *(after[axis] for axis in layout)]
    inputs = [
        graph.input(x),
        graph.initializer(f"{node.name}_pads", pads, np.int64),
        graph.initializer(f"{node.name}_value", call.attributes["value"]),
    ]
    graph.emit(node, "Pad", inputs, layout)
