"""A contact sheet of a data set: a row of images per class, optionally with augmented ones; arrays in, PNG out."""

import os
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from PIL import Image

from byhand.errors import ArgumentError, ShapeError
from byhand.ops.op import Array
from byhand.report.drawing import fonts, style
from byhand.report.drawing.feature_maps import GAP, pixel_axes, write_head
from byhand.report.drawing.style import rgb

MAX_CLASSES = 20  # rows
MAX_IMAGES = 12  # images in a row
NAME_MAX_LETTERS = 32
NAME_POINTS = 8.0  # font size of a class's name
COUNT_POINTS = 6.5  # font size of its number of images

# Pixels
TILE_MIN_PIXELS = 56  # an image's longer side; smaller images are enlarged
TILE_MAX_PIXELS = 112  # an image's longer side; larger images are reduced
ROW_MIN_PIXELS = 44  # a row's height, for a class's name and count
NAME_MAX_PIXELS = 240
HALVES_GAP = 24  # between plain and augmented images
HALVES_HEAD = 20  # for the words above the two halves
FOOT = 26  # for the line that counts what is not drawn


def draw_contact_sheet(
    path: str | os.PathLike[str], rows: Sequence[Sequence[Any]], title: str = "", about: str = ""
) -> None:
    """Draw images as PNG, whole or not at all: a row for each (name, count, images) or (name, count, plain, augmented).

    Images are uint8 (H, W, C): gray, or red, green and blue (of more channels the first three; of two the first). Small ones
    are enlarged without smoothing, those above 112 pixels are reduced. Drawn are the first 20 classes and 12 images of each,
    or 6 plain and 6 augmented; the last line counts the others.

    Raises ShapeError or ArgumentError for another row or image, FileError where no image can be written.

    >>> import tempfile
    >>> images = list(np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_contact_sheet(f"{folder}/sheet.png", [("zero", 5923, images), ("one", 6742, images)], "mnist", "28 x 28 gray")
    """
    parts = [_row(row) for row in rows]
    drawn_rows = parts[:MAX_CLASSES]
    double = any(len(row) > 3 for row in rows)
    most = [max((len(part[side]) for _, _, part in drawn_rows), default=0) for side in (0, 1)]
    plain = min(most[0], MAX_IMAGES // 2 if most[1] else MAX_IMAGES)
    columns = (plain, min(most[1], MAX_IMAGES - plain))
    tiles = [[[_tile(image) for image in part[side][: columns[side]]] for side in (0, 1)] for _, _, part in drawn_rows]
    labels = fonts.class_labels([name for name, _, _ in parts], NAME_MAX_LETTERS)[:MAX_CLASSES]
    names = [fonts.fit(label, NAME_POINTS, NAME_MAX_PIXELS) for label in labels]
    counts = [fonts.translated(f"{count:,} image{'s' * (count != 1)}") for _, count, _ in drawn_rows]
    text_widths = [fonts.text_width(name, NAME_POINTS) for name in names]
    text_widths += [fonts.text_width(count, COUNT_POINTS) for count in counts]
    label = max(text_widths, default=0) + 2 * GAP
    tile_width = max((tile.shape[1] for row in tiles for side in row for tile in side), default=TILE_MIN_PIXELS)
    lefts = [label, label + columns[0] * (tile_width + GAP) + HALVES_GAP]
    heights = [max([ROW_MIN_PIXELS, *(tile.shape[0] for side in row for tile in side)]) for row in tiles]
    tops = np.cumsum([HALVES_HEAD if double else 0, *(height + GAP for height in heights)]).tolist()
    drawn = sum(len(row[0]) for row in tiles)
    left_out = _omitted(sum(count for _, count, _ in parts) - drawn, len(parts) - len(drawn_rows))
    sheet_width = (lefts[1] + columns[1] * (tile_width + GAP) if double else lefts[1] - HALVES_GAP) - GAP
    sheet_height = max(ROW_MIN_PIXELS, tops[-1] - GAP) + (FOOT if left_out else 0)

    sheet = np.full((sheet_height, sheet_width, 3), rgb(style.BACKGROUND_COLOR), np.uint8)
    for top, height, row in zip(tops, heights, tiles):
        for left, side in zip(lefts, row):
            for i, tile in enumerate(side):
                y, x = top + (height - tile.shape[0]) // 2, left + i * (tile_width + GAP)
                sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    if double and tiles:
        middle = lefts[1] - (HALVES_GAP + GAP) // 2
        sheet[: tops[-1] - GAP, middle : middle + 1] = rgb(style.GRID_COLOR)

    figure, axes = pixel_axes(sheet_width, sheet_height, 0)
    axes.imshow(sheet, interpolation="none", aspect="auto")
    axes.set_axis_off()
    words: dict[str, Any] = {"color": style.MUTED_COLOR, "fontsize": COUNT_POINTS, "parse_math": False}
    for left, word in zip(lefts, ("plain", "augmented")) if double else ():
        axes.text(left - 0.5, HALVES_HEAD - 9, fonts.translated(word), va="baseline", **words)
    for top, height, name, count in zip(tops, heights, names, counts):
        y = top + height / 2 - 0.5
        axes.text(-0.5, y - 4, name, va="baseline", **words | {"color": style.TEXT_COLOR, "fontsize": NAME_POINTS})
        axes.text(-0.5, y + 15, count, va="baseline", **words)
    axes.text(-0.5, sheet_height - 4, left_out, va="baseline", **words)
    write_head(figure, title, about)
    style.save_png(figure, path)


def _row(row: Sequence[Any]) -> tuple[str, int, tuple[list[Array], list[Array]]]:
    """Return a row's name, count, and plain and augmented images, all checked."""
    if isinstance(row, str) or len(row) not in (3, 4):
        raise ArgumentError(
            f"draw_contact_sheet: a row is {row!r:.60}; expected (name, count, images) or (name, count, plain, augmented)"
        )
    images = [[np.asarray(image) for image in part] for part in row[2:]]
    for image in (image for part in images for image in part):
        if image.ndim != 3 or 0 in image.shape or image.dtype != np.uint8:
            raise ShapeError(f"draw_contact_sheet: an image is {image.dtype} {image.shape}; expected uint8 (H, W, C)")
    return str(row[0]), int(row[1]), (images[0], images[1] if len(images) > 1 else [])


def _tile(image: Array) -> Array:
    """Return an image resized for the sheet, (height, width, 3)."""
    image = image[..., :3] if image.shape[2] > 2 else image[..., :1].repeat(3, 2)
    longer = max(image.shape[:2])
    if longer > TILE_MAX_PIXELS:
        height, width = (max(1, round(size * TILE_MAX_PIXELS / longer)) for size in image.shape[:2])
        return np.asarray(
            Image.fromarray(np.ascontiguousarray(image)).resize((width, height), Image.Resampling.LANCZOS)
        )
    factor = ceil(TILE_MIN_PIXELS / longer)
    return image.repeat(factor, 0).repeat(factor, 1)


def _omitted(images: int, classes: int) -> str:
    """Return the line that counts what is not drawn."""
    parts = [f"{classes:,} more class{'es' * (classes != 1)}"] if classes else []
    parts += [f"{images:,} more image{'s' * (images != 1)}"] if images > 0 else []
    text = ", ".join(parts)
    shown = fonts.translated(text)
    return f"and {text}" if parts and shown == text else shown
