"""The text of a C program: constants, the functions that it needs, and one function that calls them step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

from byhand.errors import UnsupportedError
from byhand.export.c_text import constant_lines, encode_utf8, identifier, shape_text, string_literal
from byhand.export.lowering import Network, Step, StepValue
from byhand.export.memory_layout import Layout
from byhand.kernels.indexing import merge_axes
from byhand.ops.op import Array

# Declarations that other functions need; a program includes those that its functions name.
STRUCTS = ("struct window", "struct strides", "struct requantization")
HELPERS = (*STRUCTS, "clamp", "requantize", "round_to_int8")
MATH_FUNCTIONS = ("expf", "tanhf", "erff", "log1pf", "fabsf", "expm1f", "sqrtf", "logf", "powf")
COMMENT_COLUMN = 92
STACK_BYTES = 256  # that a run takes at most: its own frame and its deepest call, at -O1 or better
WORD_BYTES = 4  # of an int, and of a pointer on a 32-bit machine
MAX_COPY_AXES = 4


@dataclass
class CSource:
    """A C program as it is put together.

    dtype: "float32" or "int8"; functions: the texts of all functions by name, in the order of the file; calls: (call, comment)
    of each step; c_names: of values, by byhand's names; struct_words: ints and pointers in all structs.
    """

    network: Network
    layout: Layout
    dtype: str
    functions: Mapping[str, str]
    used: set[str] = field(default_factory=set)
    constants: dict[str, tuple[Array, str]] = field(default_factory=dict)
    structs: list[str] = field(default_factory=list)
    struct_words: int = 0
    calls: list[tuple[str, str]] = field(default_factory=list)
    c_names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prefix = identifier(self.network.name, self.functions)
        self.taken = {*self.functions, self.prefix, f"{self.prefix}_run", f"{self.prefix}_classes"}
        for value in self._values():
            self.c_names[value.name] = self._unused(value.name)

    def _values(self) -> list[StepValue]:
        return [self.network.input, *(step.output for step in self.network.steps)]

    def _unused(self, name: str) -> str:
        unused = identifier(name, self.taken)
        self.taken.add(unused)
        return unused

    # parts ----------------------------------------------------------------------------------------------------------------

    def c_name(self, value: StepValue) -> str:
        """Return a value's name in C."""
        return self.c_names[value.name]

    def add_constant(self, name: str, values: Array, note: str = "") -> str:
        """Add a constant array; return its name in C."""
        c_name = self._unused(name)
        self.constants[c_name] = values, note
        return c_name

    def add_call(self, function: str, *arguments: Any, comment: str = "") -> None:
        """Add a call of a function."""
        text = self.functions[function]
        self.used |= {function, *(name for name in HELPERS if f"{name} *" in text or f"{name}(" in text)}
        self.calls.append((f"{function}({', '.join(map(str, arguments))});", comment))

    def add_struct(self, kind: str, name: str, fields: Mapping[str, Any], line_starts: Sequence[int] = ()) -> str:
        """Add a constant struct; return its address. line_starts: the fields that begin a line of text."""
        name = self._unused(name)
        initializers = [f".{key} = {value}" for key, value in fields.items()]
        lines = ["    " + ", ".join(initializers[a:b]) for a, b in pairwise((0, *line_starts, len(initializers)))]
        self.structs.append("\n".join([f"static const struct {kind} {name} = {{", ",\n".join(lines), "};"]))
        self.struct_words += len(fields)
        return f"&{name}"

    def add_window(self, step: Step) -> str:
        """Add the window of a convolution or a pooling; return its address."""
        call, (height, width, channels) = step.call, step.values[0].shape
        window = call.window
        assert window is not None
        fields = {"height": height, "width": width, "channels": channels}
        fields |= dict(zip(("rows", "columns"), window.kernel))
        fields |= dict(zip(("stride_y", "stride_x"), window.stride))
        fields |= dict(zip(("dilation_y", "dilation_x"), window.dilation))
        fields |= dict(zip(("top", "bottom", "left", "right"), window.padding))
        fields["groups"] = call.attributes.get("groups", 1)
        fields |= dict(zip(("out_height", "out_width", "out_channels"), step.output.shape))
        return self.add_struct("window", f"{step.layer}_window", fields, line_starts=(5, 9))

    def add_strides(
        self, step: Step, sizes: Sequence[int], a: Sequence[int], b: Sequence[int], label: str = "strides"
    ) -> str:
        """Add the strides of two arrays, adjacent axes merged; return their address."""
        merged_axes = merge_axes(sizes, a, b)
        if len(merged_axes[0]) > MAX_COPY_AXES:
            raise UnsupportedError(
                f"{step.name}: the op {step.op} can't be exported as C: it moves more than {MAX_COPY_AXES} axes"
            )
        fields = {key: f"{{{', '.join(map(str, row))}}}" for key, row in zip(("sizes", "a", "b"), merged_axes)}
        self.struct_words += 9  # each field has four words
        return self.add_struct("strides", f"{step.layer}_{label}", fields)

    def comment(self, step: Step) -> str:
        """Return the comment of a call: shapes, and the fused clamp."""
        inputs = ", ".join(shape_text(value.shape) for value in step.values)
        return f"{inputs} -> {shape_text(step.output.shape)}{_clamp_text(step)}"

    # what the program costs -----------------------------------------------------------------------------------------------

    @property
    def c_type(self) -> str:
        """The C type of the values that the program computes."""
        return "float" if self.dtype == "float32" else "int8_t"

    @property
    def flash_bytes(self) -> int:
        """The bytes of all constants: arrays, structs, class names."""
        arrays = sum(values.nbytes for values, _ in self.constants.values())
        names = sum(len(encode_utf8(name)) + 1 + WORD_BYTES for name in self.network.classes)
        return arrays + WORD_BYTES * self.struct_words + names

    @property
    def ram_bytes(self) -> int:
        """The bytes of the arena."""
        return self.layout.size * (4 if self.dtype == "float32" else 1)

    # the text -------------------------------------------------------------------------------------------------------------

    def code(self, about: str) -> Iterator[str]:
        """Yield the lines of the `.c` file."""
        network, prefix = self.network, self.prefix
        needed = {name.removeprefix("struct ") for name in self.used}
        functions = [text for name, text in self.functions.items() if name in needed]
        text = "".join(functions)
        yield f"/* {prefix}.c: {about} */"
        yield f'#include "{prefix}.h"\n'
        if any(c_type in text for c_type in ("int8_t", "int16_t", "int32_t", "int64_t")):
            yield "#include <stdint.h>"
        if any(f"{function}(" in text for function in MATH_FUNCTIONS) or "INFINITY" in text + self.body():
            yield "#include <math.h>"
        yield "\ntypedef char int_is_wide_enough[sizeof(int) >= 4 ? 1 : -1]; /* fails to compile where it is not */\n"
        if network.classes:
            yield f"const char *const {prefix}_classes[{len(network.classes)}] = {{"
            yield from (f"    {string_literal(name)}," for name in network.classes)
            yield "};\n"
        yield _heading("functions")
        yield from functions
        yield _heading("weights and other constants")
        for name, (values, note) in self.constants.items():
            yield from constant_lines(name, values, note)
        yield from self.structs
        yield "\n" + _heading("the network")
        yield self.body()

    def body(self) -> str:
        """Return the function that runs the network."""
        size = self.layout.size
        lines = [f"static {self.c_type} arena[{size}];\n"] if size else []
        lines += [f"void {self.prefix}_run({run_parameters(self.network)})", "{"]
        for value in self._values():
            name, offset = self.c_name(value), self.layout.places.get(value.name)
            address = result_name(self.network) if offset is None else f"arena + {offset}"
            lines.append(f"    {self.c_type} *const {name} = {address}; /* {shape_text(value.shape)} */")
        lines.append("")
        for call, comment in self.calls:
            line = f"    {call}"
            gap = " " * max(1, COMMENT_COLUMN - len(line))
            lines.append(f"{line}{gap}/* {comment} */" if comment else line)
        return "\n".join([*lines, "}"])


def _heading(title: str) -> str:
    return f"/* {title} ".ljust(103, "-") + " */\n"


def result_name(network: Network) -> str:
    """Return the name of a network's result in C."""
    return "probabilities" if network.classes else "output"


def run_parameters(network: Network) -> str:
    """Return the parameters of the C function that runs a network."""
    size = prod(network.input.shape)
    return f"const unsigned char image[{size}], float {result_name(network)}[{network.output.size}]"


def _clamp_text(step: Step) -> str:
    """Return what a step's clamp is called in a comment."""
    names = {(0.0, float("inf")): ", ReLU", (0.0, 6.0): ", ReLU6", (float("-inf"), float("inf")): ""}
    return names.get((step.low, step.high), f", clamped to {step.low:g} ... {step.high:g}")
