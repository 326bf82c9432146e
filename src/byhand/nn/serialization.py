"""A model in one safetensors file: its parameters and states by name, and the graph as JSON in the file's metadata.

Files are untrusted: sizes are checked against the file before memory is allocated, the graph passes every op's contract again,
and nothing in it is run or imported.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from byhand.data.open_file import exists, open_regular_file
from byhand.data.preprocessing import Preprocessing
from byhand.errors import ArgumentError, ByhandError, FileError
from byhand.files import write_whole
from byhand.graph import Tensor, from_json, to_json
from byhand.nn.model import Model
from byhand.ops.op import Array
from byhand.text import one_line

FORMAT_VERSION = 1
FOREIGN_SUFFIXES = (
    ".onnx",
    ".pt",
    ".pth",
    ".bin",
    ".ckpt",
    ".h5",
    ".hdf5",
    ".keras",
    ".pb",
    ".tflite",
    ".pkl",
    ".pickle",
    ".joblib",
    ".npz",
    ".zip",
)
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "U64": "<u8"}  # of safetensors
RUN_FILES = ("model.safetensors", "checkpoint.safetensors")  # the models of a run folder, the best first


def save(
    model: Model,
    path: str | os.PathLike[str],
    *,
    extra_arrays: Mapping[str, Array] | None = None,
    extra_metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a model, whole or not at all; a checkpoint adds arrays and metadata of its own.

    Raises ArgumentError for a name that promises a format of another library.
    """
    path = Path(path)
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        write = (
            "byhand.onnx.save(model, path) writes ONNX"
            if path.suffix.lower() == ".onnx"
            else "byhand writes safetensors"
        )
        raise ArgumentError(
            f"save: {path.name} has the ending of another format; {write}, and model.save {path.stem}.safetensors"
        )
    metadata, tensors = record(model)
    metadata, tensors = metadata | dict(extra_metadata or {}), tensors | dict(extra_arrays or {})
    # one key: the library keeps metadata in a hash table, whose order would change from run to run
    write_whole(
        path, to_bytes({k: np.ascontiguousarray(v) for k, v in tensors.items()}, {"byhand": json.dumps(metadata)})
    )


def record(model: Model) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what a file holds of a model: its metadata, as JSON takes it, and its parameters and states by name."""
    metadata = {
        "format": FORMAT_VERSION,
        "name": model.name,
        "classes": list(model.classes),
        "task": model.task,
        "preprocessing": model.preprocessing.to_json(),
        "dtype": model.dtype.name,
        "graph": to_json(model.graph, model.output, model.auxiliary),
    }
    if model.classes_are_integers:
        metadata["classes_are_integers"] = True
    return metadata, model.parameters | vars(model.state)


def restore(metadata: Any, arrays: Mapping[str, Array]) -> Model:
    """Return the model of a record."""
    model = _model(metadata)
    model.load_state_dict(arrays)
    return model


def load(path: str | os.PathLike[str]) -> Model:
    """Return the model in a file that `model.save` wrote, or in a run folder.

    Raises FileError where there is none, or where the file is not whole.
    """
    return read(path)[0]


def read(path: str | os.PathLike[str]) -> tuple[Model, dict[str, Array], dict[str, Any]]:
    """Return (model, the extra arrays, the metadata) of a model's file or of a checkpoint."""
    path = model_file(path)
    with open_regular_file(path, "a model"):  # the library says of a file that may not be read that there is none
        pass
    try:
        with safe_open(path, "numpy") as file:
            metadata = json.loads((file.metadata() or {})["byhand"])
            model = _model(metadata)
            tensors = {t.name: t for kind in ("parameter", "state") for t in model.graph.of_kind(kind)}
            missing = tensors.keys() - set(file.keys())
            if missing:
                raise FileError(f"it holds no '{min(missing)}'")
            for name, tensor in tensors.items():  # before memory is asked for
                _check(tensor, file.get_slice(name))
            read_arrays(path, model.parameters | vars(model.state))
            return model, {name: file.get_tensor(name) for name in sorted(set(file.keys()) - tensors.keys())}, metadata
    except (
        ByhandError,
        SafetensorError,
        ArithmeticError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        MemoryError,
    ) as error:
        what = one_line(error)
        if isinstance(error, KeyError):
            what = "it has no metadata that byhand wrote"
        elif isinstance(error, SafetensorError):  # whose message is about its own parser
            what = "it is no safetensors file, or is damaged"
        raise FileError(f"{path} is not a model that byhand can use: {what}") from None


