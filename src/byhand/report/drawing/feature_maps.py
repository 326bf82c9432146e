"""A layer's output as a figure: feature maps in a grid, one per channel, or a vector as a bar chart; an array in, PNG out."""

import os
from collections.abc import Sequence
from math import ceil

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from byhand.errors import ShapeError
from byhand.ops.op import Array
from byhand.report.drawing import fonts, style
from byhand.report.drawing.fonts import DOTS_PER_INCH
from byhand.report.drawing.style import PIXELATED_MIN_SCALE, format_shape, rgb
from byhand.shapes import integer

DEFAULT_MAX_MAPS = 64
MAX_MAPS = 4096
MAX_BARS = 600  # of a longer vector, each bar shows the extreme of several elements
NAMED_MAX_BARS = 24
LABEL_POINTS = 8.0  # font size of a bar's name
LARGEST_LISTED = 5  # elements beside the bars

# Pixels
MAPS_WIDTH = 1440  # of the grid
MAPS_HEIGHT = 830
MIN_WIDTH = 520
HEAD_HEIGHT = 84
MARGIN = 30
GAP = 8
LABEL_HEIGHT = 17  # of the channel number above a map
MAP_MIN_PIXELS = 24  # a map's longer side
MAP_MAX_PIXELS = 420  # a map's shorter side
COLOR_BAR_WIDTH = 14
COLOR_BAR_GAP = 16
COLOR_BAR_LABELS = 62
LIST_WIDTH = 330

COLOR_MAP = "magma"  # perceptually uniform: the larger, the brighter
NOT_FINITE_COLOR = "#19c3d6"


def draw_feature_maps(
    values: Array,
    path: str | os.PathLike[str],
    title: str = "",
    *,
    scale_each: bool = False,
    max_maps: int = DEFAULT_MAX_MAPS,
    names: Sequence[str] = (),
) -> None:
    """Draw a layer's output for one image as PNG, whole or not at all: (H, W, C), (H, W), or a vector (C,).

    scale_each: a color scale for each map instead of one for all; max_maps: of more maps, those with the largest mean
    magnitude are drawn; names: of a vector's elements. Raises ShapeError for another shape.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_feature_maps(np.random.default_rng(0).random((7, 7, 32)), f"{folder}/conv1.png", "conv1")
    """
    max_maps = integer("draw_feature_maps: max_maps", max_maps)
    values = np.asarray(values, np.float64)
    shape = values.shape
    if values.size and sum(size > 1 for size in shape) <= 1:
        figure = _draw_bars(values.reshape(-1), names)
        about = [format_shape(shape) if len(shape) > 1 else f"{values.size:,} numbers", _format_range(values)]
    elif values.size and len(shape) in (2, 3):
        maps = values.reshape(*shape[:2], -1)
        chosen = most_active(maps, min(max_maps, MAX_MAPS))
        figure = _draw_maps(maps, chosen, scale_each)
        count = maps.shape[2]
        shown = f"the {len(chosen)} most active of {count:,} maps" if count > len(chosen) else f"{count:,} maps"
        about = [format_shape(shape), *([shown] if count > 1 else []), _format_range(values)]
        about += ["each map on its own scale"] if scale_each and count > 1 else []
    else:
        raise ShapeError(f"draw_feature_maps: the shape is {shape}; expected (H, W, C), (H, W) or (C,)")
    if broken := np.count_nonzero(~np.isfinite(values)):
        about.append(f"{broken:,} NaN or infinite (cyan)")
    write_head(figure, title, ", ".join(about))
    style.save_png(figure, path)


def most_active(maps: Array, max_maps: int) -> list[int]:
    """Return the channels of (H, W, C) to draw: all in order, or those with the largest mean magnitude, largest first."""
    count = maps.shape[2]
    if count <= max_maps:
        return list(range(count))
    mean = np.abs(np.where(np.isfinite(maps), maps, 0)).mean((0, 1))
    return np.argsort(-mean, kind="stable")[:max_maps].tolist()  # type: ignore[no-any-return]


# Maps -----------------------------------------------------------------------------------------------------------------


