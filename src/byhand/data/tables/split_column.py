"""The columns of a table that tell a row's split: words, true and false, or the folds of a cross-validation."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from shlex import quote

from byhand.data.split_names import split_of
from byhand.data.tables.column import TRUE, Column, given_column, header_text
from byhand.data.tables.label_column import LABEL_NAMES
from byhand.data.tables.table_options import NO_COLUMN, TableOptions
from byhand.errors import FileError
from byhand.text import printable

SPLIT_NAMES = {"split", "splits", "subset", "set", "part", "partition", "phase", "usage", "dataset", "traintestsplit"}
SURE_SPLIT_NAMES = {"split", "splits", "partition", "traintestsplit"}  # of columns that hold nothing but splits
FOLD_WORDS = {"fold", "folds", "kfold", "cv", "cvfold"}
FOLD = re.compile(r"(?:fold[-_ ]?)?(-?\d+)(?:\.0*)?", re.IGNORECASE)  # -1: rows of no fold
FLAG_NOUNS = {"image", "img", "sample", "row", "set", "split", "data"}  # after is_train, and without a meaning
UNASSIGNED = {"", "unassigned"}  # cells of a row that no split was given to


@dataclass
class SplitColumns:
    """The columns that tell a row's split; none where no row has one.

    flags: columns of true and false, and the split that each is about; fold, validation_fold: a column of folds, and the
    one to validate on.
    """

    words: Column | None = None
    flags: Sequence[tuple[str, Column]] = ()
    fold: Column | None = None
    validation_fold: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[Column]:
        """The columns that are used."""
        return [
            column for column in (self.words, self.fold, *(column for _, column in self.flags)) if column is not None
        ]

    def of_rows(self, count: int) -> tuple[list[str | None], Counter[str]]:
        """Return each row's split, "all" where it has none, None where its word is unknown; and the unknown words."""
        if self.fold is not None:
            return ["val" if _is_fold(cell, self.validation_fold) else "train" for cell in self.fold.cells], Counter()
        if self.flags:
            names = [split for split, _ in self.flags]
            return [
                _flagged(dict(zip(names, row))) for row in zip(*(column.cells for _, column in self.flags))
            ], Counter()
        if self.words is None:
            return ["all"] * count, Counter()
        splits = ["all" if cell.lower() in UNASSIGNED else split_of(cell) for cell in self.words.cells]
        return splits, Counter(cell for cell, split in zip(self.words.cells, splits) if split is None)


def split_columns(columns: Sequence[Column], options: TableOptions, table: str) -> SplitColumns:
    """Return the columns that tell a row's split.

    Words count (train, val, test), and flags (is_valid). Numbers do not: a column of folds is ignored with a note, and a
    column of numbers that is called split is refused. Raises FileError for columns that contradict each other.
    """
    folds = [column for column in columns if FOLD_WORDS & {*column.words, column.key} and _holds_folds(column)]
    given = given_column("--split-column", columns, options.split_column, table)
    if options.validation_fold is not None:
        return _with_fold(given or next(iter(folds), None), columns, options.validation_fold, table)
    if options.split_column == NO_COLUMN:
        return SplitColumns()
    if given is not None:
        return _given(given, table)
    words = [column for column in columns if column.key not in LABEL_NAMES and _holds_splits(column)]
    if len({tuple(map(split_of, column.cells)) for column in words}) > 1:
        shown = " and ".join(column.shown for column in words[:3])
        raise FileError(f"{table}: the columns {shown} hold splits, and not the same; give one: --split-column")
    flags = [(split, column) for column in columns if _is_flag(column) and (split := _flag_of(column))]
    if not words and not flags:
        flags = _bare_flags(columns)
    found = SplitColumns(words[0] if words else None, () if words else flags)
    if not found.columns:
        found.words = _called_split([column for column in columns if column not in folds], table)
    for column in folds[: not found.columns]:
        text = f"column {column.shown} holds the folds {column.summary()} of a cross-validation, no split"
        found.notes.append(f"{text}; to validate on one: --validation-fold {column.last_value()}")
    return found


