"""Builds the ONNX graph of a byhand graph: nodes, initializers, names, and the layout of every value.

byhand stores images as (N, H, W, C), ONNX as (N, C, H, W). Each value that has been written has a layout: which of byhand's
axes each of its ONNX axes holds. A Transpose is added only where a node needs a value in another layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from byhand.errors import UnsupportedError
from byhand.graph import Graph, Node, Tensor
from byhand.ops.op import Array, CallSpec
from byhand.shapes import Shape

NCHW = (0, 3, 1, 2)  # ONNX axis of an image -> byhand's axis
OIHW = (3, 2, 0, 1)  # ONNX axis of a filter -> byhand's axis


class GraphWriter:
    """Writes one graph, node by node.

    weights: the arrays of parameters and states by name; nodes, initializers: what has been written; outputs: byhand's tensor
    -> (its ONNX name, its layout).
    """

    def __init__(self, graph: Graph, weights: dict[str, Array], dtype: npt.DTypeLike) -> None:
        self.graph, self.weights, self.dtype = graph, weights, dtype
        self.calls: dict[str, CallSpec] = graph.plan(1, training=False)[0]
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.outputs: dict[str, tuple[str, Shape]] = {}
        self.transposes: dict[tuple[str, Shape], str] = {}  # (ONNX name, layout) -> the name of its transpose
        self.names = set(graph.tensors)
        assert graph.input is not None
        self.outputs[graph.input.name] = (graph.input.name, self.onnx_layout(graph.input))

    # layouts --------------------------------------------------------------------------------------------------------------

    def onnx_layout(self, tensor: Tensor) -> Shape:
        """Return the layout that ONNX expects of a tensor: an image's channels come second."""
        return NCHW if len(tensor.shape) == 4 else tuple(range(len(tensor.shape)))

    def onnx_shape(self, tensor: Tensor) -> list[Any]:
        """Return the shape of a graph's input or output in ONNX's layout, with N for the batch."""
        return ["N", *(tensor.shape[axis] for axis in self.onnx_layout(tensor)[1:])]

    def layout(self, tensor: Tensor) -> Shape:
        """Return the layout in which a tensor has been written."""
        return self.outputs[tensor.name][1]

    # inputs of nodes ------------------------------------------------------------------------------------------------------

    def input(self, tensor: Tensor, layout: Sequence[int] | None = None) -> str:
        """Return the ONNX name of a tensor in a layout, by default the one in which it has been written."""
        if tensor.name not in self.outputs:  # a parameter is stored in the layout that is asked for
            layout = tuple(range(len(tensor.shape))) if layout is None else layout
            return self.initializer(tensor.name, self.weights[tensor.name].transpose(layout))
        name, written = self.outputs[tensor.name]
        layout = written if layout is None else tuple(layout)
        if layout == written:
            return name
        if (name, layout) not in self.transposes:
            perm = [written.index(axis) for axis in layout]
            transpose = self.add_node("Transpose", [name], self.unused_name(f"{name}_transposed"), perm=perm)
            self.transposes[name, layout] = transpose
        return self.transposes[name, layout]

    def broadcast_input(self, tensor: Tensor, other: Tensor) -> str:
        """Return the ONNX name of a tensor, shaped to broadcast with another in that one's layout."""
        layout, missing_axes = self.layout(other), len(other.shape) - len(tensor.shape)
        if tensor.name in self.outputs and not missing_axes:
            return self.input(tensor, layout)
        if tensor.name in self.outputs:
            raise UnsupportedError(
                f"{tensor.name} {tensor.shape} broadcasts with {other.shape} across the batch; ONNX files of byhand's can't"
            )
        values = self.weights[tensor.name]
        if values.size == 1:
            return self.initializer(tensor.name, values.reshape(()) if values.ndim < 2 else values)
        return self.initializer(tensor.name, values.reshape((1,) * missing_axes + values.shape).transpose(layout))

    def initializer(self, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> str:
        """Store an array in the file, the model's dtype by default; return its name. Equal arrays are stored once."""
        array = np.asarray(values, dtype or self.dtype, order="C")
        while name in self.initializers and not _holds(self.initializers[name], array):
            name += "_"
        if name not in self.initializers:
            self.names.add(name)
            self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def unused_name(self, name: str) -> str:
        """Return a name that no value has."""
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name

    # nodes ----------------------------------------------------------------------------------------------------------------

    def emit(
        self, node: Node, operator: str, inputs: Sequence[str], layout: Sequence[int] | None = None, **attributes: Any
    ) -> None:
        """Add the ONNX node that computes a node's output, in a layout, by default the one that ONNX expects."""
        layout = self.onnx_layout(node.output) if layout is None else layout
        name = self.add_node(operator, inputs, node.output.name, **attributes)
        self.outputs[node.output.name] = (name, tuple(layout))

    def add_node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add an ONNX node; return the name of its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def alias(self, node: Node, tensor: Tensor, layout: Sequence[int]) -> None:
        """Let a node's output be another tensor's value, in a layout: no ONNX node is needed."""
        self.outputs[node.output.name] = (self.outputs[tensor.name][0], tuple(layout))

    def graph_output(self, output: Tensor) -> str:
        """Return the name of the graph's output; an Identity gives it the tensor's own where it has another."""
        name = self.input(output, self.onnx_layout(output))
        if name == output.name and output is not self.graph.input:
            return name
        taken = {name for node in self.nodes for name in node.output}
        if self.graph.input is not None:
            taken.add(self.graph.input.name)
        return self.add_node("Identity", [name], self.unused_name("output") if output.name in taken else output.name)


def _holds(tensor: TensorProto, array: Array) -> bool:
    return tuple(tensor.dims) == array.shape and tensor.raw_data == array.tobytes()
