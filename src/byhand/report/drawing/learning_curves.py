"""Learning curves as a matplotlib figure: loss and accuracy by epoch, on the training and the held-out images."""

import os
from collections.abc import Mapping, Sequence

from byhand.report.diagnosis_input import judged_epoch
from byhand.report.drawing import fonts, style

# Inches
WIDTH = 7.2
HEIGHT = 2.9
TITLE_LINE = 0.17
TITLE_POINTS = 9.0


def draw_learning_curves(
    history: Sequence[Mapping[str, float]],
    curve: Sequence[Sequence[float]],
    path: str | os.PathLike[str],
    title: str = "",
) -> None:
    """Draw the learning curves as PNG.

    history: a row per epoch, as `Trainer.fit` returns it; curve: (epoch, loss, accuracy) at many points within the epochs.
    """
    title = fonts.wrap(fonts.translated(title), TITLE_POINTS, (WIDTH - 0.2) * fonts.DOTS_PER_INCH)
    figure = style.new_figure(WIDTH, HEIGHT + TITLE_LINE * title.count("\n"))
    points = curve or [(row["epoch"], row["loss"], row["accuracy"]) for row in history]
    epochs = [point[0] for point in points]
    held_out = "val" if any("val_loss" in row for row in history) else "test"
    name_of_set = fonts.translated(held_out)
    for column, name in ((1, "loss"), (2, "accuracy")):
        axes = figure.add_subplot(1, 2, column)
        values = [point[column] for point in points]
        marker = "o-" if len(points) == 1 else "-"  # a line through one point is invisible
        axes.plot(
            epochs, values, marker, color=style.BLUE, linewidth=1, markersize=4, label=fonts.translated("training")
        )
        evaluated = [(row["epoch"], row[f"{held_out}_{name}"]) for row in history if f"{held_out}_{name}" in row]
        if evaluated:
            value = dict(evaluated).get(judged_epoch(history), evaluated[-1][1])
            label = f"{name_of_set}: {value:.2%}" if name == "accuracy" else f"{name_of_set}: {value:.3f}"
            axes.plot(*zip(*evaluated), "o-", color=style.ORANGE, linewidth=1, markersize=4, label=label)
        if name == "loss" and any(value > 0 for _, value in [*zip(epochs, values), *evaluated]):
            axes.set_yscale("log")
        axes.grid(axis="y", color=style.GRID_COLOR, linewidth=0.6)
        axes.set_xlabel(fonts.translated("epoch"))
        axes.set_title(fonts.translated(name))
        style.style_axes(axes)
        axes.legend(frameon=False, fontsize=8, labelcolor=style.TEXT_COLOR)
    figure.suptitle(title, fontsize=TITLE_POINTS, x=0.01, ha="left", color=style.MUTED_COLOR, parse_math=False)
    style.save_png(figure, path)
