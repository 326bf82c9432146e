"""Data sets of IDX files: MNIST's four names, and the names that EMNIST, KMNIST or QMNIST put a prefix before."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from byhand.data import idx
from byhand.data.dataset import Dataset
from byhand.data.folder_tree import is_folder, is_image_name, is_system_name
from byhand.data.pixel_range import PixelRange, arrays_to_bytes
from byhand.data.split_names import ORDER, SPLIT_OF_WORD, purpose
from byhand.data.text_files import read_text
from byhand.errors import FileError
from byhand.shapes import Array
from byhand.text import abbreviate, printable

FILE_NAME = re.compile(  # emnist-letters-train-images-idx3-ubyte.gz; train-images.idx3-ubyte
    r"(?P<prefix>.*?)(?P<part>train|t10k|test|val|valid|validation)(?P<sign>[-_.]?)(?P<kind>images|labels)"
    r"(?P<type>[-_.]idx\d?(?:[-_.](?:ubyte|int|byte))?|[-_.]ubyte|)(?: ?\(\d\))?(?:\.gz)?",
    re.IGNORECASE,
)
FIRST_BYTES = (b"\0\0\x08", b"\0\0\x0c")  # of IDX files of uint8 and int32
MAX_FOLDERS = 40  # side by side; more are classes
MAX_DEPTH = 3  # folders above IDX files: MNIST/raw as torchvision has it, a folder around it
SPLIT_OF_PART = SPLIT_OF_WORD | {"t10k": "test"}
MAX_MAPPING_BYTES = 1 << 16
DIGITS, UPPER, LOWER = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
EMNIST_NAMES = {  # the names of the classes, Cohen et al. 2017, "EMNIST: an extension of MNIST to handwritten letters", table 2
    "byclass": (*DIGITS, *UPPER, *LOWER),
    "bymerge": (*DIGITS, *UPPER, *"abdefghnqrt"),
    "balanced": (*DIGITS, *UPPER, *"abdefghnqrt"),
    "letters": ("", *(f"{upper}{lower}" for upper, lower in zip(UPPER, LOWER))),  # numbered from 1, both cases in one
}


@dataclass
class Family:
    """The IDX files of one data set: the images and the labels of each split."""

    prefix: str
    folder: Path
    images: dict[str, Path] = field(default_factory=dict)
    labels: dict[str, Path] = field(default_factory=dict)

    @property
    def is_emnist(self) -> bool:
        """Whether the files are EMNIST's, which store images column by column."""
        return "emnist" in self.prefix.lower()

    @property
    def name(self) -> str:
        """The data set's name: the prefix of its files, or the folder's name."""
        folder = self.folder.resolve()
        folder = folder.parent if folder.name.lower() == "raw" else folder
        return printable(self.prefix.strip("-_. ")) or printable(folder.name)

    @property
    def files(self) -> list[Path]:
        """All files, those of training first."""
        return [
            files[split] for split in ("train", "val", "test") for files in (self.images, self.labels) if split in files
        ]


def find_families(folder: Path) -> list[Family]:
    """Return the data sets of IDX files in a folder, or in the folders below it."""
    return _found(folder, MAX_DEPTH)


