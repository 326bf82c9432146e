"""A file's message without its large numbers, which stay in the file and are mapped where they lie.

Protocol Buffers would read a network's weights into memory, copy them into its message, and copy them again for whoever asks.
Here the message is walked once, field by field, and what the initializers hold raw is left out of what is parsed.

Source: Protocol Buffers, "Encoding": a field is a number, how it is laid out, and mostly a length and that many bytes.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper

from byhand.errors import FileError
from byhand.ops.op import Array

GRAPH, INITIALIZER, RAW = 7, 5, 9  # fields of ONNX's ModelProto, GraphProto and TensorProto
BYTES = 2  # the layout of a field that has a length
DECODE = DecodeError  # what the parser raises
LARGE = 4096  # bytes of numbers that are worth it


class Field(NamedTuple):
    """A field of a message: its number and layout, and where it begins, where its content begins, and where that ends."""

    number: int
    layout: int
    start: int
    content: int
    end: int


class Large:
    """The numbers that were left in a file: by the place of their tensor among the graph's initializers."""

    def __init__(self, file: mmap.mmap, places: dict[int, tuple[int, int]]) -> None:
        self.file, self.places = file, places

    def array(self, i: int, tensor: onnx.TensorProto) -> Array | None:
        """Return the numbers of the initializer `i`, read when they are used; None: they are in the message."""
        if i not in self.places:
            return None
        (start, size), shape = self.places[i], tuple(tensor.dims)
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        count = int(np.prod(shape, dtype=object)) if min(shape, default=1) >= 0 else -1
        if dtype.kind not in "iufb" or count * dtype.itemsize != size:
            raise FileError(f"'{tensor.name}' has the shape {shape} of {dtype}, but holds {size:,} bytes")
        return np.frombuffer(self.file, dtype, count, start).reshape(shape)

    def let_go(self) -> None:
        """Give back the memory of what was read; it is read again where it is needed."""
        if hasattr(self.file, "madvise"):  # not on Windows
            self.file.madvise(mmap.MADV_DONTNEED)


def read(path: Path) -> tuple[onnx.ModelProto, Large | None]:
    """Return the message in a file, and the large numbers that it leaves there."""
    proto = onnx.ModelProto()
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            return proto, None
    places: dict[int, tuple[int, int]] = {}
    try:
        slim = b"".join(_model(mapped, places))
    except ValueError:  # not what it should be: the parser says so
        proto.ParseFromString(mapped[:])
        return proto, None
    proto.ParseFromString(slim)
    return proto, Large(mapped, places)


def _model(data: Any, places: dict[int, tuple[int, int]]) -> Iterator[bytes]:
    """Yield a model's bytes without the large numbers, whose places are written down."""
    count = 0
    for field in _fields(data, 0, len(data)):
        if (field.number, field.layout) != (GRAPH, BYTES):
            yield data[field.start : field.end]
            continue
        graph = []
        for inner in _fields(data, field.content, field.end):
            kept = data[inner.start : inner.end]
            if (inner.number, inner.layout) == (INITIALIZER, BYTES):
                raws = [
                    one for one in _fields(data, inner.content, inner.end) if (one.number, one.layout) == (RAW, BYTES)
                ]
                if len(raws) == 1 and raws[0].end - raws[0].content >= LARGE:
                    raw = raws[0]
                    places[count] = raw.content, raw.end - raw.content
                    kept = _field(INITIALIZER, data[inner.content : raw.start] + data[raw.end : inner.end])
                count += 1
            graph.append(kept)
        yield _field(GRAPH, b"".join(graph))


def _fields(data: Any, at: int, end: int) -> Iterator[Field]:
    """Yield the fields of a message; raises ValueError where it is none."""
    while at < end:
        start = at
        tag, at = _number(data, at, end)
        layout, content = tag & 7, at
        if layout == 0:
            _, at = _number(data, at, end)
        elif layout == BYTES:
            size, content = _number(data, at, end)
            at = content + size
        elif layout in (1, 5):
            at += 8 if layout == 1 else 4
        else:
            raise ValueError(f"a field has the layout {layout}")
        if at > end or tag >> 3 == 0:
            raise ValueError("a field ends beyond its message")
        yield Field(tag >> 3, layout, start, content, at)


def _number(data: Any, at: int, end: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number does not end")


def _field(number: int, content: bytes) -> bytes:
    head, size = bytearray([number << 3 | BYTES]), len(content)
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + content
