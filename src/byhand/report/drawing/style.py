"""The house style of all matplotlib figures (colors, axes, fonts), and saving a figure as PNG."""

import io
import os
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from byhand.files import write_whole
from byhand.report.drawing import fonts

TEXT_COLOR = "#1d1c1a"
MUTED_COLOR = "#6f6b64"
GRID_COLOR = "#e4e0d8"
BACKGROUND_COLOR = "#fbfaf7"
BLUE = "#1f5fa8"  # training curves and correct answers
ORANGE = "#c8641b"  # held-out curves and mistakes
DOTS_PER_INCH = fonts.DOTS_PER_INCH
PIXELATED_MIN_SCALE = 3  # pixels per element; from here on, elements are drawn as squares


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of width x height inches, drawn without a display."""
    figure = Figure((width, height), dpi=DOTS_PER_INCH, facecolor=BACKGROUND_COLOR, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Axes) -> None:
    """Give axes the house style: thin spines at the left and the bottom only."""
    axes.set_facecolor(BACKGROUND_COLOR)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GRID_COLOR)
    axes.tick_params(colors=MUTED_COLOR, labelsize=8, length=3, color=GRID_COLOR)
    for text, color in ((axes.title, TEXT_COLOR), (axes.xaxis.label, MUTED_COLOR), (axes.yaxis.label, MUTED_COLOR)):
        text.set_color(color)
        text.set_fontsize(9)


def save_png(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, whole or not at all; names in Chinese and the like get a font that has their characters."""
    buffer = io.BytesIO()
    texts: list[Any] = figure.findobj(Text)
    for text in texts:
        if (shown := fonts.drawable(text.get_text())) != text.get_text():
            text.set_text(shown)
    families = fonts.font_families("".join(text.get_text() for text in texts))
    for text in texts if len(families) > 1 else ():
        text.set_fontfamily(families)
    with fonts.without_font_warnings():
        figure.savefig(buffer, format="png", metadata={"Software": "byhand"})
    write_whole(path, buffer.getvalue())


def format_shape(shape: tuple[int, ...]) -> str:
    """Return a shape like 28 × 28 × 1."""
    return " × ".join(f"{size:,}" for size in shape)


def rgb(color: str) -> tuple[int, int, int]:
    """Return a color like #1f5fa8 as three numbers from 0 to 255."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue
