"""The options of commands that take a table of images: its columns, its folds, the folder of its images."""

from pathlib import Path
from typing import Annotated, Any

from byhand.cli.command import DATA, option
from byhand.data.tables.table_options import TABLE_OPTIONS, TableOptions

PathColumn = Annotated[
    str | None,
    option(
        metavar="COLUMN", panel=DATA, help="Column of a table that names the images: its name, or its number from 1."
    ),
]
LabelColumn = Annotated[
    str | None, option(metavar="COLUMN", panel=DATA, help="Column of a table that names the classes.")
]
SplitColumn = Annotated[
    str | None,
    option(metavar="COLUMN", panel=DATA, help="Column of a table with train, val and test; none: no column."),
]
ValidationFold = Annotated[
    str | None, option(metavar="FOLD", panel=DATA, help="Fold to validate on, where a column of a table numbers folds.")
]
ImageFolder = Annotated[
    Path | None,
    option(metavar="DIR", panel=DATA, help="Folder where the paths in a table start.", show_default="the table's"),
]


def table_options(settings: dict[str, Any]) -> TableOptions:
    """Return the options of a table among the settings of a training."""
    return TableOptions(**{name: str(settings[name]) for name in TABLE_OPTIONS if settings.get(name) is not None})
