"""Labels: any of several may be true of an image, each by itself; of one sigmoid, one of two names is.

A label counts as true from a probability of 0.5 on.
"""

from collections.abc import Sequence
from typing import Any

from byhand.ops.op import Array
from byhand.tasks import classes

THRESHOLD = 0.5


def true_labels(values: Array) -> list[int]:
    """Return the indices of the labels that are true, the most probable first."""
    return [int(k) for k in classes.order(values) if values[k] >= THRESHOLD]


def as_dict(names: Sequence[str], values: Array, count: int) -> dict[str, Any]:
    """Return the most probable label, all that are true, and the first `count`.

    >>> import numpy as np
    >>> [label["class"] for label in as_dict(["sky", "sea", "sun"], np.array([0.9, 0.2, 0.5]), 1)["labels"]]
    ['sky', 'sun']
    """
    labels = [{"class": names[k], "index": k, "probability": float(values[k])} for k in true_labels(values)]
    return classes.as_dict(names, values, count) | {"labels": labels, "threshold": THRESHOLD}


def csv_header(names: Sequence[str], count: int) -> list[str]:
    """Return the columns after the image's name: those of classes, and last the true labels."""
    return [*classes.csv_header(names, count), "labels"]


def csv_row(names: Sequence[str], values: Array, count: int) -> list[Any]:
    """Return the cells after the image's name; true labels are separated by semicolons."""
    return [*classes.csv_row(names, values, count), "; ".join(names[k] for k in true_labels(values))]


def table_row(names: Sequence[str], values: Array, count: int) -> tuple[str, str, str]:
    """Return the most probable label, its probability, and the next ones; (none) where no label is true."""
    first, probability, rest = classes.table_row(names, values, max(count, len(true_labels(values))))
    if true_labels(values):
        return first, probability, rest
    return "(none)", "", f"{first} {probability}{', ' if rest else ''}{rest}"