def _draw_maps(maps: Array, chosen: list[int], scale_each: bool) -> Figure:
    """Return a figure of the chosen channels in a grid."""
    several = maps.shape[2] > 1
    low, high = finite_limits(maps)
    columns, map_height, map_width = _grid(len(chosen), *maps.shape[:2])
    label = LABEL_HEIGHT if several else 0
    rows = ceil(len(chosen) / columns)
    sheet_height, sheet_width = rows * (map_height + label + GAP) - GAP, columns * (map_width + GAP) - GAP
    sheet = np.full((sheet_height, sheet_width, 3), rgb(style.BACKGROUND_COLOR), np.uint8)
    corners = []
    for i, channel in enumerate(chosen):
        top, left = i // columns * (map_height + label + GAP) + label, i % columns * (map_width + GAP)
        feature_map = maps[..., channel]
        sheet[top : top + map_height, left : left + map_width] = resize_map(
            apply_color_map(feature_map, *(finite_limits(feature_map) if scale_each else (low, high))),
            map_height,
            map_width,
        )
        corners.append((left, top))
    scale = 0 if scale_each and several else COLOR_BAR_WIDTH + COLOR_BAR_GAP + COLOR_BAR_LABELS
    figure, axes = pixel_axes(sheet_width, sheet_height, scale)
    axes.imshow(sheet, interpolation="none", aspect="auto")
    axes.set_axis_off()
    for channel, (left, top) in zip(chosen, corners) if several else ():
        axes.text(left - 0.5, top - 4, str(channel), fontsize=5.5, color=style.MUTED_COLOR, va="baseline")
    if scale:
        _draw_color_bar(figure, axes, low, high, label)
    return figure


