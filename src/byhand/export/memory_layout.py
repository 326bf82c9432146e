"""Where each value lies in the memory that a C program computes in: those never needed at the same time share their place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from byhand.export.lowering import BINARY_OPS, ELEMENTWISE_OPS, Network, Step, Value
from byhand.program.buffers import ArraySpec, LiveRange, assign_offsets

IN_PLACE_OPS = ("clip", *ELEMENTWISE_OPS)  # steps that read each element once, just before they write it


@dataclass(frozen=True)
class Layout:
    """Where values lie: numbers from the arena's start, by name; and how many numbers it holds."""

    places: dict[str, int]
    size: int


def lay_out(network: Network, dtype: type, outside: Collection[str] = ()) -> Layout:
    """Return where the values of a network lie, but for those that lie outside, in the caller's memory."""
    values = {value.name: value for value in (network.input, *(step.output for step in network.steps))}
    written_over = {new: old for new, old in _views(network).items() if {new, old}.isdisjoint(outside)}
    live = _live_ranges(network, written_over)
    specs = {name: ArraySpec((value.size,), dtype) for name, value in values.items()}
    sizes = {name: specs[name].aligned_bytes for name in live if name not in outside}
    offsets = assign_offsets(sizes, live)
    offsets |= {new: offsets[_base(new, written_over)] for new in written_over}
    item = np.dtype(dtype).itemsize
    places = {name: offset // item for name, offset in offsets.items()}
    return Layout(places, max((start + values[name].size for name, start in places.items()), default=0))


def _live_ranges(network: Network, written_over: Mapping[str, str]) -> dict[str, LiveRange]:
    """Return the first and the last step that needs the memory of each value, of all that is written over it too."""
    lines = [[network.input.name]]
    lines += [[step.name, *(value.name for value in step.values)] for step in network.steps]
    lines.append([network.output.name])
    live: dict[str, LiveRange] = {}
    for number, names in enumerate(lines):
        for name in names:
            base = _base(name, written_over)
            live[base] = LiveRange(live[base].first if base in live else number, number)
    return live


def _base(name: str, written_over: Mapping[str, str]) -> str:
    """Return the value whose memory another, by way of others, is written over."""
    while name in written_over:
        name = written_over[name]
    return name


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
