"""What a user says about a table of images, where the table does not tell by itself."""

import os
from dataclasses import dataclass, fields

NO_COLUMN = "none"  # in the place of a column's name: there is none


@dataclass(frozen=True)
class TableOptions:
    """The columns of a table and the folder of its images, None where they are recognized.

    path_column, label_column, split_column: the name of a column, or its number from 1; a split_column "none" is ignored.
    validation_fold: the fold to validate on, where a column numbers folds. image_folder: where the table's paths start.
    """

    path_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    validation_fold: str | None = None
    image_folder: str | os.PathLike[str] | None = None

    @property
    def given(self) -> list[str]:
        """The options that are given, as they are called on the command line."""
        return [f"--{name.replace('_', '-')}" for name in TABLE_OPTIONS if getattr(self, name) is not None]


TABLE_OPTIONS = tuple(field.name for field in fields(TableOptions))
