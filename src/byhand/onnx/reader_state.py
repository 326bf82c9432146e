"""The state of reading one ONNX file, shared by its nodes: the byhand graph, its weights, and the budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from byhand.graph import Graph, Node, Tensor
from byhand.onnx.budget import Budget
from byhand.onnx.mapped_weights import MappedWeights
from byhand.onnx.tensor_data import address, array_of
from byhand.ops.op import Array

GATE_DISTANCE = 8  # nodes between a gate (Sigmoid) and the product that uses it


class NamedGraph(Graph):
    """A graph whose nodes take the names that ONNX has for their results."""

    def __init__(self) -> None:
        super().__init__()
        self.label = "v"  # the name of the ONNX node that is being read
        self.suffixes: dict[str, int] = {}  # the last number appended to a name

    @property
    def recent_nodes(self) -> dict[str, Node]:
        """The last nodes, by the names of their outputs."""
        return {node.output.name: node for node in self.nodes[-GATE_DISTANCE:]}

    def free_name(self, label: str) -> str:
        """Return an unused name that begins with that of the ONNX node."""
        return self.unused_name(f"{self.label}_{label}")

    def unused_name(self, name: str) -> str:
        """Return a name, with a number appended where it is taken."""
        unused = name
        while unused in self.tensors:
            self.suffixes[name] = self.suffixes.get(name, 1) + 1
            unused = f"{name}_{self.suffixes[name]}"
        return unused


@dataclass
class ReaderState:
    """The state of reading one file, shared by its nodes.

    graph: the byhand graph that nodes are added to, or None where arrays are computed at once; batch: the batch size that
    the file declares; folder: where its external data may lie.
    """

    hand: str
    graph: NamedGraph | None
    batch: int
    folder: Path | None
    mapped_weights: MappedWeights | None
    budget: Budget
    depth: int = 0  # branches and functions around the current node
    weights: dict[str, Array] = field(default_factory=dict)  # of the graph's parameters and states, by name
    tensors: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)  # identity of an array -> its tensor
    initializer_addresses: set[int] = field(default_factory=set)

    def stored_array(self, tensor: onnx.TensorProto, index: int | None = None) -> Array:
        """Return an array that the file stores; index: its place among the initializers of the main graph."""
        array = None
        if self.mapped_weights is not None and index is not None:
            array = self.mapped_weights.array(index, tensor)
        array = array_of(tensor, self.folder) if array is None else array
        self.budget.allow(array.size)
        if self.depth == 0:  # inside a function it is read anew with each call
            self.budget.allow_folding(array.size)
        return array

    def add_initializer(self, tensor: onnx.TensorProto, index: int | None) -> Array:
        """Return an initializer's array; where an op takes it, it becomes a parameter that training changes."""
        array = self.stored_array(tensor, index)
        self.initializer_addresses.add(address(array))
        return array
