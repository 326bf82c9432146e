"""The look that all pictures share, and how they are written."""

import io
import os
import warnings
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from byhand.files import write_whole

INK, SOFT, LINE, PAPER = "#1d1c1a", "#6f6b64", "#e4e0d8", "#fbfaf7"
BOXES = ("Last Resort High-Efficiency",)  # has every letter, as a box
PLUS, MINUS = "#1f5fa8", "#c8641b"  # training and right; test and wrong


def figure(width: float, height: float) -> Any:
    """Return an empty figure of width x height inches, drawn without a screen."""
    picture = Figure((width, height), dpi=150, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(picture)
    return picture


def plain(axes: Any) -> None:
    """Give axes the shared look: thin lines, few of them."""
    axes.set_facecolor(PAPER)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(LINE)
    axes.tick_params(colors=SOFT, labelsize=8, length=3, color=LINE)
    for text, colour in ((axes.title, INK), (axes.xaxis.label, SOFT), (axes.yaxis.label, SOFT)):
        text.set_color(colour)
        text.set_fontsize(9)


def plain_text(text: str, most: int = 32) -> str:
    """Return text as a picture can show it: in one line, cut in its middle where it is long. Draw it with parse_math=False."""
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-most // 2 :]}"


def write(picture: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, whole or not at all."""
    buffer = io.BytesIO()
    texts = picture.findobj(Text)
    families = [*FontProperties().get_family(), *families_with("".join(text.get_text() for text in texts))]
    for text in texts if len(families) > 1 else ():
        text.set_fontfamily(families)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # it is drawn as a box
        picture.savefig(buffer, format="png", metadata={"Software": "byhand"})
    write_whole(path, buffer.getvalue())


def families_with(text: str) -> list[str]:
    """Return the fonts of this machine that have the letters which matplotlib's own has not: Chinese ones, for example."""
    missing = {ord(letter) for letter in text} - set(get_font(findfont(FontProperties())).get_charmap())
    found: list[str] = []
    if missing:
        plain_ones = {one.name: one for one in fontManager.ttflist if (one.style, one.weight) == ("normal", 400)}
        for name in sorted(plain_ones, key=lambda name: ("Sans" not in name, name)):
            if not missing:
                break
            here = set() if name in BOXES else missing & set(get_font(plain_ones[name].fname).get_charmap())
            found += [name] if here else []
            missing -= here
    return found
