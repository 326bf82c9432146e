"""Data sets stored as arrays: NumPy's .npz archives."""

from collections.abc import Mapping
from math import isqrt
from pathlib import Path

import numpy as np

from byhand.data.array_names import find_pairs
from byhand.data.class_names import natural_key
from byhand.data.dataset import Dataset
from byhand.data.npz import open_npz
from byhand.data.pixel_range import PixelRange, arrays_to_bytes
from byhand.data.text_files import decode_array
from byhand.errors import ArgumentError, FileError
from byhand.shapes import Array
from byhand.text import abbreviate

CHANNELS = (1, 3, 4)
MIN_PIXELS = 16  # of a flat image, 4 x 4
MAX_LABEL = 1_000_000
CLASS_NAME_KEYS = ("classes", "class_names", "label_names", "target_names")  # of the array that names the class numbers
MAX_SHOWN_ARRAYS = 8  # in an error line


def read_npz(
    path: Path, pixel_range: PixelRange | None = None
) -> tuple[dict[str, Dataset], PixelRange | None, tuple[str, ...]]:
    """Return the sets of an .npz file by part, the pixel range of training's (None for uint8), and notes.

    The arrays are called x_train and y_train, or train_images and train_labels, ... (`find_pairs`). Images (N, H, W) or
    (N, H, W, C), also (N, C, H, W), (H, W, C, N) and square ones (N, H * W), become uint8 by `pixel_range`, or by the one that
    `resolve_pixel_range` finds; labels are numbers or names (N,), or one-hot (N, K); `classes` or the like names
    the numbers (`CLASS_NAME_KEYS`). Nothing is unpickled. Raises FileError for a file that is no such archive, whose arrays
    don't fit, or whose pixel range is not clear.
    """
    with open_npz(path) as archive:
        shapes = archive.shapes
        pairs = find_pairs(shapes)
        found = {part: (archive.array(x), archive.array(y)) for part, (x, y) in pairs.items()}
        names_key = next((key for key in CLASS_NAME_KEYS if key in shapes), "")
        named = archive.array(names_key) if names_key else None
    if "train" not in found:
        held = abbreviate([f"{name} {shape}" for name, shape in sorted(shapes.items())], MAX_SHOWN_ARRAYS)
        raise FileError(f"{path} holds {held or 'no arrays'}; expected x_train and y_train, or images and labels")
    if found["train"][0].shape[:1] == (0,):
        raise FileError(f"{path}: {pairs['train'][0]} holds no images; expected one image or more")
    empty = [part for part, (x, y) in found.items() if x.shape[:1] == y.shape[:1] == (0,)]
    found = {part: arrays for part, arrays in found.items() if part not in empty}
    labels = {part: _labels(y, pairs[part][1], path) for part, (_, y) in found.items()}
    classes, numbers, notes = _classes(labels, named, path)
    notes += [f"{pairs[part][0]} holds no images: no {part} set" for part in empty]
    oriented = {part: _images(x, len(labels[part]), pairs[part][0], path) for part, (x, _) in found.items()}
    notes += [note for _, note in oriented.values() if note]
    if unread := sorted(shapes.keys() - {names_key, *(name for pair in pairs.values() for name in pair)}):
        notes.append(f"not read from {path.name}: {abbreviate(unread)}")
    try:
        images, pixel_range, range_notes = arrays_to_bytes({part: x for part, (x, _) in oriented.items()}, pixel_range)
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
    if lacking := np.setdiff1d(np.arange(len(classes)), numbers["train"]).tolist():
        notes.append(f"no training image is of class {abbreviate([classes[number] for number in lacking])}")
    parts = {part: Dataset(array, numbers[part], classes, path.stem) for part, array in images.items()}
    return parts, pixel_range, (*notes, *range_notes)


