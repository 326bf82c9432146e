"""Values of an ONNX graph while it is read: NumPy arrays for what is constant, symbols for what depends on the image.

ONNX stores images as (N, C, H, W), byhand as (N, H, W, C). A symbol carries the layout of its tensor: which ONNX axis each
stored axis holds. ONNX's Transpose then only changes the layout, and data moves only where an op needs another layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from operator import index
from typing import Any, overload

import numpy as np

from byhand.graph import Tensor
from byhand.ops.op import Array
from byhand.shapes import Shape

NHWC = (0, 2, 3, 1)  # the layout of an image: stored axis -> axis of ONNX's (N, C, H, W)


@dataclass(frozen=True, eq=False)
class Symbol:
    """A graph tensor, seen with ONNX's axes; layout[i] is the ONNX axis that stored axis i holds."""

    tensor: Tensor
    layout: Shape

    @property
    def shape(self) -> Shape:
        """The shape in ONNX's axis order, with a batch of one."""
        return tuple(self.tensor.shape[self.layout.index(axis)] for axis in range(self.ndim))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.layout)

    @property
    def size(self) -> int:
        """The number of elements of one example."""
        return prod(self.tensor.shape)


OnnxValue = Symbol | Array  # as ONNX's nodes see it
Stored = Tensor | Array  # as byhand's ops take it and return it


@overload
def from_layout(stored: Array, layout: Sequence[int]) -> Array: ...
@overload
def from_layout(stored: Stored, layout: Sequence[int]) -> OnnxValue: ...
def from_layout(stored: Stored, layout: Sequence[int]) -> OnnxValue:
    """Return an OnnxValue from an op's result whose stored axes hold ONNX's axes in this layout."""
    if isinstance(stored, Tensor):
        return Symbol(stored, tuple(layout))
    return stored.transpose(np.argsort(layout))


@overload
def stored_form(value: Array) -> Array: ...
@overload
def stored_form(value: OnnxValue) -> Stored: ...
def stored_form(value: OnnxValue) -> Stored:
    """Return a value as ops take it: the tensor of a symbol, or the array itself."""
    return value.tensor if isinstance(value, Symbol) else value


def layout_of(value: OnnxValue) -> Shape:
    """Return the layout of a value; arrays are stored in ONNX's order."""
    return value.layout if isinstance(value, Symbol) else tuple(range(value.ndim))


def dtype_of(value: Any) -> Any:
    """Return the dtype of an array, or float32 for what depends on the image."""
    return getattr(value, "dtype", None) or np.float32


def transpose_symbol(symbol: Symbol, axes: Sequence[int]) -> Symbol:
    """Return ONNX's Transpose of a symbol: another layout of the same tensor."""
    return Symbol(symbol.tensor, tuple(axes.index(axis) for axis in symbol.layout))


def reshape_groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """Return the smallest groups of axes that a reshape maps to each other, as (old axes, new axes).

    >>> reshape_groups((1, 6, 4, 4), (1, 2, 3, 16))
    [([0], [0]), ([1], [1, 2]), ([2, 3], [3])]
    """
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        before, after = list(range(i, min(i + 1, len(old)))), list(range(j, min(j + 1, len(new))))
        i, j = i + len(before), j + len(after)
        while prod(old[axis] for axis in before) != prod(new[axis] for axis in after):
            if prod(old[axis] for axis in before) < prod(new[axis] for axis in after):
                before.append(i)
                i += 1
            else:
                after.append(j)
                j += 1
        groups.append((before, after))
    return groups


def mergeable_layout(symbol: Symbol, new: Shape) -> Shape:
    """Return the layout nearest to a symbol's in which a reshape to `new` moves no data."""
    group = {axis: before for before, _ in reshape_groups(symbol.shape, new) for axis in before}
    layout: list[int] = []
    for axis in symbol.layout:
        layout += [member for member in group[axis] if member not in layout]
    return tuple(layout)


def reshaped_layout(symbol: Symbol, new: Shape) -> Shape | None:
    """Return the layout of a symbol's data, left in place, under another shape; None where data must move.

    Axes that merge must be adjacent, in ONNX's order. An axis of size 1 may be anywhere; the batch stays first.
    """
    old, placed, rest = symbol.shape, [], []
    present = [axis for axis in symbol.layout if axis == 0 or old[axis] > 1]
    for before, after in reshape_groups(old, new):
        before = [axis for axis in before if axis in present]
        if not before:
            rest += after
            continue
        start = present.index(before[0])
        if present[start : start + len(before)] != before:
            return None
        placed.append((start, after))
    return tuple(axis for _, after in sorted(placed) for axis in after) + tuple(rest)


def normalized_axis(axis: int, ndim: int) -> int:
    """Return an axis counted from the first, or raise a ValueError.

    >>> normalized_axis(-1, 4)
    3
    """
    if not -ndim <= index(axis) < ndim:
        raise ValueError(f"the axis {axis} is out of range; expected {-ndim} to {ndim - 1}")
    return axis + ndim if axis < 0 else axis
