"""Synthetic photos of handwritten digits on paper, composed from MNIST, with their ground truth.

A page has its own frame: writing, rules and the margin's line lie in it. It is turned as a whole; then come light, the
camera's blur and noise, and JPEG. Nothing here knows how digits are found.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from byhand.data import mnist

KINDS = ("plain", "shaded", "ruled", "squared", "rotated", "dense", "blackboard", "desk")
INK_THRESHOLD = 0.3  # of full ink: where a digit's true box ends


@dataclass(frozen=True)
class Written:
    """A digit that was written: its label, its box (x, y, width, height) in pixels, its line."""

    label: int
    box: tuple[float, float, float, float]
    line: int


@dataclass(frozen=True)
class Photo:
    """A photo as JPEG, and what is written on it, in reading order."""

    kind: str
    jpeg: bytes
    truth: tuple[Written, ...]

    @property
    def image(self):
        return Image.open(io.BytesIO(self.jpeg)).convert("RGB")


def compose(seed, kind="plain", size=None, height=None, gap=None, blank=False):
    """Return the photo of this seed and kind; size: (width, height) of it, in pixels; height: of a digit; gap: in heights;
    blank: nobody has written on it.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    width, tall = size or (int(rng.integers(800, 1500)), int(rng.integers(600, 1100)))
    digit = height or float(np.exp(rng.uniform(np.log(30), np.log(120))))
    angle = np.deg2rad(rng.uniform(6, 12) * rng.choice([-1, 1]) if kind == "rotated" else rng.uniform(-3, 3))
    tilt = (0.0, 0.0) if kind == "plain" else rng.uniform(-0.12, 0.12, 2)
    page = Page(width, tall, angle, tilt)
    ink, truth, pitch = write(rng, page, digit, dense=kind == "dense", gap=gap)
    if blank:
        ink, truth = np.zeros_like(ink), []
    y, x = np.mgrid[:tall, :width].astype(np.float32)
    u, v = page.to_page(x, y)
    light = daylight(rng, x / width, y / tall, hard=kind == "shaded")
    if kind == "blackboard":
        ground = np.array(rng.choice([(38, 60, 48), (45, 45, 48), (30, 42, 62)]), np.float32)
        color = np.array((225, 225, 215), np.float32) * rng.uniform(0.75, 1)
        ink = ink * (1 - rng.uniform(0, 0.35) * rng.random(ink.shape, np.float32))  # chalk is grainy
    else:
        ground = np.array(rng.choice([(250, 250, 248), (244, 240, 228), (236, 238, 240)]), np.float32)
        color = np.array(
            rng.choice([(25, 25, 28), (25, 40, 110), (35, 60, 160), (85, 85, 90), (60, 20, 30)]), np.float32
        )
    reflect = (
        np.broadcast_to(ground, (tall, width, 3))
        * (1 + texture(rng, tall, width) * rng.uniform(0.005, 0.02))[..., None]
    )
    if kind == "blackboard":
        reflect = reflect + 14 * np.maximum(cloud(rng, tall, width, 90), 0)[..., None]  # what the sponge left
    if kind in ("ruled", "squared") or (kind in ("shaded", "rotated", "dense") and rng.random() < 0.4):
        reflect = reflect * rules(rng, u, v, pitch, squared=kind == "squared" or rng.random() < 0.3)
    if kind != "blackboard" and rng.random() < 0.35:
        reflect = reflect * line(u, page.left - rng.uniform(0.3, 0.8) * digit, rng.uniform(1, 2), (225, 110, 110), 0.7)
    if rng.random() < 0.5:
        reflect = specks(rng, reflect, digit, ink, color)
    strength = rng.uniform(0.65, 1)
    reflect = reflect + (color - reflect) * (strength * ink)[..., None]
    if kind == "desk":
        reflect = on_desk(rng, reflect, u, v, page, digit)
    photo = blur(reflect * light[..., None], rng.uniform(0.3, 1.2) * np.sqrt(digit / 60))
    photo = photo + rng.uniform(1, 5) * rng.standard_normal(photo.shape, np.float32)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=int(rng.integers(55, 93)))
    return Photo(kind, buffer.getvalue(), tuple(truth))


