"""A graph as its file has it, before it is read: the nodes that make and read a value, and small constants."""

from __future__ import annotations

from math import prod
from typing import Any

import onnx
from onnx import helper

from byhand.errors import FileError
from byhand.onnx.file_errors import BROKEN_FILE_ERRORS
from byhand.onnx.tensor_data import array_of
from byhand.ops.op import Array

MAX_CONSTANT_SIZE = 2**16  # elements of a constant that is looked at


class FileGraph:
    """The nodes of a graph by the values that they make and read, and its constants."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.makers = {name: node for node in graph.node for name in node.output if name}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in {*node.input}:
                self.readers.setdefault(name, []).append(node)
        self.stored = {tensor.name: tensor for tensor in graph.initializer}

    def is_constant(self, name: str) -> bool:
        """Tell whether a value is an initializer, or made by Constant."""
        return name in self.stored or (name in self.makers and self.makers[name].op_type == "Constant")

    def computed_inputs(self, node: onnx.NodeProto) -> list[str]:
        """Return the inputs of a node that are no constants."""
        return [name for name in node.input if name and not self.is_constant(name)]

    def constant(self, name: str) -> Array | None:
        """Return a small constant's array; None where it is none, or is not stored in the message."""
        tensor = self.stored.get(name)
        if tensor is None and self.is_constant(name):
            tensor = attributes_of(self.makers[name]).get("value")
        if not isinstance(tensor, onnx.TensorProto) or prod(tensor.dims) > MAX_CONSTANT_SIZE:
            return None
        try:
            return array_of(tensor)
        except (*BROKEN_FILE_ERRORS, FileError):
            return None

    def integers(self, node: onnx.NodeProto, attribute: str, index: int) -> list[int] | None:
        """Return the integers of an attribute, or of the constant that is an input of a node; None without either."""
        given = attributes_of(node).get(attribute)
        if given is not None:
            return list(given) if isinstance(given, (list, tuple)) else [int(given)]
        array = self.constant(node.input[index]) if len(node.input) > index else None
        return None if array is None or array.dtype.kind not in "iu" else array.reshape(-1).tolist()


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    try:
        return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    except BROKEN_FILE_ERRORS:
        return {}
