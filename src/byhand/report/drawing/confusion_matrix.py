"""A confusion matrix as a matplotlib figure."""

import os
import textwrap
from collections.abc import Sequence

import numpy as np

from byhand.ops.op import Array
from byhand.report.drawing import style
from byhand.text import shorten

NUMBERED_MAX_CLASSES = 30  # each cell shows its count
NAMED_MAX_CLASSES = 150  # each row and column shows its class; of more, every second, third ...
VISIBLE_FRACTION = 0.02  # of a class's images: mistakes of this fraction are in full color where there are many classes
CHANCE_PART = 0.5  # of the mistakes of a network that guesses: the same, where there are few
TITLE_LETTERS_PER_INCH = 12
MIN_INCHES = 4.2
MAX_INCHES = 24.0


def draw_confusion_matrix(matrix: Array, classes: Sequence[str], path: str | os.PathLike[str], title: str = "") -> None:
    """Draw a confusion matrix (K, K) as PNG: mistakes in orange by their fraction of the class, correct counts in gray."""
    count = len(classes)
    numbered = count <= NUMBERED_MAX_CLASSES
    side = 0.42 * count + 1 if numbered else max(13.6, 0.15 * count + 1)
    side = min(max(MIN_INCHES, side), MAX_INCHES)
    figure = style.new_figure(side, side)
    axes = figure.add_subplot()
    fractions = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    mistakes = fractions * (1 - np.eye(count))
    axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(full_color(count), mistakes.max() * 1.4))
    for i, j in np.argwhere(matrix) if numbered else ():
        color, weight = (style.MUTED_COLOR, "normal") if i == j else (style.TEXT_COLOR, "bold")
        axes.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", fontsize=7, color=color, weight=weight)
    ticks = range(0, count, 1 + count // NAMED_MAX_CLASSES)
    names = [shorten(classes[i]) for i in ticks]
    axes.set_xticks(ticks, names, parse_math=False, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(ticks, names, parse_math=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(textwrap.fill(shorten(title, 160), int(side * TITLE_LETTERS_PER_INCH)), fontsize=9, parse_math=False)
    style.style_axes(axes)
    style.save_png(figure, path)


def full_color(classes: int) -> float:
    """Return the fraction of a class's images from which mistakes are in full color: of two classes, 5% is no failure.

    >>> full_color(2), full_color(101)
    (0.5, 0.02)
    """
    return max(VISIBLE_FRACTION, CHANCE_PART / max(1, classes - 1))
