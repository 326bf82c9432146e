"""IDX, the file format of MNIST: a reader for untrusted files, plain or gzip.

    magic    0 0 type axes          type: a key of `TYPES`; axes: 1 for labels, 3 for gray images
    sizes    one uint32 an axis     everything is big-endian
    data     the elements, the last axis fastest

The header's sizes are checked against the length of the file before memory is allocated.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
"""

import gzip
import io
import math
import os
import sys
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from byhand.data.open_file import open_regular_file
from byhand.errors import FileError
from byhand.files import check_memory, check_unpacked
from byhand.shapes import Array, Shape

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

MAX_AXES = 32  # NumPy 2 allows 64; data sets have at most 4
MAX_HEADER_BYTES = 4 + 4 * MAX_AXES
CHUNK_BYTES = 1 << 20  # read at a time


def read(path: str | os.PathLike[str]) -> Array:
    """Read an IDX file, plain or gzip (recognized by its first two bytes), as an array in the machine's byte order.

    The length of the data is checked against the header before memory is allocated; a gzip stream is decompressed twice, the
    first time only to measure it. A gzip file whose header promises more than 64 MiB and more than 200 times the file's size
    is refused as a decompression bomb.

    Raises FileError for a file that is missing, not IDX, corrupt, or longer or shorter than its header promises.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    ...     read(path)
    array([5, 0, 4], dtype=uint8)
    """
    with open_regular_file(path, "an IDX file") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            header = _header(file.read(MAX_HEADER_BYTES), str(path))
            _check_length(size, header, str(path))
            check_memory(size, str(path))
            return _native(_fill(file, header, str(path)), header)
        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                header = _header(stream.read(MAX_HEADER_BYTES), str(path))
                _check_zipped(stream, size, header, str(path))
                return _native(_fill(stream, header, str(path)), header)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileError(f"{path}: the gzip data are corrupt or cut short ({error}); fetch the file again") from None


def parse(data: bytes | memoryview, name: str = "IDX data") -> tuple[Array, memoryview]:
    """Read the IDX array at the beginning of `data`; return it, and the bytes after it.

    The array is a read-only view of the bytes where the machine's byte order allows it, else a copy.

    >>> array, rest = parse(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3]) + b"next")
    >>> array, bytes(rest)
    (array([7, 3], dtype=uint8), b'next')
    """
    view = memoryview(data)
    header = _header(bytes(view[:MAX_HEADER_BYTES]), name)
    if len(view) < header.end:
        _check_length(len(view), header, name)
    count = math.prod(header.shape)
    array = np.frombuffer(view, header.dtype, count, header.start) if count else np.empty(0, header.dtype)
    return _native(array.reshape(header.shape), header), view[header.end :]


@dataclass(frozen=True)
class _Header:
    """The element type and shape of the array; start, end: of its data in the file, in bytes."""

    dtype: np.dtype[Any]
    shape: Shape
    start: int
    end: int


def _header(head: bytes, name: str) -> _Header:
    if len(head) < 4 or head[:2] != b"\0\0":
        got = head[:4].hex(" ") or "nothing"
        raise FileError(f"{name} is no IDX file: it begins with {got}, expected 00 00, a type and a number of axes")
    kind, axes = head[2], head[3]
    if kind not in TYPES:
        known = ", ".join(f"{code:02x}" for code in TYPES)
        raise FileError(f"{name} is no IDX file: there is no element type {kind:02x} (known: {known})")
    if not 1 <= axes <= MAX_AXES:
        raise FileError(f"{name} is no IDX file that can be read: it has {axes} axes, expected 1 to {MAX_AXES}")
    start = 4 + 4 * axes
    if len(head) < start:
        raise FileError(f"{name} is cut short: {len(head)} bytes, but a header of {axes} axes takes {start}")
    shape = tuple(int.from_bytes(head[at : at + 4], "big") for at in range(4, start, 4))
    dtype = np.dtype(TYPES[kind])
    # NumPy refuses strides of 2**63 bytes or more, also for arrays without elements.
    if math.prod(max(n, 1) for n in shape) * dtype.itemsize > sys.maxsize:
        raise FileError(f"{name}: no file holds the {_times(shape)} elements that the header promises")
    return _Header(dtype, shape, start, start + math.prod(shape) * dtype.itemsize)


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _check_length(length: int, header: _Header, name: str) -> None:
    if length == header.end:
        return
    what = "is cut short" if length < header.end else "has bytes after its data"
    raise FileError(
        f"{name} {what}: {length} bytes, but the header promises {_times(header.shape)}, {header.end} bytes"
    )


def _check_zipped(stream: gzip.GzipFile, size: int, header: _Header, name: str) -> None:
    """Decompress the whole stream once, chunk by chunk, to check its length before memory is allocated."""
    check_unpacked(header.end, size, name)
    length = stream.seek(0)
    while length <= header.end and (piece := stream.read(min(CHUNK_BYTES, header.end + 1 - length))):
        length += len(piece)
    if length > header.end:
        raise FileError(
            f"{name} has bytes after its data: it unpacks to more than {_times(header.shape)}, {header.end} bytes"
        )
    _check_length(length, header, name)


def _fill(stream: BinaryIO | gzip.GzipFile, header: _Header, name: str) -> Array:
    stream.seek(header.start)
    array = np.empty(header.shape, header.dtype)
    flat = array.reshape(-1).view(np.uint8)
    for at in range(0, flat.size, CHUNK_BYTES):  # GzipFile.readinto would hold all of it twice
        piece = stream.read(min(CHUNK_BYTES, flat.size - at))
        if len(piece) < min(CHUNK_BYTES, flat.size - at):
            raise FileError(f"{name} has changed while it was read; try again")
        flat[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
    return array


def _native(array: Array, header: _Header) -> Array:
    native = header.dtype.newbyteorder("=")
    if header.dtype == native:
        return array.view(native)
    if array.flags.writeable:  # in place, without a second copy
        return array.byteswap(inplace=True).view(native)
    return array.astype(native)
