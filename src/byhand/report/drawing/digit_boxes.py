"""A photo with the digits that were read on it: a labeled box around each; a photo and digits in, PNG out."""

import io
import os
from collections.abc import Sequence
from statistics import median

from PIL import Image, ImageDraw, ImageFont

from byhand.files import write_whole
from byhand.report.digit_reader import CONFIDENT, Digit
from byhand.report.drawing.style import BACKGROUND_COLOR, BLUE, MUTED_COLOR, ORANGE, TEXT_COLOR

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
# In pixels
MIN_SIDE = 900  # of the image's longer side: smaller photos are enlarged
MAX_SIDE = 2000  # of the image's longer side: larger photos are reduced
LABEL_SIZES = 13, 30  # the smallest and the largest font above a box
LEGEND_SIZE = 15  # the font below the photo
DASH_PIXELS = 5, 4  # dash and gap of an uncertain digit's box


def draw_digit_boxes(
    photo: Image.Image, digits: Sequence[Digit], path: str | os.PathLike[str], *, scale: float = 1.0
) -> None:
    """Draw the digits of a photo as PNG, whole or not at all.

    Digits of a confidence of 0.9 or more are blue; others orange, their boxes dashed, with a question mark. scale: photo pixels
    per pixel of the digits' boxes.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "read.png")
    ...     draw_digit_boxes(Image.new("L", (200, 100), 230), [Digit("7", 0.99, (20, 20, 30, 50), 0)], path)
    ...     with Image.open(path) as image:
    ...         image.size
    (900, 486)
    """
    longest = max(photo.size)
    factor = min(max(longest, MIN_SIDE), MAX_SIDE) / longest
    size = round(photo.width * factor), round(photo.height * factor)
    strip = round(2.4 * LEGEND_SIZE)
    labeled = Image.new("RGB", (size[0], size[1] + strip), BACKGROUND_COLOR)
    labeled.paste(photo.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    draw = ImageDraw.Draw(labeled)
    boxes = [tuple(value * scale * factor for value in digit.box) for digit in digits]
    for digit, (x, y, width, height) in zip(digits, boxes):
        _draw_box(draw, (x, y, x + width, y + height), digit.sure)
    usual = median(box[3] for box in boxes) if boxes else 0
    font = _font(round(min(max(0.36 * usual, LABEL_SIZES[0]), LABEL_SIZES[1])))
    for digit, (x, y, *_) in zip(digits, boxes):  # on top of all boxes
        _draw_label(draw, digit, font, x, y)
    _draw_legend(draw, digits, size, strip)
    buffer = io.BytesIO()
    labeled.save(buffer, "PNG")
    write_whole(path, buffer.getvalue())


def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _draw_box(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], confident: bool) -> None:
    left, top, right, bottom = (round(value) for value in (box[0] - 3, box[1] - 3, box[2] + 2, box[3] + 2))
    if confident:
        draw.rectangle((left, top, right, bottom), outline=BLUE, width=2)
        return
    drawn, free = DASH_PIXELS
    for at in range(left, right, drawn + free):
        for y in (top, bottom - 1):
            draw.rectangle((at, y, min(at + drawn - 1, right), y + 1), fill=ORANGE)
    for at in range(top, bottom, drawn + free):
        for x in (left, right - 1):
            draw.rectangle((x, at, x + 1, min(at + drawn - 1, bottom)), fill=ORANGE)


def _draw_label(draw: ImageDraw.ImageDraw, digit: Digit, font: Font, x: float, y: float) -> None:
    """Write a digit's text on a plate above its box."""
    confident = digit.sure
    text = digit.text if confident else f"{digit.text}?"
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font, anchor="ls")
    width, height = right - left + 6, bottom - top + 6
    x, y = round(x) - 3, max(round(y) - 3 - height, 0)
    draw.rectangle((x, y, x + width, y + height), fill=BLUE if confident else ORANGE)
    draw.text((x + 3 - left, y + 3 - top), text, fill="white", font=font, anchor="ls")


def _draw_legend(draw: ImageDraw.ImageDraw, digits: Sequence[Digit], size: tuple[int, int], strip: int) -> None:
    unsure = sum(not digit.sure for digit in digits)
    middle = size[1] + strip // 2
    x = LEGEND_SIZE
    count = f"{len(digits)} digit{'s' * (len(digits) != 1)}"
    for color, text in (
        (None, count),
        (BLUE, f"{len(digits) - unsure} sure"),
        (ORANGE, f"{unsure} below {CONFIDENT:.0%}"),
    ):
        if color is not None:
            draw.rectangle((x, middle - 5, x + 9, middle + 5), fill=color)
            x += 16
        font = _font(LEGEND_SIZE)
        draw.text((x, middle), text, fill=TEXT_COLOR if color is None else MUTED_COLOR, font=font, anchor="lm")
        x += round(draw.textlength(text, font=font)) + 24
