"""The curves of a training: loss and accuracy, while training and on the test set."""

import os
from collections.abc import Sequence
from typing import Any

from byhand.report import picture


def draw_curves(
    history: Sequence[dict[str, Any]], curve: Sequence[Sequence[float]], path: str | os.PathLike[str], title: str = ""
) -> None:
    """Draw the curves as PNG.

    history: a row an epoch, as `Trainer.fit` returns it; curve: (epoch, loss, accuracy) at many points within them.
    """
    figure = picture.figure(7.2, 2.9)
    points = curve or [(row["epoch"], row["loss"], row["accuracy"]) for row in history]
    epochs = [point[0] for point in points]
    for place, (name, column) in enumerate((("loss", 1), ("accuracy", 2))):
        axes = figure.add_subplot(1, 2, place + 1)
        values = [point[column] for point in points]
        mark = "o-" if len(points) == 1 else "-"  # a line through one point shows nothing
        axes.plot(epochs, values, mark, color=picture.PLUS, linewidth=1, markersize=4, label="training")
        part = "val" if any("val_loss" in row for row in history) else "test"
        tested = [(row["epoch"], row[f"{part}_{name}"]) for row in history if f"{part}_{name}" in row]
        if tested:
            last = f"{tested[-1][1]:.2%}" if name == "accuracy" else f"{tested[-1][1]:.3f}"
            axes.plot(*zip(*tested), "o-", color=picture.MINUS, linewidth=1, markersize=4, label=f"{part}: {last}")
        if name == "loss" and any(value > 0 for _, value in [*zip(epochs, values), *tested]):
            axes.set_yscale("log")
        axes.grid(axis="y", color=picture.LINE, linewidth=0.6)
        axes.set_xlabel("epoch")
        axes.set_title(name)
        picture.plain(axes)
        axes.legend(frameon=False, fontsize=8, labelcolor=picture.INK)
    title = picture.plain_text(title, 120)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left", color=picture.SOFT, parse_math=False)
    picture.write(figure, path)
