"""The array of an ONNX TensorProto, stored in the message or in an external data file; sizes are checked before reading.

Source: ONNX specification, "External Data": a tensor may keep its bytes in another file, by path, offset and length.
"""

from __future__ import annotations

from math import prod
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from byhand.errors import FileError, UnsupportedError
from byhand.ops.op import Array

MAX_PATH_SHOWN = 80  # characters of a path in an error
# A message of B bytes holds at most so many elements a byte: the smallest type has 4 bits, packed; 8 leaves room.
MAX_ELEMENTS_PER_BYTE = 8


def array_of(tensor: onnx.TensorProto, folder: Path | None = None) -> Array:
    """Return a tensor's array; raw data is not copied.

    folder: where external data files may lie. Raises FileError where shape and stored bytes disagree, UnsupportedError for
    complex numbers.
    """
    name, shape, dtype = tensor.name, tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if dtype.kind == "c":
        raise UnsupportedError(f"'{name}' holds complex numbers; byhand reads real ones")
    if any(size < 0 for size in shape):
        raise FileError(f"'{name}' has the shape {shape}; expected sizes of 0 or more")
    count = prod(shape)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return external_array(tensor, dtype, folder).reshape(shape)
    if tensor.HasField("raw_data") and dtype.itemsize * count == len(tensor.raw_data) and dtype.kind in "iufb":
        return np.frombuffer(tensor.raw_data, dtype).reshape(shape)
    if count > max(1, MAX_ELEMENTS_PER_BYTE * tensor.ByteSize()):
        raise FileError(f"'{name}' has the shape {shape}, but the file holds {tensor.ByteSize()} bytes of it")
    array: Array = numpy_helper.to_array(tensor)
    if array.shape != shape:
        raise FileError(f"'{name}' has the shape {shape}, but the file holds {array.size} elements of it")
    return array


def external_array(tensor: onnx.TensorProto, dtype: npt.DTypeLike, folder: Path | None) -> Array:
    """Return the flat array of a tensor from an external data file, memory-mapped.

    Raises FileError for a path that leaves the model's folder, also by a link, and for a file that is too short.
    """
    name, dtype = tensor.name, np.dtype(dtype)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = external_path(name, entries.get("location", ""), folder)
    size, start = dtype.itemsize * prod(tensor.dims), int(entries.get("offset", 0))
    length = int(entries.get("length", size))
    file_size = path.stat().st_size
    if dtype.kind not in "iufb" or length != size or start < 0 or start + size > file_size:
        raise FileError(
            f"'{name}' has the shape {tuple(tensor.dims)} of {dtype}, {size:,} bytes; its external data are {length} bytes "
            f"from offset {start} of '{entries['location'][:MAX_PATH_SHOWN]}', which has {file_size:,}"
        )
    if size == 0:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, "r", start, (size // dtype.itemsize,))


def external_path(name: str, location: str, folder: Path | None) -> Path:
    """Return the path of an external data file: a plain file below the model's folder, reached without a link."""
    shown = f"'{name}' keeps its data in '{location[:MAX_PATH_SHOWN]}'"
    relative = PurePosixPath(location.replace("\\", "/"))
    if folder is None or not relative.parts or relative.is_absolute() or ".." in relative.parts or ":" in location:
        raise FileError(f"{shown}; expected a file in the model's folder")
    path = folder
    for part in relative.parts:
        path = path / part
        if path.is_symlink():
            raise FileError(f"{shown}, which is a link; expected a file")
    if not path.is_file() or path.stat().st_nlink > 1:
        kind = "which is a hard link" if path.is_file() else "which is no file"
        raise FileError(f"{shown}, {kind}; expected a file in the model's folder")
    return path


def address(array: Array) -> int:
    """Return the memory address of an array's first element; two views of the same data share it."""
    return int(array.__array_interface__["data"][0])