def _found(folder: Path, depth: int) -> list[Family]:
    files, below = _entries(folder)
    if files:
        return _families(files, folder)
    found = [family for path in below for family in _found(path, depth - 1)] if depth else []
    if all(len(family.files) == 1 for family in found):  # each file was unpacked into a folder of its own
        return _families([path for family in found for path in family.files], folder)
    return found


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the IDX files in a folder, by their names, and its folders; no folders where it holds images, or many."""
    try:
        with os.scandir(folder) as entries:
            known = sorted((entry.name, is_folder(entry)) for entry in entries if not is_system_name(entry.name))
    except OSError:
        return [], []
    files = [path for name, is_dir in known if not is_dir and is_idx_file(path := folder / name)]
    below = [folder / name for name, is_dir in known if is_dir and not is_image_name(name)]
    has_images = any(is_image_name(name) for name, is_dir in known if not is_dir)
    return files, [] if has_images or len(below) > MAX_FOLDERS else below


def is_idx_file(path: Path) -> bool:
    """Return whether a file is called as IDX files are; where its name does not tell the type, its first bytes do."""
    match = FILE_NAME.fullmatch(path.name)
    try:
        if match is None or not path.is_file():
            return False
        with path.open("rb") as file:
            return bool(match["type"]) or file.read(3) in FIRST_BYTES
    except OSError:
        return bool(match and match["type"])


def _families(paths: Sequence[Path], folder: Path) -> list[Family]:
    families: dict[str, Family] = {}
    for path in paths:
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            continue
        family = families.setdefault(match["prefix"].lower(), Family(match["prefix"], folder))
        files = family.images if match["kind"].lower() == "images" else family.labels
        files.setdefault(SPLIT_OF_PART[match["part"].lower()], path)  # the plain file before the zipped one
    return list(families.values())


def read_idx_file(
    path: Path, pixel_range: PixelRange | None = None
) -> tuple[dict[str, Dataset], PixelRange | None, tuple[str, ...]]:
    """Return the splits of the data set that an IDX file belongs to, as `read_idx_folder` does; raises FileError as it does."""
    match = FILE_NAME.fullmatch(path.name)
    prefix = match["prefix"].lower() if match else ""
    family = next((family for family in find_families(path.parent) if family.prefix.lower() == prefix), None)
    if family is None:  # a name that begins with a dot
        raise FileError(f"{path} is a hidden file; rename it, and the files that belong to it, without the dot")
    return _read_family(family, pixel_range)


def read_idx_folder(
    folder: Path, families: Sequence[Family], pixel_range: PixelRange | None = None
) -> tuple[dict[str, Dataset], PixelRange | None, tuple[str, ...]]:
    """Return the splits of a folder with IDX files, plain or gzipped, their pixel range (None: 0 to 255), and notes.

    Raises FileError where there are several data sets, where a file is missing, or does not fit the others.
    """
    if len(families) > 1:
        names = abbreviate([family.name for family in families], 8)
        raise FileError(
            f"{folder} holds {len(families)} data sets: {names}; give a file of the one you mean, as {families[0].files[0]}"
        )
    return _read_family(families[0], pixel_range)


def _read_family(
    family: Family, pixel_range: PixelRange | None
) -> tuple[dict[str, Dataset], PixelRange | None, tuple[str, ...]]:
    for split, path in {**family.labels, **family.images}.items():
        for kind, files in (("images", family.images), ("labels", family.labels)):
            if split not in files:
                raise FileError(_missing(path, kind))
    if "train" not in family.images:
        raise FileError(_missing(next(iter(family.images.values())), "images", "train"))
    images = {split: _read(path, axes=3) for split, path in family.images.items()}
    labels = {split: _labels(path) for split, path in family.labels.items()}
    for split, path in sorted(family.labels.items()):
        if len(images[split]) != len(labels[split]):
            raise FileError(
                f"{path} holds {len(labels[split])} labels for {len(images[split])} images; fetch both files again"
            )
        if images[split].shape[1:] != images["train"].shape[1:]:
            sizes = ["x".join(map(str, images[name].shape[1:])) for name in ("train", split)]
            raise FileError(
                f"{family.folder}: the training images are {sizes[0]}, the {split} images {sizes[1]}; expected one size"
            )
    told = [purpose(split, printable(file.name)) for split in ORDER if (file := family.images.get(split))]
    notes = [f"IDX files: {', '.join(told)}"]
    if family.is_emnist:  # table 2 of the paper says nothing of it; the files' readers do
        images = {split: np.ascontiguousarray(array.swapaxes(1, 2)) for split, array in images.items()}
        notes.append(
            "EMNIST stores images column by column: rows and columns are exchanged, so that letters stand upright"
        )
    names, note = _class_names(family, labels)
    first = min(int(array.min()) for array in labels.values())
    last = max(int(array.max()) for array in labels.values())
    if first > 0:
        notes.append(f"labels are numbered from {first}: no class for {'0' if first == 1 else f'0 to {first - 1:d}'}")
    notes += [note] if note else []
    images, pixel_range, range_notes = arrays_to_bytes(images, pixel_range)
    classes = tuple(names.get(number) or str(number) for number in range(first, last + 1))
    parts = {
        split: Dataset(images[split][..., None], labels[split].astype(np.int64) - first, classes, family.name)
        for split in ORDER
        if split in images
    }
    return parts, pixel_range, (*notes, *range_notes)


def _missing(path: Path, kind: str, part: str | None = None) -> str:
    """Return what is missing beside a file: its images or its labels, or those of another part."""
    match = FILE_NAME.fullmatch(path.name)
    assert match is not None
    ending = "idx3-ubyte" if kind == "images" else "idx1-ubyte"
    stem = f"{match['prefix']}{part or match['part']}{match['sign']}{kind}"
    places = [f"{stem}{sign}{ending}{zipped}" for sign in "-." for zipped in ("", ".gz")]
    return f"{path.parent} has no {places[0]}; looked for {', '.join(places)}"


def _read(path: Path, axes: int) -> Array:
    array = idx.read(path)
    if array.ndim != axes or array.dtype != np.uint8 or array.size == 0:
        raise FileError(
            f"{path} holds {array.dtype} of shape {array.shape}; expected uint8 with {axes} axes, none of them empty"
        )
    return array


def _labels(path: Path) -> Array:
    """Return class numbers; of QMNIST's eight numbers an image the first, which is the class."""
    array = idx.read(path)
    if array.ndim == 2 and array.dtype == np.int32 and array.shape[1] == 8 and len(array):
        array = array[:, 0]
        if array.min() >= 0 and array.max() < 256:
            return array
    if array.ndim != 1 or array.dtype != np.uint8 or array.size == 0:
        raise FileError(
            f"{path} holds {array.dtype} of shape {array.shape}; expected uint8 with 1 axes, none of them empty"
        )
    return array


