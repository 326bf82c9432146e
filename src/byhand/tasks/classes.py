"""Classes: an image belongs to one of several; the probabilities add up to 1."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from byhand.ops.op import Array
from byhand.text import class_labels

MAX_LABEL_CELLS = 60  # of a name in a table


def as_dict(names: Sequence[str], values: Array, count: int) -> dict[str, Any]:
    """Return the most probable class, and the first `count` with their indices.

    >>> as_dict(["crane", "heron", "crane"], np.array([0.1, 0.2, 0.7]), 1)["probabilities"]
    [{'class': 'crane', 'index': 2, 'probability': 0.7}]
    """
    listed = [
        {"class": names[k], "index": int(k), "probability": float(values[k])} for k in order(values)[: max(1, count)]
    ]
    return {**listed[0], "probabilities": listed}


def order(values: Array) -> Array:
    """Return the indices of values, the largest first; of equal ones, the first."""
    return np.argsort(-values, kind="stable")


def csv_header(names: Sequence[str], count: int) -> list[str]:
    """Return the columns after the image's name: class, probability and index, then those of the next ones."""
    columns = ["class", "probability", "index"]
    return columns + [f"{column}_{k}" for k in range(2, min(count, len(names)) + 1) for column in columns]


def csv_row(names: Sequence[str], values: Array, count: int) -> list[Any]:
    """Return the cells after the image's name."""
    return [cell for k in order(values)[:count] for cell in (names[k], f"{values[k]:.6f}", int(k))]


def table_row(names: Sequence[str], values: Array, count: int) -> tuple[str, str, str]:
    """Return the most probable class, its probability, and the next ones."""
    shown, (first, *others) = table_labels(tuple(names)), order(values)[:count]
    rest = ", ".join(f"{shown[k]} {values[k]:.1%}" for k in others)
    return shown[first], f"{values[first]:.1%}", rest


@lru_cache(maxsize=4)
def table_labels(names: tuple[str, ...]) -> list[str]:
    """Return the labels of classes in a table."""
    return class_labels(names, MAX_LABEL_CELLS)
