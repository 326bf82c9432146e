"""Reductions as ReduceSum, ReduceMean and the others."""

import numpy as np

from byhand.graph import Node
from byhand.onnx.graph_writer import GraphWriter
from byhand.onnx.readers.reduce import REDUCTIONS
from byhand.onnx.registry import writer
from byhand.ops.op import CallSpec

ONNX_REDUCTIONS = {op: operator for operator, op in REDUCTIONS.items()}


@writer(*ONNX_REDUCTIONS)
def write_reduction(graph: GraphWriter, node: Node, call: CallSpec) -> None:
    """Write a reduction in the layout that its input has."""
    x, axes, keepdims = node.inputs["x"], call.attributes["axes"], call.attributes["keepdims"]
    layout = graph.layout(x)
    onnx_axes = graph.initializer(f"{node.name}_axes", sorted(layout.index(axis) for axis in axes), np.int64)
    kept = [axis for axis in range(len(layout)) if axis not in axes]
    result_layout = layout if keepdims else [kept.index(axis) for axis in layout if axis in kept]
    inputs = [graph.input(x), onnx_axes]
    graph.emit(node, ONNX_REDUCTIONS[node.op.name], inputs, result_layout, keepdims=int(keepdims))
