"""A Model as an ONNX file: (N, H, W, C) becomes (N, C, H, W) at the door, and every tensor keeps its name."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from byhand.errors import UnsupportedError
from byhand.files import write_whole
from byhand.graph import Graph, Node, Tensor
from byhand.nn.model import Model
from byhand.onnx.load import NOTES
from byhand.onnx.writers import WRITERS
from byhand.ops.op import Array, Call
from byhand.shapes import Shape

OPSET, GELU_OPSET, FORMAT = 18, 20, 9  # the oldest that have what byhand writes; FORMAT: the file's own, of 2023
NCHW = (0, 3, 1, 2)  # which of our axes each of ONNX's holds


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model as ONNX, whole or not at all: what it is in inference, its images (N, C, H, W) as numbers, not pixels.

    The names of the classes, and how pixels become numbers, go beside the graph; `byhand.onnx.load` reads them.

    >>> import byhand as bh, tempfile
    >>> from byhand import onnx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     onnx.save(bh.models.create("lenet5"), f"{folder}/lenet5.onnx")
    ...     onnx.load(f"{folder}/lenet5.onnx")
    <model lenet5: (28, 28, 1) -> 10 classes, 61,706 parameters>
    """
    write_whole(path, as_onnx(model).SerializeToString())


def as_onnx(model: Model) -> onnx.ModelProto:
    """Return a model as ONNX's message."""
    graph = model.graph.up_to(model.output)
    writer = Writer(graph, model.parameters | vars(model.state), model.dtype)
    for node in graph.nodes:
        writer.add(node)
    result = writer.result(model.output)
    assert graph.input is not None
    kind = helper.np_dtype_to_tensor_dtype(model.dtype)
    images = helper.make_tensor_value_info(graph.input.name, kind, writer.sizes(graph.input))
    given = helper.make_tensor_value_info(result, kind, writer.sizes(model.output))
    body = helper.make_graph(writer.nodes, model.name, [images], [given], list(writer.numbers.values()))
    opset = GELU_OPSET if any(node.op_type == "Gelu" for node in writer.nodes) else OPSET
    proto = helper.make_model(
        body, producer_name="byhand", opset_imports=[helper.make_opsetid("", opset)], ir_version=FORMAT
    )
    notes: dict[str, Any] = {"name": model.name, "mean": model.mean, "std": model.std}
    if model.crop_pct is not None:
        notes["crop_pct"] = model.crop_pct
    if model.classes != tuple(map(str, range(len(model.classes)))):
        notes["classes"] = list(model.classes)
    helper.set_model_props(proto, {f"{NOTES}{key}": json.dumps(value) for key, value in notes.items()})
    return proto


class Writer:
    """Writes one graph, node by node; a value knows its name in ONNX and which of our axes each of its axes holds."""

    def __init__(self, graph: Graph, values: dict[str, Array], dtype: Any) -> None:
        self.graph, self.values, self.dtype = graph, values, dtype
        self.calls: dict[str, Call] = graph.plan(1, training=False)[0]
        self.nodes: list[onnx.NodeProto] = []
        self.numbers: dict[str, TensorProto] = {}
        self.made: dict[str, tuple[str, Shape]] = {}
        self.taken: dict[tuple[str, Shape], str] = {}
        assert graph.input is not None
        self.made[graph.input.name] = (graph.input.name, self.usual(graph.input))
        self.used = set(graph.tensors)

    def usual(self, tensor: Tensor) -> Shape:
        """Return the order that ONNX expects: an image's channels first."""
        return NCHW if len(tensor.shape) == 4 else tuple(range(len(tensor.shape)))

    def sizes(self, tensor: Tensor) -> list[Any]:
        """Return an input's or output's shape in ONNX's order, with N for the batch."""
        return ["N", *(tensor.shape[axis] for axis in self.usual(tensor)[1:])]

    def add(self, node: Node) -> None:
        """Add what does the same as a node."""
        writer = WRITERS.get(node.op.name)
        if writer is None:
            raise UnsupportedError(f"{node.name}: ONNX has no operator that does what {node.op.name} does")
        writer(self, node, self.calls[node.name])

    def order(self, tensor: Tensor) -> Shape:
        """Return which of our axes each of ONNX's axes of a value holds."""
        return self.made[tensor.name][1]

    def take(self, tensor: Tensor, order: Sequence[int] | None = None) -> str:
        """Return ONNX's name for a tensor whose axes hold ours in an order, by default the one that it has."""
        if tensor.name not in self.made:  # a parameter, laid out as it is asked for
            order = tuple(range(len(tensor.shape))) if order is None else order
            return self.number(tensor.name, self.values[tensor.name].transpose(order))
        name, have = self.made[tensor.name]
        order = have if order is None else tuple(order)
        if order == have:
            return name
        if (name, order) not in self.taken:
            perm = [have.index(axis) for axis in order]
            self.taken[name, order] = self.node("Transpose", [name], self.free(f"{name}_turned"), perm=perm)
        return self.taken[name, order]

    def number(self, label: str, values: Any, dtype: Any = None) -> str:
        """Return the name of an array that the file holds; the same array goes in once."""
        array = np.asarray(values, dtype or self.dtype, order="C")
        name = label
        while name in self.numbers and not self._same(self.numbers[name], array):
            name += "_"
        if name not in self.numbers:
            self.used.add(name)
            self.numbers[name] = numpy_helper.from_array(array, name)
        return name

    def _same(self, held: TensorProto, array: Array) -> bool:
        return tuple(held.dims) == array.shape and held.raw_data == array.tobytes()

    def free(self, name: str) -> str:
        """Return a name that nothing has."""
        while name in self.used:
            name += "_"
        self.used.add(name)
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node of ONNX's; return its output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def make(
        self, node: Node, kind: str, inputs: Sequence[str], order: Sequence[int] | None = None, **attributes: Any
    ) -> None:
        """Add the node that makes a node's output, in an order."""
        order = self.usual(node.output) if order is None else order
        self.made[node.output.name] = (self.node(kind, inputs, node.output.name, **attributes), tuple(order))

    def alias(self, node: Node, tensor: Tensor, order: Sequence[int]) -> None:
        """Say that a node's output is another value, its axes seen in another order."""
        self.made[node.output.name] = (self.made[tensor.name][0], tuple(order))

    def beside(self, tensor: Tensor, lead: Tensor) -> str:
        """Return a tensor as arithmetic puts it beside another, in that one's order."""
        order, lacking = self.order(lead), len(lead.shape) - len(tensor.shape)
        if tensor.name in self.made and not lacking:
            return self.take(tensor, order)
        if tensor.name in self.made:
            raise UnsupportedError(f"{tensor.name} {tensor.shape} beside {lead.shape}: it would meet other images")
        values = self.values[tensor.name]
        if values.size == 1:
            return self.number(tensor.name, values.reshape(()) if values.ndim < 2 else values)
        return self.number(tensor.name, values.reshape((1,) * lacking + values.shape).transpose(order))

    def result(self, output: Tensor) -> str:
        """Return the name of the graph's output, which is the tensor's own."""
        name = self.take(output, self.usual(output))
        if name == output.name and output is not self.graph.input:
            return name
        made = {name for node in self.nodes for name in node.output} | {
            self.graph.input.name if self.graph.input else ""
        }
        self.node("Identity", [name], self.free("output") if output.name in made else output.name)
        return str(self.nodes[-1].output[0])
