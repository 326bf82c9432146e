"""A photo with what was read on it: a thin box a digit, what it says above; a photo and digits in, PNG out."""

import io
import os
from collections.abc import Sequence
from statistics import median

from PIL import Image, ImageDraw, ImageFont

from byhand.files import write_whole
from byhand.report.picture import INK, MINUS, PAPER, PLUS, SOFT
from byhand.report.reading import SURE, Digit

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
LEAST, MOST = 900, 2000  # pixels of the picture's longer side: smaller photos grow, larger ones shrink
LETTERS = 13, 30  # pixels: the smallest and largest that are written over a digit
LEGEND = 15  # pixels: the words below the photo
DASH = 5, 4  # pixels: drawn, and left out, of an unsure digit's box


def draw_reading(
    photo: Image.Image, digits: Sequence[Digit], path: str | os.PathLike[str], *, scale: float = 1.0
) -> None:
    """Draw what was read on a photo as PNG, whole or not at all.

    Digits of a confidence of 0.9 or more are blue; others orange, their boxes dashed, with a question mark. scale: of the
    photo's pixels to those of the digits' boxes.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "read.png")
    ...     draw_reading(Image.new("L", (200, 100), 230), [Digit("7", 0.99, (20, 20, 30, 50), 0)], path)
    ...     with Image.open(path) as image:
    ...         image.size
    (900, 486)
    """
    longest = max(photo.size)
    factor = min(max(longest, LEAST), MOST) / longest
    size = round(photo.width * factor), round(photo.height * factor)
    strip = round(2.4 * LEGEND)
    picture = Image.new("RGB", (size[0], size[1] + strip), PAPER)
    picture.paste(photo.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    draw = ImageDraw.Draw(picture)
    boxes = [tuple(value * scale * factor for value in digit.box) for digit in digits]
    for digit, (x, y, width, height) in zip(digits, boxes):
        _box(draw, (x, y, x + width, y + height), digit.confidence >= SURE)
    usual = median(box[3] for box in boxes) if boxes else 0
    font = _font(round(min(max(0.36 * usual, LETTERS[0]), LETTERS[1])))
    for digit, (x, y, *_) in zip(digits, boxes):  # above all boxes
        _name(draw, digit, font, x, y)
    _legend(draw, digits, size, strip)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    write_whole(path, buffer.getvalue())


def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _box(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], sure: bool) -> None:
    left, top, right, bottom = (round(value) for value in (box[0] - 3, box[1] - 3, box[2] + 2, box[3] + 2))
    if sure:
        draw.rectangle((left, top, right, bottom), outline=PLUS, width=2)
        return
    drawn, free = DASH
    for at in range(left, right, drawn + free):
        for y in (top, bottom - 1):
            draw.rectangle((at, y, min(at + drawn - 1, right), y + 1), fill=MINUS)
    for at in range(top, bottom, drawn + free):
        for x in (left, right - 1):
            draw.rectangle((x, at, x + 1, min(at + drawn - 1, bottom)), fill=MINUS)


def _name(draw: ImageDraw.ImageDraw, digit: Digit, font: Font, x: float, y: float) -> None:
    """Write what a digit says on a small plate that stands on its box."""
    sure = digit.confidence >= SURE
    text = digit.text if sure else f"{digit.text}?"
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font, anchor="ls")
    wide, tall = right - left + 6, bottom - top + 6
    x, y = round(x) - 3, max(round(y) - 3 - tall, 0)
    draw.rectangle((x, y, x + wide, y + tall), fill=PLUS if sure else MINUS)
    draw.text((x + 3 - left, y + 3 - top), text, fill="white", font=font, anchor="ls")


def _legend(draw: ImageDraw.ImageDraw, digits: Sequence[Digit], size: tuple[int, int], strip: int) -> None:
    unsure = sum(digit.confidence < SURE for digit in digits)
    middle = size[1] + strip // 2
    x = LEGEND
    count = f"{len(digits)} digit{'s' * (len(digits) != 1)}"
    for colour, text in ((None, count), (PLUS, f"{len(digits) - unsure} sure"), (MINUS, f"{unsure} below {SURE:.0%}")):
        if colour is not None:
            draw.rectangle((x, middle - 5, x + 9, middle + 5), fill=colour)
            x += 16
        font = _font(LEGEND)
        draw.text((x, middle), text, fill=INK if colour is None else SOFT, font=font, anchor="lm")
        x += round(draw.textlength(text, font=font)) + 24