class Page:
    """The frame of a turned page, seen a little from the side: u along the lines, v down; its origin is the photo's middle."""

    def __init__(self, width, height, angle, tilt=(0.0, 0.0)):
        self.width, self.height = width, height
        cosine, sine = np.cos(angle), np.sin(angle)
        move = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
        self.matrix = move @ np.array([[cosine, -sine, 0], [sine, cosine, 0], [tilt[0] / width, tilt[1] / height, 1]])
        # the largest rectangle of the photo's proportions that stays in it when turned
        sine = abs(sine)
        shrink = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
        shrink *= 0.92 - (abs(tilt[0]) + abs(tilt[1])) / 2
        self.left, self.top = -width / 2 * shrink, -height / 2 * shrink

    def to_page(self, x, y):
        a, b, c = np.linalg.inv(self.matrix)
        far = c[0] * x + c[1] * y + c[2]
        return (a[0] * x + a[1] * y + a[2]) / far, (b[0] * x + b[1] * y + b[2]) / far

    def to_photo(self, u, v):
        x, y, far = self.matrix @ (u, v, 1)
        return np.array([x / far, y / far])

    def turn(self, u, v):
        """Return the page's two directions there, as columns."""
        middle = self.to_photo(u, v)
        return np.stack([self.to_photo(u + 1, v) - middle, self.to_photo(u, v + 1) - middle], axis=1)


# handwriting ----------------------------------------------------------------------------------------------------------


