"""Synthetic photos of blank, dirty paper: nobody has written on it. Nothing here knows how digits are found.

Each kind is one source of marks that a camera or a scanner sees; all of them get light, a little blur, noise and JPEG.
"""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tests.data import printed_paper
from tests.data.synthetic_photos import blur, cloud, daylight, texture


def sheet(seed, kind, size=None):
    """Return the photo of this seed and kind as (H, W, 3) uint8; size: (width, height) in pixels."""
    rng = np.random.default_rng([seed, KINDS.index(kind), 41])
    width, height = size or (int(rng.integers(500, 1100)), int(rng.integers(400, 900)))
    tint = rng.uniform(0.96, 1, 3) * rng.uniform(215, 252)
    paper = np.ones((height, width), np.float32) * (1 + rng.uniform(0.003, 0.012) * texture(rng, height, width))
    paper = MARKS[kind](rng, paper)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    light = 1.0 if kind == "scan" else daylight(rng, x / width, y / height, hard=kind == "shadows")
    photo = (paper * light)[..., None] * tint.astype(np.float32)
    photo = blur(photo, rng.uniform(0.3, 1.1))
    strength = rng.uniform(8, 20) if kind == "sensor noise" else rng.uniform(0.5, 4)
    photo += strength * rng.standard_normal(photo.shape, np.float32)
    quality = int(rng.integers(8, 30)) if kind == "jpeg" else int(rng.integers(60, 95))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def drawn(rng, paper, draw_on, darkness):
    """Multiply the paper by what `draw_on` draws, four times as large and averaged down: 255 is full ink."""
    height, width = paper.shape
    large = Image.new("L", (2 * width, 2 * height))
    draw_on(ImageDraw.Draw(large), 2 * width, 2 * height)
    ink = np.asarray(large.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    return paper * (1 - darkness * ink)


def plain(rng, paper):
    return speckle(rng, paper, count=int(rng.integers(0, 8)))


def speckle(rng, paper, count=None):
    """Specks of dust, crumbs and toner: dots, ellipses and ragged spots from a pixel to a small digit's size."""

    def spots(draw, width, height):
        for _ in range(int(rng.integers(10, 150)) if count is None else count):
            x, y, size = rng.uniform(0, width), rng.uniform(0, height), np.exp(rng.uniform(0.3, 3.2))
            corners = int(rng.integers(3, 9))
            around = np.sort(rng.uniform(0, 2 * np.pi, corners))
            far = size * rng.uniform(0.3, 1, corners)
            points = [(x + r * np.cos(a), y + r * np.sin(a)) for r, a in zip(far, around)]
            if rng.random() < 0.5:
                draw.ellipse((x, y, x + size, y + size * rng.uniform(0.3, 1)), fill=int(rng.integers(60, 256)))
            else:
                draw.polygon(points, fill=int(rng.integers(60, 256)))

    return drawn(rng, paper, spots, rng.uniform(0.3, 0.95))


def gradient(rng, paper):
    height, width = paper.shape
    return speckle(rng, paper * (0.75 + 0.25 * cloud(rng, height, width, max(height, width) / 3) / 3), count=6)


def shadows(rng, paper):
    return speckle(rng, paper, count=5)


def folds(rng, paper):
    """Creases: a dark and a bright edge beside each other, straight or broken."""
    height, width = paper.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(int(rng.integers(1, 6))):
        turn = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.1) if rng.random() < 0.6 else rng.uniform(0, np.pi)
        away = (x - rng.uniform(0, width)) * np.cos(turn) + (y - rng.uniform(0, height)) * np.sin(turn)
        away = away + cloud(rng, height, width, 60) * rng.uniform(0, 2)
        wide, deep = rng.uniform(1, 5), rng.uniform(0.05, 0.4)
        along = np.clip(0.6 + 0.5 * cloud(rng, height, width, 80), 0, 1)
        paper = paper * (1 - deep * along * np.exp(-((away / wide) ** 2)))
        paper = paper * (1 + 0.4 * deep * along * np.exp(-(((away - 2 * wide) / wide) ** 2)))
        paper = paper * (1 - 0.1 * deep * np.tanh(away / 30))
    return paper


def crumpled(rng, paper):
    """Paper that was a ball: facets, and creases between them."""
    height, width = paper.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    facets = np.full((height, width), -np.inf, np.float32)
    second, tone = facets.copy(), np.zeros_like(facets)
    for _ in range(int(rng.integers(8, 25))):
        plane = -np.hypot(x - rng.uniform(0, width), y - rng.uniform(0, height))
        tone = np.where(plane > facets, rng.uniform(-1, 1), tone)
        second = np.maximum(second, np.minimum(plane, facets))
        facets = np.maximum(facets, plane)
    crease = np.exp(-(((facets - second) / rng.uniform(1, 4)) ** 2)) * np.clip(cloud(rng, height, width, 50), 0, 1)
    return paper * (1 + rng.uniform(0.02, 0.12) * tone) * (1 - rng.uniform(0.1, 0.5) * crease)