def is_split_like(column: Column) -> bool:
    """Return whether a column tells splits or folds, used or not, and so no classes."""
    if column.key in LABEL_NAMES:
        return False
    is_numbered = column.is_whole and column.key in SPLIT_NAMES
    is_fold = bool(FOLD_WORDS & {*column.words, column.key}) and _holds_folds(column)
    return is_numbered or is_fold or _is_flag(column) or _holds_splits(column)


def _holds_splits(column: Column) -> bool:
    """Return whether every cell is the word of a split: of training, of several, or in a column that is called split."""
    splits = {"all" if value.lower() in UNASSIGNED else split_of(value) for value in column.values or ("?",)}
    return None not in splits and ("train" in splits or len(splits) > 1 or column.key in SPLIT_NAMES)


def _holds_folds(column: Column) -> bool:
    return bool(column.values) and all(FOLD.fullmatch(value) for value in column.values)


def _is_fold(cell: str, wanted: str) -> bool:
    """Return whether a cell is a fold: 3, 3.0 and fold3 are the same."""
    found, other = FOLD.fullmatch(cell), FOLD.fullmatch(wanted)
    return cell == wanted or (found is not None and other is not None and int(found[1]) == int(other[1]))


def _with_fold(fold: Column | None, columns: Sequence[Column], wanted: str, table: str) -> SplitColumns:
    if fold is None:
        raise FileError(f"{table} has no column of folds: {header_text(columns)}; give it with --split-column")
    if not any(_is_fold(value, wanted) for value in fold.values):
        raise FileError(f"{table}: there is no fold {printable(wanted)}: column {fold.shown} holds {fold.summary()}")
    return SplitColumns(fold=fold, validation_fold=wanted)


def _given(column: Column, table: str) -> SplitColumns:
    """Return the split by the column that --split-column names."""
    if split := _flag_of(column):
        return SplitColumns(flags=[(split, column)])
    if any(map(split_of, column.values)):
        return SplitColumns(column)
    raise FileError(
        f"{table}: the column {column.shown} holds {column.summary()}; expected the words train, val and test, or a column of "
        "folds with --validation-fold"
    )


def _called_split(columns: Sequence[Column], table: str) -> Column | None:
    """Return a column that is called split, if it holds words of splits; numbers may mean anything, and are refused."""
    for column in columns:
        if column.key in SPLIT_NAMES and any(map(split_of, column.values)):
            return column
        is_group = 1 < len(column.values) < len(column.cells) and (column.is_whole or column.key in SURE_SPLIT_NAMES)
        if column.key in SPLIT_NAMES and is_group:
            raise FileError(
                f"{table}: the column {column.shown} holds {column.summary()}: which is which? Write train, val and test, or "
                f"leave it out: --split-column {NO_COLUMN}; or validate on one: --split-column {quote(printable(column.name))} "
                f"--validation-fold {column.last_value()}"
            )
    return None


def _flag_of(column: Column) -> str | None:
    """Return the split that a column of true and false is about: `is_valid` is about val."""
    return next((split for word in column.words if (split := split_of(word))), None) if column.is_bool else None


def _is_flag(column: Column) -> bool:
    """Return whether a column is called is_train, is_training_image or the like; is_test_positive may be a class."""
    verb, word, *nouns = (*column.words, "", "")[: max(2, len(column.words))]
    return verb == "is" and split_of(word) is not None and set(nouns) <= FLAG_NOUNS and column.is_bool


def _bare_flags(columns: Sequence[Column]) -> list[tuple[str, Column]]:
    """Return the columns of true and false that are called train, val or test; none where others may be classes beside them.

    A column that is called valid may tell whether an image is.
    """
    flags = [column for column in columns if column.is_bool and column.name and column.key not in LABEL_NAMES]
    named = [(split, column) for column in flags if column.key != "valid" and (split := split_of(column.name))]
    return named if len(named) == len(flags) else []


def _flagged(flags: dict[str, str]) -> str:
    """Return the split of a row, from its cells in columns such as is_train, is_valid and is_test."""
    true = [split for split, cell in flags.items() if cell.lower() in TRUE]
    for split in ("test", "val", "train"):
        if split in true:
            return split
    return "test" if set(flags) == {"train"} else "train"