# names of classes -----------------------------------------------------------------------------------------------------


def _class_names(family: Family, labels: dict[str, Array]) -> tuple[dict[int, str], str]:
    """Return the names of the class numbers, from the mapping file beside the labels or EMNIST's paper; and a note."""
    used = {int(number) for array in labels.values() for number in np.unique(array)}
    path = family.labels["train"].with_name(f"{family.prefix}mapping.txt")
    if path.is_file():
        names = _mapping(path)
        if used <= names.keys():
            return names, f"classes are named by {printable(path.name)}"
        return {}, f"{printable(path.name)} does not name every label: classes are numbers"
    kind = re.search(r"emnist[-_.](\w+?)[-_.]?$", family.prefix.lower())
    table = {number: name for number, name in enumerate(EMNIST_NAMES.get(kind[1], ()) if kind else ()) if name}
    if table and used <= table.keys():
        return table, f"classes are named as in EMNIST {kind[1] if kind else ''}"
    return {}, ""


def _mapping(path: Path) -> dict[int, str]:
    """Return the names in an EMNIST mapping: a line has a class number and the code of each letter of the class."""
    names: dict[int, str] = {}
    text, _ = read_text(path, "a mapping of classes", MAX_MAPPING_BYTES)
    for line in text.split("\n"):
        numbers = [int(word) for word in line.split() if word.isascii() and word.isdecimal() and len(word) < 8]
        if len(numbers) > 1 and all(code <= 0x10FFFF for code in numbers[1:]):
            names[numbers[0]] = printable("".join(map(chr, numbers[1:])))
    return names
