"""What a network will receive, as a picture: a sheet of images, a row a class, plain and augmented; arrays in, PNG out."""

import os
import warnings
from collections.abc import Sequence
from math import ceil
from typing import Any
from unicodedata import east_asian_width

import numpy as np
from PIL import Image

from byhand.errors import ArgumentError, ShapeError
from byhand.ops.op import Array
from byhand.report import picture
from byhand.report.maps import GAP, _figure, _head, _rgb

CLASSES, IMAGES = 20, 12  # rows of a sheet and images of a row at most
LEAST, MOST = 56, 112  # pixels of an image's longer side: smaller ones are enlarged, larger ones reduced
ROW = 44  # pixels down that a class's name and count need
NAME, LABEL = 32, 240  # letters of a name at most, and the pixels they may take
BETWEEN, ABOVE, BELOW = 24, 20, 26  # pixels: between plain and augmented, for these words, for what is not drawn
# fonts that know Chinese, Japanese and Korean, as systems have them
FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "AR PL UMing CN", "PingFang SC", "Hiragino Sans GB", "Heiti TC"),
    *("Microsoft YaHei", "SimHei", "SimSun", "Yu Gothic", "Malgun Gothic", "IPAexGothic", "Arial Unicode MS"),
)


def draw_sheet(path: str | os.PathLike[str], rows: Sequence[Sequence[Any]], title: str = "", about: str = "") -> None:
    """Draw images as PNG, whole or not at all: a row for each (name, count, images) or (name, count, plain, augmented).

    Images are uint8 (H, W, C): grey, or red, green and blue (of more channels the first three; of two the first). Small ones
    are enlarged, their pixels as squares, those above 112 pixels are reduced. Twenty classes are drawn and twelve images of
    each, six plain ones at most beside augmented ones; below stands how many more the counts promise.

    Raises ShapeError or ArgumentError for another row or image, FileError where no picture can be written.

    >>> import tempfile
    >>> images = list(np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_sheet(f"{folder}/sheet.png", [("zero", 5923, images), ("one", 6742, images)], "mnist", "28 x 28 grey")
    """
    parts = [_row(row) for row in rows]
    shown = parts[:CLASSES]
    double = any(len(row) > 3 for row in rows)
    most = [max((len(part[side]) for _, _, part in shown), default=0) for side in (0, 1)]
    plain = min(most[0], IMAGES // 2 if most[1] else IMAGES)
    columns = (plain, min(most[1], IMAGES - plain))
    tiles = [[[_tile(image) for image in part[side][: columns[side]]] for side in (0, 1)] for _, _, part in shown]
    names = [_cut(name) for name, _, _ in shown]
    counts = [f"{count:,} image{'s' * (count != 1)}" for _, count, _ in shown]
    label = max([_width(name, 8) for name in names] + [_width(count, 6.5) for count in counts], default=0) + 2 * GAP
    wide = max((tile.shape[1] for row in tiles for side in row for tile in side), default=LEAST)
    lefts = [label, label + columns[0] * (wide + GAP) + BETWEEN]
    heights = [max([ROW, *(tile.shape[0] for side in row for tile in side)]) for row in tiles]
    tops = np.cumsum([ABOVE if double else 0, *(height + GAP for height in heights)]).tolist()
    drawn = sum(len(row[0]) for row in tiles)
    left_out = _left_out(sum(count for _, count, _ in parts) - drawn, len(parts) - len(shown))
    across = (lefts[1] + columns[1] * (wide + GAP) if double else lefts[1] - BETWEEN) - GAP
    down = max(ROW, tops[-1] - GAP) + (BELOW if left_out else 0)

    sheet = np.full((down, across, 3), _rgb(picture.PAPER), np.uint8)
    for top, height, row in zip(tops, heights, tiles):
        for left, side in zip(lefts, row):
            for i, tile in enumerate(side):
                y, x = top + (height - tile.shape[0]) // 2, left + i * (wide + GAP)
                sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    if double and tiles:
        middle = lefts[1] - (BETWEEN + GAP) // 2
        sheet[: tops[-1] - GAP, middle : middle + 1] = _rgb(picture.LINE)

    figure, axes = _figure(across, down, 0)
    axes.imshow(sheet, interpolation="none", aspect="auto")
    axes.set_axis_off()
    words = {"color": picture.SOFT, "fontsize": 6.5, "parse_math": False}
    for left, word in zip(lefts, ("plain", "augmented")) if double else ():
        axes.text(left - 0.5, ABOVE - 9, word, va="baseline", **words)
    for top, height, name, count in zip(tops, heights, names, counts):
        y = top + height / 2 - 0.5
        axes.text(-0.5, y - 4, name, va="baseline", **words | {"color": picture.INK, "fontsize": 8})
        axes.text(-0.5, y + 15, count, va="baseline", **words)
    axes.text(-0.5, down - 4, left_out, va="baseline", **words)
    _head(figure, title, about)
    for text in (*axes.texts, *figure.texts):
        _legible(text)
    picture.write(figure, path)


def _row(row: Sequence[Any]) -> tuple[str, int, tuple[list[Array], list[Array]]]:
    """Return a row's name, its count, and its plain and augmented images."""
    if isinstance(row, str) or len(row) not in (3, 4):
        raise ArgumentError(
            f"draw_sheet: a row is {row!r:.60}; expected (name, count, images) or with augmented images"
        )
    images = [[np.asarray(image) for image in part] for part in row[2:]]
    for image in (image for part in images for image in part):
        if image.ndim != 3 or 0 in image.shape or image.dtype != np.uint8:
            raise ShapeError(f"draw_sheet: an image is {image.dtype} {image.shape}; expected uint8 (H, W, C)")
    return str(row[0]), int(row[1]), (images[0], images[1] if len(images) > 1 else [])


def _tile(image: Array) -> Array:
    """Return an image as it is drawn, (height, width, 3)."""
    image = image[..., :3] if image.shape[2] > 2 else image[..., :1].repeat(3, 2)
    longer = max(image.shape[:2])
    if longer > MOST:
        tall, wide = (max(1, round(size * MOST / longer)) for size in image.shape[:2])
        return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((wide, tall), Image.Resampling.LANCZOS))
    factor = ceil(LEAST / longer)
    return image.repeat(factor, 0).repeat(factor, 1)


def _left_out(images: int, classes: int) -> str:
    """Return the line that says what is not drawn."""
    said = [f"{classes:,} more class{'es' * (classes != 1)}"] if classes else []
    said += [f"{images:,} more image{'s' * (images != 1)}"] if images > 0 else []
    return f"and {', '.join(said)}" if said else ""


def _cut(name: str) -> str:
    """Return a name that fits its place."""
    most = NAME
    while _width(cut := picture.plain_text(name, most), 8) > LABEL:
        most -= 2
    return cut


def _width(text: str, size: float) -> int:
    """Return how many pixels a text takes."""
    drawn = picture.figure(1, 1).text(0, 0, text, fontsize=size, parse_math=False)
    _legible(drawn)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box is as wide
        pixels: float = drawn.get_window_extent().width
    return ceil(pixels)


def _legible(text: Any) -> None:
    """Draw Chinese, Japanese and Korean in a font that knows them, where the system has one; else they are boxes."""
    if any(east_asian_width(letter) in "WF" for letter in text.get_text()):
        from matplotlib.font_manager import fontManager  # noqa: PLC0415  (it looks through the system's fonts)

        there = set(fontManager.get_font_names())
        text.set_family(["DejaVu Sans", *(name for name in FONTS if name in there)])
        text.set_weight("normal")  # few of them come in bold
