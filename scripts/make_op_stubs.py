"""Writes src/byhand/ops/catalog.pyi: the type of every op, for type checkers and editors.

    python scripts/make_op_stubs.py

An op's signature is its contract's, with arrays for shapes: called on arrays it returns an array, on symbolic tensors one of
them, and its `backward` returns as many gradients as it has differentiable inputs.
"""

import re
from inspect import Parameter, signature
from pathlib import Path

from byhand.ops.op import DEFAULT_HAND, REGISTRY, Op

PATH = Path(__file__).parents[1] / "src" / "byhand" / "ops" / "catalog.pyi"
MAX_COLUMNS = 120
HEAD = '''"""The types of the ops, written by scripts/make_op_stubs.py."""

from collections.abc import Sequence
from typing import overload

import numpy.typing as npt

from byhand.graph import Tensor
from byhand.ops.op import Array, Op

'''
# Annotations of contracts, as their modules name them.
NAMES = {"collections.abc.Sequence": "Sequence", "typing.Any": "Any"}


def annotation(parameter: Parameter) -> str:
    """Return the annotation of an attribute as text."""
    if parameter.annotation is Parameter.empty:
        return "Any"
    kind = parameter.annotation
    text = (
        kind
        if isinstance(kind, str)
        else kind.__name__
        if isinstance(kind, type) and "[" not in str(kind)
        else str(kind)
    )
    for name, short in NAMES.items():
        text = text.replace(name, short)
    return re.sub(r"\bSize2d\b", "int | Sequence[int]", re.sub(r"\bPadding\b", "int | str | Sequence[int]", text))


def default(parameter: Parameter) -> str:
    """Return " = value" of an attribute that has one."""
    return "" if parameter.default is Parameter.empty else f" = {parameter.default!r}".replace("'", '"')


def inputs(op: Op, kind: str) -> list[str]:
    """Return the inputs of a call whose arrays are of a kind."""
    found = []
    for name in op.inputs:
        what = f"Sequence[{kind}]" if name == "xs" else kind
        found.append(f"{name}: {what} | None = None" if name in op.optional else f"{name}: {what}")
    return found


def gradients(op: Op) -> str:
    """Return the type of what `backward` returns."""
    kinds = ["tuple[Array, ...]" if name == "xs" else "Array" for name in op.differentiable]
    return kinds[0] if len(kinds) == 1 else f"tuple[{', '.join(kinds)}]"


def method(name: str, arguments: list[str], result: str, comment: str = "") -> str:
    """Return a method, on one line where it fits."""
    line = f"    def {name}({', '.join(arguments)}) -> {result}: ..."
    if len(line) <= MAX_COLUMNS:
        return line + comment
    body = "".join(f"        {argument},\n" for argument in arguments)
    return f"    def {name}({comment}\n{body}    ) -> {result}: ..."


def stub(op: Op) -> str:
    """Return the class of one op, and the op."""
    parameters = signature(op.contract).parameters
    attributes = [f"{name}: {annotation(parameters[name])}{default(parameters[name])}" for name in op.attributes]
    hand = f'hand: str = "{DEFAULT_HAND}"'
    settings = ["*", *attributes, hand]
    ignored = "  # type: ignore[override]"
    arrays, symbols = inputs(op, "npt.ArrayLike"), inputs(op, "Tensor")
    symbolic = ["self", *symbols, *(["*", *attributes] if attributes else [])]
    lines = [
        f"class _{op.name}(Op):",
        "    @overload" + ignored,
        method("__call__", symbolic, "Tensor"),
        "    @overload",
        method("__call__", ["self", *arrays, *settings], "Array"),
        method("backward", ["self", "grad: npt.ArrayLike", *arrays, *settings], gradients(op), ignored),
    ]
    return "\n".join([*lines, "", f"{op.name}: _{op.name}", ""])


def text() -> str:
    """Return the whole file."""
    return HEAD + "\n".join(stub(REGISTRY[name]) for name in sorted(REGISTRY))


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
