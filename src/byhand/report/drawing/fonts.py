"""Fonts for the text of others in figures: installed fonts that have its letters, or the letters' numbers where none has.

A font's own table of characters tells which letters it has. A letter that no font has would be drawn as a box, and different
names would look the same; it is written as in Python instead, 猫 as \\u732b.
"""

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from math import ceil
from typing import Any
from unicodedata import category

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font, weight_dict

from byhand import text as plain_text
from byhand.text import shorten
from byhand.translation import translate

DOTS_PER_INCH = 150
PLACEHOLDER_FONTS = ("last resort", "lastresort", "adobe blank")  # draw every character as a box, or as nothing
# In the name of one of several fonts that differ in the shapes of a letter.
SIMPLIFIED = re.compile(r"\b(?:SC|CN|GB)\b")
REGULAR_WEIGHT = 400
INVISIBLE = ("Mn", "Me", "Cf")  # categories of marks that a text can be drawn without
MIN_LETTERS = 6  # of a text that is shortened to fit


def font_families(text: str) -> list[str]:
    """Return matplotlib's default fonts, and after them installed fonts with the characters of a text that these lack."""
    return [*FontProperties().get_family(), *fonts_covering(text)]


def fonts_covering(text: str) -> list[str]:
    """Return installed fonts that have the characters of a text which matplotlib's default font lacks."""
    return _cover(text)[0]


def drawable(text: str) -> str:
    """Return a text in which a letter that no installed font has is its number, as in Python; without it in a mark's place.

    >>> drawable("a cat, кошка"), drawable("a \\U0010fffd")
    ('a cat, кошка', 'a \\\\U0010fffd')
    """
    missing = _cover(text)[1]
    if not missing:
        return text
    return "".join(_escaped(letter) if ord(letter) in missing else letter for letter in text)


def translated(text: str) -> str:
    """Return a text in the language of the reader, where an installed font has its letters."""
    found = translate(text)
    return text if _cover(found)[1] else found


def class_labels(names: Sequence[str], max_letters: int = 32) -> list[str]:
    """Return a label for each class that can be drawn and looks like no other: with its index where its letters can't be.

    >>> class_labels(["cat", "cat", "\\U0001d800"])  # SignWriting, which few fonts have
    ['0: cat', '1: cat', '2: \\\\U0001d800']
    """
    names = [plain_text.printable(name, " ") for name in plain_text.first_synonyms(names)]
    missing = _cover("".join(names))[1]
    if not missing:
        return plain_text.class_labels(names, max_letters)
    labels = plain_text.class_labels([drawable(name) for name in names], max_letters)
    return [
        label if label.startswith(f"{index}: ") or missing.isdisjoint(map(ord, name)) else f"{index}: {label}"
        for index, (name, label) in enumerate(zip(names, labels))
    ]


@contextmanager
def without_font_warnings() -> Iterator[None]:
    """Draw without matplotlib's warnings of glyphs and weights that a font lacks: another font in the list has them."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            yield
    finally:
        logger.setLevel(level)


def text_width(text: str, points: float, **settings: Any) -> int:
    """Return the width of a text in pixels, in the fonts that it is drawn with."""
    figure = Figure((1, 1), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    drawn = figure.text(0, 0, text, fontsize=points, fontfamily=font_families(text), parse_math=False, **settings)
    with without_font_warnings():
        pixels: float = drawn.get_window_extent().width
    return ceil(pixels)


def fit(text: str, points: float, max_pixels: float, max_letters: int = 200, **settings: Any) -> str:
    """Return a text that can be drawn, with an ellipsis in its middle where it is wider than that."""
    text = drawable(shorten(text, max_letters))
    letters = len(text)
    while text_width(short := shorten(text, letters), points, **settings) > max_pixels and letters > MIN_LETTERS:
        letters -= 2
    return short


def wrap(text: str, points: float, max_pixels: float, max_letters: int = 300) -> str:
    """Return a text that can be drawn, in as many lines of that width as it takes."""
    lines: list[str] = []
    for word in drawable(shorten(text, max_letters)).split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, points) <= max_pixels:
            lines[-1] = longer
            continue
        while text_width(word, points) > max_pixels and len(word) > MIN_LETTERS:  # as in Chinese, without spaces
            count = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or text_width(word[:n], points) <= max_pixels)
            lines.append(word[:count])
            word = word[count:]
        lines.append(word)
    return "\n".join(lines)


def _escaped(letter: str) -> str:
    """Return a letter's number as in Python; nothing for a mark, such as the one that asks for a colored emoji."""
    if category(letter) in INVISIBLE:
        return ""
    return letter.encode("ascii", "backslashreplace").decode()


def _cover(text: str) -> tuple[list[str], set[int]]:
    """Return installed fonts that cover what the default font lacks, and the characters that no font has."""
    missing = set(map(ord, text)) - _characters(findfont(FontProperties())) - {ord("\n")}
    families: list[str] = []
    if missing:
        for name, path in _upright_fonts().items():
            if not missing:
                break
            covered = missing & _characters(path)
            families += [name] if covered else []
            missing -= covered
    return families, missing


def _upright_fonts() -> dict[str, str]:
    """Return the file of each installed family of fonts: sans serif first, and of those the simplified Chinese ones.

    A family need not have the regular weight: that of WenQuanYi Zen Hei is medium.
    """
    nearest: dict[str, Any] = {}
    for font in fontManager.ttflist:
        is_placeholder = font.name.lower().lstrip(".").startswith(PLACEHOLDER_FONTS)
        if font.style == "normal" and not is_placeholder:
            other = nearest.get(font.name, font)
            nearest[font.name] = font if _from_regular(font) <= _from_regular(other) else other
    order = sorted(nearest, key=lambda name: ("Sans" not in name, SIMPLIFIED.search(name) is None, name))
    return {name: nearest[name].fname for name in order}


def _from_regular(font: Any) -> int:
    """Return how far a font's weight is from regular, a number or a word."""
    weight = font.weight if isinstance(font.weight, int) else weight_dict.get(font.weight, REGULAR_WEIGHT)
    return abs(weight - REGULAR_WEIGHT)


@cache
def _characters(path: str) -> frozenset[int]:
    """Return the characters that a font file has."""
    with suppress(OSError, RuntimeError):  # a font that FreeType can't open
        return frozenset(get_font(path).get_charmap())
    return frozenset()
