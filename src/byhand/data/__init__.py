"""Data sets: found, decoded, split and augmented.

`find` inspects a data set and returns an `ImageSource` (image_source.py): array_source.py (arrays of npz_splits.py, mnist.py,
idx_families.py, tables/pixel_table.py) or file_source.py (image files that folders.py and tables/ discover, decoded by
image_decoding.py). It returns splits (splits.py) of
`Dataset` (dataset.py, lazy_images.py); batch_loader.py makes batches of one, augmented (augment/) and prefetched.
preprocessing.py records how a file becomes an image, pixel_range.py which values are black and white;
digits.py and photos.py read one image; digit_segmentation.py finds the digits of a page.
"""

import importlib
import os
from pathlib import Path
from typing import Any

from byhand.data import folders, idx, idx_families, mnist, npz_splits, tables
from byhand.data.array_source import ArraySource
from byhand.data.augment import Augment
from byhand.data.dataset import Dataset
from byhand.data.image_formats import IMAGE_SUFFIXES
from byhand.data.image_source import ImageSource, ProgressCallback
from byhand.data.pixel_range import PixelRange
from byhand.data.preprocessing import Preprocessing
from byhand.data.splits import VALIDATION_FRACTION, Splits
from byhand.data.tables import pixel_table
from byhand.data.tables.table_options import TableOptions
from byhand.errors import ArgumentError, FileError, UnknownNameError
from byhand.hints import hinted, unknown_attribute
from byhand.text import printable

__all__ = ["Augment", "Dataset", "Preprocessing", "Splits", "TableOptions", "digits", "find", "idx", "load", "mnist"]
EXPECTED = (
    "mnist, a folder (of images, a folder a class, or of MNIST's IDX files), an .npz, or a .csv of paths and labels"
)
NO_OPTIONS = TableOptions()
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
SHEETS = (".xlsx", ".xls", ".ods", ".parquet", ".feather", ".json", ".pkl", ".pickle")


def __getattr__(name: str) -> Any:
    """Import `digits` when it is first asked for: Pillow takes as long as the rest of byhand."""
    if name == "digits":
        return importlib.import_module("byhand.data.digits")
    raise unknown_attribute("byhand.data", name, __all__)


def find(
    source: str | os.PathLike[str],
    progress: ProgressCallback | None = None,
    *,
    pixel_range: PixelRange | None = None,
    reader: str | None = None,
    table: TableOptions = NO_OPTIONS,
) -> ImageSource:
    """Return what there is in a data set, before its images are decoded: a `FileSource` of image files, or an `ArraySource`.

    source: "mnist", a folder or a file, as `load` takes them; progress: called with (done, total, what) while files are
    inspected, and a table is read; pixel_range: the values of black and white where pixels are not uint8, by default those that
    follow from their type and from all of them; reader: "picture" or "digit" (see `Preprocessing`), by default "digit" for
    MNIST alone; table: the columns of a table, where it does not tell them itself. Raises as `load` does, and ArgumentError
    where the pixel range does not follow.

    >>> sets = find("mnist").sets()
    >>> len(sets.train), len(sets.test)
    (60000, 10000)
    """
    if source == "mnist":
        _refuse_options(table, "mnist")
        train, test = mnist.load()
        return ArraySource.of({"train": train, "test": test}, reader)
    path = _existing(source)
    if path.suffix.lower() in folders.TABLE_SUFFIXES and not path.is_dir():
        if layout := pixel_table.layout_of(path):
            parts, pixel_range, notes = pixel_table.read_pixel_table(path, layout, table, pixel_range, progress)
            return ArraySource.of(parts, reader, pixel_range, notes)
        found = tables.discover_table(path, table)
    else:
        _refuse_options(table, str(path))
        if path.is_dir() and (families := idx_families.find_families(path)):
            parts, pixel_range, notes = idx_families.read_idx_folder(path, families, pixel_range)
            return ArraySource.of(parts, reader, pixel_range, notes)
        if idx_families.is_idx_file(path):
            parts, pixel_range, notes = idx_families.read_idx_file(path, pixel_range)
            return ArraySource.of(parts, reader, pixel_range, notes)
        if path.suffix.lower() == ".npz":
            parts, pixel_range, notes = npz_splits.read_npz(path, pixel_range)
            return ArraySource.of(parts, reader, pixel_range, notes)
        if not path.is_dir():
            raise FileError(f"can't load {path}: {_kind(path.suffix.lower())}; expected {EXPECTED}")
        found = folders.discover_folders(path)
    from byhand.data.file_source import FileSource  # noqa: PLC0415  (Pillow, as above)

    return FileSource.of(found, progress, pixel_range=pixel_range, reader=reader)