def _grid(count: int, height: int, width: int) -> tuple[int, int, int]:
    """Return the number of columns that makes the maps largest, and a map's height and width in pixels."""

    def fit(columns: int) -> float:
        rows = ceil(count / columns)
        map_width, map_height = (MAPS_WIDTH + GAP) / columns - GAP, (MAPS_HEIGHT + GAP) / rows - GAP - LABEL_HEIGHT
        return min(map_width / width, map_height / height, MAP_MAX_PIXELS / min(height, width))

    columns = max(range(1, count + 1), key=lambda columns: (fit(columns), -columns))
    factor = fit(columns)
    if factor * max(height, width) < MAP_MIN_PIXELS:  # the figure grows downwards
        factor = MAP_MIN_PIXELS / max(height, width)
        columns = int((MAPS_WIDTH + GAP) // (MAP_MIN_PIXELS + GAP))
    factor = int(factor) if factor >= PIXELATED_MIN_SCALE else factor
    return min(columns, count), max(1, int(height * factor)), max(1, int(width * factor))


def apply_color_map(feature_map: Array, low: float, high: float) -> Array:
    """Return a map in the color map's colors, (H, W, 3) uint8."""
    good = np.isfinite(feature_map)
    with np.errstate(over="ignore", invalid="ignore"):
        part = np.where(good, (feature_map / 2 - low / 2) / max(high / 2 - low / 2, np.finfo(float).tiny), 0)
    colors = matplotlib.colormaps[COLOR_MAP](part, bytes=True)[..., :3]
    colors[~good] = rgb(NOT_FINITE_COLOR)
    return colors


def resize_map(colors: Array, height: int, width: int) -> Array:
    """Resize an image: elements as squares where they are large enough to be seen, else resampled."""
    rows, columns = colors.shape[:2]
    if height >= PIXELATED_MIN_SCALE * rows and height % rows == width % columns == 0:
        return colors.repeat(height // rows, 0).repeat(width // columns, 1)
    return np.asarray(Image.fromarray(colors).resize((width, height), Image.Resampling.LANCZOS))


def _draw_color_bar(figure: Figure, axes: Axes, low: float, high: float, label: int) -> None:
    """Draw the color bar to the right of the maps; label: the height of the label above the first map."""
    width, height = figure.get_size_inches() * figure.dpi
    box = axes.get_position()
    top = box.y1 - label / height
    bar_height = min(top - box.y0, 360 / height)
    place = (box.x1 + COLOR_BAR_GAP / width, top - bar_height, COLOR_BAR_WIDTH / width, bar_height)
    scale = figure.add_axes(place)
    scale.imshow(np.linspace(1, 0, 256)[:, None], cmap=COLOR_MAP, vmin=0, vmax=1, aspect="auto")
    scale.set_xticks([])
    marks = {0.0: high, 255.0: low}
    if low < 0 < high and 0.12 < -low / (high - low) < 0.88:
        marks[255 * high / (high - low)] = 0.0
    scale.set_yticks(list(marks), [_format_number(value) for value in marks.values()])
    scale.yaxis.tick_right()
    scale.tick_params(colors=style.MUTED_COLOR, labelsize=7, length=0)
    for spine in scale.spines.values():
        spine.set_visible(False)


# Vectors --------------------------------------------------------------------------------------------------------------


def _draw_bars(values: Array, names: Sequence[str]) -> Figure:
    """Return a bar chart of a vector; unnamed elements are not labeled, the largest are listed beside the chart."""
    labels = fonts.class_labels(names, 22)
    named = fonts.class_labels(names, 16) if len(names) <= NAMED_MAX_BARS else []
    beside = 0 if named else LIST_WIDTH
    widest = max((fonts.text_width(name, LABEL_POINTS) for name in named), default=0)
    vertical = widest > MAPS_WIDTH / len(values) - GAP
    below = 24 + widest * vertical
    figure, axes = pixel_axes(MAPS_WIDTH - beside, 400, beside, 48, below)
    good, count = np.isfinite(values), len(values)
    shown, step = np.where(good, values, 0), ceil(count / MAX_BARS)
    starts = np.arange(0, count, step)
    # Both extremes, so that no peak is lost.
    for pick, color in ((np.maximum, style.BLUE), (np.minimum, style.ORANGE)):
        tops = pick(pick.reduceat(shown, starts), 0)
        axes.bar(starts - 0.5, tops, step * (0.8 if count < 200 else 1.0), align="edge", color=color, linewidth=0)
    for i in np.flatnonzero(~good)[:MAX_BARS]:
        axes.axvline(i, color=NOT_FINITE_COLOR, linewidth=1)
    axes.axhline(0, color=style.GRID_COLOR, linewidth=0.8, zorder=0)
    axes.margins(x=0.005)
    style.style_axes(axes)
    if named:
        axes.set_xticks(range(count), named, parse_math=False, rotation=90 if vertical else 0)
    else:
        _list_largest(figure, axes, values, labels)
    return figure


def _list_largest(figure: Figure, axes: Axes, values: Array, names: Sequence[str]) -> None:
    """List the largest elements to the right of the bars."""
    width, height = figure.get_size_inches() * figure.dpi
    box = axes.get_position()
    best = [k for k in np.argsort(-values, kind="stable")[:LARGEST_LISTED] if np.isfinite(values[k])]
    for i, k in enumerate(best):
        name = fonts.fit(names[k], 8, LIST_WIDTH - 110) if names else f"number {k:,}"
        for x, text, color, align in (
            (90, _format_number(values[k]), style.TEXT_COLOR, "right"),
            (104, name, style.MUTED_COLOR, "left"),
        ):
            place = box.x1 + x / width, box.y1 - 30 * i / height
            figure.text(*place, text, fontsize=8, color=color, ha=align, va="top", parse_math=False)


# Shared by figures whose parts are placed in pixels -------------------------------------------------------------------


def pixel_axes(axes_width: int, axes_height: int, right: int, left: int = 0, below: int = 0) -> tuple[Figure, Axes]:
    """Return a figure, and axes of axes_width x axes_height pixels in it; right, left, below: the space around them."""
    width, height = left + max(axes_width + right, MIN_WIDTH) + 2 * MARGIN, axes_height + below + HEAD_HEIGHT + MARGIN
    figure = style.new_figure(width / DOTS_PER_INCH, height / DOTS_PER_INCH)
    figure.set_layout_engine("none")  # positions are given in pixels
    place = (MARGIN + left) / width, (MARGIN + below) / height, axes_width / width, axes_height / height
    return figure, figure.add_axes(place)


def write_head(figure: Figure, title: str, about: str) -> None:
    """Write a figure's title and the line below it."""
    width, height = figure.get_size_inches() * figure.dpi
    title, about = fonts.translated(title), fonts.translated(about)
    title = fonts.fit(title, 11, width - 2 * MARGIN, weight="bold")
    figure.text(
        MARGIN / width, 1 - 36 / height, title, fontsize=11, weight="bold", color=style.TEXT_COLOR, parse_math=False
    )
    figure.text(MARGIN / width, 1 - 62 / height, about, fontsize=7.5, color=style.MUTED_COLOR, parse_math=False)


def finite_limits(values: Array) -> tuple[float, float]:
    """Return the smallest and the largest finite value; (0, 0) where there is none."""
    good = values[np.isfinite(values)]
    return (float(good.min()), float(good.max())) if good.size else (0.0, 0.0)


def _format_range(values: Array) -> str:
    return " … ".join(map(_format_number, finite_limits(values)))


def _format_number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
