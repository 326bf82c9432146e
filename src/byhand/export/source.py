"""The text of a C program: constants, the functions it needs, and one function that is a list of calls, shapes beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

from byhand.errors import UnsupportedError
from byhand.export.layout import Layout
from byhand.export.lower import Network, Step, Value
from byhand.export.text import constant, encoded, identifier, shape, string
from byhand.kernels.indexing import merged
from byhand.ops.op import Array

SHARED = ("struct window", "struct axes", "struct units", "clamp", "narrow", "rounded")  # what functions stand on
COLUMN = 92  # where comments begin
STACK = 256  # bytes that a run takes on the stack, at most: its own and its deepest call, -O1 or better
WORD = 4  # bytes of an int, and of a pointer on a machine of 32 bits


@dataclass
class Source:
    """What a program is made of, as it is put together."""

    network: Network
    layout: Layout
    kind: str  # "float32" or "int8"
    functions: Mapping[str, str]  # their texts by name, in the order of the file
    used: set[str] = field(default_factory=set)
    constants: dict[str, tuple[Array, str]] = field(default_factory=dict)
    structs: list[str] = field(default_factory=list)
    words: int = 0  # numbers and pointers in them
    calls: list[tuple[str, str]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # a value's name -> C's

    def __post_init__(self) -> None:
        self.prefix = identifier(self.network.name, self.functions)
        self.taken = {*self.functions, self.prefix, f"{self.prefix}_run", f"{self.prefix}_classes"}
        for value in (self.network.input, *(step.output for step in self.network.steps)):
            self.names[value.name] = self._free(value.name)

    def _free(self, name: str) -> str:
        made = identifier(name, self.taken)
        self.taken.add(made)
        return made

    def add(self, name: str, values: Array, note: str = "") -> str:
        """Add an array of constants; return its name in C."""
        made = self._free(name)
        self.constants[made] = values, note
        return made

    def call(self, function: str, *arguments: Any, comment: str = "") -> None:
        """Add a call."""
        text = self.functions[function]
        self.used |= {function, *(name for name in SHARED if f"{name} *" in text or f"{name}(" in text)}
        self.calls.append((f"{function}({', '.join(map(str, arguments))});", comment))

    def struct(self, kind: str, name: str, parts: Mapping[str, Any], breaks: tuple[int, ...] = ()) -> str:
        """Add a struct, its parts in lines that break there; return what a function is handed."""
        name = self._free(name)
        said = [f".{key} = {value}" for key, value in parts.items()]
        lines = ["    " + ", ".join(said[start:end]) for start, end in pairwise((0, *breaks, len(said)))]
        self.structs.append("\n".join([f"static const struct {kind} {name} = {{", ",\n".join(lines), "};"]))
        self.words += len(parts)
        return f"&{name}"

    def window(self, step: Step) -> str:
        """Add a step's window; return what a function is handed."""
        call, (height, width, channels) = step.call, step.values[0].shape
        view = call.window
        assert view is not None
        parts = {"height": height, "width": width, "channels": channels}
        named = (
            ("rows", "columns"),
            ("down", "across"),
            ("apart_down", "apart_across"),
            ("top", "bottom", "left", "right"),
        )
        for names, values in zip(named, (view.kernel, view.stride, view.dilation, view.padding)):
            parts |= dict(zip(names, values))
        parts["groups"] = call.attributes.get("groups", 1)
        parts |= dict(zip(("out_height", "out_width", "out_channels"), step.output.shape))
        return self.struct("window", f"{step.label}_window", parts, breaks=(5, 9))

    def axes(self, step: Step, sizes: Any, a: Any, b: Any, label: str = "axes") -> str:
        """Add how the numbers of two arrays lie; return what a function is handed."""
        found = merged(sizes, a, b)  # type: ignore[no-untyped-call]
        if len(found[0]) > 4:
            raise UnsupportedError(
                f"{step.name}: the op {step.op} can't be exported as C: it moves more than four axes"
            )
        parts = {key: f"{{{', '.join(map(str, one))}}}" for key, one in zip(("sizes", "a", "b"), found)}
        self.words += 9  # each has four
        return self.struct("axes", f"{step.label}_{label}", parts)

    def comment(self, step: Step) -> str:
        """Return what a call's comment says: the shapes, and what was taken in."""
        given = ", ".join(shape(value.shape) for value in step.values)
        return f"{given} -> {shape(step.output.shape)}{_bounds(step)}"

    def place(self, value: Value) -> str:
        """Return a value's name in C."""
        return self.names[value.name]

    @property
    def flash(self) -> int:
        """The bytes of all constants: arrays, what describes windows, and names."""
        arrays = sum(values.nbytes for values, _ in self.constants.values())
        names = sum(len(encoded(one)) + 1 + WORD for one in self.network.classes)
        return arrays + WORD * self.words + names

    @property
    def number(self) -> str:
        """The type of what the program computes in."""
        return "float" if self.kind == "float32" else "int8_t"

    @property
    def ram(self) -> int:
        """The bytes of the arena."""
        return self.layout.size * (4 if self.kind == "float32" else 1)

    def code(self, about: str) -> Iterator[str]:
        """Yield the lines of the `.c` file."""
        network, prefix = self.network, self.prefix
        functions = [
            text for name, text in self.functions.items() if name in self.used or f"struct {name}" in self.used
        ]
        text = "".join(functions)
        yield f"/* {prefix}.c: {about} */"
        yield f'#include "{prefix}.h"\n'
        if any(word in text for word in ("int8_t", "int16_t", "int32_t", "int64_t")):
            yield "#include <stdint.h>"
        if any(f"{word}(" in text for word in MATH) or "INFINITY" in text + self.body():
            yield "#include <math.h>"
        yield "\ntypedef char int_is_wide_enough[sizeof(int) >= 4 ? 1 : -1]; /* fails to compile where it is not */\n"
        if network.classes:
            yield f"const char *const {prefix}_classes[{len(network.classes)}] = {{"
            yield from (f"    {string(name)}," for name in network.classes)
            yield "};\n"
        yield "/* what each op does ------------------------------------------------------------------------------- */\n"
        yield from functions
        yield "/* what training found ----------------------------------------------------------------------------- */\n"
        for name, (values, note) in self.constants.items():
            yield from constant(name, values, note)
        yield from self.structs
        yield "\n/* the network ------------------------------------------------------------------------------------- */\n"
        yield self.body()

    def body(self) -> str:
        """Return the function that runs the network."""
        size, result = self.layout.size, result_name(self.network)
        lines = [f"static {self.number} arena[{size}];\n"] if size else []
        lines += [f"void {self.prefix}_run({arguments(self.network)})", "{"]
        for value in (self.network.input, *(step.output for step in self.network.steps)):
            at = f"arena + {self.layout.places[value.name]}" if value.name in self.layout.places else result
            lines.append(f"    {self.number} *const {self.names[value.name]} = {at}; /* {shape(value.shape)} */")
        lines.append("")
        for text, comment in self.calls:
            line = f"    {text}"
            gap = " " * max(1, COLUMN - len(line))
            lines.append(f"{line}{gap}/* {comment} */" if comment else line)
        return "\n".join([*lines, "}"])


MATH = ("expf", "tanhf", "erff", "log1pf", "fabsf", "expm1f", "sqrtf", "logf", "powf")


def result_name(network: Network) -> str:
    """Return what C calls a network's result."""
    return "probabilities" if network.classes else "output"


def arguments(network: Network) -> str:
    """Return the arguments of the function that runs a network."""
    size = prod(network.input.shape)
    return f"const unsigned char image[{size}], float {result_name(network)}[{network.output.size}]"


def _bounds(step: Step) -> str:
    names = {(0.0, float("inf")): ", ReLU", (0.0, 6.0): ", ReLU6", (float("-inf"), float("inf")): ""}
    return names.get((step.low, step.high), f", kept between {step.low:g} and {step.high:g}")