def _images(array: Array, count: int, name: str, path: Path) -> tuple[Array, str]:
    """Return images as (N, H, W, C), and a note where their axes were others; count: of their labels."""
    shape, note = array.shape, ""
    if array.dtype.kind not in "biuf":
        raise FileError(f"the images in {path} are {array.dtype}; expected integers or floating point")
    if array.ndim == 2 and shape[1] >= MIN_PIXELS and isqrt(shape[1]) ** 2 == shape[1]:
        side = isqrt(shape[1])
        array, note = array.reshape(-1, side, side), f"{name} {shape}: rows of pixels, taken as {side} x {side}"
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and array.shape[3] not in CHANNELS:
        if array.shape[1] in CHANNELS:
            array, note = np.moveaxis(array, 1, -1), f"{name} {shape}: channels come first, moved behind the columns"
        elif array.shape[2] in CHANNELS and array.shape[3] == count:
            array, note = np.moveaxis(array, 3, 0), f"{name} {shape}: images come last, moved first"
    if array.ndim != 4 or 0 in array.shape or array.shape[3] not in CHANNELS:
        raise FileError(f"the images in {path} have the shape {shape}; expected (N, H, W) or (N, H, W, C)")
    return np.ascontiguousarray(array) if note else array, note


def _labels(array: Array, name: str, path: Path) -> Array:
    """Return labels as integers or names (N,)."""
    labels = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if labels.dtype.kind == "S":
        labels = decode_array(labels)
    if labels.dtype.kind == "b" or (labels.dtype.kind == "f" and np.array_equal(labels, np.rint(labels))):
        labels = labels.astype(np.int64)
    if labels.ndim == 2 and labels.dtype.kind in "iu" and _is_one_hot(labels):
        labels = labels.argmax(1)
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise FileError(
            f"the labels in {path}, {name}, are {array.dtype} {array.shape}; expected (N,), class numbers or names, or "
            "one-hot rows (N, classes)"
        )
    return labels


def _is_one_hot(labels: Array) -> bool:
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all())


def _classes(
    labels: Mapping[str, Array], named: Array | None, path: Path
) -> tuple[tuple[str, ...], dict[str, Array], list[str]]:
    """Return the classes' names, each part's labels as their numbers, and notes.

    Numbers that nothing names count from the smallest; where most of those in between do not occur, the ones that do are the
    classes.
    """
    if len({array.dtype.kind == "U" for array in labels.values()}) > 1:
        told = ", ".join(f"{part} {array.dtype}" for part, array in labels.items())
        raise FileError(f"the labels in {path} are names and numbers: {told}; expected one of them")
    every = np.unique(np.concatenate(list(labels.values())))
    if every.dtype.kind == "U":
        names = tuple(sorted(map(str, every), key=natural_key))
        numbered = {name: number for number, name in enumerate(names)}
        place = np.array([numbered[str(name)] for name in every])
        return names, {part: place[np.searchsorted(every, array)] for part, array in labels.items()}, []
    if not len(every) or (named is not None and every[0] < 0) or every[-1] > MAX_LABEL:
        raise FileError(f"the labels in {path} are no class numbers from 0")
    first, last = int(every[0]), int(every[-1])
    if named is not None:
        if named.size <= last:
            raise FileError(f"{path} names {named.size} classes, but its labels go up to {last}")
        named = decode_array(named) if named.dtype.kind == "S" else named
        return tuple(map(str, named.reshape(-1))), dict(labels), []
    if first < 0 or last - first + 1 > 2 * len(every):
        found = {part: np.searchsorted(every, array) for part, array in labels.items()}
        return tuple(map(str, every.tolist())), found, [f"labels are {abbreviate(list(map(str, every)))}: a class each"]
    notes = [f"labels are numbered from {first}: no class for {'0' if first == 1 else f'0 to {first - 1:d}'}"]
    classes = tuple(map(str, range(first, last + 1)))
    return classes, {part: array.astype(np.int64) - first for part, array in labels.items()}, notes if first else []
