"""The confusion matrix: what each class was taken for."""

import os
from collections.abc import Sequence

import numpy as np

from byhand.errors import ArgumentError
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array
from byhand.report import picture

NUMBERED, NAMED = 30, 150  # classes up to which each place has its number, each row its name
LARGEST = 24.0  # inches


def confusion_matrix(labels: Array, predictions: Array, classes: int) -> Array:
    """Count how often class i (row) was taken for class j (column): two (N,) arrays -> (classes, classes).

    >>> import numpy as np
    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    labels, predictions = check_labels(labels, classes), check_labels(predictions, classes)
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
    numbered = count <= NUMBERED
    side = 0.42 * count + 1 if numbered else max(13.6, 0.15 * count + 1)
    side = min(max(4.2, side), LARGEST)
    figure = picture.figure(side, side)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    wrong = shares * (1 - np.eye(count))
    axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=max(0.02, wrong.max() * 1.4))
    for i, j in np.argwhere(matrix) if numbered else ():
        colour, weight = (picture.SOFT, "normal") if i == j else (picture.INK, "bold")
        axes.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", fontsize=7, color=colour, weight=weight)
    ticks = range(0, count, 1 + count // NAMED)
    names = [picture.plain_text(classes[i]) for i in ticks]
    axes.set_xticks(ticks, names, parse_math=False, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(ticks, names, parse_math=False)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    axes.set_title(picture.plain_text(title, 80), parse_math=False)
    picture.plain(axes)
    picture.write(figure, path)