def _existing(source: str | os.PathLike[str]) -> Path:
    """Return the path of a data set that is there."""
    path = Path(source)
    try:
        there = path.exists()
    except (OSError, ValueError) as error:  # a folder above it may not be entered; a null byte
        why = getattr(error, "strerror", None) or error
        raise FileError(f"can't load {printable(str(path))}: {why}; expected {EXPECTED}") from None
    if isinstance(source, str) and path.name == source and not there:
        raise UnknownNameError("data set, folder or file", source, ["mnist"])
    if not there:
        raise FileError(f"can't load {path}: there is no such folder or file; expected {EXPECTED}")
    if not path.is_dir() and not path.is_file():  # opening a pipe would wait for its writer
        raise FileError(f"can't load {path}: it is no regular file; expected {EXPECTED}")
    return path


def _kind(suffix: str) -> str:
    """Return what is said of a file of another kind."""
    if suffix in ARCHIVES:
        return "it is an archive: unpack it first"
    if suffix in IMAGE_SUFFIXES:
        return "it is one image"
    if suffix == ".npy":
        return "it is one array, without labels: save images and labels in an .npz"
    if suffix in SHEETS:
        return "it is a table of another kind: save it as .csv"
    return "it is a file of another kind"


def _refuse_options(table: TableOptions, name: str) -> None:
    if table.given:
        raise ArgumentError(f"{', '.join(table.given)} is for tables; {name} is none")


@hinted
def load(
    source: str | os.PathLike[str],
    *,
    validation_fraction: float = VALIDATION_FRACTION,
    seed: int = 0,
    pixel_range: PixelRange | None = None,
    reader: str | None = None,
    table: TableOptions = NO_OPTIONS,
) -> tuple[Dataset, Dataset]:
    """Return a data set's training set and its held-out set: the validation images, else the test images.

    source: "mnist"; a folder of images, a folder a class, split into train/, val/ and test/ or not; a folder with MNIST's
    four IDX files, plain or gzipped, as Fashion-MNIST and EMNIST have them too; an .npz file; a table (.csv, .tsv, .txt,
    .jsonl) of paths and labels, or of pixels. validation_fraction: of each class, set aside from a data set without splits;
    seed: of that draw; pixel_range, reader, table: as `find` takes them. `find(source).sets(...)` gives more: other sizes, all
    three sets, and the unreadable files.
    Raises UnknownNameError for a name that is neither, FileError for what can't be read, ArgumentError for a single class.

    >>> train, test = load("mnist")
    >>> train.images.shape, test.classes[7]
    ((60000, 28, 28, 1), '7')
    """
    found = find(source, pixel_range=pixel_range, reader=reader, table=table)
    if pixel_range is not None and found.pixel_range is None:
        raise ArgumentError(
            "pixel_range is for arrays, and for image files of more than 8 bits or of floating point; "
            f"{found.name} holds none, or states its own"
        )
    sets = found.sets()
    if sets.held_out is None:
        sets = sets.split(validation_fraction, seed)
    if sets.held_out is None:
        raise ArgumentError(f"{source}: no class has two images; one of them must be set aside to judge by")
    return sets.train, sets.held_out
