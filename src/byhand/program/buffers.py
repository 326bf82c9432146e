"""Where each array of a program lies in its arena: arrays that are never needed at the same time share memory.

An array is needed from the first line that names it to the last one. The largest are placed first, each at the lowest place
that is free for as long as it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np

from byhand.errors import ArgumentError
from byhand.graph import Tensor
from byhand.kernels import aligned
from byhand.ops.op import Array
from byhand.shapes import Shape

ALIGNMENT = 64  # bytes: a cache line, and the widest vector
NAMED = re.compile(r"\barena\.(\w+)")


def place(
    arena: Mapping[str, tuple[Shape, Any]], lines: Iterable[str], kept: Collection[str], views: Mapping[str, str]
) -> dict[str, int]:
    """Return the place in bytes of every array; those that are kept share theirs with no other, a view with what it shows."""
    needed: dict[str, list[int]] = {}
    count = 0
    for count, line in enumerate(lines, 1):
        for name in NAMED.findall(line):
            name = views.get(name, name)
            needed.setdefault(name, [count, count])[1] = count
    own = [name for name in arena if name not in views]
    spans = {name: (0, count + 1) if name in kept or name not in needed else tuple(needed[name]) for name in own}
    sizes = {name: size_of(*arena[name]) for name in own}
    placed: list[tuple[int, int, str]] = []  # (start, end, name), by start
    places: dict[str, int] = {}
    for name in sorted(own, key=lambda one: -sizes[one]):
        first, last = spans[name]
        start = 0
        for begin, end, other in placed:
            if spans[other][1] < first or spans[other][0] > last:
                continue
            if begin >= start + sizes[name]:
                break
            start = max(start, end)
        places[name] = start
        placed.append((start, start + sizes[name], name))
        placed.sort()
    return places | {name: places[base] for name, base in views.items()}


def size_of(shape: Shape, dtype: Any) -> int:
    """Return the bytes of an array, a whole number of cache lines."""
    return -(-prod(shape) * int(np.dtype(dtype).itemsize) // ALIGNMENT) * ALIGNMENT


def total(arena: Mapping[str, tuple[Shape, Any]], places: Mapping[str, int]) -> int:
    """Return the bytes that the arrays with a place take."""
    return max((start + size_of(*arena[name]) for name, start in places.items()), default=0)


def allocate(arena: Mapping[str, tuple[Shape, Any]], places: Mapping[str, int]) -> dict[str, Array]:
    """Return the arrays with a place, views of one piece of memory.

    Raises ArgumentError where there is not memory enough.
    """
    memory, arrays = room_for(total(arena, places)), {}
    for name, start in places.items():
        shape, dtype = arena[name]
        arrays[name] = memory[start : start + prod(shape) * np.dtype(dtype).itemsize].view(dtype).reshape(shape)
    return arrays


def room_for(size: int) -> Array:
    """Return bytes that start at a cache line; raises ArgumentError where there is not memory enough."""
    try:
        return aligned(size)  # type: ignore[no-any-return]
    except (MemoryError, ValueError):
        raise ArgumentError(
            f"this batch needs {size / 1e9:,.1f} GB, which there is no memory for; use a smaller one"
        ) from None


def views(tensors: Sequence[Tensor], dtype: Any, prefix: str = "", flat: Array | None = None) -> SimpleNamespace:
    """Return one flat, aligned buffer of zeros (`flat`, or the one given) and a view of it for each tensor, by name."""
    dtype, count = np.dtype(dtype), sum(prod(t.shape) for t in tensors)
    if flat is None:
        flat = aligned(count * dtype.itemsize).view(dtype)
        flat[...] = 0
    named, position = {}, 0
    for tensor in tensors:
        end = position + prod(tensor.shape)
        named[f"{prefix}{tensor.name}"] = flat[position:end].reshape(tensor.shape)
        position = end
    return SimpleNamespace(flat=flat, **named)
