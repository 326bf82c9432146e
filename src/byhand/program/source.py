"""The text of a program: one line an op call, forward, then backward, then update, shapes in a trailing comment.

Backward runs the nodes in reverse. A node is asked for the gradients of its inputs once the gradient of its output is
there; a tensor that several nodes used gets the sum of what they send back.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from byhand.errors import ArgumentError
from byhand.graph import Graph, Node, Tensor
from byhand.kernels.reductions import add_up
from byhand.ops.op import Call, flat, get
from byhand.program.buffers import place, size_of, total
from byhand.shapes import Shape

VIEWS = ("flatten", "reshape")  # the same numbers in the same order
COLUMN, WIDTH = 92, 120  # where shapes begin; the longest line without them


@dataclass(frozen=True)
class Update:
    """What an optimiser adds to a training program: the functions it calls, and the calls as text."""

    functions: tuple[Callable[..., Any], ...]
    lines: tuple[str, ...]


@dataclass
class Source:
    """A program as text, and the arrays that it names: shape, type and place in the arena."""

    text: str = ""
    lanes: int = 1
    images: int = 1  # in a lane
    arena: dict[str, tuple[Shape, Any]] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)  # bytes from the arena's start
    kept: tuple[str, ...] = ()  # the last node's outputs, to be read after a run: they lie in memory of their own

    @property
    def size(self) -> int:
        """The bytes of all arrays, for one lane and one step."""
        return total(self.arena, self.places) + sum(size_of(*self.arena[name]) for name in self.kept)


class Writer:
    """Writes one program; losses: what is summed up to be differentiated, with their weights; without any, inference."""

    def __init__(
        self, graph: Graph, output: Tensor, batch: int, losses: Mapping[str, float], hand: str, dtype: Any, *, lanes: int,
        keep: bool,
    ) -> None:  # fmt: skip
        assert graph.input is not None
        self.graph, self.output, self.batch, self.losses, self.hand = graph, output, batch, losses, hand
        self.training = bool(losses)
        self.calls, self.shapes = graph.plan(batch // lanes, self.training)
        self.dtype, self.input = dtype, graph.input
        self.imports: dict[str, dict[str, str]] = {}  # module -> function -> the name it is called by
        self.lines: list[tuple[list[str], str]] = []  # (the parts of a call that stay in one line, the comment)
        self.source, self.keep = Source(lanes=lanes, images=batch // lanes), keep
        self.views: dict[str, str] = {}  # an array that is another one, laid out anew: flatten moves nothing

    def write(self, title: str, update: Update | None, input_gradient: bool) -> Source:
        """Return the program's text and arena; where it is to `keep` them, no array shares memory with another."""
        source, arena = self.source, self.source.arena
        self.lines.append((["# forward"], ""))
        for node in self.graph.nodes:
            self._forward(node)
        if self.training:
            self.lines += [([""], ""), (["# backward, last layer first"], "")]
            self._backward(input_gradient)
        source.kept = tuple(tensor.name for node in self.graph.nodes[-1:] for tensor in node.outputs.values())
        lines = (" ".join(parts) for parts, _ in self.lines)
        inside = {name: one for name, one in arena.items() if name not in source.kept}
        source.places = place(
            inside, lines, inside if self.keep else {f"grad_{name}" for name in self.losses}, self.views
        )
        functions = self._functions(update)
        if self.input.name in {"float", "lane", "part"}.union(*(names.values() for names in self.imports.values())):
            raise ArgumentError(
                f"the input's name '{self.input.name}' is also that of a function that the program calls; "
                "give nn.Input another name"
            )
        source.text = "\n".join([self._head(title), "", *self._imports(), *functions, ""])
        return source

    def _functions(self, update: Update | None) -> list[str]:
        """Return the program's functions: `step`, and where there are lanes what each of them does."""
        result, end = self._name(self.output), []
        if self.source.lanes > 1:
            end = self._lanes()
        if update is not None:
            end += [([""], ""), (["# update: every parameter in one buffer"], "")]
            for function in update.functions:
                self._import(function, function.__name__.removesuffix(f"_{self.hand}"))
            end += [([line], "") for line in update.lines]
        given, settings = self._arguments(), ["optimizer", "*", "lr", "t"] if update is not None else []
        head = f"def step({', '.join([*given, *settings])}):"
        if self.source.lanes == 1:
            return ["", "", head, *self._body([*self.lines, *end]), f"    return {result}"]
        return [
            "", "", f"def lane({', '.join(given)}):", *self._body(self.lines),
            "", "", head, *self._body(end), f"    return {result}",
        ]  # fmt: skip

    def _lanes(self) -> list[tuple[list[str], str]]:
        """Return the lines that run the lanes and add up what they made."""
        lanes, images = self.source.lanes, self.source.images
        given = [f"{name}[part.images]" for name in self._arguments()[: 1 + self.training]]
        given += ["p", *["part.g"] * self.training, "state", "part.arena"]
        lines = [
            (
                [
                    f"for part in arena.lanes:  # {lanes} of {images} images each; none needs another's, threads share them out"
                ],
                "",
            ),
            ([f"    lane({', '.join(given)})"], ""),
        ]
        if self.training:
            self._import(add_up, "add_up")
            lines.append((["add_up(arena.lane_gradients, g.flat)"], ""))
            lines.append(([f"add_up(arena.lane_losses, arena.loss, scale={1 / lanes!r})"], ""))
        return lines

    def _head(self, title: str) -> str:
        mode = "training" if self.training else "inference"
        nodes = [node for node in self.graph.nodes if node.op.name != "softmax_cross_entropy"]
        flops = sum(self.calls[node.name].flops for node in nodes) // self.source.images
        arena = self.source.arena
        size = self.source.lanes * self.source.size
        apart = self.source.lanes * sum(size_of(*one) for name, one in arena.items() if name not in self.views)
        work = f"{flops:,} FLOPs an image forward, arena {size / 1e6:.1f} MB"
        work += f" ({apart / 1e6:.1f} without reuse)" if size < apart else ""
        lanes = f" in {self.source.lanes} lanes" if self.source.lanes > 1 else ""
        return f'"""{title}, batch {self.batch}{lanes}, {mode}, hand {self.hand}: {work}."""'

    def _imports(self) -> Iterable[str]:
        for module, names in sorted(self.imports.items()):
            by_alias = sorted(names.items(), key=lambda pair: pair[1])  # the same order whatever the hand
            words = [name if name == alias else f"{name} as {alias}" for name, alias in by_alias]
            line = f"from {module} import {', '.join(words)}"
            yield line if len(line) <= WIDTH else f"from {module} import (\n    {f',{chr(10)}    '.join(words)},\n)"

    def _arguments(self) -> list[str]:
        return [self.input.name, *(["labels", "p", "g"] if self.training else ["p"]), "state", "arena"]

    def _body(self, lines: Iterable[tuple[list[str], str]]) -> Iterable[str]:
        """Lay out the calls, shapes in a column on the right; a call too long for that goes on below its first argument."""
        for (start, *parts), comment in lines:
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
        returned = node.output is self.output  # is read after the run, in memory of its own
        if node.op.name in VIEWS and node.inputs["x"].kind == "value" and not self.keep and not returned:
            self._view(node.output.name, node.inputs["x"].name, comment)
            return
        self._call(node, node.op.name, node.op.forward_arguments, names, self.calls[node.name], comment)

    def _backward(self, input_gradient: bool) -> None:
        wanted = self._want_gradients(input_gradient)
        for name, weight in self.losses.items():
            self._arena_like(f"grad_{name}", self.graph.tensors[name])
            what = "d loss / d loss" if len(self.losses) == 1 else f"d (sum of weighted losses) / d {name}"
            self.lines.append(([f"arena.grad_{name}[...] = {literal(weight / self.source.lanes)}"], what))
        written = set(self.losses)
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
            if node.op.name in VIEWS and node.inputs["x"].kind == "value" and not self.keep:
                self._view(names["grad_x"].removeprefix("arena."), f"grad_{node.output.name}", comment)
            else:
                self._call(
                    node, f"{node.op.name}_backward", node.op.backward_arguments, names, self.calls[node.name], comment
                )
            for tensor, part in sums:
                total = self._name(tensor, "grad_")
                self._import(get("add").hand(self.hand).forward, "add")
                self.lines.append(([f"add({total}, {part}, {total})"], f"{tensor.name} was used more than once"))

    def _view(self, name: str, base: str, comment: str) -> None:
        """Make an array a view of another."""
        self.views[name] = self.views.get(base, base)
        self.lines.append(([f"# arena.{name} is arena.{base}, laid out anew"], comment))

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
        indent = len(f"    {alias}(")
        parts = [row for part in (reads, writes) for row in in_rows(part, WIDTH - indent)]
        parts += in_rows(attributes, COLUMN - indent)
        parts = [f"{part}," for part in parts[:-1]] + [f"{parts[-1]})"]
        self.lines.append(([f"{alias}({parts[0]}", *parts[1:]], comment))

    def _import(self, function: Callable[..., Any], alias: str) -> None:
        self.imports.setdefault(function.__module__, {})[function.__name__] = alias


def in_rows(words: Iterable[str], room: int) -> list[str]:
    """Return words with commas between them, in rows no longer than there is room for."""
    rows: list[str] = []
    for one in words:
        if rows and len(rows[-1]) + len(one) + 3 <= room:  # two commas and a space
            rows[-1] += f", {one}"
        else:
            rows.append(one)
    return rows


def literal(value: Any) -> str:
    """Return an attribute as Python text that evaluates to it; anything but plain values is refused."""
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if type(value) is float and not isfinite(value):
        return f'float("{value}")'
    if value is None or type(value) in (bool, int, float, str):  # a NumPy number is a float, but is not written as one
        return repr(value)
    raise ArgumentError(f"an attribute holds a {type(value).__name__}; expected numbers, strings or tuples of them")
