"""The confusion matrix: what each class was taken for."""

import os
from collections.abc import Sequence

import numpy as np

from byhand.errors import ArgumentError
from byhand.ops.op import Array
from byhand.report import picture


def confusion_matrix(labels: Array, predictions: Array, classes: int) -> Array:
    """Count how often class i (row) was taken for class j (column): two (N,) arrays -> (classes, classes).

    >>> import numpy as np
    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    if labels.shape != predictions.shape:
        raise ArgumentError(f"confusion_matrix: got {len(labels)} labels for {len(predictions)} predictions")
    return np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def mistakes(matrix: Array, classes: Sequence[str], most: int = 3) -> list[tuple[str, str, int]]:
    """Return the most frequent mistakes: (the true class, what it was taken for, how often)."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(place, wrong.shape) for place in order]
    return [(classes[i], classes[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def draw_confusion(matrix: Array, classes: Sequence[str], path: str | os.PathLike[str], title: str = "") -> None:
    """Draw a confusion matrix as PNG: mistakes in colour, by their share of the class; what is right in grey."""
    count = len(classes)
    side = max(4.2, 0.42 * count + 1)
    figure = picture.figure(side, side)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    wrong = shares * (1 - np.eye(count))
    axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=max(0.02, wrong.max() * 1.4))
    for i, j in np.ndindex(count, count):
        if matrix[i, j] and count <= 30:
            colour, weight = (picture.SOFT, "normal") if i == j else (picture.INK, "bold")
            axes.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", fontsize=7, color=colour, weight=weight)
    turn = {"rotation": 90} if max(map(len, classes)) > 3 else {}
    axes.set_xticks(range(count), classes, **turn)
    axes.set_yticks(range(count), classes)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    axes.set_title(title)
    picture.plain(axes)
    picture.write(figure, path)
