"""Loops and arrays hands of a fused op, derived from the ops that it fuses.

A fused op is a chain: each part's first input is the result of the part before. Forward runs the parts in order. Backward
runs them in reverse, each part's gradient the input of the next; a value between two parts that a backward needs is computed
again. So a fused op states its contract, its parts and its compiled hand, and no equation twice.

    loops, arrays = composed((Part(conv2d), Part(relu)), like=(conv2d_relu_compiled, conv2d_relu_backward_compiled))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, NamedTuple

import numpy as np

from byhand.ops.op import Array, HandFunction, Op, keywords, positional, shape_of
from byhand.shapes import Shape

Arguments = Mapping[str, Any]  # arrays and attributes by the fused op's names


class Part(NamedTuple):
    """One op of the chain, and how its arguments are called in the fused op.

    names: the fused op's name for each input, output or attribute of the part that it calls otherwise.
    when: the input or attribute of the fused op without which (None, False) the part is left out.
    equals: the value of `when` for which it is there, where that decides.
    constants: attributes of the part that the fused op fixes.
    saved: outputs of the part that its backward needs and the fused op does not keep, as functions of the fused op's arguments.
    input_shape: the shape of the part's first input, a function likewise, where it is not that of its output.
    """

    op: Op
    names: Mapping[str, str] = {}
    when: str | None = None
    equals: str | None = None
    constants: Mapping[str, Any] = {}
    saved: Mapping[str, Callable[[Arguments], Array]] = {}
    input_shape: Callable[[Arguments], Shape] | None = None

    def name(self, argument: str) -> str:
        """Return the fused op's name for an argument of the part."""
        return self.names.get(argument, argument)

    def attributes(self, arguments: Arguments) -> dict[str, Any]:
        """Return the attributes that the part's hands take."""
        wanted = keywords(self.op.hands["arrays"].forward)
        return {key: self.constants[key] if key in self.constants else arguments[self.name(key)] for key in wanted}


def composed(
    parts: Sequence[Part], like: tuple[HandFunction, HandFunction], backward_parts: Sequence[Part] | None = None
) -> tuple[tuple[HandFunction, HandFunction], tuple[HandFunction, HandFunction]]:
    """Return the loops hands and the arrays hands, each (forward, backward), of a fused op.

    like: its compiled hands, whose arguments the others take; backward_parts: the parts in the order that backward reverses,
    where it is another one than forward's.
    """
    chains, passes = (parts, backward_parts or parts), (_forward, _backward)
    loops, arrays = (
        tuple(_hand(name, run, chain, model) for run, chain, model in zip(passes, chains, like))
        for name in ("loops", "arrays")
    )
    return (loops[0], loops[1]), (arrays[0], arrays[1])


def _hand(name: str, run: Callable[..., None], parts: Sequence[Part], like: HandFunction) -> HandFunction:
    """Return a hand with the name, the module and the arguments of a compiled one."""
    names = positional(like)

    def hand(*arrays: Any, **attributes: Any) -> None:
        run(name, parts, dict(zip(names, arrays, strict=True)) | attributes)

    hand.__name__ = hand.__qualname__ = like.__name__.replace("_compiled", f"_{name}")
    hand.__module__ = like.__module__
    hand.__signature__ = signature(like)  # type: ignore[attr-defined]
    return hand


def _forward(hand: str, parts: Sequence[Part], arguments: Arguments) -> None:
    active = _active(parts, arguments)
    _run(hand, active, arguments, last=len(active) - 1)


def _run(hand: str, parts: Sequence[Part], arguments: Arguments, last: int | None = None) -> list[Any]:
    """Run parts forward; return the value before each of them and the final one. Part number `last` writes into `arguments`."""
    values = [arguments[parts[0].name(parts[0].op.inputs[0])]] if parts else []
    for i, part in enumerate(parts):
        inputs = [values[-1], *(arguments[part.name(key)] for key in part.op.inputs[1:])]
        attributes = part.attributes(arguments)
        kept = {key: arguments.get(part.name(key)) for key in part.op.outputs}
        if i != last:
            kept[part.op.outputs[0]] = None  # a value between two parts
        if any(array is None for array in kept.values()):
            shapes = part.op.infer(map(shape_of, inputs), attributes).shapes
            fresh = {key: np.empty(shape, part.op.dtypes.get(key, values[-1].dtype)) for key, shape in shapes.items()}
            kept = {key: fresh[key] if array is None else array for key, array in kept.items()}
        part.op.hands[hand].forward(*inputs, *kept.values(), **attributes)
        values.append(kept[part.op.outputs[0]])
    return values


def _backward(hand: str, parts: Sequence[Part], arguments: Arguments) -> None:
    active = _active(parts, arguments)
    result = active[-1].name(active[-1].op.outputs[0])
    grad = arguments[f"grad_{result}"]
    for i in reversed(range(len(active))):
        grad = _backward_part(hand, active, i, arguments, grad)


def _backward_part(hand: str, parts: Sequence[Part], i: int, arguments: Arguments, grad: Array) -> Array | None:
    """Run one part backward; return the gradient of its first input, None if not requested."""
    part, op = parts[i], parts[i].op
    first, result = op.inputs[0], op.outputs[0]
    part_arguments: dict[str, Any] = {f"grad_{result}": grad}
    for key in op.inputs[1:]:
        part_arguments[key] = arguments.get(part.name(key))
        part_arguments[f"grad_{key}"] = arguments.get(f"grad_{part.name(key)}")
    for key in op.outputs:
        part_arguments[key] = part.saved[key](arguments) if key in part.saved else arguments.get(part.name(key))
    if i == 0:
        part_arguments[first] = arguments[part.name(first)]
        part_arguments[f"grad_{first}"] = arguments[f"grad_{part.name(first)}"]
    elif first in op.backward_arguments:
        part_arguments[first] = _run(hand, parts[:i], arguments)[-1]
        part_arguments[f"grad_{first}"] = np.empty_like(part_arguments[first])
    else:
        shape = grad.shape if part.input_shape is None else part.input_shape(arguments)
        part_arguments[f"grad_{first}"] = np.empty(shape, grad.dtype)
    op.hands[hand].backward(*(part_arguments[key] for key in op.backward_arguments), **part.attributes(arguments))
    result_grad: Array | None = part_arguments[f"grad_{first}"]
    return result_grad


def _active(parts: Sequence[Part], arguments: Arguments) -> list[Part]:
    """Return the parts that a call has; backward may be given only the gradient of an input that a part depends on."""

    def given(name: str, expected: str | None) -> bool:
        value = arguments.get(name, arguments.get(f"grad_{name}"))
        return value is not None and value is not False and (expected is None or value == expected)

    return [part for part in parts if part.when is None or given(part.when, part.equals)]
