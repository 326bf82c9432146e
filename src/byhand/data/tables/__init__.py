"""Image files and their classes from a table: a row an image, its path and its class, optionally its split.

rows.py reads the cells; image_finder.py finds the files that they name; path_column.py, label_column.py and split_column.py
recognize the columns. pixel_table.py reads tables that hold pixels instead of paths.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from byhand.data.class_names import case_twins_note
from byhand.data.discovered_files import DiscoveredFiles, count_of
from byhand.data.folder_tree import is_image_name
from byhand.data.split_names import split_of
from byhand.data.tables.column import Column, header_text, is_number
from byhand.data.tables.image_finder import ImageFinder
from byhand.data.tables.label_column import LABEL_WORDS, LabelColumns, joined_labels_note, label_columns
from byhand.data.tables.path_column import PATH_NAMES, path_column
from byhand.data.tables.rows import Row, Rows, read_rows
from byhand.data.tables.split_column import SplitColumns, is_split_like, split_columns
from byhand.data.tables.table_options import TableOptions
from byhand.errors import FileError
from byhand.text import abbreviate, printable, shorten

MAX_BROKEN_FRACTION = 0.5  # of the lines, with another number of cells; above, the table is refused
MAX_PATH_LETTERS = 120  # of a path in a message
SHOWN_ROWS = 3  # in a note on rows that are left out
HEADER_ROWS = 50  # by which a header is recognized


def discover_table(path: Path, options: TableOptions) -> DiscoveredFiles:
    """Return the images that a table names: CSV, TSV, a list of `path label` lines, or JSON lines.

    Columns are recognized by their values and their names, or given by the options. A path starts from the table's own
    folder (`image_folder`), and no path leads out of it. Raises FileError for a file that is no such table, and where a
    column can't be told.
    """
    table = printable(path.name)
    root = Path(options.image_folder) if options.image_folder is not None else path.parent
    if not root.is_dir():
        raise FileError(f"{path}: there is no folder {root}; expected the folder of the images as --image-folder")
    finder = ImageFinder(
        root, hint=next((split for word in Column(0, path.stem, ()).words if (split := split_of(word))), "")
    )
    sheet = read_rows(path, finder.count)
    if len(sheet.broken) > MAX_BROKEN_FRACTION * (len(sheet.rows) + len(sheet.broken)):
        number, cells = sheet.broken[0]
        raise FileError(
            f"{path}: line {number:,} has {cells} cells, others have {len(sheet.rows[0])}; expected as many in each"
        )
    columns = _columns(sheet, finder, path)
    images, path_note = path_column(columns, finder, options.path_column, table)
    files = finder.find(images.cells, sheet.rows[-len(images.cells) :], table)
    if not any(files):
        raise FileError(_missing_message(images, finder, table))
    splits = split_columns([column for column in columns if column.place != images.place], options, table)
    used = {images.place, *(column.place for column in splits.columns)}
    rest = [column for column in columns if column.place not in used and not (column.name and is_split_like(column))]
    labels = label_columns(rest, options.label_column, columns, table, _folders_hint(files))
    found = DiscoveredFiles(printable(path.stem), root)
    found.notes += [
        _about(table, columns, images, labels, splits),
        *path_note,
        *sheet.notes,
        *labels.notes,
        *splits.notes,
    ]
    found.bad += [
        (f"{table}, line {number:,}", f"has {cells} cells; expected {len(columns)}, as in the others")
        for number, cells in sheet.broken
    ]
    _add_rows(found, images, files, labels, splits, finder)
    _check_splits(found, path)
    found.notes += [note for note in (case_twins_note(found.labels), joined_labels_note(found.labels)) if note]
    return found


def _columns(sheet: Rows, finder: ImageFinder, path: Path) -> list[Column]:
    """Return the columns of the rows, below the header if there is one."""
    has_header = _has_header(sheet.rows, finder) if sheet.has_header is None else sheet.has_header
    names = [name.lstrip("# ") if has_header else "" for name in sheet.rows[0]]
    rows = sheet.rows[has_header:]
    columns = [
        Column(place, name, [row[place] for row in rows], is_twin=names.count(name) > 1)
        for place, name in enumerate(names)
    ]
    if not rows:
        raise FileError(f"{path} has a header and no rows: {header_text(columns)}; expected rows of a path and a label")
    if len(columns) == 1:
        raise FileError(f"{path} has one column: {header_text(columns)}; expected a path and a label in each row")
    return columns


def _has_header(rows: Sequence[Row], finder: ImageFinder) -> bool:
    """Return whether the first row names the columns: it names no image, where others do; or it has known names."""
    first = [cell for cell in rows[0] if cell]
    if any(is_image_name(cell) or finder.direct(cell) is not None for cell in first):
        return False
    if any(is_image_name(cell) for row in rows[1:HEADER_ROWS] for cell in row):
        return True
    words = {word for cell in first for word in Column(0, cell, ()).words}
    return bool(words & {*PATH_NAMES, *LABEL_WORDS}) or not (any(map(is_number, first)) or finder.count(first))


def _folders_hint(files: Sequence[Path | None]) -> str:
    """Return advice for a table without labels whose images lie in a folder a class."""
    folders = {path.parent for path in files if path is not None}
    above = {folder.parent for folder in folders}
    if len(above) == 1 and 1 < len(folders) <= len(files) / 2:
        return f"; or train on {next(iter(above))}, if each folder in it is a class"
    return ""


def _about(table: str, columns: Sequence[Column], images: Column, labels: LabelColumns, splits: SplitColumns) -> str:
    """Return how a table was understood, in a line."""
    classes = abbreviate([column.shown for column in labels.columns])
    told = [f"column {images.shown} names the images", f"{classes} the classes"]
    if labels.is_one_hot:
        told[1] = f"the 1 in {classes} the classes"
    if splits.columns:
        told.append(f"{abbreviate([column.shown for column in splits.columns])} the splits")
    used = {column.place for column in (images, *labels.columns, *splits.columns)}
    if unused := [column.shown for column in columns if column.place not in used and not column.is_index]:
        told.append(f"not used: {abbreviate(unused)}")
    return f"{table}: {', '.join(told)}"


# rows -----------------------------------------------------------------------------------------------------------------


def _add_rows(
    found: DiscoveredFiles,
    images: Column,
    files: Sequence[Path | None],
    labels: LabelColumns,
    splits: SplitColumns,
    finder: ImageFinder,
) -> None:
    """Add each row's image to its split; rows without a file, a label or a known split are counted and named."""
    parts, unknown = splits.of_rows(len(files))
    missing, unlabeled, repeated = list[str](), list[str](), 0
    owners: dict[Path, set[str]] = defaultdict(set)
    for cell, file, label, split in zip(images.cells, files, labels.of_rows(), parts):
        if (file is None and _climbs(finder, cell)) or (file is not None and finder.leads_out(file)):
            found.bad.append(
                (printable(cell), f"leads out of {finder.root}; give the folder of the images: --image-folder")
            )
        elif file is None:
            missing.append(printable(cell) or "no path")
        elif label is None:
            unlabeled.append(printable(cell))
        elif split is not None and label in owners[file]:
            repeated += 1
        elif split is not None:
            owners[file].add(label)
            found.parts.setdefault(split, []).append((file, label))
    found.bad += [(name, "there is no such file") for name in missing]
    found.bad += [(name, "has no label") for name in unlabeled]
    for names, one, many in (
        (missing, "names no file that is there", "name no file that is there"),
        (unlabeled, "has no label", "have no label"),
    ):
        if names:
            clause = one if len(names) == 1 else many
            text = f"{len(names):,} row{'s' * (len(names) != 1)} of {len(files):,} {clause}"
            found.notes.append(f"{text}: left out: {abbreviate(names, SHOWN_ROWS)}")
    for word, count in unknown.most_common(SHOWN_ROWS):
        found.notes.append(f"'{printable(word)}' is no split (train, val, test): rows left out: {count:,}")
    if repeated:
        found.notes.append(f"rows that repeat a file with the same class: {repeated:,}, counted once")
    if several := [found.shown(file) for file, classes in owners.items() if len(classes) > 1]:
        text = f"{count_of(several, 'file')} with several classes, a row each, where a classifier gives one"
        found.notes.append(f"{text}: {abbreviate(several, SHOWN_ROWS)}")


