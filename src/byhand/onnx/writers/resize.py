"""Resize as ONNX's Resize."""

import numpy as np

from byhand.graph import Node
from byhand.onnx.graph_writer import NCHW, GraphWriter
from byhand.onnx.registry import writer
from byhand.ops.op import CallSpec


@writer("resize")
def write_resize(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write Resize: to sizes, or by scales where these are not the ratio of the sizes."""
    attributes = call.attributes
    _, height, width, _ = node.inputs["x"].shape
    size = node.output.shape[1:3]
    no_roi = ""
    settings = {
        "mode": attributes["mode"],
        "nearest_mode": attributes["nearest"],
        "coordinate_transformation_mode": attributes["coordinates"],
        "cubic_coeff_a": attributes["cubic_a"],
        "exclude_outside": int(attributes["exclude_outside"]),
        "antialias": int(attributes["antialias"]),
    }
    inputs = [graph.input(node.inputs["x"], NCHW), no_roi]
    if tuple(attributes["scales"]) != (size[0] / height, size[1] / width):
        scales = [1.0, 1.0, *attributes["scales"]]
        inputs.append(graph.initializer(f"{node.name}_scales", scales, np.float32))
    else:
        inputs += ["", graph.initializer(f"{node.name}_size", size, np.int64)]
        settings["axes"] = [2, 3]
    graph.emit(node, "Resize", inputs, **settings)
