"""Data sets stored as arrays: NumPy's .npz archives."""

import re
from pathlib import Path

import numpy as np

from byhand.data.class_names import natural_key
from byhand.data.dataset import Dataset
from byhand.data.npz import open_npz
from byhand.data.pixel_range import PixelRange, arrays_to_bytes
from byhand.errors import ArgumentError, FileError
from byhand.shapes import Array

# Names of the arrays of images and labels, by split, in small letters and without signs: X_train is xtrain.
PAIRS = (("x{0}", "y{0}"), ("{0}x", "{0}y"), ("{0}images", "{0}labels"), ("images{0}", "labels{0}"))
NPZ_NAMES = {
    split: tuple((images.format(word), labels.format(word)) for word in words for images, labels in PAIRS)
    for split, words in {"train": ("train", ""), "val": ("val", "valid"), "test": ("test",)}.items()
}
NPZ_NAMES["train"] += (("data", "labels"), ("data", "target"))


def read_npz(
    path: Path, pixel_range: PixelRange | None = None
) -> tuple[dict[str, Dataset], PixelRange | None, tuple[str, ...]]:
    """Return the sets of an .npz file by part, the pixel range of all of them (None for uint8), and notes.

    The arrays are called x_train and y_train, or train_images and train_labels, ... Images (N, H, W) or (N, H, W, C) become
    uint8 by `pixel_range`, or by the one that `resolve_pixel_range` finds; labels (N,), numbers or names; `classes` names
    the numbers. Nothing is unpickled. Raises FileError for a file that is no such archive, whose arrays don't fit, or whose
    pixel range is not clear.
    """
    with open_npz(path) as archive:
        names = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in archive.names}
        found = {
            part: (archive.array(names[x]), archive.array(names[y]))
            for part, known in NPZ_NAMES.items()
            for x, y in [next((pair for pair in known if set(pair) <= names.keys()), ("", ""))]
            if x
        }
        named = archive.array(names["classes"]) if "classes" in names else None
    if "train" not in found:
        held = ", ".join(sorted(archive.names)[:8]) or "no arrays"
        raise FileError(f"{path} holds {held}; expected x_train and y_train, or images and labels")
    labels = {part: _numbers(y) for part, (_, y) in found.items()}
    classes, numbers = _classes(labels, named, path)
    arrays = {part: _images(x, path) for part, (x, _) in found.items()}
    try:
        images, pixel_range, notes = arrays_to_bytes(arrays, pixel_range)
    except ArgumentError as error:
        raise FileError(f"{path}: {error}") from None
    if len({array.shape[1:] for array in images.values()}) > 1:
        told = ", ".join(f"{part} {'x'.join(map(str, array.shape[1:]))}" for part, array in images.items())
        raise FileError(f"the images in {path} have different shapes: {told}; expected one")
    for part, array in images.items():
        if len(array) != len(numbers[part]):
            raise FileError(
                f"{path} holds {len(array)} images and {len(numbers[part])} labels of {part}; expected as many"
            )
    parts = {part: Dataset(array, numbers[part], classes, path.stem) for part, array in images.items()}
    return parts, pixel_range, notes


def _images(array: Array, path: Path) -> Array:
    images = array[..., None] if array.ndim == 3 else array
    if images.ndim != 4 or 0 in images.shape or images.shape[3] not in (1, 3, 4):
        raise FileError(f"the images in {path} have the shape {array.shape}; expected (N, H, W) or (N, H, W, C)")
    if images.dtype.kind not in "biuf":
        raise FileError(f"the images in {path} are {images.dtype}; expected integers or floating point")
    return images


def _numbers(labels: Array) -> Array:
    """Return labels of one axis: of one-hot rows the place of the 1, of whole floating-point numbers and of bools integers."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and np.isin(labels, (0, 1)).all():
        return labels.argmax(1) if (labels.sum(1) == 1).all() else labels
    if labels.dtype.kind in "bf" and np.isfinite(labels).all() and (labels == np.floor(labels)).all():
        return labels.astype(np.int64)
    return labels


def _classes(labels: dict[str, Array], named: Array | None, path: Path) -> tuple[tuple[str, ...], dict[str, Array]]:
    """Return the classes' names, and each part's labels as their numbers."""
    if any(array.ndim != 1 or array.dtype.kind not in "iuU" for array in labels.values()):
        told = ", ".join(f"{array.dtype} {array.shape}" for array in labels.values())
        raise FileError(f"the labels in {path} are {told}; expected (N,), class numbers from 0 or names")
    every = np.unique(np.concatenate(list(labels.values())))
    if every.dtype.kind == "U":
        names = tuple(sorted(map(str, every), key=natural_key))
        numbered = {name: number for number, name in enumerate(names)}
        place = np.array([numbered[str(name)] for name in every])
        return names, {part: place[np.searchsorted(every, numbers)] for part, numbers in labels.items()}
    if not len(every) or every[0] < 0 or every[-1] > 1_000_000:
        raise FileError(f"the labels in {path} are no class numbers from 0")
    count = int(every[-1]) + 1 if named is None else named.size
    if count <= every[-1]:
        raise FileError(f"{path} names {count} classes, but its labels go up to {every[-1]}")
    return tuple(map(str, range(count) if named is None else named.reshape(-1))), labels