def write(rng, page, digit, dense, gap):
    """Return the ink on the photo (0 to 1), what it says, and the distance of its lines."""
    images, labels = mnist.test_images(), mnist.test_labels()
    ink = np.zeros((page.height, page.width), np.float32)
    slant = rng.uniform(-0.2, 0.2)
    nib = rng.uniform(1.3, 3), rng.uniform(0.4, 0.7)  # how sharp strokes end, and where
    drawn = rng.uniform(0.12, 0.22) if dense else rng.uniform(0.25, 0.7)  # of a digit's height
    gap = drawn if gap is None else gap
    least = min(0.04, gap)
    pitch = digit * (rng.uniform(1.25, 1.4) if dense else rng.uniform(1.5, 2.2))
    lines = int(min(-2 * page.top // pitch, 9 if dense else rng.integers(2, 7)))
    truth = []
    free = max(-2 * page.top - lines * pitch, 0)
    base = page.top + digit * 1.1 + free * rng.random() ** 2
    for row in range(max(lines, 1)):
        u = page.left + digit * rng.uniform(0.1, 1)
        for _ in range(30 if dense else int(rng.integers(3, 13))):
            index = int(rng.integers(len(images)))
            image = images[index]
            rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
            scale = digit / 20 * rng.uniform(0.88, 1.12)
            wide = (columns[-1] + 1 - columns[0]) * scale
            if u + wide > -page.left:
                break
            down = base + digit * rng.uniform(-0.06, 0.06)
            box = stamp(ink, page, image, (columns[0], rows[-1] + 1), (u, down), scale, slant, nib)
            truth.append(Written(int(labels[index]), box, row))
            u += wide + digit * max(least, gap * rng.uniform(0.6, 1.4))
            u += digit * rng.uniform(1, 2) * (rng.random() < 0.12)  # between two numbers
        base += pitch
    return ink, truth, pitch


def stamp(ink, page, image, corner, place, scale, slant, nib):
    """Write one digit: `corner` of MNIST's image comes to `place` (u, v) of the page; return its box on the photo."""
    turn = page.turn(*place) @ np.array([[1, -slant], [0, 1]]) * scale  # image -> photo
    start = page.to_photo(*place) - turn @ np.array(corner, float)
    corners = np.array([[0, 0], [28, 0], [0, 28], [28, 28]]) @ turn.T + start
    left, top = np.floor(corners.min(0)).astype(int) - 1
    right, bottom = np.ceil(corners.max(0)).astype(int) + 1
    back = np.linalg.inv(turn)
    shift = back @ (np.array([left, top]) - start)
    drawn = Image.fromarray(image).transform(
        (int(right - left), int(bottom - top)),
        Image.Transform.AFFINE,
        (back[0, 0], back[0, 1], shift[0], back[1, 0], back[1, 1], shift[1]),
        Image.Resampling.BICUBIC,
    )
    sharp, middle = nib
    value = np.clip((np.asarray(drawn, np.float32) / 255 - middle) * sharp + 0.5, 0, 1)
    rows, columns = np.flatnonzero((value > INK_THRESHOLD).any(1)), np.flatnonzero((value > INK_THRESHOLD).any(0))
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(bottom, ink.shape[0]), min(right, ink.shape[1])
    target = ink[y0:y1, x0:x1]
    np.maximum(target, value[y0 - top : y1 - top, x0 - left : x1 - left], out=target)
    wide, tall = columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]
    return float(left + columns[0]), float(top + rows[0]), float(wide), float(tall)


# paper and light ------------------------------------------------------------------------------------------------------


def blur(array, sigma):
    """Blur along the first two axes by a Gaussian."""
    reach = max(1, int(3 * sigma + 0.5))
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    weight /= weight.sum()
    for axis in (0, 1):
        pad = [(0, 0)] * array.ndim
        pad[axis] = (reach, reach)
        padded, length = np.pad(array, pad, mode="edge"), array.shape[axis]
        shifted = (padded[i : i + length] if axis == 0 else padded[:, i : i + length] for i in range(len(weight)))
        array = sum(map(np.multiply, weight, shifted))
    return array


def cloud(rng, height, width, scale):
    """Return smooth noise of unit spread whose features are `scale` pixels wide."""
    shape = max(3, int(height / scale) + 2), max(3, int(width / scale) + 2)
    coarse = Image.fromarray(rng.standard_normal(shape).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def texture(rng, height, width):
    """Return paper's grain: noise of several sizes."""
    return sum(cloud(rng, height, width, scale) for scale in (2, 5, 15, 60)) / 2


def daylight(rng, x, y, hard):
    """Return the light on the photo, x and y from 0 to 1: a slope, a darker rim, and perhaps the edge of a shadow."""
    turn = rng.uniform(0, 2 * np.pi)
    across = (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn)
    light = 1 - rng.uniform(0.2, 0.5) * (across + 0.6) if hard else 1 - rng.uniform(0, 0.15) * (across + 0.6)
    rim = rng.uniform(0.2, 0.5) if hard else rng.uniform(0, 0.2)
    light = light * (1 - rim * ((x - 0.5) ** 2 + (y - 0.5) ** 2) * 2)
    for _ in range(int(rng.integers(1, 3)) if hard else 0):
        turn = rng.uniform(0, 2 * np.pi)
        edge = (x - rng.uniform(0.2, 0.8)) * np.cos(turn) + (y - rng.uniform(0.2, 0.8)) * np.sin(turn)
        edge = edge + 0.05 * np.sin(6 * (x + y) + turn)  # a hand's shadow is not straight
        light = light * (1 - rng.uniform(0.2, 0.45) / (1 + np.exp(-edge / rng.uniform(0.005, 0.06))))
    return light.astype(np.float32) * rng.uniform(0.75, 1)


def line(at, where, width, color, strength):
    """Return what a drawn line leaves of the light, (H, W, 3); at: each pixel's place across it."""
    cover = strength * np.clip(width / 2 + 0.5 - np.abs(at - where), 0, 1)
    return 1 - cover[..., None] * (1 - np.array(color, np.float32) / 255)


def rules(rng, u, v, pitch, squared):
    """Return what printed rules leave of the light: lines at the writing's own distance, or squares."""
    color = rng.choice([(150, 190, 230), (170, 170, 175), (140, 200, 200), (175, 160, 210)])
    strength, width = rng.uniform(0.5, 1), rng.uniform(1, 2.2)
    step = pitch * (rng.choice([0.25, 1 / 3, 0.5]) if squared else 1)
    phase = rng.uniform(0, step)
    left = line((v + phase + step / 2) % step, step / 2, width, color, strength)
    return left * line((u + phase + step / 2) % step, step / 2, width, color, strength) if squared else left


def specks(rng, paper, digit, ink, color):
    """Put dirt on the paper, under the writing: dots and hairs, much smaller than a digit."""
    height, width = ink.shape
    paper = np.array(paper)
    for _ in range(int(rng.integers(1, 10))):
        across, down = rng.uniform(0, width), rng.uniform(0, height)
        radius = digit * rng.uniform(0.02, 0.06)
        long, turn, strength = rng.uniform(1, 3), rng.uniform(0, np.pi), rng.uniform(0.4, 1)
        reach = radius * long + 2
        top, left = max(int(down - reach), 0), max(int(across - reach), 0)
        near = paper[top : int(down + reach) + 1, left : int(across + reach) + 1]
        y, x = np.mgrid[: near.shape[0], : near.shape[1]] + np.array([top - down, left - across])[:, None, None]
        along, off = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        dot = np.clip(radius + 0.5 - np.hypot(along / long, off), 0, 1) * strength
        near += (color - near) * dot[..., None]
    return paper


def on_desk(rng, paper, u, v, page, digit):
    """Lay the page on a desk, so that its edges are in the photo."""
    wood = np.array(rng.choice([(120, 85, 55), (60, 45, 38), (90, 95, 100), (165, 130, 95)]), np.float32)
    grain = 1 + 0.06 * cloud(rng, *u.shape, 25)
    half = -page.left + digit * 0.25, -page.top + digit * 0.25
    inside = np.clip(half[0] - np.abs(u), 0, 1) * np.clip(half[1] - np.abs(v), 0, 1)
    drop = np.clip(half[0] - np.abs(u - 5), 0, 1) * np.clip(half[1] - np.abs(v - 6), 0, 1)  # its own shadow
    desk = wood * (grain * (1 - 0.45 * blur(drop.astype(np.float32), 4)))[..., None]
    return desk + (paper - desk) * inside[..., None]


# scores ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """How many digits were written and found, how many of them are right, and how many were invented."""

    written: int
    found: int
    placed: int  # a found box whose middle is in a true box, and the other way round or overlapping by half
    right: int

    @property
    def invented(self):
        """Found where nothing is written, of all that was written."""
        return self.found - self.placed

    def __add__(self, other):
        return Score(*(a + b for a, b in zip(vars(self).values(), vars(other).values())))

    def __str__(self):
        return (
            f"{self.right}/{self.written} right {self.right / max(self.written, 1):.2%}, "
            f"placed {self.placed / max(self.written, 1):.2%}, "
            f"invented {self.invented}/{self.found} {self.invented / max(self.found, 1):.2%}"
        )


def score(truth, found):
    """Compare (text, box) that were found with the truth: pairs of most overlap, of at least a quarter (IoU), one to one."""
    pairs = []
    for i, digit in enumerate(truth):
        for k, (_, box) in enumerate(found):
            overlap = iou(digit.box, box)
            if overlap > 0.25:
                pairs.append((overlap, i, k))
    mine, theirs, right = set(), set(), 0
    for _, i, k in sorted(pairs, reverse=True):
        if i not in mine and k not in theirs:
            mine.add(i)
            theirs.add(k)
            right += str(truth[i].label) == found[k][0]
    return Score(len(truth), len(found), len(mine), right)


def iou(a, b):
    """Return the intersection of two boxes over their union."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    both = wide * tall
    return both / (a[2] * a[3] + b[2] * b[3] - both)
