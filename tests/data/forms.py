"""Synthetic forms filled in by hand: digits of MNIST in boxes, tables and combs, on rules and beside frames, with the truth.

Nothing here knows how digits are found.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from byhand.data import mnist
from tests.data.synthetic_photos import INK_THRESHOLD, Written, blur, daylight, texture

LAYOUTS = ("bare", "boxes", "joined boxes", "table", "comb", "ruled", "squared", "underline", "frame")
MARGIN = 40  # pixels


@dataclass(frozen=True)
class Form:
    """A photo of a form as (H, W, 3) uint8, and what is written on it, in reading order."""

    pixels: np.ndarray
    truth: tuple[Written, ...]

    @property
    def gray(self):
        return np.asarray(Image.fromarray(self.pixels).convert("L"))

    @property
    def text(self):
        return "".join(str(digit.label) for digit in self.truth)


@dataclass(frozen=True)
class Look:
    """How a form looks.

    side: of a digit's cell; fill: height of a digit in cells; gap: between cells, in cells; loose: how far digits lie from
    their cell's middle, in cells; pen: how thick strokes are, -0.2 to 0.2; line: the thickness of lines in pixels;
    line_color, ink_color, paper: RGB; dash: pixels drawn and left free, 0: solid; angle: degrees; inverted: light on dark.
    """

    side: int
    fill: float
    gap: float
    loose: float
    pen: float
    line: int
    line_color: tuple[int, int, int]
    ink_color: tuple[int, int, int]
    paper: tuple[int, int, int]
    dash: int
    angle: float
    inverted: bool
    shaded: bool
    noise: float
    labels: tuple[int, ...] | None = None
    columns: int = 8
    rows: int = 3


def look(rng, **given):
    """Draw the look of a form; what is given stays as it is."""
    ink = [(30, 30, 35), (25, 40, 120), (20, 60, 170), (90, 90, 95), (120, 20, 30), (20, 90, 50)]
    line = [(0, 0, 0), (60, 60, 60), (120, 120, 125), (180, 180, 185), (200, 60, 60), (90, 140, 210), (120, 180, 130)]
    drawn = {
        "side": int(np.exp(rng.uniform(np.log(36), np.log(120)))),
        "fill": rng.uniform(0.5, 0.85),
        "gap": float(rng.choice([0.06, 0.15, 0.4])),
        "loose": rng.uniform(0, 0.1),
        "pen": rng.uniform(-0.15, 0.15),
        "line": int(rng.integers(1, 6)),
        "line_color": tuple(rng.choice(line).tolist()),
        "ink_color": tuple(rng.choice(ink).tolist()),
        "paper": tuple(rng.choice([(250, 250, 248), (244, 240, 228), (225, 228, 232)]).tolist()),
        "dash": int(rng.choice([0, 0, 0, 4, 8])),
        "angle": float(rng.choice([0, rng.uniform(-4, 4)])),
        "inverted": bool(rng.random() < 0.12),
        "shaded": bool(rng.random() < 0.4),
        "noise": float(rng.choice([0, rng.uniform(1, 5)])),
        "columns": int(rng.integers(4, 11)),
        "rows": int(rng.integers(1, 5)),
    }
    return Look(**{**drawn, **given})


def fill_in(seed, layout, **given):
    """Return the form of this seed and layout, with digits of MNIST's test set; given: of its look."""
    rng = np.random.default_rng([seed, LAYOUTS.index(layout), 17])
    how = look(rng, **given)
    if layout == "squared" and "fill" not in given:
        how = look(rng, **{**vars(how), "fill": float(rng.choice([0.7, 1.7, 2.6]))})
    step = how.side * (1 + how.gap if layout in ("bare", "boxes", "comb", "ruled", "underline", "frame") else 1)
    if layout == "squared":
        step = how.side * max(1, int(np.ceil(how.fill)))
    pitch = step if layout == "table" else max(how.side, step) * 1.6
    if layout == "squared":
        pitch = how.side * int(np.ceil(max(how.fill, 1) * 1.4))
    width, height = int(2 * MARGIN + how.columns * step), int(2 * MARGIN + how.rows * pitch)
    cells = [
        [(MARGIN + column * step, MARGIN + row * pitch) for column in range(how.columns)] for row in range(how.rows)
    ]
    line = lines(layout, how, (width, height), cells)
    ink, truth = write(rng, how, layout, (height, width), cells)
    line, ink, boxes = turned(line, ink, truth, how.angle)
    paper, mark, pen = (np.array(color, np.float32) for color in (how.paper, how.line_color, how.ink_color))
    paper = paper * (1 + 0.008 * texture(rng, *line.shape)[..., None]) if how.noise else paper
    photo = paper + (mark - paper) * line[..., None]
    photo = photo + (pen - photo) * (0.95 * ink[..., None])
    photo = np.broadcast_to(photo, (*line.shape, 3))
    if how.inverted:
        photo = 255 - photo
    if how.shaded:
        y, x = np.mgrid[: line.shape[0], : line.shape[1]].astype(np.float32)
        photo = photo * daylight(rng, x / line.shape[1], y / line.shape[0], hard=True)[..., None]
    if how.noise:
        photo = blur(photo.astype(np.float32), rng.uniform(0.3, 0.8))
        photo = photo + how.noise * rng.standard_normal(photo.shape)
    return Form(np.clip(photo, 0, 255).astype(np.uint8), tuple(boxes))


