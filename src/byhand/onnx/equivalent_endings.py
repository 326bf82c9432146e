"""Endings of a graph that exporters write in other words, rewritten: sigmoids in parts, and the two columns of one sigmoid.

1 / (1 + e^-x), e^x / (e^x + 1)            sigmoid(x)
[1 - sigmoid(x), sigmoid(x)]               sigmoid(x): one value that decides between two names
sigmoid([-x, x])                           sigmoid(x), as above
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from byhand.graph import Graph, Node, Tensor
from byhand.nn.task import SIGMOIDS
from byhand.ops import get
from byhand.ops.op import Array


def rewrite_ending(graph: Graph, tensor: Tensor, weights: Mapping[str, Array]) -> Tensor:
    """Return the tensor that an output (N, K) equals, nodes of which may be added; weights: constants, by name."""
    endings = _Endings(graph, weights)
    tensor = endings.sigmoid_in_parts(tensor)
    return endings.one_of_two_columns(tensor)


class _Endings:
    """Patterns at the end of a graph, by the nodes that make its tensors and by the values of its constants."""

    def __init__(self, graph: Graph, weights: Mapping[str, Array]) -> None:
        self.graph, self.weights = graph, weights
        self.makers = {node.output.name: node for node in graph.nodes}

    def made_by(self, value: Tensor | None, *ops: str) -> Node | None:
        node = None if value is None else self.makers.get(value.name)
        return node if node is not None and node.op.name in ops else None

    def is_one(self, value: Tensor) -> bool:
        return value.name in self.weights and bool(np.all(self.weights[value.name] == 1))

    def plus_one(self, value: Tensor) -> Node | None:
        """Return the node of e^z where a value is e^z + 1."""
        node = self.made_by(value, "add")
        terms = [] if node is None else [t for t in node.inputs.values() if not self.is_one(t)]
        return self.made_by(terms[0], "exp") if len(terms) == 1 else None

    def sigmoid_in_parts(self, tensor: Tensor) -> Tensor:
        top, bottom = None, None
        if (node := self.made_by(tensor, "reciprocal")) is not None:
            bottom = self.plus_one(node.inputs["x"])
        elif (node := self.made_by(tensor, "divide")) is not None:
            top, bottom = node.inputs["a"], self.plus_one(node.inputs["b"])
        if bottom is None:
            return tensor
        if top is None or self.is_one(top):
            negative = self.made_by(bottom.inputs["x"], "neg")
            return tensor if negative is None else self.graph.add(get("sigmoid"), {"x": negative.inputs["x"]}, {})
        return self.graph.add(get("sigmoid"), {"x": bottom.inputs["x"]}, {}) if top is bottom.output else tensor

    def one_of_two_columns(self, tensor: Tensor) -> Tensor:
        """Return p, (N, 1), of [1 - p, p] or [p, 1 - p], the second column's."""
        if (node := self.made_by(tensor, "sigmoid")) is not None:
            columns = self._two_columns(node.inputs["x"])
            if columns is not None and self._is_negative(*columns):
                return self.graph.add(node.op, {"x": columns[1]}, {})
            return tensor
        columns = self._two_columns(tensor)
        if columns is None:
            return tensor
        first, second = columns
        sigmoid = self.made_by(second, *SIGMOIDS)
        if sigmoid is not None and self._is_complement(first, second):
            return second
        sigmoid = self.made_by(first, *SIGMOIDS)
        if sigmoid is None or not self._is_complement(second, first) or sigmoid.op.name != "sigmoid":
            return tensor
        negative = self.graph.add(get("neg"), {"x": sigmoid.inputs["x"]}, {})
        return self.graph.add(sigmoid.op, {"x": negative}, {})

    def _two_columns(self, tensor: Tensor) -> tuple[Tensor, Tensor] | None:
        node = self.made_by(tensor, "concat")
        if node is None or tensor.shape != (1, 2):
            return None
        columns = [value for values in node.inputs.values() for value in values]
        return (columns[0], columns[1]) if len(columns) == 2 else None

    def _is_negative(self, a: Tensor, b: Tensor) -> bool:
        """Tell whether a = -b or b = -a."""
        pairs = ((self.made_by(x, "neg"), y) for x, y in ((a, b), (b, a)))
        return any(node is not None and node.inputs["x"] is other for node, other in pairs)

    def _is_complement(self, a: Tensor, b: Tensor) -> bool:
        """Tell whether a = 1 - b."""
        node = self.made_by(a, "subtract")
        return (
            node is not None
            and node.inputs["b"] is b
            and self.is_one(node.inputs["a"])
            and prod(node.inputs["a"].shape) == 1
        )
