"""Marks that a printer leaves on paper on which nobody has written: the blank forms of `dirty_paper.py`.

Each function multiplies a paper (H, W), 1 where it is bare, by what it prints.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def printed(rng, paper, draw_on, max_degrees=2.0):
    """Print what `draw_on` draws, twice as large and averaged down, turned a little: 255 is full ink."""
    height, width = paper.shape
    large = Image.new("L", (2 * width, 2 * height))
    draw_on(ImageDraw.Draw(large), 2 * width, 2 * height)
    if rng.random() < 0.6:
        large = large.rotate(rng.uniform(-max_degrees, max_degrees), Image.Resampling.BILINEAR)
    ink = np.asarray(large.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    return paper * (1 - rng.uniform(0.15, 0.95) * ink)


def cells(rng, width, height, side, max_columns=10):
    """Yield the corners of cells in rows of a form; side: (width, height) of a cell."""
    wide, tall = side
    gap = int(wide * rng.choice([0.1, 0.3, 0.8]))
    for top in range(60, height - tall - 60, int(tall * rng.uniform(1.4, 3))):
        left = int(rng.integers(60, 160))
        for column in range(int(rng.integers(1, max_columns))):
            x = left + column * (wide + gap)
            if x + wide < width - 60:
                yield x, top, x + wide, top + tall


def side_of(rng, low=40, high=160):
    tall = int(np.exp(rng.uniform(np.log(low), np.log(high))))
    return int(tall * rng.choice([0.6, 0.8, 1, 1, 1, 1.5, 3])), tall


def double_frames(rng, paper):
    """Boxes within boxes."""

    def draw_on(draw, width, height):
        thick = int(rng.integers(2, 6))
        apart = thick + int(rng.integers(3, 14))
        for x, y, right, bottom in cells(rng, width, height, side_of(rng, 60)):
            draw.rectangle((x, y, right, bottom), outline=255, width=thick)
            draw.rectangle((x + apart, y + apart, right - apart, bottom - apart), outline=255, width=thick)

    return printed(rng, paper, draw_on)


def dotted_combs(rng, paper):
    """Combs and boxes of dots or dashes."""

    def draw_on(draw, width, height):
        size, step = int(rng.integers(2, 7)), int(rng.integers(8, 20))
        is_comb = rng.random() < 0.5

        def dotted(x0, y0, x1, y1):
            for at in np.arange(0, max(x1 - x0, y1 - y0) + 1, step):
                x, y = (x0 + at, y0) if x1 > x0 else (x0, y0 + at)
                draw.ellipse((x, y, x + size, y + size), fill=255)

        for x, y, right, bottom in cells(rng, width, height, side_of(rng, 60)):
            dotted(x, bottom, right, bottom)
            top = (y + bottom) // 2 if is_comb else y
            dotted(x, top, x, bottom)
            dotted(right, top, right, bottom)
            if not is_comb:
                dotted(x, y, right, y)

    return printed(rng, paper, draw_on)


def checkboxes(rng, paper):
    """Check boxes, sharp, rounded or filled."""

    def draw_on(draw, width, height):
        side, thick, shape = int(rng.integers(24, 70)), int(rng.integers(2, 7)), int(rng.integers(0, 3))
        for x, y, _, bottom in cells(rng, width, height, (4 * side, side)):
            corners = (x, y, x + side, bottom)
            if shape == 0:
                draw.rectangle(corners, outline=255, width=thick)
            elif shape == 1:
                draw.rounded_rectangle(corners, side // 4, outline=255, width=thick)
            else:
                draw.rectangle(corners, fill=255)

    return printed(rng, paper, draw_on)


def registration_marks(rng, paper):
    """Crosses, crosses in circles, corners and squares by which a machine finds a form."""

    def draw_on(draw, width, height):
        thick = int(rng.integers(2, 8))
        for x, y, right, bottom in cells(rng, width, height, (2 * [int(rng.integers(24, 110))]), 5):
            shape = rng.integers(0, 5)
            across, down = (x + right) // 2, (y + bottom) // 2
            if shape in (0, 1):
                draw.line((x, down, right, down), 255, thick)
                draw.line((across, y, across, bottom), 255, thick)
            if shape == 1:
                inset = (right - x) // 5
                draw.ellipse((x + inset, y + inset, right - inset, bottom - inset), outline=255, width=thick)
            if shape == 2:
                draw.line([(x, bottom), (x, y), (right, y)][:: rng.choice([-1, 1])], 255, thick)
            if shape == 3:
                draw.rectangle((x, y, right, bottom), fill=255)
            if shape == 4:
                draw.line((right, y, right, bottom, x, bottom), 255, thick)

    return printed(rng, paper, draw_on)


def barcodes(rng, paper):
    """Bar codes and square codes."""

    def draw_on(draw, width, height):
        for top in range(40, height - 440, 440):
            left, unit = int(rng.integers(40, width // 2)), int(rng.integers(2, 10))
            if rng.random() < 0.5:
                x, tall = left, int(rng.integers(60, 300))
                for _ in range(int(rng.integers(20, 60))):
                    wide = unit * int(rng.integers(1, 5))
                    draw.rectangle((x, top, x + wide - 1, top + tall), fill=255)
                    x += wide + unit * int(rng.integers(1, 5))
            else:
                count = int(rng.integers(15, 40))
                for row, column in np.argwhere(rng.random((count, count)) < 0.5):
                    x, y = left + column * unit, top + row * unit
                    draw.rectangle((x, y, x + unit - 1, y + unit - 1), fill=255)

    return printed(rng, paper, draw_on)


def page_frames(rng, paper):
    """A frame around the page, some with a heading's line or column lines."""

    def draw_on(draw, width, height):
        thick, margin = int(rng.integers(2, 16)), int(rng.integers(8, 120))
        frame = (margin, margin, width - margin, height - margin)
        draw.rectangle(frame, outline=255, width=thick)
        if rng.random() < 0.5:
            inner = margin + thick + int(rng.integers(4, 30))
            draw.rectangle((inner, inner, width - inner, height - inner), outline=255, width=max(2, thick // 2))
        for _ in range(int(rng.integers(0, 4))):
            y = int(rng.integers(margin, height - margin))
            draw.line((margin, y, width - margin, y), 255, thick)

    return printed(rng, paper, draw_on)


def punched_forms(rng, paper):
    """Boxes beside punch holes."""

    def draw_on(draw, width, height):
        radius, thick = int(rng.integers(16, 60)), int(rng.integers(2, 7))
        for x, y, right, bottom in cells(rng, width, height, side_of(rng, 50)):
            draw.rectangle((x + 60, y, right + 60, bottom), outline=255, width=thick)
        for y in np.linspace(0.2, 0.8, int(rng.integers(2, 5))) * height:
            x = rng.uniform(radius, 100)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)

    return printed(rng, paper, draw_on)


def small_cells(rng, paper):
    """Grids of small cells, as of a calendar or a puzzle; some cells are filled."""

    def draw_on(draw, width, height):
        for _ in range(int(rng.integers(1, 4))):
            side, thick = int(rng.integers(20, 90)), int(rng.integers(2, 6))
            columns, rows = rng.integers(2, 12, 2)
            left, top = int(rng.integers(20, width // 2)), int(rng.integers(20, height // 2))
            for column in range(columns):
                for row in range(rows):
                    x, y = left + column * side, top + row * side
                    fill = 255 if rng.random() < 0.1 else None
                    draw.rectangle((x, y, x + side, y + side), outline=255, width=thick, fill=fill)

    return printed(rng, paper, draw_on)


def thick_boxes(rng, paper):
    """Boxes of thick lines, and rounded ones."""

    def draw_on(draw, width, height):
        wide, tall = side_of(rng, 50)
        thick, radius = max(3, int(min(wide, tall) * rng.uniform(0.08, 0.25))), int(tall * rng.choice([0, 0, 0.1, 0.2]))
        for corners in cells(rng, width, height, (wide, tall)):
            draw.rounded_rectangle(corners, radius, outline=255, width=thick)

    return printed(rng, paper, draw_on)


def shaded_boxes(rng, paper):
    """Boxes filled with gray, with or without an outline; white boxes on gray."""

    def draw_on(draw, width, height):
        thick, gray, edge = int(rng.integers(1, 5)), int(rng.integers(30, 200)), int(rng.integers(0, 256))
        hollow = rng.random() < 0.4
        if hollow:
            draw.rectangle((30, 30, width - 30, height - 30), fill=gray)
        for corners in cells(rng, width, height, side_of(rng, 40)):
            draw.rectangle(corners, fill=0 if hollow else gray, outline=edge, width=thick)

    return printed(rng, paper, draw_on)


def turned_boxes(rng, paper):
    """Boxes and combs on a page that is turned by up to eight degrees."""

    def draw_on(draw, width, height):
        thick, shape = int(rng.integers(2, 8)), rng.integers(0, 3)
        for x, y, right, bottom in cells(rng, width, height, side_of(rng, 50)):
            if shape == 0:
                draw.line((x, (y + bottom) // 2, x, bottom, right, bottom, right, (y + bottom) // 2), 255, thick)
            elif shape == 1:
                draw.line((x, bottom, right, bottom), 255, thick)
            else:
                draw.rectangle((x, y, right, bottom), outline=255, width=thick)

    return printed(rng, paper, draw_on, max_degrees=8.0)


def leaders(rng, paper):
    """Underscores and leader dots, typed."""

    def draw_on(draw, width, height):
        font = ImageFont.load_default(int(rng.integers(24, 90)))
        character = str(rng.choice(["_", "_ ", ".", ". ", "-", "- ", "__ __ ", "|_", ": ", "=", "~", "* "]))
        for top in range(40, height - 100, int(rng.integers(80, 220))):
            left, count = int(rng.integers(20, 300)), int(rng.integers(1, 60))
            draw.text((left, top), character * count, fill=255, font=font)

    return printed(rng, paper, draw_on)


def symbols(rng, paper):
    """Arrows, ticks, circles, brackets, slashes and bullets of a form."""

    def draw_on(draw, width, height):
        thick = int(rng.integers(2, 8))
        shape = rng.integers(0, 6)
        for x, y, right, bottom in cells(rng, width, height, (2 * [int(rng.integers(30, 110))]), 5):
            middle = (y + bottom) // 2
            if shape == 0:
                draw.line((x, middle, right, middle), 255, thick)
                draw.polygon(
                    (right, middle - 3 * thick, right + 5 * thick, middle, right, middle + 3 * thick), fill=255
                )
            elif shape == 1:
                draw.polygon((x, y, right, middle, x, bottom), fill=255)
            elif shape == 2:
                draw.ellipse((x, y, right, bottom), outline=255, width=thick)
            elif shape == 3:
                draw.line((x + (right - x) // 3, y, x, y, x, bottom, x + (right - x) // 3, bottom), 255, thick)
            elif shape == 4:
                draw.ellipse((x, y, x + 6 * thick, y + 6 * thick), fill=255)
            else:
                draw.polygon((x, bottom, (x + right) // 2, y, right, bottom), outline=255, width=thick)

    return printed(rng, paper, draw_on)


def desk(rng, paper):
    """A sheet on a dark or wooden desk, a pen beside it."""
    height, width = paper.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    tone = rng.uniform(0.2, 0.7) * (1 + rng.uniform(0, 0.15) * np.sin(y / rng.uniform(2, 9) + np.sin(x / 90)))
    angle, edge = rng.normal(0, 0.08), width * rng.uniform(0.5, 0.85)
    paper = np.where(x * np.cos(angle) + y * np.sin(angle) > edge, tone, paper)
    turn, long, thick = rng.uniform(0, np.pi), rng.uniform(80, 400), rng.uniform(3, 9)
    across, down = x - rng.uniform(edge - 60, width), y - rng.uniform(0, height)
    along, aside = across * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - across * np.sin(turn)
    pen = (np.abs(along) < long / 2) & (np.abs(aside) < thick * np.clip((long / 2 - along) / 40, 0, 1))
    return np.where(pen, rng.uniform(0.05, 1), paper).astype(np.float32)


MARKS = {
    "double frames": double_frames,
    "dotted combs": dotted_combs,
    "check boxes": checkboxes,
    "registration marks": registration_marks,
    "bar codes": barcodes,
    "page frames": page_frames,
    "punched forms": punched_forms,
    "small cells": small_cells,
    "thick boxes": thick_boxes,
    "shaded boxes": shaded_boxes,
    "turned boxes": turned_boxes,
    "leaders": leaders,
    "symbols": symbols,
    "desk": desk,
}
