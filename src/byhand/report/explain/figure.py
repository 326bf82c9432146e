"""An explanation as one figure: the image, three attribution maps, the first filters, the most active feature maps; PNG."""

import os
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from byhand.ops.op import Array
from byhand.report.drawing import fonts, style
from byhand.report.drawing.feature_maps import COLOR_MAP, apply_color_map, finite_limits, most_active, resize_map
from byhand.report.drawing.style import PIXELATED_MIN_SCALE, format_shape, rgb
from byhand.report.explain.attribution import Explanation
from byhand.text import shorten

# Pixels
WIDTH = 1328
MARGIN = 36
GAP = 24
PANEL_MAX_HEIGHT = 420
PANEL_MAX_WIDTH = 400
HEAD_HEIGHT = 84
TITLE_HEIGHT = 60
FOOT_HEIGHT = 46
GRID_MAX_HEIGHT = 360  # of filters or feature maps
NUMBER_HEIGHT = 16  # of the channel number above a tile
TILE_GAP = 8  # between tiles

MAX_FILTERS = 32
MAX_MAPS = 18
OVERLAY_BRIGHTNESS = 0.8  # of the gray image below an attribution map
SALIENCY_PERCENTILE = 99.5  # of the pixels that is drawn brightest; a few are much larger
OCCLUSION_MIN_DROP = 0.01  # of the probability; smaller drops are drawn dark
SIGNED_COLOR_MAP = LinearSegmentedColormap.from_list("signed", [style.ORANGE, style.BACKGROUND_COLOR, style.BLUE])

TileRenderer = Callable[[int, int], Array]  # (height, width) in pixels -> (height, width, 3) uint8


