"""NumPy's .npz archives: a reader for untrusted files. Nothing is unpickled.

An archive is a zip file with one .npy file per array: a header (type, shape), then the elements. The header's size is checked
against the archive before memory is asked for: deflate shrinks zeros by a factor of 1,000, so that a small file can promise
gigabytes.
"""

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from byhand.data.open_file import open_regular_file
from byhand.errors import ByhandError, FileError
from byhand.files import check_unpacked
from byhand.shapes import Array, Shape
from byhand.text import one_line, printable

ELEMENT_KINDS = "biufSU"  # of NumPy's types: booleans, integers, floating point, bytes, text


class Archive:
    """The arrays of an open archive by name; all that are read count against one limit."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._stored, self._promised = path, file.seek(0, os.SEEK_END), 0
        self._zip = zipfile.ZipFile(file)
        members = (info for info in self._zip.infolist() if info.filename.endswith(".npy"))
        self._members = {printable(Path(info.filename).stem): info for info in members}

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes that the headers of the arrays claim."""
        return {name: self._header(name)[0] for name in self._members}

    def _header(self, name: str) -> tuple[Shape, np.dtype[Any]]:
        """Return an array's shape and type."""
        info = self._members[name]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others are unpacked without a limit
            raise FileError(f"{self.path}: {printable(info.filename)} is compressed in a way that NumPy does not use")
        with self._zip.open(info) as file:
            version = npy.read_magic(file)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = header(file)
        return shape, dtype

    def array(self, name: str) -> Array:
        """Return an array, after its header was checked against the archive."""
        info, (shape, dtype) = self._members[name], self._header(name)
        size = prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise FileError(
                f"{self.path}: {printable(info.filename)} holds Python objects, which are not unpickled: they could run "
                "code; save an array of numbers or text, as np.stack makes it"
            )
        if dtype.kind not in ELEMENT_KINDS:
            raise FileError(f"{self.path}: {printable(info.filename)} is {dtype}; expected numbers or text")
        if dtype.itemsize < 1 or not 0 <= size <= info.file_size:
            raise FileError(
                f"{self.path}: {printable(info.filename)} is {dtype} of shape {shape}, which it does not hold"
            )
        self._promised += size
        check_unpacked(self._promised, self._stored, str(self.path))
        with self._zip.open(info) as file:
            return npy.read_array(file, allow_pickle=False)


@contextmanager
def open_npz(path: Path) -> Iterator[Archive]:
    """Open an archive; whatever a broken one raises inside becomes a FileError of one line."""
    with open_regular_file(path, "an .npz") as file:
        try:
            yield Archive(path, file)
        except (ByhandError, OSError):
            raise
        except Exception as error:  # zipfile, zlib, lzma and NumPy's header parser raise many kinds
            reason = one_line(error) or type(error).__name__
            raise FileError(f"can't read {path}: {reason}; expected an .npz") from None
