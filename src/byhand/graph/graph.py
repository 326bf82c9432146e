"""A network as a graph: tensors, and the nodes that make one from others, in the order in which they run.

The first axis of the input, and of what is computed from it, is the batch. A graph is built with a batch of one;
`Graph.plan(batch)` asks every op's contract again for any other.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.errors import ArgumentError, UnknownNameError
from byhand.ops.op import Array, Call, Op, flat, get, shape_of
from byhand.shapes import Shape, integer

Initializer = Callable[[Any, Shape], Array]  # (random generator, shape) -> the first values
RESERVED = {  # the program's own names
    "labels", "loss", "probabilities", "optimizer", "lr", "t", "p", "g", "state", "arena", "flat", "step",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named value of a graph: its input, a parameter, a state (what forward updates), or a node's output.

    shape: with a batch of one; dtype: None for the model's own floating point.
    Call ops and layers on it, or add and multiply it: each adds a node.
    """

    graph: Graph
    name: str
    shape: Shape
    kind: str  # "input", "parameter", "state" or "value"
    dtype: Any = None
    initializer: Initializer | None = None

    def apply_op(self, op: Op, inputs: Mapping[str, Any], attributes: Mapping[str, Any]) -> Tensor:
        """Add a node that applies an op; `Op.__call__` calls this when it meets a tensor."""
        return self.graph.add(op, inputs, attributes)

    def __add__(self, other: Any) -> Tensor:
        return self._binary("add", other)

    def __mul__(self, other: Any) -> Tensor:
        return self._binary("multiply", other)

    def __radd__(self, other: Any) -> Tensor:
        return self._binary("add", other)

    def __rmul__(self, other: Any) -> Tensor:
        return self._binary("multiply", other)

    def _binary(self, name: str, other: Any) -> Tensor:
        return self.graph.add(get(name), {"a": self, "b": other}, {})

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {show(self)}>"


@dataclass(frozen=True, eq=False)
class Node:
    """One op call: where its inputs come from, its attributes as they were given, and what it makes."""

    op: Op
    name: str
    inputs: dict[str, Any]  # a Tensor, a tuple of them (xs), or None
    attributes: dict[str, Any]
    outputs: dict[str, Tensor]

    @property
    def output(self) -> Tensor:
        """The op's result, the first of its outputs."""
        return self.outputs[self.op.outputs[0]]


