"""A confusion matrix as a matplotlib figure."""

import os
from collections.abc import Sequence

import numpy as np

from byhand.ops.op import Array
from byhand.report.drawing import fonts, style
from byhand.report.metrics import mistake_scale

NUMBERED_MAX_CLASSES = 30  # each cell shows its count
NAMED_MAX_CLASSES = 150  # each row and column shows its class; of more, every second, third ...
LABEL_POINTS = 8.0  # font size of a class
TITLE_POINTS = 9.0

# Inches
MIN_INCHES = 4.2
MAX_INCHES = 24.0
TITLE_MARGIN = 0.1
TITLE_LINE = 0.17


def draw_confusion_matrix(matrix: Array, classes: Sequence[str], path: str | os.PathLike[str], title: str = "") -> None:
    """Draw a confusion matrix (K, K) as PNG: mistakes in orange by their fraction of the class, correct counts in gray."""
    count = len(classes)
    numbered = count <= NUMBERED_MAX_CLASSES
    side = 0.42 * count + 1 if numbered else max(13.6, 0.15 * count + 1)
    ticks = range(0, count, 1 + count // NAMED_MAX_CLASSES)
    names = fonts.class_labels(classes)
    names = [names[i] for i in ticks]
    widest = max(fonts.text_width(name, LABEL_POINTS) for name in names) / fonts.DOTS_PER_INCH  # inches
    side = min(max(MIN_INCHES, side + widest), MAX_INCHES)
    title = fonts.wrap(fonts.translated(title), TITLE_POINTS, (side - 2 * TITLE_MARGIN) * fonts.DOTS_PER_INCH)
    figure = style.new_figure(side, side + TITLE_LINE * title.count("\n"))
    axes = figure.add_subplot()
    fractions = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    mistakes = fractions * (1 - np.eye(count))
    axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=mistake_scale(mistakes) * 1.4)
    for i, j in np.argwhere(matrix) if numbered else ():
        color, weight = (style.MUTED_COLOR, "normal") if i == j else (style.TEXT_COLOR, "bold")
        axes.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", fontsize=7, color=color, weight=weight)
    axes.set_xticks(ticks, names, parse_math=False, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(ticks, names, parse_math=False)
    axes.set_xlabel(fonts.translated("predicted class"))
    axes.set_ylabel(fonts.translated("true class"))
    figure.suptitle(title, fontsize=TITLE_POINTS, color=style.TEXT_COLOR, parse_math=False)
    style.style_axes(axes)
    style.save_png(figure, path)
