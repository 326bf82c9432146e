"""Where each value lies in the memory that a C program computes in: those never needed at the same time share their place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from byhand.export.lowering import BINARY_OPS, ELEMENTWISE_OPS, Network, Step, Value
from byhand.program.buffers import place

IN_PLACE_OPS = ("clip", *ELEMENTWISE_OPS)  # steps that read each element once, just before they write it


@dataclass(frozen=True)
class Layout:
    """Where values lie: numbers from the arena's start, by name; and how many numbers it holds."""

    places: dict[str, int]
    size: int


def lay_out(network: Network, dtype: type, outside: Collection[str] = ()) -> Layout:
    """Return where the values of a network lie, but for those that lie outside, in the caller's memory."""
    values = {value.name: value for value in (network.input, *(step.output for step in network.steps))}
    lines = [_line([network.input.name])]
    lines += [_line([step.name, *(value.name for value in step.values)]) for step in network.steps]
    lines.append(_line([network.output.name]))
    inside = {name: ((value.size,), dtype) for name, value in values.items() if name not in outside}
    views = {name: base for name, base in _views(network).items() if name in inside and base in inside}
    for name, base in views.items():
        while base in views:  # the base of a base
            base = views[base]
        views[name] = base
    item = np.dtype(dtype).itemsize
    found = place(inside, lines, (), views)
    size = max((start // item + values[name].size for name, start in found.items()), default=0)
    return Layout({name: start // item for name, start in found.items()}, size)


def _line(names: Collection[str]) -> str:
    return " ".join(f"arena.{name}" for name in names)


def _views(network: Network) -> dict[str, str]:
    """Return what can be written where it is read: the step's input is needed no more."""
    last = {value.name: i for i, step in enumerate(network.steps) for value in step.values}
    last[network.output.name] = len(network.steps)
    return {
        step.name: value.name
        for i, step in enumerate(network.steps)
        if (value := _written_over(step)) is not None and last[value.name] == i
    }


def _written_over(step: Step) -> Value | None:
    """Return the value that a step may write over: its numbers are read in the order in which they are written."""
    if step.op in IN_PLACE_OPS:
        return step.values[0]
    if step.op in BINARY_OPS:
        same = [value for value in step.values if value.size == step.output.size]
        return same[0] if same and len({value.name for value in step.values}) == len(step.values) else None
    return None
