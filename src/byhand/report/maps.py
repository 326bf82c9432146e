"""What a layer gives, as a picture: a sheet of its maps, one a channel, or a vector as bars; an array in, PNG out."""

import os
from collections.abc import Sequence
from math import ceil
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from byhand.errors import ShapeError
from byhand.ops.op import Array
from byhand.report import picture
from byhand.shapes import integer

MOST, LIMIT = 64, 4096  # maps a sheet: where nothing is said, and at all
WIDE, TALL, LEAST = 1440, 830, 520  # pixels that maps may take, and the least across
HEAD, EDGE = 84, 30  # pixels: the title's room, the margin
GAP, LABEL, CRISP = 8, 17, 3  # pixels: between maps, for the number above one, of a number that is drawn as a square
SMALLEST, LARGEST = 24, 420  # pixels of a map's longer side at least, of its shorter one at most
BAR = (14, 16, 62)  # of the colours' scale: its width, what is free before it, what its numbers take
COLOURS, BROKEN = "magma", "#19c3d6"  # as bright as large (perceptually uniform); what is no number
BARS, NAMED = 600, 24  # bars that are told apart; bars with a name each
BEST, BESIDE = 5, 330  # the largest numbers, which are listed beside the bars; the pixels for that


def draw_maps(
    values: Array,
    path: str | os.PathLike[str],
    title: str = "",
    *,
    each: bool = False,
    most: int = MOST,
    names: Sequence[str] = (),
) -> None:
    """Draw what a layer gives for one image as PNG, whole or not at all: (H, W, C), (H, W), or a vector (C,).

    All maps share one scale of colours, or have one each. Of more than `most` maps the most active are drawn: the mean of
    their magnitudes is largest. names: of a vector's numbers. Raises ShapeError for another shape.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_maps(np.random.default_rng(0).random((7, 7, 32)), f"{folder}/conv1.png", "conv1")
    """
    most = integer("draw_maps: most", most)
    values = np.asarray(values, np.float64)
    shape = values.shape
    if values.size and sum(size > 1 for size in shape) <= 1:
        figure = _bars(values.reshape(-1), names)
        about = [_spelled(shape) if len(shape) > 1 else f"{values.size:,} numbers", _range(values)]
    elif values.size and len(shape) in (2, 3):
        maps = values.reshape(*shape[:2], -1)
        chosen = active(maps, min(most, LIMIT))
        figure = _sheet(maps, chosen, each)
        count = maps.shape[2]
        shown = f"the {len(chosen)} most active of {count:,} maps" if count > len(chosen) else f"{count:,} maps"
        about = [_spelled(shape), *([shown] if count > 1 else []), _range(values)]
        about += ["each map on its own scale"] if each and count > 1 else []
    else:
        raise ShapeError(f"draw_maps: the shape is {shape}; expected (H, W, C), (H, W) or (C,)")
    if broken := np.count_nonzero(~np.isfinite(values)):
        about.append(f"{broken:,} NaN or infinite (blue)")
    _head(figure, title, ", ".join(about))
    picture.write(figure, path)


def active(maps: Array, most: int) -> list[int]:
    """Return which maps of (H, W, C) to draw: all in order, or the most active, the most active first."""
    count = maps.shape[2]
    if count <= most:
        return list(range(count))
    mean = np.abs(np.where(np.isfinite(maps), maps, 0)).mean((0, 1))
    return np.argsort(-mean, kind="stable")[:most].tolist()  # type: ignore[no-any-return]


# maps -----------------------------------------------------------------------------------------------------------------


def _sheet(maps: Array, chosen: list[int], each: bool) -> Any:
    """Return a figure of maps."""
    several = maps.shape[2] > 1
    low, high = _limits(maps)
    columns, tall, wide = _grid(len(chosen), *maps.shape[:2])
    label = LABEL if several else 0
    rows = ceil(len(chosen) / columns)
    down, across = rows * (tall + label + GAP) - GAP, columns * (wide + GAP) - GAP
    sheet = np.full((down, across, 3), _rgb(picture.PAPER), np.uint8)
    corners = []
    for i, channel in enumerate(chosen):
        top, left = i // columns * (tall + label + GAP) + label, i % columns * (wide + GAP)
        one = maps[..., channel]
        sheet[top : top + tall, left : left + wide] = _resized(
            _coloured(one, *(_limits(one) if each else (low, high))), tall, wide
        )
        corners.append((left, top))
    scale = 0 if each and several else sum(BAR)
    figure, axes = _figure(across, down, scale)
    axes.imshow(sheet, interpolation="none", aspect="auto")
    axes.set_axis_off()
    for channel, (left, top) in zip(chosen, corners) if several else ():
        axes.text(left - 0.5, top - 4, str(channel), fontsize=5.5, color=picture.SOFT, va="baseline")
    if scale:
        _scale(figure, axes, low, high, label)
    return figure