def write(rng, how, layout, shape, cells):
    """Return the ink (H, W), 0 to 1, and each digit's label, place and line."""
    images, labels = mnist.test_images(), mnist.test_labels()
    ink, truth = np.zeros(shape, np.float32), []
    for row, line in enumerate(cells):
        for column, (x, y) in enumerate(line):
            index = int(rng.integers(len(images)))
            if how.labels is not None:
                wanted = how.labels[(row * len(line) + column) % len(how.labels)]
                index = int(rng.choice(np.flatnonzero(labels == wanted)))
            value = digit(images[index], how.fill * how.side, how.pen)
            tall, wide = value.shape
            across = how.side * (max(1, np.ceil(how.fill)) if layout == "squared" else 1)
            left = int(x + (across - wide) / 2 + rng.uniform(-1, 1) * how.loose * how.side)
            top = int(y + (how.side - tall) / 2 + rng.uniform(-1, 1) * how.loose * how.side)
            if layout in ("ruled", "underline"):  # written on the line, sometimes through it
                top = int(y + how.side - tall - rng.uniform(-0.08, 0.1) * how.side)
            top, left = max(top, 0), max(left, 0)
            part = ink[top : top + tall, left : left + wide]
            np.maximum(part, value[: part.shape[0], : part.shape[1]], out=part)
            truth.append((int(labels[index]), (left, top, wide, tall), row))
    return ink, truth


def digit(image, height, pen):
    """Return a digit cropped and scaled to a height, its strokes thicker or thinner by `pen`, (H, W) from 0 to 1."""
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    inner = Image.fromarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = height / 20
    size = max(2, round(inner.width * scale)), max(2, round(inner.height * scale))
    smooth = np.asarray(inner.resize(size, Image.Resampling.BICUBIC), np.float32) / 255
    value = np.clip((smooth - 0.5 + pen) * max(1.0, 0.8 * scale) + 0.5, 0, 1)
    rows, columns = np.flatnonzero((value > INK_THRESHOLD).any(1)), np.flatnonzero((value > INK_THRESHOLD).any(0))
    return value[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def lines(layout, how, size, cells):
    """Return the lines of a form, (H, W) from 0 to 1."""
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    width, height = size
    side, pad = how.side, how.line // 2

    def line(*ends):
        segment(draw, ends, how.line, how.dash)

    def box(left, top, right, bottom):
        for ends in ((left, top, right, top), (left, bottom, right, bottom)):
            line(ends[0] - pad, ends[1], ends[2] + pad, ends[3])
        for ends in ((left, top, left, bottom), (right, top, right, bottom)):
            line(*ends)

    for row in cells:
        (left, top), (last, _) = row[0], row[-1]
        right = last + side
        if layout == "underline":
            line(left, top + side, right, top + side)
        elif layout == "frame":
            box(left - side * 0.4, top - side * 0.15, right + side * 0.4, top + side * 1.15)
        elif layout == "comb":
            line(left, top + side, right, top + side)
        for x, y in row:
            if layout == "boxes" or layout in ("joined boxes", "table"):
                box(x, y, x + side, y + side)
            elif layout == "comb":
                for at in (x, x + side):
                    line(at, y + side * 0.6, at, y + side)
    if layout == "ruled":
        pitch = cells[1][0][1] - cells[0][0][1] if len(cells) > 1 else 1.6 * side
        for y in np.arange(MARGIN + side - pitch, height, pitch):
            line(0, y, width, y)
    if layout == "squared":
        for y in np.arange(MARGIN % side, height, side):
            line(0, y, width, y)
        for x in np.arange(MARGIN % side, width, side):
            line(x, 0, x, height)
    return np.asarray(image, np.float32) / 255


def segment(draw, ends, width, dash):
    """Draw a line, solid or dashed."""
    x0, y0, x1, y1 = ends
    if not dash:
        draw.line([round(value) for value in ends], fill=255, width=width)
        return
    long = max(abs(x1 - x0), abs(y1 - y0), 1)
    for start in np.arange(0, long, 2 * dash):
        a, b = start / long, min(start + dash, long) / long
        points = [x0 + a * (x1 - x0), y0 + a * (y1 - y0), x0 + b * (x1 - x0), y0 + b * (y1 - y0)]
        draw.line([round(value) for value in points], fill=255, width=width)


def turned(line, ink, truth, angle):
    """Return lines and ink turned by degrees clockwise, and where the digits are now."""
    if angle == 0:
        return line, ink, [Written(label, box, row) for label, box, row in truth]
    height, width = line.shape
    images = [
        np.asarray(Image.fromarray(array).rotate(-angle, Image.Resampling.BILINEAR, expand=True))
        for array in (line, ink)
    ]
    tall, wide = images[0].shape
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    boxes = []
    for label, (x, y, w, h), row in truth:
        corners = np.array([[x, y], [x + w, y], [x, y + h], [x + w, y + h]]) - [width / 2, height / 2]
        places = corners @ np.array([[cosine, sine], [-sine, cosine]]) + [wide / 2, tall / 2]
        low, high = places.min(0), places.max(0)
        boxes.append(Written(label, (*low, *(high - low)), row))
    return images[0], images[1], boxes
