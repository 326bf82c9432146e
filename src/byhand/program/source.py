"""The text of a program: one line an op call, forward, then backward, then update, shapes in a trailing comment.

Backward runs the nodes in reverse. A node is asked for the gradients of its inputs once the gradient of its output is
there; a tensor that several nodes used gets the sum of what they send back.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import isfinite, prod
from typing import Any

import numpy as np

from byhand.errors import ArgumentError
from byhand.graph import Graph, Node, Tensor
from byhand.ops.op import Array, Call, flat, get
from byhand.shapes import Shape

COLUMN, WIDTH = 92, 120  # where shapes begin; the longest import in one line


@dataclass(frozen=True)
class Update:
    """What an optimiser adds to a training program: the functions it calls, and the calls as text."""

    functions: tuple[Callable[..., Any], ...]
    lines: tuple[str, ...]


@dataclass
class Source:
    """A program as text, and the arrays that it names: the arena's by shape and type."""

    text: str = ""
    arena: dict[str, tuple[Shape, Any]] = field(default_factory=dict)


class Writer:
    """Writes one program."""

    def __init__(self, graph: Graph, output: Tensor, batch: int, training: bool, hand: str, dtype: Any) -> None:
        assert graph.input is not None
        self.graph, self.output, self.batch, self.training, self.hand = graph, output, batch, training, hand
        self.calls, self.shapes = graph.plan(batch, training)
        self.dtype, self.input = dtype, graph.input
        self.imports: dict[str, dict[str, str]] = {}  # module -> function -> the name it is called by
        self.lines: list[tuple[list[str], str]] = []  # (the parts of a call that stay in one line, the comment)
        self.source = Source()

    def write(self, title: str, update: Update | None, input_gradient: bool) -> Source:
        """Return the program's text and arena."""
        self.lines.append((["# forward"], ""))
        for node in self.graph.nodes:
            self._forward(node)
        if self.training:
            self.lines += [([""], ""), (["# backward, last layer first"], "")]
            self._backward(input_gradient)
        if update is not None:
            self.lines += [([""], ""), (["# update: every parameter in one buffer"], "")]
            for function in update.functions:
                self._import(function, function.__name__.removesuffix(f"_{self.hand}"))
            self.lines += [([line], "") for line in update.lines]
        if self.input.name in {"float"}.union(*(names.values() for names in self.imports.values())):
            raise ArgumentError(
                f"the input's name '{self.input.name}' is also that of a function that the program calls; "
                "give nn.Input another name"
            )
        head = [self._head(title), "", *self._imports(), "", "", f"def step({', '.join(self._arguments(update))}):"]
        self.source.text = "\n".join([*head, *self._body(), f"    return {self._name(self.output)}", ""])
        return self.source

    def _head(self, title: str) -> str:
        mode = "training" if self.training else "inference"
        flops = sum(call.flops for name, call in self.calls.items() if name != "loss") // self.batch
        size = sum(prod(shape) * np.dtype(dtype).itemsize for shape, dtype in self.source.arena.values())
        work = f"{flops:,} FLOPs an image forward, arena {size / 1e6:.1f} MB"
        return f'"""{title}, batch {self.batch}, {mode}, hand {self.hand}: {work}."""'

    def _imports(self) -> Iterable[str]:
        for module, names in sorted(self.imports.items()):
            by_alias = sorted(names.items(), key=lambda pair: pair[1])  # the same order whatever the hand
            words = [name if name == alias else f"{name} as {alias}" for name, alias in by_alias]
            line = f"from {module} import {', '.join(words)}"
            yield line if len(line) <= WIDTH else f"from {module} import (\n    {f',{chr(10)}    '.join(words)},\n)"

    def _arguments(self, update: Update | None) -> list[str]:
        given = [self.input.name, "labels", "p", "g"] if self.training else [self.input.name, "p"]
        return given + ["state", "arena"] + (["optimizer", "*", "lr", "t"] if update is not None else [])

    def _body(self) -> Iterable[str]:
        """Lay out the calls, shapes in a column on the right; a call too long for that goes on below its first argument."""
        for (start, *parts), comment in self.lines:
            line, indent = f"    {start}".rstrip(), " " * (5 + start.find("("))
            for part in parts:
                if len(line) + 1 + len(part) > COLUMN:
                    yield line
                    line = indent + part
                else:
                    line += f" {part}"
            yield f"{line:{COLUMN}}  # {comment}" if comment else line

    def _forward(self, node: Node) -> None:
        for output, tensor in node.outputs.items():
            kind = node.op.dtypes.get(output, self.dtype)
            self.source.arena[tensor.name] = (self.calls[node.name].shapes[output], kind)
        names = self._tensor_names(node)
        shapes = [self.shapes[t.name] for t in flat(node.inputs.values()) if t.kind in ("input", "value")]
        comment = f"{', '.join(map(str, shapes))} -> {self.calls[node.name].shapes[node.op.outputs[0]]}"
        self._call(node, node.op.name, node.op.forward_arguments, names, self.calls[node.name], comment)

    def _backward(self, input_gradient: bool) -> None:
        wanted = self._want_gradients(input_gradient)
        self._arena_like(f"grad_{self.output.name}", self.output)
        self.lines.append(([f"{self._name(self.output, 'grad_')}[...] = 1"], "d loss / d loss"))
        written = {self.output.name}
        for node in reversed(self.graph.nodes):
            if node.output.name not in written:
                continue
            names = self._tensor_names(node)
            names[f"grad_{node.op.outputs[0]}"] = self._name(node.output, "grad_")
            sums: list[tuple[Tensor, str]] = []
            for argument in node.op.differentiable:
                names[f"grad_{argument}"] = self._gradients(node.inputs[argument], wanted, written, sums)
            if all(names[f"grad_{argument}"] == "None" for argument in node.op.differentiable):
                continue
            targets = [t for i in node.op.differentiable for t in flat([node.inputs[i]]) if t.name in wanted]
            comment = f"{self.shapes[node.output.name]} -> {', '.join(str(self.shapes[t.name]) for t in targets)}"
            self._call(
                node, f"{node.op.name}_backward", node.op.backward_arguments, names, self.calls[node.name], comment
            )
            for tensor, part in sums:
                total = self._name(tensor, "grad_")
                self._import(get("add").hand(self.hand).forward, "add")
                self.lines.append(([f"add({total}, {part}, {total})"], f"{tensor.name} was used more than once"))

    def _want_gradients(self, input_gradient: bool) -> set[str]:
        """Return the names of the tensors whose gradient some parameter (or the input, where asked) depends on."""
        wanted = {t.name for t in self.graph.of_kind("parameter")} | ({self.input.name} if input_gradient else set())
        for node in self.graph.nodes:
            if any(t.name in wanted for i in node.op.differentiable for t in flat([node.inputs[i]])):
                wanted.add(node.output.name)
        return wanted

    def _gradients(self, value: Any, wanted: set[str], written: set[str], sums: list[tuple[Tensor, str]]) -> str:
        """Return where backward writes an input's gradient: its own array, a second one to be added, or nowhere."""
        if isinstance(value, tuple):
            everything = wanted | {t.name for t in value}  # a hand that takes a list writes all of it
            return f"({', '.join(self._gradients(t, everything, written, sums) for t in value)},)"
        if value is None or value.name not in wanted:
            return "None"
        if value.name not in written:
            written.add(value.name)
            if value.kind != "parameter":
                self._arena_like(f"grad_{value.name}", value)
            return self._name(value, "grad_")
        again = f"grad_{2 + sum(tensor is value for tensor, _ in sums)}_{value.name}"  # no tensor's name begins with a digit
        self._arena_like(again, value)
        sums.append((value, f"arena.{again}"))
        return f"arena.{again}"

    def _arena_like(self, name: str, tensor: Tensor) -> None:
        self.source.arena[name] = (self.shapes[tensor.name], self.dtype)

    def _tensor_names(self, node: Node) -> dict[str, str]:
        names = {key: self._input_name(value) for key, value in node.inputs.items()}
        return names | {key: self._name(tensor) for key, tensor in node.outputs.items()}

    def _input_name(self, value: Any) -> str:
        if isinstance(value, tuple):
            return f"({', '.join(map(self._name, value))},)"
        return "None" if value is None else self._name(value)

    def _name(self, tensor: Tensor, prefix: str = "") -> str:
        if tensor.kind == "parameter":
            return f"{'g' if prefix else 'p'}.{prefix}{tensor.name}"
        if tensor.kind == "input" and not prefix:
            return tensor.name
        return f"{'state' if tensor.kind == 'state' else 'arena'}.{prefix}{tensor.name}"

    def _call(
        self, node: Node, alias: str, arguments: Iterable[str], names: dict[str, str], call: Call, comment: str
    ) -> None:
        hand = node.op.hand(self.hand)
        self._import(hand.backward if alias.endswith("_backward") else hand.forward, alias)
        written = {f"grad_{name}" for name in node.op.inputs} if alias.endswith("_backward") else set()
        reads, writes = ([names[a] for a in arguments if (a in written) is wanted] for wanted in (False, True))
        attributes = [f"{key}={literal(value)}" for key, value in call.attributes.items()]
        parts = [", ".join(part) for part in (reads, writes, attributes) if part]
        parts = [f"{part}," for part in parts[:-1]] + [f"{parts[-1]})"]
        self.lines.append(([f"{alias}({parts[0]}", *parts[1:]], comment))

    def _import(self, function: Callable[..., Any], alias: str) -> None:
        self.imports.setdefault(function.__module__, {})[function.__name__] = alias


def literal(value: Any) -> str:
    """Return an attribute as Python text that evaluates to it; anything but plain values is refused."""
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if type(value) is float and not isfinite(value):
        return f'float("{value}")'
    if value is None or type(value) in (bool, int, float, str):  # a NumPy number is a float, but is not written as one
        return repr(value)
    raise ArgumentError(f"an attribute holds a {type(value).__name__}; expected numbers, strings or tuples of them")


def allocate(arena: dict[str, tuple[Shape, Any]]) -> dict[str, Array]:
    """Return the arena's arrays.

    Raises ArgumentError where there is not memory enough.
    """
    try:
        return {name: np.empty(shape, dtype) for name, (shape, dtype) in arena.items()}
    except (MemoryError, ValueError):
        size = sum(prod(shape) * np.dtype(dtype).itemsize for shape, dtype in arena.values()) / 1e9
        raise ArgumentError(
            f"this batch needs {size:,.1f} GB, which there is no memory for; use a smaller one"
        ) from None
