"""A column of a table: its name, its cells, and what they look like."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from byhand.data.tables.table_options import NO_COLUMN
from byhand.errors import FileError
from byhand.text import abbreviate, shorten

SHOWN_LETTERS = 60  # of a name or a cell, in messages
INDEX_NAMES = {"", "index", "idx", "rowid", "rownames", "unnamed0"}  # of columns that count the rows, without signs
INDEX_ROWS = 400  # by which such a column is recognized
TRUE, FALSE = {"1", "1.0", "true", "t", "yes", "y"}, {"0", "0.0", "false", "f", "no", "n"}
WHOLE_NUMBER = re.compile(r"-?\d+(?:\.0*)?")
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_a-zA-Z]+")


@dataclass
class Column:
    """A column of a table: its place, the name above it ("" where there is none), its cells; is_twin: others have its name.

    >>> Column(0, "ImageID", ["3", "4", ""]).words, Column(0, "is_valid", []).words
    (['image', 'id'], ['is', 'valid'])
    """

    place: int
    name: str
    cells: Sequence[str]
    is_twin: bool = False

    @property
    def shown(self) -> str:
        """The column's name in messages: a name, a number from 1, or both where others have its name."""
        if self.name and self.is_twin:
            return f"{self.place + 1} ('{_shown(self.name)}')"
        return f"'{_shown(self.name)}'" if self.name else str(self.place + 1)

    @cached_property
    def words(self) -> list[str]:
        """The words of the name, of `classId` as of `class_id`."""
        return [word.lower() for word in WORD.findall(self.name)]

    @cached_property
    def key(self) -> str:
        """The name in small letters, without signs between its words: `Image Name` is imagename."""
        return "".join(self.words)

    @cached_property
    def values(self) -> set[str]:
        """The different cells, empty ones left out."""
        return {cell for cell in self.cells if cell}

    @cached_property
    def is_number(self) -> bool:
        """Whether every cell is a number."""
        return bool(self.values) and all(map(is_number, self.values))

    @cached_property
    def is_whole(self) -> bool:
        """Whether every cell is a whole number, as 3 or 3.0."""
        return bool(self.values) and all(WHOLE_NUMBER.fullmatch(value) for value in self.values)

    @cached_property
    def is_bool(self) -> bool:
        """Whether every cell is true or false, 1 or 0."""
        return bool(self.values) and {value.lower() for value in self.values} <= TRUE | FALSE

    @cached_property
    def is_index(self) -> bool:
        """Whether the column only counts the rows: by its name, or because it goes up by one from 0 or 1."""
        if self.name and self.key in INDEX_NAMES and self.is_whole:
            return True
        first = self.cells[:INDEX_ROWS]
        numbers = [int(cell) for cell in first if cell.isdecimal() and len(cell) < 10]
        return len(numbers) == len(first) > 2 and numbers in ([*range(len(first))], [*range(1, len(first) + 1)])

    def summary(self) -> str:
        """Return the column's values in a few words."""
        values = sorted(self.values, key=_numbers_first)
        if self.is_whole and len(values) > 2 and all(value.isdecimal() and len(value) < 10 for value in values):
            return f"{int(values[0]):d} to {int(values[-1]):d}"
        return abbreviate([_shown(value) for value in values])

    def last_value(self) -> str:
        """Return the greatest value."""
        return _shown(max(self.values, key=_numbers_first))


def given_column(option: str, columns: Sequence[Column], name: str | None, table: str) -> Column | None:
    """Return the column that an option names, by its name or by its number from 1; None where nothing is given."""
    if name is None or name == NO_COLUMN:
        return None
    for form in (str, str.casefold):
        named = [column for column in columns if column.name and form(column.name) == form(name.strip())]
        if len(named) > 1:
            numbers = " or ".join(str(column.place + 1) for column in named)
            raise FileError(f"{table} has {len(named)} columns {_shown(name)!r}; give {option} a number: {numbers}")
        if named:
            return named[0]
    for column in columns:
        if name.strip().isdecimal() and column.place == int(name) - 1:
            return column
    raise FileError(f"{table} has no column {_shown(name)!r} for {option}: {header_text(columns)}")


def header_text(columns: Sequence[Column]) -> str:
    """Return the header as it was read, for messages."""
    if any(column.name for column in columns):
        return f"its header is {abbreviate([_shown(column.name) for column in columns], 12)}"
    if not columns:
        return "there is no other column"
    first = abbreviate([_shown(column.cells[0]) if column.cells else "" for column in columns], 8)
    return f"its {len(columns)} columns have no names; the first row is {first}"


def is_number(text: str) -> bool:
    """Return whether a cell is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers_first(value: str) -> tuple[bool, float, str]:
    is_whole = WHOLE_NUMBER.fullmatch(value) is not None
    return not is_whole, float(value) if is_whole else 0.0, value


def _shown(text: str) -> str:
    return shorten(text, SHOWN_LETTERS)
