"""Tables of pixels: a row an image, a column a pixel, beside the class. Kaggle's MNIST, and FER2013's pixels in one cell."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path

import numpy as np

from byhand.data.class_names import class_name, natural_key
from byhand.data.dataset import Dataset
from byhand.data.folder_tree import is_image_name
from byhand.data.image_source import ProgressCallback
from byhand.data.pixel_range import PixelExtent, PixelRange, arrays_to_bytes, describe
from byhand.data.tables.column import WHOLE_NUMBER, Column, given_column, header_text, is_number
from byhand.data.tables.label_column import LABEL_WORDS, MISSING
from byhand.data.tables.rows import JSON_LINES, Row, row_reader, sampled_rows
from byhand.data.tables.split_column import is_split_like, split_columns
from byhand.data.tables.table_options import TableOptions
from byhand.errors import ArgumentError, FileError
from byhand.shapes import Array
from byhand.text import abbreviate, printable

MIN_PIXELS = 16  # of an image, 4 x 4
SAMPLE_ROWS = 400
PROGRESS_ROWS = 256  # between two reports
SHOWN_WORDS = 3  # in notes on rows that are left out
BRIGHT_PIXEL = 128  # of 255: with a brighter one, whole numbers are pixels of 8 bits
MAX_COMMON_FRACTION = 0.6  # of the rows, with the most frequent label; a pixel at the border is nearly always 0
PIXEL_NAME = re.compile(
    r"(?:pixels?|px|pix|p|x|v|f|c|col|column|feature|attr|input|var)?[-_ .]?\d+(?:[-_ .x,]\d+)?", re.IGNORECASE
)
PIXEL_PLACE = re.compile(r"\D*(\d+)\s*[x_,-]\s*(\d+)")  # row and column, as a name: 28x28 from 1, pixel_27_27 from 0
LABEL_NAMES = {*LABEL_WORDS, "y", "emotion", "digit", "letter"}


@dataclass(frozen=True)
class PixelLayout:
    """Where the pixels and the labels are in a table's rows."""

    rows: Sequence[Row]  # the first ones, and some from all over the table
    has_header: bool
    pixels: Sequence[int]  # the columns of pixels; one, where a cell holds them all

    @property
    def columns(self) -> list[Column]:
        """The columns, with the cells of the first rows."""
        names = self.rows[0] if self.has_header else [""] * len(self.rows[0])
        return [Column(k, name, [row[k] for row in self.rows[self.has_header :]]) for k, name in enumerate(names)]


def layout_of(path: Path) -> PixelLayout | None:
    """Return the layout of a table of pixels, by its first rows; None for a table of another kind."""
    if path.suffix.lower() in JSON_LINES:
        return None
    with closing(row_reader(path)) as reader:
        rows = list(islice(reader, SAMPLE_ROWS))
    if sampled := sampled_rows(path, SAMPLE_ROWS):
        rows = [*rows[:3], *sampled]
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    rows = [row for row in rows if len(row) == width]
    if len(rows) < 2 or any(is_image_name(cell) for row in rows[:3] for cell in row):
        return None
    header = rows[0]
    if not _names_columns(header, rows[1]):
        numbers = [k for k in range(width) if is_number(header[k]) and is_number(rows[1][k])]
        whole = width > MIN_PIXELS and {*range(1, width - 1)} <= {*numbers}
        return PixelLayout(rows, has_header=False, pixels=numbers) if whole else None
    named = [k for k in range(width) if PIXEL_NAME.fullmatch(header[k]) or PIXEL_PLACE.fullmatch(header[k])]
    if len(named) >= MIN_PIXELS and all(is_number(row[k]) for row in rows[1:3] for k in named):
        return PixelLayout(rows, has_header=True, pixels=named)
    for k in range(width):
        counts = {len(row[k].split()) if all(map(is_number, row[k].split())) else 0 for row in rows[1:]}
        if len(counts) == 1 and min(counts) >= MIN_PIXELS:
            return PixelLayout(rows, has_header=True, pixels=[k])
    return None


def _names_columns(first: Row, second: Row) -> bool:
    """Return whether the first row names columns: by words, or by numbers that are all different.

    pandas numbers columns, or takes a first row of pixels for names: 0, 0.1, 0.2 where 0 stands three times.
    """
    numbers = [k for k, cell in enumerate(first) if is_number(cell) and is_number(second[k])]
    if len(numbers) < max(MIN_PIXELS, len(first) - 2):
        return True
    cells = [first[k] for k in numbers]
    is_counted = cells == [str(k) for k in range(int(float(cells[0])), len(cells) + int(float(cells[0])))]
    is_mangled = not all(map(WHOLE_NUMBER.fullmatch, cells)) and all(WHOLE_NUMBER.fullmatch(second[k]) for k in numbers)
    return len(set(cells)) == len(cells) and (is_counted or is_mangled)