def stains(rng, paper):
    """Coffee: rings, splashes with a dark rim, drops."""
    height, width = paper.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(int(rng.integers(1, 7))):
        radius = np.exp(rng.uniform(np.log(6), np.log(140)))
        away = np.hypot(x - rng.uniform(0, width), (y - rng.uniform(0, height)) * rng.uniform(0.8, 1.2))
        away = away + cloud(rng, height, width, 40) * radius * 0.06
        rim, deep = rng.uniform(1, 5), rng.uniform(0.1, 0.6)
        open_ring = np.clip(0.7 + 0.7 * cloud(rng, height, width, 3 * radius + 5), 0, 1)
        ring = np.exp(-(((away - radius) / rim) ** 2)) * open_ring
        paper = paper * (1 - deep * np.maximum(ring, rng.uniform(0, 0.5) * (away < radius)))
    return paper


def fibers(rng, paper):
    """Hairs and fibers of the paper: thin curves of any length."""

    def hairs(draw, width, height):
        for _ in range(int(rng.integers(1, 40))):
            x, y, turn = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 2 * np.pi)
            bend, points = rng.normal(0, 0.12), [(x, y)]
            for _ in range(int(rng.integers(4, 50))):
                turn, bend = turn + bend, bend + rng.normal(0, 0.04)
                x, y = x + 5 * np.cos(turn), y + 5 * np.sin(turn)
                points.append((x, y))
            draw.line(points, fill=int(rng.integers(60, 256)), width=int(rng.integers(1, 4)), joint="curve")

    return drawn(rng, paper, hairs, rng.uniform(0.3, 0.95))


def scratches(rng, paper):
    """Straight scratches and slips of the pen, of any direction."""

    def lines(draw, width, height):
        for _ in range(int(rng.integers(1, 15))):
            x, y, turn = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 2 * np.pi)
            long = np.exp(rng.uniform(np.log(8), np.log(400)))
            end = x + long * np.cos(turn), y + long * np.sin(turn)
            draw.line((x, y, *end), fill=int(rng.integers(60, 256)), width=int(rng.integers(1, 5)))

    return drawn(rng, paper, lines, rng.uniform(0.2, 0.8))


def ruled(rng, paper, across=True, down=False):
    """Printed rules, a little turned, under dust."""
    angle, step = np.deg2rad(rng.uniform(-3, 3)), rng.uniform(20, 80)
    height, width = paper.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wide, deep = rng.uniform(0.8, 2.5), rng.uniform(0.15, 0.7)
    for there, at in (
        (across, y * np.cos(angle) - x * np.sin(angle)),
        (down, x * np.cos(angle) + y * np.sin(angle)),
    ):
        if there:
            away = np.abs((at + step / 2 + 7) % step - step / 2)
            paper = paper * (1 - deep * np.clip(wide / 2 + 0.5 - away, 0, 1))
    return speckle(rng, paper, count=int(rng.integers(0, 20)))


def squared(rng, paper):
    return ruled(rng, paper, down=True)


def dotted(rng, paper):
    """A dot grid, of round dots or of small crosses."""
    height, width = paper.shape
    step, size, angle = rng.uniform(14, 50), rng.uniform(1, 4), np.deg2rad(rng.uniform(-3, 3))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    u, v = np.abs(u % step - step / 2), np.abs(v % step - step / 2)
    away = np.hypot(u, v) if rng.random() < 0.6 else np.where(np.minimum(u, v) < 1, np.maximum(u, v) - size, 9)
    return speckle(rng, paper * (1 - rng.uniform(0.2, 0.8) * np.clip(size / 2 + 0.5 - away, 0, 1)), count=5)


def boxes(rng, paper):
    """An empty form: rows of boxes, tables, combs, frames, underlines; dust."""
    return speckle(rng, drawn(rng, paper, lambda *args: empty_form(rng, *args), rng.uniform(0.3, 0.9)), count=6)


