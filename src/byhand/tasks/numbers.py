"""Numbers: a regression's outputs, as they are."""

from collections.abc import Sequence
from typing import Any

from byhand.ops.op import Array


def as_dict(names: Sequence[str], values: Array, count: int) -> dict[str, Any]:
    """Return all numbers.

    >>> import numpy as np
    >>> as_dict((), np.array([0.5, 2.0]), 1)
    {'numbers': [0.5, 2.0]}
    """
    return {"numbers": [float(value) for value in values]}


def csv_header(names: Sequence[str], count: int) -> list[str]:
    """Return the column after the image's name."""
    return ["numbers"]


def csv_row(names: Sequence[str], values: Array, count: int) -> list[Any]:
    """Return the cell after the image's name: the numbers, separated by spaces."""
    return [" ".join(f"{value:.7g}" for value in values)]


def table_row(names: Sequence[str], values: Array, count: int) -> tuple[str, str, str]:
    """Return the first number, and the next ones."""
    shown = [f"{value:.6g}" for value in values]
    return shown[0], "", " ".join(shown[1:])
