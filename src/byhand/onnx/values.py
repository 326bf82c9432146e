"""What flows through an ONNX graph while it is read: arrays that are known, and symbols that depend on the image.

ONNX lays images out as (N, C, H, W), byhand as (N, H, W, C). A symbol knows which axis of ONNX's each axis of its tensor holds,
so that a convolution's result stays as it is and ONNX's Transpose is but another order; numbers are moved only where an op
needs an order that they are not in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from byhand.errors import FileError, UnsupportedError
from byhand.graph import Tensor
from byhand.ops.op import Array
from byhand.shapes import Shape

MOST_DEPTH = 20  # functions and branches inside one another
MOST_NUMBERS = 2**25  # of one array that a stranger's file makes byhand compute; more only where more was given
MOST_REPEATED = 2**27  # of an array that repeats what it has: it takes no memory before a network holds it
MOST_REPEATED_IN_ALL = 3 * 2**26  # of all of them in a network
IMAGE = (0, 2, 3, 1)  # (N, H, W, C) out of (N, C, H, W)


@dataclass(frozen=True, eq=False)
class Symbol:
    """A tensor of a graph, as ONNX sees it; order: the axis of ONNX's that each axis of the tensor holds."""

    tensor: Tensor
    order: Shape

    @property
    def shape(self) -> Shape:
        """The shape in ONNX's order, with a batch of one."""
        return tuple(self.tensor.shape[self.order.index(axis)] for axis in range(self.ndim))

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.order)

    @property
    def size(self) -> int:
        """How many numbers an example has."""
        return prod(self.tensor.shape)


def wrap(raw: Any, order: Sequence[int]) -> Any:
    """Return what an op made, whose axes hold ONNX's in this order, as a value."""
    if isinstance(raw, Tensor):
        return Symbol(raw, tuple(order))
    return raw.transpose(np.argsort(order))


def own_order(value: Any) -> Shape:
    """Return the order that a value lies in."""
    return value.order if isinstance(value, Symbol) else tuple(range(value.ndim))


def turned(symbol: Symbol, axes: Sequence[int]) -> Symbol:
    """Return ONNX's Transpose of a symbol: nothing moves."""
    return Symbol(symbol.tensor, tuple(axes.index(axis) for axis in symbol.order))


def groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """Return which axes of an array become which of its reshape, in the smallest groups.

    >>> groups((1, 6, 4, 4), (1, 2, 3, 16))
    [([0], [0]), ([1], [1, 2]), ([2, 3], [3])]
    """
    found, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        mine, theirs = list(range(i, min(i + 1, len(old)))), list(range(j, min(j + 1, len(new))))
        i, j = i + len(mine), j + len(theirs)
        while prod(old[a] for a in mine) != prod(new[a] for a in theirs):
            if prod(old[a] for a in mine) < prod(new[a] for a in theirs):
                mine.append(i)
                i += 1
            else:
                theirs.append(j)
                j += 1
        found.append((mine, theirs))
    return found


def side_by_side(symbol: Symbol, new: Shape) -> Shape:
    """Return the order nearest to a symbol's in which its numbers may stay where they are for another shape."""
    group = {axis: mine for mine, _ in groups(symbol.shape, new) for axis in mine}
    placed: list[int] = []
    for axis in symbol.order:
        placed += [one for one in group[axis] if one not in placed]
    return tuple(placed)


def order_after(symbol: Symbol, new: Shape) -> Shape | None:
    """Return the order in which a symbol's numbers, left where they are, have another shape; None: they must move.

    Axes that become one must lie side by side, in ONNX's order; an axis of size 1 may lie anywhere, the batch stays first.
    """
    old, result, rest = symbol.shape, [], []
    real = [axis for axis in symbol.order if axis == 0 or old[axis] > 1]
    for mine, theirs in groups(old, new):
        mine = [axis for axis in mine if axis in real]
        if not mine:
            rest += theirs
            continue
        start = real.index(mine[0])
        if real[start : start + len(mine)] != mine:
            return None
        result.append((start, theirs))
    return tuple(axis for _, theirs in sorted(result) for axis in theirs) + tuple(rest)


def array_of(tensor: onnx.TensorProto, folder: Path | None = None) -> Array:
    """Return the array that a file holds, or one beside it; raw numbers stay where they are. Checks sizes before it reads."""
    shape, dtype = tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if dtype.kind == "c":
        raise UnsupportedError(f"'{tensor.name}' holds complex numbers; byhand reads real ones")
    if any(size < 0 for size in shape):
        raise FileError(f"'{tensor.name}' has the shape {shape}; expected sizes of 0 or more")
    count = prod(shape)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return beside(tensor, dtype, folder).reshape(shape)
    if tensor.HasField("raw_data") and dtype.itemsize * count == len(tensor.raw_data) and dtype.kind in "iufb":
        return np.frombuffer(tensor.raw_data, dtype).reshape(shape)
    if count > max(1, 8 * tensor.ByteSize()):
        raise FileError(f"'{tensor.name}' has the shape {shape}, but the file holds {tensor.ByteSize()} bytes of it")
    array: Array = numpy_helper.to_array(tensor)
    if array.shape != shape:
        raise FileError(f"'{tensor.name}' has the shape {shape}, but holds {array.size} numbers")
    return array


def beside(tensor: onnx.TensorProto, dtype: Any, folder: Path | None) -> Array:
    """Return the numbers of a tensor that lie in another file of the model's folder, and in no other place.

    The file is mapped, not read. Raises FileError for a path that leaves the folder, also by a link, and for one too short.
    """
    where = {entry.key: entry.value for entry in tensor.external_data}
    location, name = where.get("location", ""), tensor.name
    place = PurePosixPath(location.replace("\\", "/"))
    parts = place.parts
    if folder is None or not parts or place.is_absolute() or ".." in parts or ":" in location:
        raise FileError(f"'{name}' keeps its numbers in '{location[:80]}'; expected a file in the model's folder")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise FileError(f"'{name}' keeps its numbers in '{location[:80]}', which is a link; expected a file")
    if not path.is_file() or path.stat().st_nlink > 1:
        what = "which is a hard link" if path.is_file() else "which is no file"
        raise FileError(
            f"'{name}' keeps its numbers in '{location[:80]}', {what}; expected a file in the model's folder"
        )
    size, start = dtype.itemsize * prod(tensor.dims), int(where.get("offset", 0))
    length = int(where.get("length", size))
    if dtype.kind not in "iufb" or length != size or start < 0 or start + size > path.stat().st_size:
        raise FileError(
            f"'{name}' has the shape {tuple(tensor.dims)} of {dtype}, but '{location[:80]}' holds {length} bytes of it from "
            f"{start} on, and has {path.stat().st_size} in all"
        )
    if size == 0:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, "r", start, (size // dtype.itemsize,))


def numbers(shape: Sequence[int], most: int = MOST_NUMBERS) -> Shape:
    """Return a shape that byhand is willing to fill with numbers, or raise a FileError."""
    count = 1
    for size in shape:
        if size < 0:
            raise FileError(f"the shape {tuple(shape)} has a size below 0")
        count *= max(size, 1)
    if count > most:
        raise FileError(f"the shape {tuple(shape)} holds {count:,} numbers; byhand computes up to {most:,}")
    return tuple(int(size) for size in shape)


def place_of(array: Array) -> int:
    """Return where an array lies in memory."""
    return int(array.__array_interface__["data"][0])
