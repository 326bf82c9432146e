"""An explanation as one picture: the image, what three methods say of it, the first filters, the maps; PNG."""

import os
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

from byhand.ops.op import Array
from byhand.report import picture
from byhand.report.explain import Explanation
from byhand.report.maps import COLOURS, _coloured, _limits, _resized, _rgb, active

WIDE, EDGE, GAP = 1328, 36, 24  # pixels: the picture, its margin, between panels
TALL, LARGEST = 420, 400  # pixels of a panel at most, down and across
HEAD, TITLE, FOOT = 84, 60, 46  # pixels: the title's room, that above a panel, that below all
SHEET, NUMBER, APART = 360, 16, 8  # pixels: a sheet's height at most, the room for a number, between its tiles
FILTERS, MAPS = 32, 18  # that are drawn, at most
CRISP = 3  # pixels of a number that is drawn as a square
DIM = 0.8  # how bright the picture is below what is laid over it, where that is dark
PEAK = 99.5  # percent of the pixels that the colours of saliency tell apart; a few are much larger
LEAST = 0.01  # a probability that falls by less is drawn dark
SIGNED = LinearSegmentedColormap.from_list("signed", [picture.MINUS, picture.PAPER, picture.PLUS])

Tile = Callable[[int, int], Array]  # (height, width) in pixels -> (height, width, 3) uint8


