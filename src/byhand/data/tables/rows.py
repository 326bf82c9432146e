"""The rows of a text table (CSV, TSV, list, JSON lines), by its encoding, its delimiter and its quotes."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO

from byhand.data.folder_tree import is_image_name
from byhand.data.text_files import text_encoding
from byhand.errors import FileError
from byhand.text import printable

TABLE = "a table, as CSV"  # in messages
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
JSON_LINES = (".jsonl", ".ndjson")
MAX_JSON_DEPTH = 3  # of objects within an object; deeper ones stay one cell
MIN_SAMPLED_BYTES = 1 << 16  # of a table that is sampled; the first rows of a smaller one are enough
SAMPLE_ROWS = 200  # by which the delimiter is chosen
FILE_ROWS = 20  # in which files are looked for, where spaces separate cells
Row = list[str]
Splitter = Callable[[Iterable[str]], Iterator[Row]]


@dataclass
class Rows:
    """The rows of a table, of one width; lines: of each row, its line in the file; notes: what was assumed.

    broken: lines of another width, and how many cells they have.
    """

    rows: list[Row] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: list[tuple[int, int]] = field(default_factory=list)
    has_header: bool | None = None  # None: not known


def read_rows(path: Path, count_files: Callable[[Sequence[str]], int]) -> Rows:
    """Return the rows of a table, blank lines and comments above it left out, cells without spaces around them.

    count_files: returns how many of some cells name a file, by which spaces in names are told from those between cells.
    Raises FileError for a file that is no text, or has no rows.
    """
    encoding, note = text_encoding(path, TABLE)
    with closing(path.open(encoding=encoding, newline="")) as file:
        return _json_lines(file, path) if path.suffix.lower() in JSON_LINES else _rows(file, path, note, count_files)


def row_reader(path: Path) -> Generator[Row]:
    """Yield the rows of a table one by one, blank ones left out; the table may be larger than memory."""
    encoding, _ = text_encoding(path, TABLE)
    with closing(path.open(encoding=encoding, newline="")) as file:
        _, splitter = _best_splitter(_sample(file), path, len)
        file.seek(0)
        for _, row in _numbered(splitter, file, _skip_comments(file), path):
            yield row


def sampled_rows(path: Path, count: int) -> list[Row]:
    """Return up to `count` rows from all over a table; none of a table that is read in one piece anyway, or in UTF-16.

    A table may be sorted by class: its first rows do not show how the others look.
    """
    encoding, _ = text_encoding(path, TABLE)
    size = path.stat().st_size
    if size < MIN_SAMPLED_BYTES or encoding.startswith("utf-16"):
        return []
    with closing(path.open(encoding=encoding, newline="")) as text:
        _, splitter = _best_splitter(_sample(text), path, len)
    lines = []
    with path.open("rb") as file:
        for place in range(count):
            file.seek(size * place // count)
            file.readline()
            lines.append(file.readline().decode(encoding, "replace"))
    return [row for row in _parsed(splitter, lines) or [] if any(row)]


# delimiters -----------------------------------------------------------------------------------------------------------


def _rows(file: TextIO, path: Path, note: str, count_files: Callable[[Sequence[str]], int]) -> Rows:
    told, splitter = _best_splitter(_sample(file), path, count_files)
    found = Rows(notes=[text for text in (note, told) if text])
    file.seek(0)
    comments = _skip_comments(file)
    cells = list(_numbered(splitter, file, comments, path))
    width = Counter(len(row) for _, row in cells).most_common(1)[0][0] if cells else 0
    lacking = width - len(cells[0][1]) if len(cells) > 1 else 0
    if lacking > 0 and not any(any(row[-lacking:]) for _, row in cells[1:] if len(row) == width):
        cells[0][1].extend([""] * lacking)  # a delimiter at the end of all other rows
    elif lacking == 1:  # R writes no name above the names of rows
        cells[0][1].insert(0, "")
        found.has_header = True
    for number, row in cells:
        if len(row) > width and not any(row[width:]):  # a delimiter at the line's end
            row = row[:width]
        if len(row) == width:
            found.rows.append(row)
            found.lines.append(number)
        else:
            found.broken.append((number, len(row)))
    if not found.rows:
        raise FileError(f"{path} is empty; expected rows of a path and a label")
    return found


def _numbered(splitter: Splitter, file: TextIO, skipped: int, path: Path) -> Iterator[tuple[int, Row]]:
    """Yield (line, cells) of every row that is not blank."""
    count = skipped

    def lines() -> Iterator[str]:
        nonlocal count
        for line in file:
            count += 1
            yield line

    try:
        for row in splitter(lines()):
            if any(row):
                yield count, row
    except csv.Error as error:
        raise FileError(
            f"can't read {path}: line {count:,}: {error}; expected CSV: a quote inside a cell is written twice"
        ) from None


def _sample(file: TextIO) -> list[str]:
    _skip_comments(file)
    return [line for line in islice(file, SAMPLE_ROWS) if line.strip()]


def _skip_comments(file: TextIO) -> int:
    """Move a file to its first row, after comments (#) and Excel's `sep=;`; return the number of lines skipped.

    A comment right above the rows may be their header, "# path label", and stays.
    """
    skipped, position, above = 0, file.tell(), 0
    comment = ""
    while line := file.readline():
        text = line.strip()
        if text and not text.startswith("#") and not re.fullmatch(r"sep=.", text):
            break
        above, comment, position = position, text, file.tell()
        skipped += 1
    delimiter = r"[,;\t|]" if re.search(r"[,;\t|]", line) else " +"
    words, cells = (re.split(delimiter, row) for row in (comment.lstrip("# "), line.strip()))
    is_header = comment.startswith("#") and 1 < len(words) == len(cells)
    file.seek(above if is_header else position)
    return skipped - is_header


def _best_splitter(
    sample: Sequence[str], path: Path, count_files: Callable[[Sequence[str]], int]
) -> tuple[str, Splitter]:
    """Return a note, and the splitter whose rows have the same width, and a column of images if there is one."""
    best: tuple[tuple[float, ...], str, Splitter] | None = None
    for splitter, note, is_delimited in _splitters(path):
        rows = _parsed(splitter, sample)
        if rows is None:
            continue
        width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
        if width < 2 and best is not None:
            continue
        columns = list(zip(*(row for row in rows if len(row) == width)))
        images = max((sum(map(is_image_name, column)) for column in columns), default=0) / max(1, len(rows))
        files = (
            1.0 if is_delimited else max((count_files(column[:FILE_ROWS]) for column in columns), default=0) / FILE_ROWS
        )
        score = (width > 1, round(images, 1), not note, round(files, 1), round(count / max(1, len(rows)), 1))
        if best is None or score > best[0]:
            best = score, note, splitter
    if best is None:
        raise FileError(
            f"can't read {path}: its quotes do not close; expected CSV: a quote inside a cell is written twice"
        )
    return best[1], best[2]


def _parsed(splitter: Splitter, sample: Sequence[str]) -> list[Row] | None:
    """Return the rows of a sample; None where its quotes do not close, unless the sample ends within a cell."""
    rows: list[Row] = []
    try:
        rows += (row for row in splitter(sample) if any(row))
    except csv.Error:
        return rows if len(sample) >= SAMPLE_ROWS and 2 * len(rows) > SAMPLE_ROWS else None
    return rows


def _splitters(path: Path) -> Iterator[tuple[Splitter, str, bool]]:
    """Yield splitters, each with a note and whether a delimiter separates its cells."""
    quotings: tuple[tuple[Literal[0, 3], str], ...] = (
        (csv.QUOTE_MINIMAL, ""),
        (csv.QUOTE_NONE, f"{path.name} has quotes that do not close: taken as letters"),
    )
    for quoting, note in quotings:
        for delimiter in DELIMITERS:
            yield _delimited(delimiter, quoting), note, True
    for pattern in (r"\s+", r"\s+(?=\S+$)", r"(?<=\S)\s+(?=\S.*$)"):  # between words; before the last; after the first
        yield _spaced(pattern), "", False


def _delimited(delimiter: str, quoting: Literal[0, 3]) -> Splitter:
    def split(lines: Iterable[str]) -> Iterator[Row]:
        strict = quoting != csv.QUOTE_NONE
        reader = csv.reader(
            lines, delimiter=delimiter, skipinitialspace=delimiter != "\t", quoting=quoting, strict=strict
        )
        for row in reader:
            yield list(map(str.strip, row))

    return split


def _spaced(pattern: str) -> Splitter:
    once = 0 if pattern == r"\s+" else 1

    def split(lines: Iterable[str]) -> Iterator[Row]:
        for line in lines:
            yield re.split(pattern, line.strip(), maxsplit=once)

    return split


# JSON lines -----------------------------------------------------------------------------------------------------------


def _json_lines(file: TextIO, path: Path) -> Rows:
    """Return the rows of a file with one flat JSON object a line, as Hugging Face's metadata.jsonl."""
    found, objects = Rows(has_header=True), []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise FileError(
                f"can't read {path}: line {number} is no JSON object; expected one a line, with a path and a label"
            )
        objects.append((number, dict(_flat(value))))
    names = list(dict.fromkeys(name for _, row in objects for name in row))
    if not names:
        raise FileError(f"{path} is empty; expected an object a line, with a path and a label")
    found.rows = [names, *([row.get(name, "") for name in names] for _, row in objects)]
    found.lines = [0, *(number for number, _ in objects)]
    return found


def _flat(value: dict[str, object], above: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the names and cells of an object; those of an object inside carry its name, as image.path."""
    for key, cell in value.items():
        name = printable(f"{above}{key}")
        if isinstance(cell, dict) and depth < MAX_JSON_DEPTH:
            yield from _flat(cell, f"{name}.", depth + 1)
        else:
            yield name, _cell(cell)


def _cell(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ";".join(map(str.strip, value))
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value)