def read_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Read arrays of a safetensors file, which is known to hold them, one at a time: the file is not mapped into memory."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))
        for name, array in arrays.items():
            dtype = np.dtype(DTYPES[header[name]["dtype"]])
            stored = array if array.dtype == dtype else np.empty(array.shape, dtype)
            file.seek(8 + header_bytes + header[name]["data_offsets"][0])
            if file.readinto(stored.reshape(-1).view(np.uint8).data) != stored.nbytes:
                raise FileError(f"it ends within '{name}'")
            if stored is not array:
                array[...] = stored


def model_file(path: str | os.PathLike[str]) -> Path:
    """Return the file itself, or the model in a run folder."""
    path = Path(path)
    if os.path.isdir(path):  # noqa: PTH112  (False, not an error, where a folder above it may not be entered)
        found = next((path / name for name in RUN_FILES if exists(path / name)), None)
        if found is None:
            raise FileError(f"the folder {path} holds no model; expected {' or '.join(RUN_FILES)} in it")
        return found
    if not exists(path):
        raise FileError(f"there is no file {path}; expected a model that byhand saved, or a run folder")
    return path


def _model(metadata: Any) -> Model:
    """Return the model of a file's metadata, without its numbers."""
    if metadata["format"] != FORMAT_VERSION:
        raise FileError(f"its format is {metadata['format']!r}; this version of byhand reads {FORMAT_VERSION}")
    graph, output, auxiliary = from_json(metadata["graph"])
    assert graph.input is not None
    if not isinstance(metadata["classes"], list) or not all(isinstance(name, str) for name in metadata["classes"]):
        raise FileError("its classes are no list of names")
    if metadata["dtype"] not in ("float32", "float64"):  # NumPy evaluates what stands in other type names
        raise FileError(f"its dtype is {str(metadata['dtype'])[:40]!r}; expected 'float32' or 'float64'")
    model = Model(
        graph.input,
        output,
        name=str(metadata["name"]),
        seed=None,
        classes=metadata["classes"] or (),
        dtype=np.dtype(metadata["dtype"]),
        auxiliary=auxiliary,
        preprocessing=_preprocessing(metadata),
        task=metadata.get("task"),  # absent in files of older versions: read from the graph
    )
    model.classes_are_integers = metadata.get("classes_are_integers") is True
    return model


def _preprocessing(metadata: Any) -> Preprocessing:
    """Return the preprocessing of a file's metadata; files of byhand 0.1 hold three of its fields beside each other."""
    if "preprocessing" in metadata:
        return Preprocessing.from_json(metadata["preprocessing"])
    return Preprocessing.from_json({name: metadata[name] for name in ("mean", "std", "crop_pct") if name in metadata})


def _check(tensor: Tensor, stored: Any) -> None:
    """Raise a FileError where an array of the file does not fit its tensor."""
    shape, kind = tuple(stored.get_shape()), stored.get_dtype()
    if shape != tensor.shape:
        raise FileError(f"its '{tensor.name}' has the shape {shape}, but its graph says {tensor.shape}")
    expected = ("U64",) if tensor.dtype is np.uint64 else ("F64", "F32", "F16")
    if kind not in expected:
        raise FileError(f"its '{tensor.name}' holds {kind}; expected {' or '.join(expected)}")
