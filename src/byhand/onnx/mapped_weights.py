"""ONNX files read with their large weights left on disk, memory-mapped where they are stored.

Protocol Buffers would read the weights into memory, copy them into the message, and copy them again for the caller. Here
the file is scanned once, field by field, and the raw data of large initializers is left out of the bytes that are parsed.

Source: Protocol Buffers, "Encoding": a field is a tag (field number and wire type), for most types a length, and the content.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper

from byhand.errors import FileError
from byhand.ops.op import Array

# Field numbers of ModelProto.graph, GraphProto.initializer and TensorProto.raw_data.
GRAPH_FIELD = 7
INITIALIZER_FIELD = 5
RAW_DATA_FIELD = 9
# Wire types.
VARINT = 0
FIXED64 = 1
LENGTH_DELIMITED = 2
FIXED32 = 5
MAX_VARINT_BITS = 70  # ten bytes of 7 bits
MIN_MAPPED_BYTES = 4096  # smaller initializers stay in the message


def read_model(path: Path) -> tuple[onnx.ModelProto, MappedWeights | None]:
    """Return the message of an ONNX file without its large weights, and those weights.

    Raises google.protobuf's DecodeError where the file is no ONNX model.
    """
    proto = onnx.ModelProto()
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            return proto, None
    spans: dict[int, tuple[int, int]] = {}
    try:
        message = b"".join(_without_large_weights(mapped, spans))
    except ValueError:  # malformed: protobuf's parser reports it
        proto.ParseFromString(mapped[:])
        return proto, None
    proto.ParseFromString(message)
    return proto, MappedWeights(mapped, spans)


class MappedWeights:
    """Raw data of large initializers in a mapped file; spans: index of the initializer -> (start, size) in bytes."""

    def __init__(self, file: mmap.mmap, spans: dict[int, tuple[int, int]]) -> None:
        self.file, self.spans = file, spans

    def array(self, index: int, tensor: onnx.TensorProto) -> Array | None:
        """Return initializer `index`, read from disk when it is used; None where its data is in the message."""
        if index not in self.spans:
            return None
        (start, size), shape = self.spans[index], tuple(tensor.dims)
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        count = int(np.prod(shape, dtype=object)) if min(shape, default=1) >= 0 else -1
        if dtype.kind not in "iufb" or count * dtype.itemsize != size:
            raise FileError(f"'{tensor.name}' has the shape {shape} of {dtype}, but holds {size:,} bytes")
        return np.frombuffer(self.file, dtype, count, start).reshape(shape)

    def release_pages(self) -> None:
        """Give back the memory of pages that were read; they are read again when they are used."""
        if hasattr(self.file, "madvise"):  # not on Windows
            self.file.madvise(mmap.MADV_DONTNEED)


class Field(NamedTuple):
    """One field of a message: number, wire type, and the offsets of its tag, its content and its end."""

    number: int
    wire_type: int
    start: int
    content: int
    end: int


def _without_large_weights(data: mmap.mmap, spans: dict[int, tuple[int, int]]) -> Iterator[bytes]:
    """Yield a model's bytes without the large raw data, whose positions are entered in `spans`."""
    index = 0
    for field in _fields(data, 0, len(data)):
        if (field.number, field.wire_type) != (GRAPH_FIELD, LENGTH_DELIMITED):
            yield data[field.start : field.end]
            continue
        graph = []
        for inner in _fields(data, field.content, field.end):
            kept = data[inner.start : inner.end]
            if (inner.number, inner.wire_type) == (INITIALIZER_FIELD, LENGTH_DELIMITED):
                if (raw := _raw_data(data, inner)) is not None and raw.end - raw.content >= MIN_MAPPED_BYTES:
                    spans[index] = raw.content, raw.end - raw.content
                    kept = _encode(INITIALIZER_FIELD, data[inner.content : raw.start] + data[raw.end : inner.end])
                index += 1
            graph.append(kept)
        yield _encode(GRAPH_FIELD, b"".join(graph))


def _raw_data(data: mmap.mmap, tensor: Field) -> Field | None:
    """Return the raw_data field of a TensorProto, where it has exactly one."""
    fields = _fields(data, tensor.content, tensor.end)
    found = [field for field in fields if (field.number, field.wire_type) == (RAW_DATA_FIELD, LENGTH_DELIMITED)]
    return found[0] if len(found) == 1 else None


def _fields(data: mmap.mmap, position: int, end: int) -> Iterator[Field]:
    """Yield the fields of a message; raises ValueError where it is malformed."""
    while position < end:
        start = position
        tag, position = _varint(data, position, end)
        wire_type, content = tag & 7, position
        if wire_type == VARINT:
            _, position = _varint(data, position, end)
        elif wire_type == LENGTH_DELIMITED:
            size, content = _varint(data, position, end)
            position = content + size
        elif wire_type in (FIXED64, FIXED32):
            position += 8 if wire_type == FIXED64 else 4
        else:
            raise ValueError(f"a field has the wire type {wire_type}")
        if position > end or tag >> 3 == 0:
            raise ValueError("a field ends beyond its message")
        yield Field(tag >> 3, wire_type, start, content, position)


def _varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """Return a varint (7 bits a byte, the lowest first) and the offset behind it."""
    value = 0
    for shift in range(0, MAX_VARINT_BITS, 7):
        if position >= end:
            break
        byte, position = data[position], position + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a varint does not end")


def _encode(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    head, size = bytearray([number << 3 | LENGTH_DELIMITED]), len(content)
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + content