def _grid(count: int, height: int, width: int) -> tuple[int, int, int]:
    """Return how many columns make maps largest, and a map's height and width in pixels of the picture."""

    def fit(columns: int) -> float:
        rows = ceil(count / columns)
        wide, tall = (WIDE + GAP) / columns - GAP, (TALL + GAP) / rows - GAP - LABEL
        return min(wide / width, tall / height, LARGEST / min(height, width))

    columns = max(range(1, count + 1), key=lambda columns: (fit(columns), -columns))
    factor = fit(columns)
    if factor * max(height, width) < SMALLEST:  # the sheet grows down
        factor = SMALLEST / max(height, width)
        columns = int((WIDE + GAP) // (SMALLEST + GAP))
    factor = int(factor) if factor >= CRISP else factor
    return min(columns, count), max(1, int(height * factor)), max(1, int(width * factor))


def _coloured(one: Array, low: float, high: float) -> Array:
    """Return a map in colours, (H, W, 3) uint8."""
    good = np.isfinite(one)
    with np.errstate(over="ignore", invalid="ignore"):
        part = np.where(good, (one / 2 - low / 2) / max(high / 2 - low / 2, np.finfo(float).tiny), 0)
    colours = matplotlib.colormaps[COLOURS](part, bytes=True)[..., :3]
    colours[~good] = _rgb(BROKEN)
    return colours


def _resized(colours: Array, tall: int, wide: int) -> Array:
    """Return a map of another size: its pixels as squares where they are large enough to be seen, else smooth."""
    height, width = colours.shape[:2]
    if tall >= CRISP * height and tall % height == wide % width == 0:
        return colours.repeat(tall // height, 0).repeat(wide // width, 1)
    return np.asarray(Image.fromarray(colours).resize((wide, tall), Image.Resampling.LANCZOS))


def _scale(figure: Any, axes: Any, low: float, high: float, label: int) -> None:
    """Draw the scale of colours to the right of the maps; label: where the first of them begins."""
    width, height = figure.get_size_inches() * figure.dpi
    box = axes.get_position()
    top = box.y1 - label / height
    tall = min(top - box.y0, 360 / height)
    place = (box.x1 + BAR[1] / width, top - tall, BAR[0] / width, tall)
    scale = figure.add_axes(place)
    scale.imshow(np.linspace(1, 0, 256)[:, None], cmap=COLOURS, vmin=0, vmax=1, aspect="auto")
    scale.set_xticks([])
    marks = {0.0: high, 255.0: low}
    if low < 0 < high and 0.12 < -low / (high - low) < 0.88:
        marks[255 * high / (high - low)] = 0.0
    scale.set_yticks(list(marks), [_number(value) for value in marks.values()])
    scale.yaxis.tick_right()
    scale.tick_params(colors=picture.SOFT, labelsize=7, length=0)
    for spine in scale.spines.values():
        spine.set_visible(False)


# vectors --------------------------------------------------------------------------------------------------------------


def _bars(values: Array, names: Sequence[str]) -> Any:
    """Return a figure of a vector: a bar a number, or one for some of many; the largest are listed beside them."""
    named = [picture.plain_text(name, 12) for name in names] if len(names) <= NAMED else []
    beside = 0 if named else BESIDE
    below = 24 + 9 * max(map(len, named), default=0) * _turned(named)
    figure, axes = _figure(WIDE - beside, 400, beside, 48, below)
    good, count = np.isfinite(values), len(values)
    shown, step = np.where(good, values, 0), ceil(count / BARS)
    starts = np.arange(0, count, step)
    for pick, colour in ((np.maximum, picture.PLUS), (np.minimum, picture.MINUS)):  # both ends, so that no peak is lost
        tops = pick(pick.reduceat(shown, starts), 0)
        axes.bar(starts - 0.5, tops, step * (0.8 if count < 200 else 1.0), align="edge", color=colour, linewidth=0)
    for i in np.flatnonzero(~good)[:BARS]:
        axes.axvline(i, color=BROKEN, linewidth=1)
    axes.axhline(0, color=picture.LINE, linewidth=0.8, zorder=0)
    axes.margins(x=0.005)
    picture.plain(axes)
    if named:
        axes.set_xticks(range(count), named, parse_math=False, rotation=90 if _turned(named) else 0)
    else:
        _best(figure, axes, values, names)
    return figure


def _turned(names: Sequence[str]) -> bool:
    """Tell whether names under bars must stand upright."""
    return sum(map(len, names)) > 80


def _best(figure: Any, axes: Any, values: Array, names: Sequence[str]) -> None:
    """List the largest numbers to the right of the bars."""
    width, height = figure.get_size_inches() * figure.dpi
    box = axes.get_position()
    best = [k for k in np.argsort(-values, kind="stable")[:BEST] if np.isfinite(values[k])]
    for i, k in enumerate(best):
        name = picture.plain_text(names[k].split(",")[0], 22) if names else f"number {k:,}"
        for x, text, colour, align in (
            (90, _number(values[k]), picture.INK, "right"),
            (104, name, picture.SOFT, "left"),
        ):
            place = box.x1 + x / width, box.y1 - 30 * i / height
            figure.text(*place, text, fontsize=8, color=colour, ha=align, va="top", parse_math=False)


# what both share ------------------------------------------------------------------------------------------------------


def _figure(across: int, down: int, right: int, left: int = 0, below: int = 0) -> tuple[Any, Any]:
    """Return a figure, and axes of so many pixels in it; right, left, below: the room beside them."""
    width, height = left + max(across + right, LEAST) + 2 * EDGE, down + below + HEAD + EDGE
    figure = picture.figure(width / 150, height / 150)
    figure.set_layout_engine("none")  # each pixel has its place
    place = (EDGE + left) / width, (EDGE + below) / height, across / width, down / height
    return figure, figure.add_axes(place)


def _head(figure: Any, title: str, about: str) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    title = picture.plain_text(title, max(20, int(width // 18)))
    figure.text(EDGE / width, 1 - 36 / height, title, fontsize=11, weight="bold", color=picture.INK, parse_math=False)
    figure.text(EDGE / width, 1 - 62 / height, about, fontsize=7.5, color=picture.SOFT, parse_math=False)


def _limits(values: Array) -> tuple[float, float]:
    good = values[np.isfinite(values)]
    return (float(good.min()), float(good.max())) if good.size else (0.0, 0.0)


def _range(values: Array) -> str:
    return " to ".join(map(_number, _limits(values)))


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _spelled(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{size:,}" for size in shape)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
