"""A network as a graph: tensors, and nodes in execution order, each an op call that computes tensors from others.

The first axis of the input, and of every value computed from it, is the batch. A graph is built with a batch of one;
`Graph.plan(batch)` infers the shapes for any other.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from byhand.errors import ArgumentError, UnknownNameError
from byhand.ops.op import Array, CallSpec, Op, get, shape_of, tree_leaves
from byhand.shapes import Shape, integer, plain

if TYPE_CHECKING:
    from numpy.random import Generator  # `import numpy` does not load it

Initializer = Callable[["Generator", Shape], Array]  # (random generator, shape) -> initial values
# Names that a generated program uses itself.
RESERVED = {"labels", "loss", "probabilities", "optimizer", "lr", "t", "p", "g", "state", "arena", "flat", "step"}
RESERVED |= {"loss_predictions", "loss_gradient"}


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named tensor of a graph: its input, a parameter, a state (updated by forward), or the output of a node.

    shape: for a batch of one; dtype: None for the model's floating-point type.
    Ops and layers called on it, and the operators + and *, add nodes to the graph.
    """

    graph: Graph
    name: str
    shape: Shape
    kind: str  # "input", "parameter", "state" or "value"
    dtype: npt.DTypeLike | None = None
    initializer: Initializer | None = None

    def apply_op(self, op: Op, inputs: Mapping[str, Any], attributes: Mapping[str, Any]) -> Tensor:
        """Add a node that applies an op; `Op.__call__` calls this for a symbolic input."""
        return self.graph.add(op, inputs, attributes)

    def __add__(self, other: Tensor) -> Tensor:
        return self._binary("add", other)

    def __mul__(self, other: Tensor) -> Tensor:
        return self._binary("multiply", other)

    def __radd__(self, other: Tensor) -> Tensor:
        return self._binary("add", other)

    def __rmul__(self, other: Tensor) -> Tensor:
        return self._binary("multiply", other)

    def _binary(self, name: str, other: Tensor) -> Tensor:
        return self.graph.add(get(name), {"a": self, "b": other}, {})

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {show(self)}>"


@dataclass(frozen=True, eq=False)
class Node:
    """One op call: its input tensors, its attributes as given by the user, and its output tensors.

    fused: of a node that fusion made, the names of the nodes whose work it does.
    """

    op: Op
    name: str
    inputs: dict[str, Any]  # a Tensor, a tuple of them (xs), or None
    attributes: dict[str, Any]
    outputs: dict[str, Tensor]
    fused: tuple[str, ...] = ()

    @property
    def output(self) -> Tensor:
        """The op's result, the first of its outputs."""
        return self.outputs[self.op.outputs[0]]


