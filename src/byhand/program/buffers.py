"""The memory of a program: its arena, one block that holds every array, and flat buffers of parameters and gradients.

Arrays that are never needed at the same time share memory. An array's live range goes from the first line of the program that
uses it to the last one. Offsets are assigned greedily by size: the largest array first, each at the lowest offset that is
free throughout its live range.

Source: Pisarchyk & Lee 2020, "Efficient memory management for deep neural net inference", arXiv 2001.03288 ("greedy by size").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from byhand.errors import ArgumentError
from byhand.files import check_memory
from byhand.graph import Tensor
from byhand.kernels import aligned, cdiv
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES
from byhand.ops.op import Array
from byhand.shapes import Shape


class ArraySpec(NamedTuple):
    """The shape and type of an array that is not allocated yet."""

    shape: Shape
    dtype: npt.DTypeLike

    @property
    def aligned_bytes(self) -> int:
        """How many bytes it takes in an arena: a whole number of cache lines."""
        return cdiv(self.nbytes, CACHE_LINE_BYTES) * CACHE_LINE_BYTES

    @property
    def nbytes(self) -> int:
        """How many bytes its elements take."""
        return prod(self.shape) * int(np.dtype(self.dtype).itemsize)


class LiveRange(NamedTuple):
    """The first and the last line of a program in which an array is needed."""

    first: int
    last: int

    def overlaps(self, other: LiveRange) -> bool:
        """Tell whether both arrays are needed in some line."""
        return self.first <= other.last and other.first <= self.last


def assign_offsets(sizes: Mapping[str, int], live: Mapping[str, LiveRange]) -> dict[str, int]:
    """Return the offset of every array, in the unit of the sizes; live ranges that overlap get memory that does not.

    >>> assign_offsets({"a": 64, "b": 128, "c": 64}, {"a": LiveRange(0, 1), "b": LiveRange(1, 2), "c": LiveRange(2, 3)})
    {'b': 0, 'a': 128, 'c': 128}
    """
    placed: list[tuple[int, int, str]] = []  # (start, end, name), by start
    offsets: dict[str, int] = {}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        offset = 0
        for start, end, other in placed:
            if not live[name].overlaps(live[other]):
                continue
            if start >= offset + sizes[name]:
                break
            offset = max(offset, end)
        offsets[name] = offset
        placed.append((offset, offset + sizes[name], name))
        placed.sort()
    return offsets


def arena_bytes(specs: Mapping[str, ArraySpec], offsets: Mapping[str, int]) -> int:
    """Return the size in bytes of the arena that holds the arrays with an offset."""
    return max((offset + specs[name].aligned_bytes for name, offset in offsets.items()), default=0)


def allocate(specs: Mapping[str, ArraySpec], offsets: Mapping[str, int]) -> dict[str, Array]:
    """Return the arrays with an offset, views of one block of unwritten memory.

    Raises ArgumentError where there is not enough memory.
    """
    memory, arrays = allocate_bytes(arena_bytes(specs, offsets)), {}
    for name, offset in offsets.items():
        spec = specs[name]
        arrays[name] = memory[offset : offset + spec.nbytes].view(spec.dtype).reshape(spec.shape)
    return arrays


def allocate_bytes(size: int) -> Array:
    """Return unwritten bytes that start at a cache line; raises ArgumentError where there is not enough memory."""
    advice = "use a smaller batch, or smaller images"
    check_memory(size, "a batch of this network", ArgumentError, advice)
    try:
        return aligned(size)
    except (MemoryError, ValueError):
        raise ArgumentError(f"a batch of this network takes {size / 1e9:,.1f} GB of memory; {advice}") from None


def flat_views(
    tensors: Sequence[Tensor], dtype: npt.DTypeLike, prefix: str = "", flat: Array | None = None
) -> SimpleNamespace:
    """Return one flat, aligned buffer and a view of it for each tensor, by name.

    prefix: of the views' names; flat: the buffer, by default a new one of zeros.
    """
    dtype, count = np.dtype(dtype), sum(prod(tensor.shape) for tensor in tensors)
    if flat is None:
        check_memory(count * dtype.itemsize, f"a network of {count:,} parameters", ArgumentError)
        flat = aligned(count * dtype.itemsize, zeros=True).view(dtype)
    named, position = {}, 0
    for tensor in tensors:
        end = position + prod(tensor.shape)
        named[f"{prefix}{tensor.name}"] = flat[position:end].reshape(tensor.shape)
        position = end
    return SimpleNamespace(flat=flat, **named)
