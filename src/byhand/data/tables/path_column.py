"""The column of a table that names the images: the one whose cells are files, whatever it is called."""

from collections.abc import Sequence
from dataclasses import replace

from byhand.data.folder_tree import is_image_name
from byhand.data.tables.column import Column, given_column, header_text
from byhand.data.tables.image_finder import ImageFinder
from byhand.errors import FileError
from byhand.text import shorten

PATH_NAMES = (  # first is best
    *("path", "filepath", "file", "filename", "fname", "image", "img", "picture", "photo"),
    *("路径", "文件", "文件名", "图片", "图像", "id"),
)
SAMPLE_ROWS = 400  # in which files are looked for, from all over the table


def path_column(
    columns: Sequence[Column], finder: ImageFinder, given: str | None, table: str
) -> tuple[Column, list[str]]:
    """Return the column that names the images, and notes; given: the option --path-column.

    Of several, the one that names the most files, then the one that is called path or file or the like. Where no more than
    half of the cells name a file, the spellings of `finder.spellings` are tried. Raises FileError where no column can be it,
    or two.
    """
    if column := given_column("--path-column", columns, given, table):
        return (column, []) if _names_most(column, finder) else _respelled([column], finder) or (column, [])
    images = [column for column in columns if any(map(is_image_name, _sample(column.cells)))]
    column = _naming_column(columns, images, finder, table)
    if column is not None and _names_most(column, finder):
        return column, []
    # Where few cells name a file, they may do so by chance: 7 is 7.png, all others are 001.png, 002.png, ...
    return _respelled(images or columns, finder) or (column or _unnamed(columns, images, finder, table), [])


def _names_most(column: Column, finder: ImageFinder) -> bool:
    """Tell whether more than half of the cells name files."""
    sample = _sample(column.cells)
    return 2 * finder.count(sample) > len(sample)


def _naming_column(
    columns: Sequence[Column], images: Sequence[Column], finder: ImageFinder, table: str
) -> Column | None:
    """Return the column whose cells name files below the folder; None where there is none; images: those with image names."""
    samples = {column.place: _sample(column.cells) for column in columns}
    files = {place: list(map(finder.direct, cells)) for place, cells in samples.items()}
    hits = {place: sum(path is not None for path in paths) for place, paths in files.items()}
    if not any(0 < len(samples[place]) <= 2 * count for place, count in hits.items()):
        hits = {place: finder.count(cells) for place, cells in samples.items()}
    named = [column for column in images or columns if hits[column.place]]
    if not named:
        return None
    counts = {column.place: (hits[column.place], len(set(samples[column.place]))) for column in named}
    named = [column for column in named if counts[column.place] == max(counts.values())]
    if len(named) == 1 or len({tuple(files[column.place]) for column in named}) == 1:
        return named[0]
    best = [column for name in PATH_NAMES for column in named if name in (column.key, *column.words)]
    if len({column.place for column in best}) != 1:
        shown = " and ".join(column.shown for column in named[:3])
        raise FileError(f"{table}: the columns {shown} name images; give the one that is meant: --path-column")
    return best[0]


def _respelled(columns: Sequence[Column], finder: ImageFinder) -> tuple[Column, list[str]] | None:
    """Return the column whose cells, written otherwise, name the most files, and a note; None where there is none."""
    best: tuple[int, Column, list[str]] | None = None
    for column in columns:
        sample = _sample(column.cells)
        for respell in finder.spellings():
            cells = list(map(respell, sample))
            hits = len({cell for cell in cells if finder.count([cell])})
            if 2 * hits > len(set(sample)) and (best is None or hits > best[0]):
                first, other = next(pair for pair in zip(sample, cells) if pair[0] != pair[1])
                note = f"column {column.shown}: {shorten(first)} is taken for {shorten(other)}, and others likewise"
                best = hits, replace(column, cells=list(map(respell, column.cells))), [note]
    return None if best is None else best[1:]


def _unnamed(columns: Sequence[Column], images: Sequence[Column], finder: ImageFinder, table: str) -> Column:
    """Return the column that names images which are not there, so that the error can name them."""
    known = [column for column in columns if {"path", "file", "filename", "image"} & {column.key, *column.words}]
    if images or known:
        return (images or known)[0]
    raise FileError(
        f"{table}: no column names images below {finder.root}: {header_text(columns)}; looked for cells that are files there, "
        "with folder and ending or without; give the column with --path-column, the folder with --image-folder"
    )


def _sample(cells: Sequence[str]) -> list[str]:
    return [cell for cell in cells[:: max(1, len(cells) // SAMPLE_ROWS)] if cell]