class Graph:
    """Nodes in execution order, and every tensor by name."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self.input: Tensor | None = None
        self.preprocessing: Any = None  # of images: of a model that was called on the input, whose weights expect it
        self.tasks: dict[str, str] = {}  # by the name of an output: of a model that was called as a layer, and gave it
        self.layers: dict[int, tuple[object, dict[str, Tensor]]] = {}  # by id of a layer: the layer, its parameters

    def add_tensor(
        self,
        name: str,
        shape: Shape,
        kind: str,
        dtype: npt.DTypeLike | None = None,
        initializer: Initializer | None = None,
    ) -> Tensor:
        """Add a tensor; its name must be new and a valid identifier for the generated program."""
        if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
            raise ArgumentError(f"the name {name!r} is not an identifier; take letters, digits and underscores")
        reserved = name in RESERVED or name.startswith(("grad_", "__"))
        if name in self.tensors or reserved:
            taken = "is reserved for the program" if reserved else "is taken"
            raise ArgumentError(f"the name '{name}' {taken}; give the layer another name")
        shape = tuple(integer(f"{name}'s shape", size) for size in shape)
        self.tensors[name] = tensor = Tensor(self, name, shape, kind, dtype, initializer)
        return tensor

    def add_input(self, shape: Shape, name: str = "images") -> Tensor:
        """Add the graph's input; shape: that of one example."""
        if self.input is not None:
            raise ArgumentError("the graph has an input already; a network takes one")
        self.input = self.add_tensor(name, (1, *shape), "input")
        return self.input

    def add(self, op: Op, inputs: Mapping[str, Any], attributes: Mapping[str, Any], name: str | None = None) -> Tensor:
        """Add a node and return its first output; errors of the op's contract begin with the node's name."""
        name = name or self.free_name(op.name)
        inputs = {key: inputs.get(key) for key in op.inputs}
        for key, value in inputs.items():
            if value is None and key not in op.optional:
                raise ArgumentError(f"{name}: {key} is missing; it takes {', '.join(op.inputs)}")
            if (key == "xs") != isinstance(value, (tuple, list)):
                expected = "a list of tensors" if key == "xs" else "one tensor"
                raise ArgumentError(f"{name}: {key} is a {type(value).__name__}; expected {expected}")
        for tensor in tree_leaves(inputs.values()):
            if not isinstance(tensor, Tensor) or tensor.graph is not self:
                what = "a tensor of another network" if isinstance(tensor, Tensor) else f"a {type(tensor).__name__}"
                raise ArgumentError(f"{name}: got {what}; expected tensors that come from the same nn.Input")
        kept: dict[str, Any] = plain(dict(attributes))  # they are written into programs and files
        call = op.infer([shape_of(value) for value in inputs.values()], kept, name)
        names = {output: name if output == op.outputs[0] else f"{name}_{output}" for output in op.outputs}
        before = len(self.tensors)
        try:
            outputs = {
                output: self.add_tensor(new_name, shape, "value", op.dtypes.get(output))
                for (output, new_name), shape in zip(names.items(), call.shapes.values())
            }
        except ArgumentError:
            for new_name in list(self.tensors)[before:]:
                del self.tensors[new_name]
            raise
        self.nodes.append(Node(op, name, {k: tuple(v) if k == "xs" else v for k, v in inputs.items()}, kept, outputs))
        return outputs[op.outputs[0]]

    def rename_last(self, name: str) -> Tensor:
        """Rename the last node, whose outputs nothing reads yet, and its outputs; return the first output."""
        node = self.nodes.pop()
        for tensor in node.outputs.values():
            del self.tensors[tensor.name]
        names = {output: name if output == node.op.outputs[0] else f"{name}_{output}" for output in node.outputs}
        outputs = {key: self.add_tensor(names[key], t.shape, "value", t.dtype) for key, t in node.outputs.items()}
        self.nodes.append(Node(node.op, name, node.inputs, node.attributes, outputs))
        return outputs[node.op.outputs[0]]

    @contextmanager
    def rollback_on_error(self) -> Iterator[None]:
        """Undo all changes of the graph if the block raises: no node without its tensors, no name taken."""
        nodes, tensors = len(self.nodes), dict(self.tensors)
        layers = {key: (layer, dict(mine)) for key, (layer, mine) in self.layers.items()}
        try:
            yield
        except BaseException:
            del self.nodes[nodes:]
            self.tensors, self.layers = tensors, layers
            raise

    def up_to(self, *outputs: Tensor) -> Graph:
        """Return the subgraph that computes the outputs: the input, and the nodes and tensors they depend on."""
        graph, needed = Graph(), {output.name for output in outputs}
        for node in reversed(self.nodes):
            if any(tensor.name in needed for tensor in node.outputs.values()):
                graph.nodes.append(node)
                needed |= {tensor.name for tensor in tree_leaves([*node.inputs.values(), *node.outputs.values()])}
        graph.nodes.reverse()
        graph.input = self.input
        graph.tensors = {name: t for name, t in self.tensors.items() if name in needed or t is self.input}
        return graph

    def with_loss(
        self,
        logits: Tensor,
        label_smoothing: float = 0.0,
        auxiliary: Sequence[Tensor] = (),
        op: Op | None = None,
    ) -> Graph:
        """Return a copy with a loss of the logits against a new input `labels`, as the last node `loss`.

        op: the loss, by default the softmax cross-entropy, whose labels are class numbers; those of others are arrays like the
        logits. auxiliary: the logits of auxiliary classifiers, each with a loss of its own, `<name>_loss`.
        """
        graph, op = Graph(), op or get("softmax_cross_entropy")
        graph.nodes, graph.tensors, graph.input = list(self.nodes), dict(self.tensors), self.input
        whole = "labels" in op.dtypes
        labels = Tensor(graph, "labels", (1,) if whole else logits.shape, "input", np.int64 if whole else None)
        graph.tensors["labels"] = labels
        attributes = {"label_smoothing": label_smoothing} if "label_smoothing" in op.attributes else {}
        for tensor, name in (*((other, f"{other.name}_loss") for other in auxiliary), (logits, "loss")):
            call = op.infer([tensor.shape, labels.shape], attributes, name)
            own = {key: key if key in RESERVED else f"loss_{key}" for key in call.shapes}
            names = own if tensor is logits else {key: f"{tensor.name}_{key}" for key in call.shapes}
            outputs = {
                key: Tensor(graph, names[key], shape, "value", op.dtypes.get(key)) for key, shape in call.shapes.items()
            }
            graph.nodes.append(Node(op, name, dict(zip(op.inputs, (tensor, labels))), attributes, outputs))
            graph.tensors |= {t.name: t for t in (tensor, *outputs.values())}
        return graph

    def free_name(self, label: str) -> str:
        """Return `label` with the first free number: conv1, conv2, ..."""
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
        """Return the tensors of one kind, in the order they were added."""
        return [tensor for tensor in self.tensors.values() if tensor.kind == kind]

    def plan(self, batch: int, training: bool) -> tuple[dict[str, CallSpec], dict[str, Shape]]:
        """Return the call of every node and the shape of every tensor, for a batch of examples.

        The attribute `training` of an op, where it was not given, is that of the program.
        """
        shapes = {t.name: (batch, *t.shape[1:]) if t.kind == "input" else t.shape for t in self.tensors.values()}
        calls = {}
        for node in self.nodes:
            attributes = dict(node.attributes)
            if "training" in node.op.attributes:
                attributes.setdefault("training", training)
            input_shapes = [_map_tensors(lambda tensor: shapes[tensor.name], value) for value in node.inputs.values()]
            calls[node.name] = node.op.infer(input_shapes, attributes, node.name)
            for output, shape in calls[node.name].shapes.items():
                shapes[node.outputs[output].name] = shape
        return calls, shapes


def _map_tensors(function: Callable[[Tensor], Any], value: Tensor | tuple[Tensor, ...] | None) -> Any:
    """Return function(value) of an input: for a tuple of tensors a tuple, for None None."""
    return tuple(map(function, value)) if isinstance(value, tuple) else None if value is None else function(value)


def show(tensor: Tensor) -> str:
    """Return a tensor's shape as text, with N for the batch."""
    batch = tensor.kind in ("input", "value")
    return f"({', '.join(['N' if batch and i == 0 else str(size) for i, size in enumerate(tensor.shape)])})"