class Graph:
    """Nodes in the order in which they run, and every tensor by name."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self.input: Tensor | None = None
        self.layers: dict[int, tuple[Any, dict[str, Tensor]]] = {}  # the parameters of each layer already called

    def add_tensor(
        self, name: str, shape: Shape, kind: str, dtype: Any = None, initializer: Initializer | None = None
    ) -> Tensor:
        """Add a tensor; its name must be new, and one that a program can use."""
        if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
            raise ArgumentError(f"the name {name!r} is not one a program can use; take letters, digits and underscores")
        own = name in RESERVED or name.startswith(("grad_", "__"))
        if name in self.tensors or own:
            taken = "is the program's own" if own else "is taken"
            raise ArgumentError(f"the name '{name}' {taken}; give the layer another name")
        shape = tuple(integer(f"{name}'s shape", size) for size in shape)
        self.tensors[name] = tensor = Tensor(self, name, shape, kind, dtype, initializer)
        return tensor

    def add_input(self, shape: Shape, name: str = "images") -> Tensor:
        """Add the graph's input, one example of which has `shape`."""
        if self.input is not None:
            raise ArgumentError("the graph has its input already; a network takes one")
        self.input = self.add_tensor(name, (1, *shape), "input")
        return self.input

    def add(self, op: Op, inputs: Mapping[str, Any], attributes: Mapping[str, Any], name: str | None = None) -> Tensor:
        """Add a node and return its result; an error that the op's contract finds begins with the node's name."""
        name = name or self.free_name(op.name)
        inputs = {key: inputs.get(key) for key in op.inputs}
        for key, value in inputs.items():
            if value is None and key not in op.optional:
                raise ArgumentError(f"{name}: {key} is missing; it takes {', '.join(op.inputs)}")
            if (key == "xs") != isinstance(value, (tuple, list)):
                expected = "a list of tensors" if key == "xs" else "one tensor"
                raise ArgumentError(f"{name}: {key} is a {type(value).__name__}; expected {expected}")
        for one in flat(inputs.values()):
            if not isinstance(one, Tensor) or one.graph is not self:
                what = "a tensor of another network" if isinstance(one, Tensor) else f"a {type(one).__name__}"
                raise ArgumentError(f"{name}: got {what}; expected tensors that come from the same nn.Input")
        call = op.plan([shape_of(value) for value in inputs.values()], attributes, name)
        names = {output: name if output == op.outputs[0] else f"{name}_{output}" for output in op.outputs}
        before = len(self.tensors)
        try:
            outputs = {
                output: self.add_tensor(tensor, shape, "value", op.dtypes.get(output))
                for (output, tensor), shape in zip(names.items(), call.shapes.values())
            }
        except ArgumentError:
            for tensor in list(self.tensors)[before:]:
                del self.tensors[tensor]
            raise
        self.nodes.append(
            Node(op, name, {k: tuple(v) if k == "xs" else v for k, v in inputs.items()}, dict(attributes), outputs)
        )
        return outputs[op.outputs[0]]

    def rename_last(self, name: str) -> Tensor:
        """Give the last node, which nothing reads yet, and its result another name; return the result."""
        node = self.nodes.pop()
        for tensor in node.outputs.values():
            del self.tensors[tensor.name]
        names = {output: name if output == node.op.outputs[0] else f"{name}_{output}" for output in node.outputs}
        outputs = {key: self.add_tensor(names[key], t.shape, "value", t.dtype) for key, t in node.outputs.items()}
        self.nodes.append(Node(node.op, name, node.inputs, node.attributes, outputs))
        return outputs[node.op.outputs[0]]

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Leave the graph as it was where what is done to it inside fails: no node without its tensors, no name taken."""
        nodes, tensors = len(self.nodes), dict(self.tensors)
        layers = {key: (layer, dict(mine)) for key, (layer, mine) in self.layers.items()}
        try:
            yield
        except BaseException:
            del self.nodes[nodes:]
            self.tensors, self.layers = tensors, layers
            raise

    def up_to(self, *outputs: Tensor) -> Graph:
        """Return a copy that holds the input and what the outputs are computed from, nothing else."""
        graph, needed = Graph(), {output.name for output in outputs}
        for node in reversed(self.nodes):
            if any(tensor.name in needed for tensor in node.outputs.values()):
                graph.nodes.append(node)
                needed |= {tensor.name for tensor in flat([*node.inputs.values(), *node.outputs.values()])}
        graph.nodes.reverse()
        graph.input = self.input
        graph.tensors = {name: t for name, t in self.tensors.items() if name in needed or t is self.input}
        return graph

    def with_loss(self, logits: Tensor, label_smoothing: float, auxiliary: Sequence[Tensor] = ()) -> Graph:
        """Return a copy that goes on from the logits to the loss: softmax cross-entropy against `labels`.

        auxiliary: other logits, each with a loss of its own, `<name>_loss`; the logits' own is the last node.
        """
        graph, op = Graph(), get("softmax_cross_entropy")
        graph.nodes, graph.tensors, graph.input = list(self.nodes), dict(self.tensors), self.input
        labels = Tensor(graph, "labels", (1,), "input", np.int64)
        graph.tensors["labels"] = labels
        attributes = {"label_smoothing": label_smoothing}
        for tensor, name in (*((one, f"{one.name}_loss") for one in auxiliary), (logits, "loss")):
            call = op.plan([tensor.shape, labels.shape], attributes, name)
            names = {key: key if tensor is logits else f"{tensor.name}_{key}" for key in call.shapes}
            outputs = {
                key: Tensor(graph, names[key], shape, "value", op.dtypes.get(key)) for key, shape in call.shapes.items()
            }
            graph.nodes.append(Node(op, name, {"logits": tensor, "labels": labels}, attributes, outputs))
            graph.tensors |= {t.name: t for t in (tensor, *outputs.values())}
        return graph

    def free_name(self, label: str) -> str:
        """Return `label` with the first number that makes it new: conv1, conv2, ..."""
        number = 1
        while f"{label}{number}" in self.tensors:
            number += 1
        return f"{label}{number}"

    def tensor(self, name: str) -> Tensor:
        """Return a tensor by name."""
        if name not in self.tensors:
            raise UnknownNameError("tensor", name, self.tensors)
        return self.tensors[name]

    def of_kind(self, kind: str) -> list[Tensor]:
        """Return the tensors of one kind, in the order in which they were added."""
        return [tensor for tensor in self.tensors.values() if tensor.kind == kind]

    def plan(self, batch: int, training: bool) -> tuple[dict[str, Call], dict[str, Shape]]:
        """Return the call of every node and the shape of every tensor, for a batch of examples.

        An op with a `training` attribute that was not given gets the program's.
        """
        shapes = {t.name: (batch, *t.shape[1:]) if t.kind == "input" else t.shape for t in self.tensors.values()}
        calls = {}
        for node in self.nodes:
            attributes = dict(node.attributes)
            if "training" in node.op.attributes:
                attributes.setdefault("training", training)
            asked = [
                tuple(shapes[one.name] for one in value) if isinstance(value, tuple)
                else None if value is None else shapes[value.name]
                for value in node.inputs.values()
            ]  # fmt: skip
            calls[node.name] = node.op.plan(asked, attributes, node.name)
            for output, shape in calls[node.name].shapes.items():
                shapes[node.outputs[output].name] = shape
        return calls, shapes


def show(tensor: Tensor) -> str:
    """Return a tensor's shape as text, with N for the batch."""
    batch = tensor.kind in ("input", "value")
    return f"({', '.join(['N' if batch and i == 0 else str(size) for i, size in enumerate(tensor.shape)])})"
