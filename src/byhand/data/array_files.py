"""Data sets stored as arrays: folders of MNIST's IDX files, and NumPy's .npz archives."""

import zipfile
from itertools import product
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from byhand.data import idx
from byhand.data.dataset import Dataset
from byhand.data.pixel_range import PixelRange, arrays_to_bytes
from byhand.errors import ArgumentError, FileError
from byhand.shapes import Array

IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NPZ_NAMES = {  # names of the arrays of images and labels, by split
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels"), ("x", "y")),
    "val": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
MAX_ARRAY_BYTES = 16 << 30  # of an array in an .npz, unpacked


def read_idx_folder(folder: Path) -> tuple[Dataset, Dataset]:
    """Return the training and the test set of a folder with MNIST's four IDX files, plain or gzipped.

    Raises FileError where one is missing or does not fit the others.
    """
    paths = [_find(folder, name) for name in IDX_NAMES]  # all four, before the first is read
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
    classes, name = tuple(map(str, range(count))), folder.resolve().name
    return (
        Dataset(train_images[..., None], train_labels, classes, name),
        Dataset(test_images[..., None], test_labels, classes, name),
    )


def has_idx_files(folder: Path) -> bool:
    """Return whether a folder holds one of MNIST's files at least."""
    return any(path.is_file() for name in IDX_NAMES for path in _places(folder, name))


def _places(folder: Path, name: str) -> list[Path]:
    return [folder / (stem + end) for stem, end in product((name, name.replace("-idx", ".idx")), ("", ".gz"))]


def _find(folder: Path, name: str) -> Path:
    places = _places(folder, name)
    for path in places:
        if path.is_file():
            return path
    raise FileError(f"{folder} has no {name}; looked for {', '.join(path.name for path in places)}")


def _read(path: Path, axes: int) -> Array:
    array = idx.read(path)
    if array.ndim != axes or array.dtype != np.uint8 or array.size == 0:
        raise FileError(
            f"{path} holds {array.dtype} of shape {array.shape}; expected uint8 with {axes} axes, none of them empty"
        )
    return array


# npz ------------------------------------------------------------------------------------------------------------------


def read_npz(
    path: Path, pixel_range: PixelRange | None = None
) -> tuple[dict[str, Dataset], PixelRange | None, tuple[str, ...]]:
    """Return the sets of an .npz file by part, the pixel range of all of them (None for uint8), and notes.

    The arrays are called x_train and y_train, or train_images and train_labels, ... Images (N, H, W) or (N, H, W, C) become
    uint8 by `pixel_range`, or by the one that `resolve_pixel_range` finds; labels (N,), numbers or names; `classes` names
    the numbers. Nothing is unpickled. Raises FileError for a file that is no such archive, whose arrays don't fit, or whose
    pixel range is not clear.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {Path(info.filename).stem: info for info in archive.infolist() if info.filename.endswith(".npy")}
            found = {
                part: (_array(archive, names[x], path), _array(archive, names[y], path))
                for part, known in NPZ_NAMES.items()
                for x, y in [next((pair for pair in known if set(pair) <= set(names)), ("", ""))]
                if x
            }
            named = _array(archive, names["classes"], path) if "classes" in names else None
    except (OSError, zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"can't read {path}: {getattr(error, 'strerror', None) or error}; expected an .npz") from None
    if "train" not in found:
        held = ", ".join(sorted(names)[:8]) or "no arrays"
        raise FileError(f"{path} holds {held}; expected x_train and y_train, or images and labels")
    labels = {part: y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for part, (_, y) in found.items()}
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


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Array:
    """Return an array, after its header was checked against the bytes of the archive."""
    with archive.open(info) as file:
        version = npy.read_magic(file)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = header(file)
        size = int(np.prod(shape, dtype=object)) * kind.itemsize
        if kind.hasobject or size > min(info.file_size, MAX_ARRAY_BYTES):
            raise FileError(f"{path}: {info.filename} is {kind} of shape {shape}, which it does not hold")
    with archive.open(info) as file:
        return npy.read_array(file, allow_pickle=False)


def _images(array: Array, path: Path) -> Array:
    images = array[..., None] if array.ndim == 3 else array
    if images.ndim != 4 or 0 in images.shape or images.shape[3] not in (1, 3, 4):
        raise FileError(f"the images in {path} have the shape {array.shape}; expected (N, H, W) or (N, H, W, C)")
    if images.dtype.kind not in "biuf":
        raise FileError(f"the images in {path} are {images.dtype}; expected integers or floating point")
    return images


def _classes(labels: dict[str, Array], named: Array | None, path: Path) -> tuple[tuple[str, ...], dict[str, Array]]:
    """Return the classes' names, and each part's labels as their numbers."""
    if any(array.ndim != 1 or array.dtype.kind not in "iuU" for array in labels.values()):
        told = ", ".join(f"{array.dtype} {array.shape}" for array in labels.values())
        raise FileError(f"the labels in {path} are {told}; expected (N,), class numbers from 0 or names")
    every = np.unique(np.concatenate(list(labels.values())))
    if every.dtype.kind == "U":
        names = tuple(map(str, every))
        return names, {part: np.searchsorted(every, numbers) for part, numbers in labels.items()}
    if not len(every) or every[0] < 0 or every[-1] > 1_000_000:
        raise FileError(f"the labels in {path} are no class numbers from 0")
    count = int(every[-1]) + 1 if named is None else named.size
    if count <= every[-1]:
        raise FileError(f"{path} names {count} classes, but its labels go up to {every[-1]}")
    return tuple(map(str, range(count) if named is None else named.reshape(-1))), labels