def read_pixel_table(
    path: Path,
    layout: PixelLayout,
    options: TableOptions,
    pixel_range: PixelRange | None = None,
    progress: ProgressCallback | None = None,
) -> tuple[dict[str, Dataset], PixelRange | None, tuple[str, ...]]:
    """Return the splits of a table of pixels, their pixel range (None for bytes), and notes.

    The images are square, or of the size that the columns' names tell. progress: as in `data.find`. Raises FileError where the
    column of labels or the size can't be told, and for rows of another width; ArgumentError for options of tables of paths.
    """
    table, columns = printable(path.name), layout.columns
    if options.path_column is not None or options.image_folder is not None:
        raise ArgumentError(f"{table} is a table of pixels; --path-column and --image-folder are for tables of paths")
    given = given_column("--split-column", columns, options.split_column, table)
    label = _label_column(layout, [column for column in columns if column is not given], options, table)
    pixels = [k for k in layout.pixels if k != label.place and (given is None or k != given.place)]
    if not pixels:
        raise FileError(f"{table}: column {label.shown} holds the pixels, not the labels: {header_text(columns)}")
    rest = [column for column in columns if column.place not in (*pixels, label.place)]
    numbers, labels, rest, missing = _read(path, layout, pixels, label, rest, progress)
    split = split_columns(rest, options, table)
    words, unknown = split.of_rows(len(labels))
    splits = np.array(["train" if word == "all" else word or "" for word in words])
    height, width = _size(numbers.shape[1], [columns[k].name for k in pixels], table)
    images, pixel_range, range_notes = _as_bytes(numbers.reshape(-1, height, width, 1), pixel_range, table)
    classes = tuple(sorted(set(labels), key=natural_key))
    place = {name: number for number, name in enumerate(classes)}
    targets = np.array([place[name] for name in labels], np.int64)
    parts = {}
    for name in ("train", "val", "test"):
        if len(rows := np.flatnonzero(splits == name)):
            parts[name] = Dataset(
                images[rows] if len(rows) < len(images) else images, targets[rows], classes, printable(path.stem)
            )
    if "train" not in parts:
        raise FileError(f"{path}: no row is to train on; expected a label and the pixels of an image in each")
    told = f"{table}: column {label.shown} is the class, {len(pixels)} columns are pixels"
    if len(pixels) == 1:
        told = f"{table}: column {label.shown} is the class, {columns[pixels[0]].shown} holds the pixels"
    shown = abbreviate([column.shown for column in split.columns])
    notes = [f"{told}, {height} x {width}{f', {shown} the split' if split.columns else ''}", *split.notes]
    if missing:
        notes.append(f"rows without a label: {missing:,} of {missing + len(labels):,}, left out")
    for word, count in unknown.most_common(SHOWN_WORDS):
        notes.append(f"'{printable(word)}' is no split (train, val, test): rows left out: {count:,}")
    return parts, pixel_range, (*notes, *range_notes)


def _as_bytes(
    pixels: Array, pixel_range: PixelRange | None, table: str
) -> tuple[Array, PixelRange | None, tuple[str, ...]]:
    """Return pixels as uint8, as they are where the largest is bright enough to tell that 255 is white."""
    extent = PixelExtent.of(pixels)
    if pixel_range is None and pixels.dtype == np.uint8 and extent.high >= BRIGHT_PIXEL:
        return pixels, None, ()
    typed = pixels.astype(np.int32) if pixels.dtype == np.uint8 else pixels
    try:
        images, chosen, notes = arrays_to_bytes({"train": typed}, pixel_range)
    except ArgumentError as error:
        raise FileError(f"{table}: {error}") from None
    if chosen is not None and not notes:
        notes = (describe(extent, chosen, given=False),)
    return images["train"], chosen, notes