def draw_explanation(found: Explanation, path: str | os.PathLike[str], title: str = "") -> None:
    """Draw an explanation as PNG, whole or not at all.

    Above the image as the network receives it, Grad-CAM and occlusion laid over it, saliency; below the filters of the first
    convolution and the most active maps of Grad-CAM's layer; what a network does not have is left out.

    >>> import byhand as bh, tempfile
    >>> from byhand.report.explain import explain
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_explanation(explain(bh.models.create("article"), np.zeros((28, 28, 1))), f"{folder}/why.png")
    """
    panels, sheets = _panels(found), _sheets(found)
    height, width = found.image.shape[:2]
    across = WIDE - 2 * EDGE
    column = (across + GAP) // len(panels) - GAP
    tall, wide = _fit(height, width, TALL, min(LARGEST, column))
    below = max((_size(sheet, (across - (len(sheets) - 1) * GAP) // len(sheets))[0] for sheet in sheets), default=0)
    down = HEAD + TITLE + tall + (TITLE + GAP // 2 + below if sheets else 0) + FOOT
    figure = picture.figure(WIDE / 150, down / 150)
    figure.set_layout_engine("none")  # each pixel has its place
    page = np.full((down, WIDE, 3), _rgb(picture.PAPER), np.uint8)
    _text(figure, EDGE, 40, picture.plain_text(title, 84), 12, picture.INK, weight="bold")
    _text(figure, EDGE, 66, _said(found), 8, picture.SOFT)
    for i, (name, about, tile) in enumerate(panels):
        left, top = EDGE + i * (column + GAP), HEAD
        _titles(figure, left, top, name, about)
        page[top + TITLE : top + TITLE + tall, left : left + wide] = tile(tall, wide)
    for i, sheet in enumerate(sheets):
        part = (across - (len(sheets) - 1) * GAP) // len(sheets)
        _draw_sheet(figure, page, sheet, EDGE + i * (part + GAP), HEAD + TITLE + tall + GAP // 2, part)
    foot = "Bright is much, dark is little; each picture has its own scale."
    foot += " In the filters blue is positive, orange negative." if _signed(found) else ""
    _text(figure, EDGE, down - 18, foot, 7, picture.SOFT)
    figure.figimage(page, origin="upper")
    picture.write(figure, path)


# panels ---------------------------------------------------------------------------------------------------------------


def _panels(found: Explanation) -> list[tuple[str, str, Tile]]:
    """Return the upper row: titles, and what draws them at a size."""
    seen = _seen(found.image)
    lost = found.probability - found.occlusion
    most = float(lost.max())
    what = f"{found.patch[0]} × {found.patch[1]} covered: {found.probability:.1%} falls to {found.occlusion.min():.1%}"
    panels = [("The picture", f"{_spelled(found.image.shape)}, as the network gets it", _plain(seen))]
    if found.cam is not None:
        peak = float(found.cam.max())
        about = f"where {picture.plain_text(found.layer or '', 22)} finds it" if peak > 0 else "nothing speaks for it"
        panels.append(("Grad-CAM", about, _overlay(seen, found.cam / peak if peak > 0 else found.cam)))
    bright = float(np.percentile(found.saliency, PEAK)) or float(found.saliency.max()) or 1.0
    panels.append(("Saliency", "pixels that move its score most", _heat(found.saliency / bright)))
    about = what if most >= LEAST else f"{found.patch[0]} × {found.patch[1]} covered: less than 1% is lost"
    panels.append(("Occlusion", about, _overlay(seen, lost / max(most, LEAST))))
    return panels


def _said(found: Explanation) -> str:
    return f"where the network sees “{picture.plain_text(found.name, 60)}”, to which it gives {found.probability:.1%}"


def _seen(image: Array) -> Array:
    """Return an image as a person sees it, (H, W, 3) uint8; numbers that are no pixels go from dark to bright."""
    if image.dtype != np.uint8:
        low, high = _limits(image)
        image = np.nan_to_num((image - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    return image if image.shape[2] == 3 else np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, 2)


def _plain(colours: Array) -> Tile:
    return lambda tall, wide: _resized(colours, tall, wide)


def _heat(heat: Array) -> Tile:
    return lambda tall, wide: _resized(_coloured(heat, 0, 1), tall, wide)


def _overlay(seen: Array, heat: Array) -> Tile:
    """Return what lays a map over the image, which becomes grey: the brighter, the less of the image is left."""
    heat = np.clip(heat, 0, 1).astype(np.float32)

    def tile(tall: int, wide: int) -> Array:
        grey = _resized(seen, tall, wide).mean(2, keepdims=True) * DIM
        smooth = np.asarray(Image.fromarray(heat).resize((wide, tall), Image.Resampling.BILINEAR))
        share = 0.85 * smooth[..., None] ** 1.5
        colours = matplotlib.colormaps[COLOURS](0.25 + 0.75 * smooth, bytes=True)[..., :3]
        return ((1 - share) * grey + share * colours).astype(np.uint8)  # type: ignore[no-any-return]

    return tile


# sheets ---------------------------------------------------------------------------------------------------------------

Sheet = tuple[str, str, list[int], list[Array]]  # title, what it is, the tiles' numbers, the tiles (H, W, 3) uint8


def _sheets(found: Explanation) -> list[Sheet]:
    """Return the lower row."""
    sheets = []
    if found.filters is not None:
        rows, columns, channels, count = found.filters.shape
        chosen = active(found.filters.reshape(rows, columns * channels, count), FILTERS)
        tiles = [_filter(found.filters[..., k]) for k in chosen]
        about = (
            f"{picture.plain_text(found.first or '', 22)}: {_part(chosen, count)} of {rows} × {columns} × {channels}"
        )
        sheets.append(("The first filters", about, chosen, tiles))
    if found.maps is not None:
        count = found.maps.shape[2]
        chosen = active(found.maps, MAPS)
        tiles = [_coloured(found.maps[..., k], *_limits(found.maps[..., k])) for k in chosen]
        about = (
            f"{picture.plain_text(found.layer or '', 22)}: {_part(chosen, count)} of {_spelled(found.maps.shape[:2])}"
        )
        sheets.append(("The most active maps", about, chosen, tiles))
    return sheets


def _part(chosen: Sequence[int], count: int) -> str:
    return f"{len(chosen)} of {count:,}," if len(chosen) < count else f"all {count:,},"


def _signed(found: Explanation) -> bool:
    return found.filters is not None and found.filters.shape[2] != 3


def _filter(weight: Array) -> Array:
    """Return a filter (R, S, C) as a tile: of three channels in colour, grey is 0; of others their mean, by its sign."""
    weight = np.nan_to_num(weight.astype(np.float64))
    if weight.shape[2] == 3:
        return np.rint(127.5 + 127.5 * weight / (np.abs(weight).max() or 1.0)).astype(np.uint8)
    mean = weight.mean(2)
    return SIGNED(0.5 + mean / (2 * np.abs(mean).max() or 1.0), bytes=True)[..., :3]  # type: ignore[no-any-return]


def _size(sheet: Sheet, across: int) -> tuple[int, int, int, int]:
    """Return a sheet's height, how many columns make its tiles largest, and a tile's height and width; all in pixels."""
    count, (height, width) = len(sheet[2]), sheet[3][0].shape[:2]

    def tile(columns: int) -> tuple[int, int]:
        rows = ceil(count / columns)
        return _fit(height, width, (SHEET + APART) // rows - NUMBER - APART, (across + APART) // columns - APART)

    columns = max(range(1, count + 1), key=lambda columns: (tile(columns), -columns))
    tall, wide = tile(columns)
    return ceil(count / columns) * (tall + NUMBER + APART) - APART, columns, tall, wide


def _draw_sheet(figure: Any, page: Array, sheet: Sheet, left: int, top: int, across: int) -> None:
    """Draw a sheet's titles and tiles."""
    name, about, numbers, tiles = sheet
    _titles(figure, left, top, name, about)
    _, columns, tall, wide = _size(sheet, across)
    for i, (number, tile) in enumerate(zip(numbers, tiles)):
        x = left + i % columns * (wide + APART)
        y = top + TITLE + i // columns * (tall + NUMBER + APART) + NUMBER
        page[y : y + tall, x : x + wide] = _resized(tile, tall, wide)
        _text(figure, x, y - 4, str(number), 5.5, picture.SOFT)


# what both share ------------------------------------------------------------------------------------------------------


def _fit(height: int, width: int, down: int, across: int) -> tuple[int, int]:
    """Return the largest height and width of an image in a room: whole squares a number, where they can be seen."""
    factor = min(down / height, across / width)
    factor = int(factor) if factor >= CRISP else factor
    return max(1, int(height * factor)), max(1, int(width * factor))


def _titles(figure: Any, left: int, top: int, name: str, about: str) -> None:
    _text(figure, left, top + 28, name, 10, picture.INK, weight="bold")
    _text(figure, left, top + 49, about, 7, picture.SOFT)


def _text(figure: Any, x: float, y: float, text: str, size: float, colour: str, **settings: Any) -> None:
    """Write text whose baseline begins at a pixel."""
    width, height = figure.get_size_inches() * figure.dpi
    figure.text(x / width, 1 - y / height, text, fontsize=size, color=colour, parse_math=False, **settings)


def _spelled(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