def empty_form(rng, draw, width, height):
    thick, side = int(rng.integers(2, 8)), int(rng.integers(50, 160))
    gap = int(rng.choice([0, 0, 12, 24]))
    for top in range(40, height - side, int(side * rng.uniform(1.3, 3))):
        columns, shape = int(rng.integers(1, 12)), rng.integers(0, 4)
        left = int(rng.integers(20, 100))
        right = min(left + columns * (side + gap), width - 20)
        if shape == 0:
            draw.line((left, top + side, right, top + side), fill=255, width=thick)
            continue
        if shape == 1:
            draw.rectangle((left, top, right, top + side), outline=255, width=thick)
        for x in range(left, right - side + 1, side + gap):
            if shape == 2:
                draw.rectangle((x, top, x + side, top + side), outline=255, width=thick)
            elif shape == 3:
                draw.line(
                    (x, top + side // 2, x, top + side, x + side, top + side, x + side, top + side // 2), 255, thick
                )


def recycled(rng, paper):
    """Recycled gray paper: dark and light flecks and short fibers all over."""
    height, width = paper.shape
    for _ in range(3):
        scale = rng.uniform(1.5, 6)
        flecks = np.maximum(cloud(rng, height, width, scale) - rng.uniform(1.5, 2.5), 0)
        paper = paper * (1 - np.clip(rng.uniform(0.1, 0.5) * flecks, 0, 0.7))
    return fibers(rng, 0.8 * paper)


def table_edge(rng, paper):
    """Paper on a dark table: one to four of its edges, straight or torn, are in the photo."""
    height, width = paper.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    table = (0.15 + 0.4 * rng.random()) * (
        1 + 0.12 * cloud(rng, height, width, 25) + 0.05 * cloud(rng, height, width, 4)
    )
    for side in rng.permutation(4)[: int(rng.integers(1, 5))]:
        turn = side * np.pi / 2 + rng.normal(0, 0.06)
        away = (x - width / 2) * np.cos(turn) + (y - height / 2) * np.sin(turn)
        at = (width if side % 2 == 0 else height) * rng.uniform(0.3, 0.49)
        at = at + cloud(rng, height, width, 12) * rng.choice([0, 0, 2])
        shadow = 1 - 0.3 * np.exp(-np.maximum(at - away, 0) / 10) * rng.random()
        paper = np.where(away > at, table, paper * shadow)
    return speckle(rng, paper, count=8).astype(np.float32)


def moire(rng, paper):
    """A screen or a halftone under a camera: waves over waves."""
    height, width = paper.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(int(rng.integers(2, 4))):
        turn, wave = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(2.5), np.log(40)))
        bent = x * np.cos(turn) + y * np.sin(turn) + 6 * cloud(rng, height, width, 200)
        paper = paper * (1 - rng.uniform(0.03, 0.15) * (1 + np.sin(2 * np.pi * bent / wave)))
    return paper


def show_through(rng, paper):
    """Print on the back of the sheet, mirrored, faint and soft."""
    height, width = paper.shape
    back = Image.new("L", (width, height))
    draw = ImageDraw.Draw(back)
    size = int(rng.integers(12, 48))
    font = ImageFont.load_default(size)
    for top in range(20, height - size, int(size * rng.uniform(1.2, 2))):
        text = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz    0123456789"), 200))
        draw.text((int(rng.integers(10, 60)), top), text, fill=255, font=font)
    back = back.transpose(Image.Transpose.FLIP_LEFT_RIGHT).filter(ImageFilter.GaussianBlur(rng.uniform(0.8, 3)))
    return paper * (1 - rng.uniform(0.04, 0.25) * np.asarray(back, np.float32) / 255)


def sensor_noise(rng, paper):
    """Noise of a dark room, in grains of a pixel or two, and hot pixels."""
    height, width = paper.shape
    paper = paper * (1 + rng.uniform(0.02, 0.06) * cloud(rng, height, width, rng.uniform(1.2, 3)))
    hot = rng.random(paper.shape) < 10 / paper.size
    return np.where(hot, 0.2, paper).astype(np.float32)


def holes(rng, paper):
    """Punch holes, staples and torn corners over something dark."""

    def punched(draw, width, height):
        radius, x = int(rng.integers(8, 40)), int(rng.integers(20, 100))
        for y in np.linspace(0.2, 0.8, int(rng.integers(2, 5))) * height:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        for _ in range(int(rng.integers(0, 4))):
            left, top = rng.uniform(0, width), rng.uniform(0, height)
            draw.line((left, top, left + rng.uniform(20, 60), top + rng.uniform(-10, 10)), fill=220, width=3)

    return drawn(rng, paper, punched, rng.uniform(0.3, 0.9))


def blackboard(rng, paper):
    """A wiped blackboard: smears and chalk dust."""
    height, width = paper.shape
    smear = np.maximum(cloud(rng, height, width, 90), 0) + 0.5 * np.maximum(cloud(rng, height, width, 20), 0)
    board = 0.2 + 0.05 * smear
    board = board + rng.uniform(0.2, 0.7) * np.maximum(cloud(rng, height, width, rng.uniform(2, 6)) - 2.3, 0)
    return (board * paper).astype(np.float32)


MARKS = {
    "plain": plain,
    "scan": speckle,
    "speckle": speckle,
    "gradient": gradient,
    "shadows": shadows,
    "folds": folds,
    "crumpled": crumpled,
    "stains": stains,
    "fibers": fibers,
    "scratches": scratches,
    "jpeg": speckle,
    "ruled": ruled,
    "squared": squared,
    "dotted": dotted,
    "boxes": boxes,
    "recycled": recycled,
    "sensor noise": sensor_noise,
    "table edge": table_edge,
    "moire": moire,
    "show-through": show_through,
    "holes": holes,
    "blackboard": blackboard,
    **printed_paper.MARKS,
}
KINDS = tuple(MARKS)