def _climbs(finder: ImageFinder, cell: str) -> bool:
    """Return whether a path leads out of the folder to something that is there."""
    root = os.path.normpath(finder.root)
    path = Path(os.path.normpath(Path(root, cell.replace("\\", "/").replace("\0", ""))))
    return bool(cell) and not path.is_relative_to(root) and os.path.lexists(path)


def _missing_message(images: Column, finder: ImageFinder, table: str) -> str:
    cell = next((cell for cell in images.cells if cell), "nothing")
    why = f"leads out of {finder.root}" if _climbs(finder, cell) else f"is not below {finder.root}"
    first = shorten(cell, MAX_PATH_LETTERS)
    return (
        f"{table}: no file that column {images.shown} names is there: the first, {first}, {why}; give the images' folder: "
        "--image-folder, or another column: --path-column"
    )


def _check_splits(found: DiscoveredFiles, path: Path) -> None:
    """Make one split of rows with a split and rows without; raise a FileError where nothing is to train on."""
    if "all" in found.parts and len(found.parts) > 1:
        found.parts.setdefault("train", []).extend(found.parts.pop("all"))
    if not any(found.parts.values()):
        why = f"; the first: {found.bad[0][0]} {found.bad[0][1]}" if found.bad else ""
        raise FileError(f"{path} names no image that can be used; expected rows of a path and a label{why}")
    if not {"train", "all"} & found.parts.keys():
        text = f"{path}: every image is of the split {', '.join(found.parts)}, none is to train on"
        raise FileError(f"{text}; to leave splits out: --split-column none")
