"""Data sets and pictures: arrays in, arrays out."""

import importlib
import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.data import idx, mnist
from byhand.data.dataset import Dataset
from byhand.errors import FileError, UnknownNameError

__all__ = ["Dataset", "digits", "idx", "load", "mnist"]

Array = npt.NDArray[Any]


def __getattr__(name: str) -> Any:
    """Import `digits` when it is first asked for: Pillow takes as long as the rest of byhand."""
    if name == "digits":
        return importlib.import_module("byhand.data.digits")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(name_or_folder: str | os.PathLike[str]) -> tuple[Dataset, Dataset]:
    """Return the training and the test set of a data set by name ("mnist"), or of a folder with MNIST's four IDX files.

    The files are called `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    `t10k-labels-idx1-ubyte`, plain or with `.gz` behind, also spelt `train-images.idx3-ubyte`, as Fashion-MNIST and
    others ship them. Classes are called "0", "1", ... up to the largest label.

    Raises UnknownNameError for a name that is neither, FileError for a folder whose files are missing or don't fit.

    >>> train, test = load("mnist")
    >>> train.images.shape, test.classes[7]
    ((60000, 28, 28, 1), '7')
    """
    if name_or_folder == "mnist":
        return mnist.load()
    folder = Path(name_or_folder)
    if folder.is_dir():
        return _idx_folder(folder)
    if isinstance(name_or_folder, str) and folder.name == name_or_folder and not folder.exists():
        raise UnknownNameError("data set or folder", name_or_folder, ["mnist"])
    what = "it is a file" if folder.exists() else "there is no such folder"
    raise FileError(f"can't load {folder}: {what}; expected a folder that holds {', '.join(_NAMES)}")


_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _idx_folder(folder: Path) -> tuple[Dataset, Dataset]:
    paths = [_find(folder, name) for name in _NAMES]  # all four, before the first is read
    train_images, train_labels, test_images, test_labels = (
        _read(path, axes=3 if "idx3" in path.name else 1) for path in paths
    )
    for path, images, labels in ((paths[1], train_images, train_labels), (paths[3], test_images, test_labels)):
        if len(images) != len(labels):
            raise FileError(f"{path} holds {len(labels)} labels for {len(images)} images; fetch both files again")
    if train_images.shape[1:] != test_images.shape[1:]:
        sizes = ["x".join(map(str, images.shape[1:])) for images in (train_images, test_images)]
        raise FileError(f"{folder}: the training images are {sizes[0]}, the test images {sizes[1]}; expected one size")
    count = 1 + int(max(train_labels.max(), test_labels.max()))
    classes = tuple(map(str, range(count)))
    name = folder.resolve().name
    return (
        Dataset(train_images[..., None], train_labels, classes, name),
        Dataset(test_images[..., None], test_labels, classes, name),
    )


def _find(folder: Path, name: str) -> Path:
    tries = [folder / (stem + end) for stem, end in product((name, name.replace("-idx", ".idx")), ("", ".gz"))]
    for path in tries:
        if path.is_file():
            return path
    raise FileError(f"{folder} has no {name}; looked for {', '.join(path.name for path in tries)}")


def _read(path: Path, axes: int) -> Array:
    array = idx.read(path)
    if array.ndim != axes or array.dtype != np.uint8 or array.size == 0:
        raise FileError(
            f"{path} holds {array.dtype} of shape {array.shape}; expected uint8 with {axes} axes, none of them empty"
        )
    return array