def draw_explanation(explanation: Explanation, path: str | os.PathLike[str], title: str = "") -> None:
    """Draw an explanation as PNG, whole or not at all.

    Upper row: the image as the network receives it, Grad-CAM and occlusion as overlays, saliency. Lower row: the filters of the
    first convolution and the most active feature maps of Grad-CAM's layer, where the network has them.

    >>> import byhand as bh, tempfile
    >>> from byhand.report.explain import explain
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_explanation(explain(bh.models.create("article"), np.zeros((28, 28, 1))), f"{folder}/why.png")
    """
    panels, grids = _panels(explanation), _grids(explanation)
    height, width = explanation.image.shape[:2]
    grid_width = WIDTH - 2 * MARGIN
    column = (grid_width + GAP) // len(panels) - GAP
    panel_height, panel_width = _fit(height, width, PANEL_MAX_HEIGHT, min(PANEL_MAX_WIDTH, column))
    below = max((_grid_size(grid, (grid_width - (len(grids) - 1) * GAP) // len(grids))[0] for grid in grids), default=0)
    page_height = (
        HEAD_HEIGHT + TITLE_HEIGHT + panel_height + (TITLE_HEIGHT + GAP // 2 + below if grids else 0) + FOOT_HEIGHT
    )
    figure = style.new_figure(WIDTH / 150, page_height / 150)
    figure.set_layout_engine("none")  # positions are given in pixels
    page = np.full((page_height, WIDTH, 3), rgb(style.BACKGROUND_COLOR), np.uint8)
    title = fonts.fit(title, 12, WIDTH - 2 * MARGIN, weight="bold")
    _text(figure, MARGIN, 40, title, 12, style.TEXT_COLOR, weight="bold")
    _text(figure, MARGIN, 66, fonts.fit(_subtitle(explanation), 8, WIDTH - 2 * MARGIN), 8, style.MUTED_COLOR)
    for i, (name, about, tile) in enumerate(panels):
        left, top = MARGIN + i * (column + GAP), HEAD_HEIGHT
        _titles(figure, left, top, name, about)
        page[top + TITLE_HEIGHT : top + TITLE_HEIGHT + panel_height, left : left + panel_width] = tile(
            panel_height, panel_width
        )
    for i, grid in enumerate(grids):
        part = (grid_width - (len(grids) - 1) * GAP) // len(grids)
        _draw_grid(
            figure, page, grid, MARGIN + i * (part + GAP), HEAD_HEIGHT + TITLE_HEIGHT + panel_height + GAP // 2, part
        )
    foot = "The brighter, the larger; each map has its own scale."
    foot += " Filters: blue is positive, orange negative." if _signed(explanation) else ""
    _text(figure, MARGIN, page_height - 18, foot, 7, style.MUTED_COLOR)
    figure.figimage(page, origin="upper")
    style.save_png(figure, path)


# Panels ---------------------------------------------------------------------------------------------------------------


def _panels(explanation: Explanation) -> list[tuple[str, str, TileRenderer]]:
    """Return the panels of the upper row: (title, subtitle, renderer) each."""
    seen = _as_rgb(explanation.image)
    lost, is_number = explanation.effect, explanation.task == "numbers"
    most = float(lost.max())
    patch = f"{format_shape(explanation.patch)} patch"
    panels = [("Input", f"{format_shape(explanation.image.shape)}, preprocessed", _plain(seen))]
    if explanation.cam is not None:
        peak = float(explanation.cam.max())
        about = f"where {shorten(explanation.layer or '', 22)} supports it" if peak > 0 else "no positive evidence"
        about = about if peak <= 0 or explanation.largest(explanation.cam) else "the same everywhere"
        panels.append(("Grad-CAM", about, _overlay(seen, explanation.cam / peak if peak > 0 else explanation.cam)))
    bright = float(np.percentile(explanation.saliency, SALIENCY_PERCENTILE)) or float(explanation.saliency.max()) or 1.0
    about = "largest gradient of the number" if is_number else "largest gradient of the logit"
    about = about if explanation.saliency.any() else "zero everywhere"
    panels.append(("Saliency", about, _heat(explanation.saliency / bright)))
    score, changed = (
        explanation.format(value) for value in (explanation.score, explanation.occlusion.flat[lost.argmax()])
    )
    about = f"{patch}: drops by less than 1%"
    if is_number:
        about = f"{patch}: {score} becomes {changed}"
    elif most >= OCCLUSION_MIN_DROP:
        about = f"{patch}: {score} drops to {changed}"
    panels.append(
        ("Occlusion", about, _overlay(seen, lost / (most or 1.0 if is_number else max(most, OCCLUSION_MIN_DROP))))
    )
    return panels


def _subtitle(explanation: Explanation) -> str:
    name = fonts.drawable(shorten(explanation.name, 60))
    number = "" if name == explanation.name == str(explanation.index) else f" (number {explanation.index})"
    score = explanation.format(explanation.score)
    if explanation.task == "numbers":
        return f"evidence for number {explanation.index}, {score}"
    return f"evidence for the class “{name}”{number}, probability {score}"


def _as_rgb(image: Array) -> Array:
    """Return an image as RGB, (H, W, 3) uint8; floating point is scaled from dark to bright."""
    if image.dtype != np.uint8:
        low, high = finite_limits(image)
        image = np.nan_to_num((image - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    return image if image.shape[2] == 3 else np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, 2)


def _plain(colors: Array) -> TileRenderer:
    return lambda height, width: resize_map(colors, height, width)


def _heat(heat: Array) -> TileRenderer:
    return lambda height, width: resize_map(apply_color_map(heat, 0, 1), height, width)


def _overlay(seen: Array, heat: Array) -> TileRenderer:
    """Return a renderer that blends a map into the gray image: the larger the value, the more opaque."""
    heat = np.clip(heat, 0, 1).astype(np.float32)

    def tile(height: int, width: int) -> Array:
        gray = resize_map(seen, height, width).mean(2, keepdims=True) * OVERLAY_BRIGHTNESS
        smooth = np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR))
        opacity = 0.85 * smooth[..., None] ** 1.5
        colors = matplotlib.colormaps[COLOR_MAP](0.25 + 0.75 * smooth, bytes=True)[..., :3]
        return ((1 - opacity) * gray + opacity * colors).astype(np.uint8)  # type: ignore[no-any-return]

    return tile


# Grids ----------------------------------------------------------------------------------------------------------------

TileGrid = tuple[str, str, list[int], list[Array]]  # title, subtitle, channel numbers, tiles (H, W, 3) uint8


def _grids(explanation: Explanation) -> list[TileGrid]:
    """Return the grids of the lower row: filters, feature maps."""
    grids = []
    if explanation.filters is not None:
        rows, columns, channels, count = explanation.filters.shape
        chosen = most_active(explanation.filters.reshape(rows, columns * channels, count), MAX_FILTERS)
        tiles = [_filter(explanation.filters[..., k]) for k in chosen]
        about = (
            f"{shorten(explanation.first or '', 22)}: {_count_text(chosen, count)} of {rows} × {columns} × {channels}"
        )
        grids.append(("First filters", about, chosen, tiles))
    if explanation.maps is not None:
        count = explanation.maps.shape[2]
        chosen = most_active(explanation.maps, MAX_MAPS)
        tiles = [apply_color_map(explanation.maps[..., k], *finite_limits(explanation.maps[..., k])) for k in chosen]
        shape = format_shape(explanation.maps.shape[:2])
        about = f"{shorten(explanation.layer or '', 22)}: {_count_text(chosen, count)} each {shape}"
        grids.append(("Most active feature maps", about, chosen, tiles))
    return grids


def _count_text(chosen: Sequence[int], count: int) -> str:
    return f"{len(chosen)} of {count:,}," if len(chosen) < count else f"all {count:,},"


def _signed(explanation: Explanation) -> bool:
    return explanation.filters is not None and explanation.filters.shape[2] != 3


def _filter(weight: Array) -> Array:
    """Return a filter (R, S, C) as a tile: three channels as RGB with 0 as gray, others as their signed mean."""
    weight = np.nan_to_num(weight.astype(np.float64))
    if weight.shape[2] == 3:
        return np.rint(127.5 + 127.5 * weight / (np.abs(weight).max() or 1.0)).astype(np.uint8)
    mean = weight.mean(2)
    return SIGNED_COLOR_MAP(0.5 + mean / (2 * np.abs(mean).max() or 1.0), bytes=True)[..., :3]  # type: ignore[no-any-return]


def _grid_size(grid: TileGrid, grid_width: int) -> tuple[int, int, int, int]:
    """Return a grid's height, the number of columns that makes its tiles largest, and a tile's height and width in pixels."""
    count, (height, width) = len(grid[2]), grid[3][0].shape[:2]

    def tile(columns: int) -> tuple[int, int]:
        rows = ceil(count / columns)
        return _fit(
            height,
            width,
            (GRID_MAX_HEIGHT + TILE_GAP) // rows - NUMBER_HEIGHT - TILE_GAP,
            (grid_width + TILE_GAP) // columns - TILE_GAP,
        )

    columns = max(range(1, count + 1), key=lambda columns: (tile(columns), -columns))
    tile_height, tile_width = tile(columns)
    return ceil(count / columns) * (tile_height + NUMBER_HEIGHT + TILE_GAP) - TILE_GAP, columns, tile_height, tile_width


def _draw_grid(figure: Figure, page: Array, grid: TileGrid, left: int, top: int, grid_width: int) -> None:
    """Draw a grid's titles and tiles."""
    name, about, numbers, tiles = grid
    _titles(figure, left, top, name, about)
    _, columns, tile_height, tile_width = _grid_size(grid, grid_width)
    for i, (number, tile) in enumerate(zip(numbers, tiles)):
        x = left + i % columns * (tile_width + TILE_GAP)
        y = top + TITLE_HEIGHT + i // columns * (tile_height + NUMBER_HEIGHT + TILE_GAP) + NUMBER_HEIGHT
        page[y : y + tile_height, x : x + tile_width] = resize_map(tile, tile_height, tile_width)
        _text(figure, x, y - 4, str(number), 5.5, style.MUTED_COLOR)


# Shared by panels and grids -------------------------------------------------------------------------------------------


def _fit(height: int, width: int, max_height: int, max_width: int) -> tuple[int, int]:
    """Return the largest height and width that fit: a whole number of pixels per element where elements are visible."""
    factor = min(max_height / height, max_width / width)
    factor = int(factor) if factor >= PIXELATED_MIN_SCALE else factor
    return max(1, int(height * factor)), max(1, int(width * factor))


def _titles(figure: Figure, left: int, top: int, name: str, about: str) -> None:
    _text(figure, left, top + 28, name, 10, style.TEXT_COLOR, weight="bold")
    _text(figure, left, top + 49, about, 7, style.MUTED_COLOR)


def _text(figure: Figure, x: float, y: float, text: str, size: float, color: str, **settings: Any) -> None:
    """Write text whose baseline starts at a pixel."""
    width, height = figure.get_size_inches() * figure.dpi
    figure.text(
        x / width, 1 - y / height, fonts.translated(text), fontsize=size, color=color, parse_math=False, **settings
    )
