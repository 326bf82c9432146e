"""The columns of a table that tell a row's class: one of labels, or one a class, with a 1 in the row's class."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from byhand.data.class_names import class_name
from byhand.data.tables.column import TRUE, WHOLE_NUMBER, Column, given_column, header_text
from byhand.errors import FileError
from byhand.text import abbreviate

LABEL_NAMES = {"label", "labels", "class", "classes", "classname", "labelname", "category", "target", "y"}
LABEL_WORDS = {
    "label",
    "labels",
    "class",
    "classes",
    "category",
    "categories",
    "target",
    "targets",
    "classid",
    "labelid",
}
MISSING = {"", "nan", "<na>", "#n/a"}  # as pandas and Excel write it
MAX_FRACTION_OF_CLASSES = 0.5  # of the rows, in a column that is not called label
MIN_ROWS_TO_DOUBT = 12  # with fewer, every row may well be a class of its own


@dataclass
class LabelColumns:
    """The columns that tell a row's class: one, or one a class."""

    columns: Sequence[Column]
    notes: list[str] = field(default_factory=list)

    @property
    def is_one_hot(self) -> bool:
        """Whether there is a column a class."""
        return len(self.columns) > 1

    def of_rows(self) -> list[str | None]:
        """Return each row's class, None where it has none; 3.0 is 3 where all are whole numbers."""
        if self.is_one_hot:
            names = [class_name(column.name) for column in self.columns]
            rows = zip(*(column.cells for column in self.columns))
            return [next((name for name, cell in zip(names, row) if cell.lower() in TRUE), None) for row in rows]
        cells = ["" if cell.lower() in MISSING else cell for cell in self.columns[0].cells]
        if all(WHOLE_NUMBER.fullmatch(cell) for cell in cells if cell):
            cells = [cell.split(".", 1)[0] for cell in cells]
        return [class_name(cell) or None for cell in cells]


def label_columns(
    candidates: Sequence[Column], given: str | None, columns: Sequence[Column], table: str, hint: str = ""
) -> LabelColumns:
    """Return the columns that tell a row's class.

    candidates: the columns that tell neither path nor split; given: the option --label-column; hint: advice for the error
    where there is none. A column that is called label or the like counts, then columns with a single 1 in each row, where no
    text looks like classes, then the only other column, if its values look like classes. Raises FileError where none can be
    it, or two.
    """
    if column := given_column("--label-column", columns, given, table):
        return LabelColumns([column])
    full = [column for column in candidates if column.values]
    exact = [column for column in full if column.key in LABEL_NAMES]
    named = exact or [column for column in full if LABEL_WORDS & set(column.words)]
    if len(named) > 1:
        return _same(named, columns, table)
    if named:
        return LabelColumns([_checked(named[0], table, is_named=True)])
    others = [column for column in full if not column.is_index]
    flags = [column for column in others if column.is_bool and column.name]
    likely = [
        column.shown
        for column in others
        if 1 < len(column.values) <= _max_classes(column) and not column.is_number and not column.is_bool
    ]
    if len(flags) > 1 and not likely:
        return _one_hot(flags, table)
    if len(others) == 1:
        return LabelColumns([_checked(others[0], table, is_named=False)])
    hint = f" (is it {' or '.join(likely[:3])}?)" if likely else hint
    raise FileError(
        f"{table}: no column of labels was recognized: {header_text(columns)}; looked for label, class, category, target, the "
        f"only column beside the path; give the name or number: --label-column{hint}"
    )


def _same(named: Sequence[Column], columns: Sequence[Column], table: str) -> LabelColumns:
    """Return one of several columns of labels that say the same: names rather than numbers."""
    pairs = set(zip(*(column.cells for column in named)))
    chosen = next((column for column in named if not column.is_number), named[0])
    shown = " and ".join(column.shown for column in named[:3])
    if any(len({pair[k] for pair in pairs}) < len(pairs) for k in range(len(named))):
        raise FileError(
            f"{table}: the columns {shown} may hold the labels: {header_text(columns)}; give the one you mean: --label-column"
        )
    return LabelColumns([chosen], [f"the columns {shown} say the same; classes are named by {chosen.shown}"])


def _checked(column: Column, table: str, *, is_named: bool) -> Column:
    """Return a column whose values can be classes: not measurements, not another text in every row."""
    rows, different = sum(map(bool, column.cells)), len(column.values)
    is_doubtful = rows >= MIN_ROWS_TO_DOUBT and different > _max_classes(column)
    labels = [value for value in column.values if value.lower() not in MISSING]
    is_measured = column.is_number and not all(map(WHOLE_NUMBER.fullmatch, labels))
    if (is_measured and not is_named) or (is_doubtful and (not is_named or is_measured)):
        what = "numbers" if column.is_number else "values"
        raise FileError(
            f"{table}: column {column.shown} holds {different:,} different {what} in {rows:,} rows: no classes, it seems; "
            "give the column of the classes, or this one all the same: --label-column"
        )
    return column


def _one_hot(columns: Sequence[Column], table: str) -> LabelColumns:
    if any(column.is_twin for column in columns):
        shown = abbreviate([column.shown for column in columns if column.is_twin])
        raise FileError(f"{table}: the columns {shown} would be classes of one name; expected a name for each")
    for number, row in enumerate(zip(*(column.cells for column in columns)), 1):
        ones = sum(cell.lower() in TRUE for cell in row)
        if ones != 1:
            raise FileError(
                f"{table}: the columns {abbreviate([column.shown for column in columns])} hold {ones} ones in row {number:,}: "
                "expected one, the image's class; give the one column to learn, if there is one: --label-column"
            )
    return LabelColumns(columns)


def joined_labels_note(labels: set[str]) -> str | None:
    """Return a note on labels that join others, as "cat|dog" beside "cat" and "dog"; or None."""
    for sign in ("|", ";", ",", " "):
        joined = [
            label for label in labels if sign in label and set(re.split(rf"\s*{re.escape(sign)}\s*", label)) <= labels
        ]
        if joined:
            told = abbreviate([f"'{label}'" for label in sorted(joined)], 2)
            return f"labels such as {told} join others: each of them is taken for a class of its own"
    for sign in "|;":
        joined = [label for label in labels if sign in label]
        parts = Counter(part.strip() for label in joined for part in set(label.split(sign)))
        if parts and max(parts.values()) > 1:
            told = abbreviate([f"'{label}'" for label in sorted(joined)], 2)
            return f"labels such as {told} may each be several: each of them is taken for a class of its own"
    return None


def _max_classes(column: Column) -> float:
    return MAX_FRACTION_OF_CLASSES * len(column.cells)