def _label_column(layout: PixelLayout, columns: Sequence[Column], options: TableOptions, table: str) -> Column:
    if given := given_column("--label-column", columns, options.label_column, table):
        return given
    if layout.has_header and not all(is_number(name) for name in layout.rows[0]):
        rest = [column for column in columns if column.place not in layout.pixels and not column.is_index]
        named = [column for column in rest if LABEL_NAMES & {*column.words, column.key}]
        rest = named or [column for column in rest if column.values and not is_split_like(column)]
        if len(rest) == 1:
            return rest[0]
        why = "several columns may hold the labels" if rest else "no column of labels is beside the pixels"
    else:
        rest = [column for column in (columns[0], columns[-1]) if _may_be_labels(column)]
        rest = [column for column in rest if _counts_classes(column)] or rest
        if len(rest) == 1:
            return rest[0]
        why = (
            "the first and the last column may hold the labels"
            if rest
            else "neither the first nor the last column holds labels"
        )
    raise FileError(f"{table}: a table of pixels, but {why}: {header_text(columns)}; give it with --label-column")


def _may_be_labels(column: Column) -> bool:
    """Return whether the numbers are labels rather than the pixels of an image's corner: none is far more frequent."""
    common = Counter(column.cells).most_common(1)[0][1]
    varied = len(column.values) > 1 and common <= MAX_COMMON_FRACTION * len(column.cells)
    return varied and (column.is_whole or not column.is_number)


def _counts_classes(column: Column) -> bool:
    """Return whether the values are names, or the numbers from 0 or 1 to the last, each of them there."""
    numbers = {int(float(value)) for value in column.values} if column.is_whole else set()
    return not column.is_number or numbers in ({*range(len(numbers))}, {*range(1, len(numbers) + 1)})


def _size(count: int, names: Sequence[str], table: str) -> tuple[int, int]:
    if place := PIXEL_PLACE.fullmatch(names[-1]):
        for first in (0, 1):
            height, width = int(place[1]) + 1 - first, int(place[2]) + 1 - first
            if height * width == count and min(height, width) > 1:
                return height, width
    side = math.isqrt(count)
    if side * side != count:
        raise FileError(
            f"{table}: {count:,} pixels an image make no square, and no column tells their height and width; "
            "save them as an .npz with images (N, H, W) and labels (N,)"
        )
    return side, side


def _read(
    path: Path,
    layout: PixelLayout,
    pixels: Sequence[int],
    label: Column,
    rest: Sequence[Column],
    progress: ProgressCallback | None,
) -> tuple[Array, list[str], list[Column], int]:
    """Return the pixels (N, count) and the label of each row, other columns whole, and how many rows have no label.

    Rows without a label are left out. Raises FileError where no row has one.
    """
    width, numbers, labels, missing = len(layout.columns), list[Array](), list[str](), 0
    others: list[list[str]] = [[] for _ in rest]
    chosen, letters, size = itemgetter(*pixels), 0, path.stat().st_size
    with closing(row_reader(path)) as reader:
        for number, row in enumerate(islice(reader, int(layout.has_header), None), 1 + layout.has_header):
            if len(row) != width:
                raise FileError(
                    f"{path}: row {number:,} has {len(row):,} cells; expected {width:,}, as the first rows have"
                )
            if progress and (len(labels) + missing) % PROGRESS_ROWS == 0:
                progress(min(letters, size), size, "reading the table")
                letters += PROGRESS_ROWS * len(",".join(row))  # an estimate, as if all rows were like this one
            if row[label.place].lower() in MISSING:
                missing += 1
                continue
            cells = row[pixels[0]].split() if len(pixels) == 1 else chosen(row)
            try:
                values = np.array(list(map(float, cells)), np.float32)
            except ValueError:
                raise FileError(f"{path}: row {number:,} holds a cell that is no number; expected pixels") from None
            if numbers and len(values) != len(numbers[0]):
                raise FileError(f"{path}: row {number:,} holds {len(values):,} pixels, the first {len(numbers[0]):,}")
            whole = values.astype(np.uint8) if len(values) and values.min() >= 0 and values.max() <= 255 else values
            numbers.append(whole if np.array_equal(whole, values) else values)
            labels.append(class_name(_label(row[label.place])))
            for cells_of_column, column in zip(others, rest):
                cells_of_column.append(row[column.place])
    if progress:
        progress(size, size, "reading the table")
    if not labels:
        raise FileError(
            f"{path}: no row has a label in column {label.shown}; give the column of the classes: --label-column"
        )
    whole_columns = [Column(column.place, column.name, cells) for column, cells in zip(rest, others)]
    return np.stack(numbers), labels, whole_columns, missing


def _label(cell: str) -> str:
    return cell.split(".", 1)[0] if re.fullmatch(r"\d+\.0*", cell) else cell
