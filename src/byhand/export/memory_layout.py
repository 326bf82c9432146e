"""The memory layout of a C program: each value's offset in its arena. Values never needed at the same time share memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from byhand.export.lowering import BINARY_OPS, ELEMENTWISE_OPS, Network, Step, StepValue
from byhand.program.buffers import ArraySpec, LiveRange, assign_offsets

IN_PLACE_OPS = ("clip", *ELEMENTWISE_OPS)  # steps that read each element once, just before they write it


@dataclass(frozen=True)
class Layout:
    """The offset of each value in the arena, by name, and the size of the arena, in elements."""

    places: dict[str, int]
    size: int


def lay_out(network: Network, dtype: type, outside: Collection[str] = ()) -> Layout:
    """Return the layout of a network's values; outside: those in the caller's memory."""
    values = {value.name: value for value in (network.input, *(step.output for step in network.steps))}
    overwritten = {new: old for new, old in _in_place(network).items() if {new, old}.isdisjoint(outside)}
    live = _live_ranges(network, overwritten)
    specs = {name: ArraySpec((value.size,), dtype) for name, value in values.items()}
    sizes = {name: specs[name].aligned_bytes for name in live if name not in outside}
    offsets = assign_offsets(sizes, live)
    offsets |= {new: offsets[_base(new, overwritten)] for new in overwritten}
    item = np.dtype(dtype).itemsize
    places = {name: offset // item for name, offset in offsets.items()}
    return Layout(places, max((start + values[name].size for name, start in places.items()), default=0))


def _live_ranges(network: Network, overwritten: Mapping[str, str]) -> dict[str, LiveRange]:
    """Return the first and the last step that needs each value's memory, including those that overwrite the value in place."""
    lines = [[network.input.name]]
    lines += [[step.name, *(value.name for value in step.values)] for step in network.steps]
    lines.append([network.output.name])
    live: dict[str, LiveRange] = {}
    for number, names in enumerate(lines):
        for name in names:
            base = _base(name, overwritten)
            live[base] = LiveRange(live[base].first if base in live else number, number)
    return live


def _base(name: str, overwritten: Mapping[str, str]) -> str:
    """Return the value whose memory another one uses, through a chain of in-place steps."""
    while name in overwritten:
        name = overwritten[name]
    return name


def _in_place(network: Network) -> dict[str, str]:
    """Return the input that each in-place step overwrites, by the step's name: no later step reads it."""
    last = {value.name: i for i, step in enumerate(network.steps) for value in step.values}
    last[network.output.name] = len(network.steps)
    return {
        step.name: value.name
        for i, step in enumerate(network.steps)
        if (value := _overwritten(step)) is not None and last[value.name] == i
    }


def _overwritten(step: Step) -> StepValue | None:
    """Return the input that a step may overwrite: it reads each element before it writes it."""
    if step.op in IN_PLACE_OPS:
        return step.values[0]
    if step.op in BINARY_OPS:
        same = [value for value in step.values if value.size == step.output.size]
        return same[0] if same and len({value.name for value in step.values}) == len(step.values) else None
    return None
