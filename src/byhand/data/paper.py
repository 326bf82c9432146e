"""A photo of digits on paper: where they are, in reading order, each as MNIST would have it.

    light     divided by what closing leaves: strokes are narrower than its window, shadows and the desk are not
    turn      the angle at which the rows' sums of ink are most uneven (W. Postl, "Detection of linear oblique
              structures and skew scan in digitized documents", 1986); the page is turned back by it
    rules     what a window along a row (a column) holds nearly everywhere is a printed line, and is divided out
    ink       what is darker than Otsu's threshold over all that is no paper (N. Otsu, 1979)
    strokes   pieces, made whole, cut apart, sorted into lines: see `strokes`
    slant     the writing's mean slant, by second moments, becomes MNIST's own

No digit is named here; `report.read_digits` asks a network.
"""

import os
from collections.abc import Sequence
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from byhand.data import digits, pictures, strokes
from byhand.data.strokes import Piece
from byhand.errors import ShapeError

Array = npt.NDArray[Any]

WORKING_SIDE = 2400  # larger photos are averaged down
TURN = 20.0  # degrees: how far a page may be turned
LEAST = 0.15  # contrast of ink: below, the paper is blank
LOWEST, LOWEST_SHARE = 9, 0.012  # pixels, and of the photo's longer side: a digit is taller
LOW, TALL, WIDE = 0.4, 3.2, 6  # usual heights: what may hold digits
FAINT, SOFT = 0.6, 0.18  # of ink's contrast: a stroke's least, and the most just outside it
MOST = 2000  # digits of a photo: a pattern of more is no writing
EDGE = 0.45  # of ink's contrast: where strokes end
DIGIT_SIDE = 80  # pixels: larger pieces are averaged down
NATURAL_SLANT = 0.13  # MNIST's mean: how far ink moves left a row down


class Candidate:
    """What may be a digit, or several that touch.

    box: (x, y, width, height) in pixels of the photo; line: which of the paper's, from 0; wide: whether it is wider or
    taller than digits here are, so that it is more likely several.
    """

    def __init__(self, page: "_Page", piece: Piece, line: int) -> None:
        self._page, self._piece = page, piece
        self.box, self.line, self.wide = page.box(piece), line, page.is_wide(piece)

    @cached_property
    def image(self) -> Array:
        """It as MNIST would have it: (28, 28, 1) uint8."""
        return self._page.image(self._piece)

    @cached_property
    def parts(self) -> tuple[tuple["Candidate", "Candidate"], ...]:
        """It as two that touch, left and right or upper and lower, in several ways; none where it is too narrow."""
        cuts = self._page.cuts(self._piece)
        return tuple((Candidate(self._page, a, self.line), Candidate(self._page, b, self.line)) for a, b in cuts)


def from_file(path: str | os.PathLike[str]) -> tuple[Image.Image, float]:
    """Read a photo (JPEG, PNG or another common format) in colour, and how many of its pixels one of these is.

    Its orientation mark is followed, what is transparent becomes white; large JPEGs are decoded at a fraction of their size.
    Raises FileError for a file that is missing, no picture, cut short, or too large.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "photo.png")
    ...     Image.new("L", (640, 480), 230).save(path)
    ...     photo, scale = from_file(path)
    >>> photo.size, photo.mode, scale
    ((640, 480), 'RGB', 1.0)
    """
    photo = pictures.read(path, "RGB", WORKING_SIDE, pictures.to_colour)
    return photo, max(pictures.look(path, 0).size) / max(photo.size)


def find(photo: Array) -> list[Candidate]:
    """Return what may be digits on a photo of paper, (H, W) grey uint8, in reading order; none where it is blank.

    Dark ink on light paper or light on dark; turned by up to 20 degrees.
    Raises ShapeError for another shape.

    >>> from byhand.data import mnist
    >>> page = np.full((120, 300), 230, np.uint8)
    >>> for k in range(4):
    ...     page[40:68, 40 + 50 * k : 68 + 50 * k] -= mnist.test_images()[k] // 2
    >>> [round(candidate.box[0] / 50) for candidate in find(page)]
    [1, 2, 3, 4]
    """
    photo = np.asarray(photo)
    if photo.ndim != 2 or photo.dtype != np.uint8 or min(photo.shape) < 1:
        raise ShapeError(f"paper.find: the photo must be (H, W) of uint8, got {photo.shape} of {photo.dtype}")
    factor = ceil(max(photo.shape) / WORKING_SIDE)
    image = Image.fromarray(photo)
    contrast = flattened(image.reduce(factor) if factor > 1 else image)
    angle = turn(contrast)
    page = _Page(contrast, angle, factor)
    if len(page.found) < 3 and angle:  # too few to tell a turned page from a slanted digit
        page = _Page(contrast, 0.0, factor)
    return page.candidates()


# light ----------------------------------------------------------------------------------------------------------------


def flattened(image: Image.Image) -> Array:
    """Return the ink's contrast, 0 to 1, as if light were even: 1 - photo / paper; (H, W) float32."""
    grey = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)))
    side = max(3, max(grey.shape) // 10)
    contrast: Array
    if _is_dark(image):
        ground = opening(grey, side).astype(np.float32)
        raised = (grey - ground) / (ground + 16)  # 16 of 255: a board's darkest corners are mostly noise
        contrast = raised / max(float(np.percentile(raised, 99.8)), 0.5)
    else:
        paper = np.maximum(closing(grey, side).astype(np.float32), 1)
        contrast = 1 - grey / paper
    contrast -= np.median(contrast)  # closing goes over the noise's peaks
    return np.clip(contrast, 0, 1, out=contrast)


def _is_dark(image: Image.Image) -> bool:
    """Whether ink is lighter than its surroundings: strokes are a small part of them, so that the third moment tells."""
    grey = np.asarray(image, np.float32)
    local = np.asarray(image.filter(ImageFilter.BoxBlur(max(image.size) / 16)), np.float32)
    detail = (grey - local) / (local + 16)
    return bool(np.mean(detail * detail * detail) > 0)


def closing(grey: Array, side: int) -> Array:
    """Fill what is darker and narrower than `side` pixels: the largest in a square window, then the smallest of these."""
    return _filtered(grey, side, np.maximum, np.minimum)


def opening(grey: Array, side: int) -> Array:
    """Take away what is lighter and narrower than `side` pixels."""
    return _filtered(grey, side, np.minimum, np.maximum)


def _filtered(grey: Array, side: int, first: np.ufunc, second: np.ufunc) -> Array:
    around = np.pad(grey, side, mode="edge")  # a strip of the desk goes on beyond the photo
    both = _running(_running(around, side, first), side, second)
    return both[side:-side, side:-side]


def _running(grey: Array, side: int, best: np.ufunc, axes: Sequence[int] = (0, 1)) -> Array:
    """Return the largest or smallest in a window of `side` pixels, in log2(side) passes an axis."""
    for axis in axes:
        rows = np.moveaxis(grey, axis, 0)
        length = len(rows)
        before = side // 2
        rows = np.pad(rows, [(before, side - 1 - before), (0, 0)], mode="edge")
        have = 1
        while have < side:
            step = min(have, side - have)
            rows = best(rows[: len(rows) - step], rows[step:])
            have += step
        grey = np.moveaxis(rows[:length], 0, axis)
    return grey


# turn -----------------------------------------------------------------------------------------------------------------


def turn(contrast: Array) -> float:
    """Return by how many degrees the page's lines fall to the right: where sums along them are most uneven."""
    y, x = np.nonzero(contrast > 0.06)
    if len(x) < 20:
        return 0.0
    some = slice(None, None, ceil(len(x) / 60_000))
    y, x = y[some].astype(np.float32), x[some].astype(np.float32)
    weight = np.minimum(contrast[y.astype(int), x.astype(int)], 0.25)  # a faint rule tells as much as ink

    def unevenness(angle: float, bin: float) -> float:
        radians = np.deg2rad(angle)
        down = (y * np.cos(radians) - x * np.sin(radians)) / bin
        sums = np.bincount((down - down.min()).astype(np.intp), weight)
        return float(sums @ sums) * (1 - abs(angle) / 400)  # of two that are as good, the one less turned

    coarse = max(np.arange(-TURN, TURN + 0.1, 0.5), key=lambda angle: unevenness(angle, 4))
    return float(max(coarse + np.arange(-0.6, 0.61, 0.05), key=lambda angle: unevenness(angle, 1)))


# rules ----------------------------------------------------------------------------------------------------------------


def without_rules(contrast: Array) -> tuple[Array, Array]:
    """Divide printed lines out of an upright page; return what is left, and the lines.

    Ink over a line lets 1 - contrast of the line's light through.
    """
    window = max(contrast.shape) // 4
    light = np.ones_like(contrast)
    for axis in (1, 0):
        rule = _rules(contrast if axis else contrast.T, window)
        through = 1 - np.minimum(rule if axis else rule.T, 0.95)
        contrast = np.clip(1 - (1 - contrast) / through, 0, 1)
        light *= through
    return contrast, 1 - light


def _rules(contrast: Array, window: int) -> Array:
    """Return how dark a printed row is at each pixel: what three quarters of the window along it reach, where it is thin."""
    step = max(1, window // 30)
    count = ceil(contrast.shape[1] / step)
    padded = np.pad(contrast, [(0, 0), (0, count * step - contrast.shape[1])], mode="edge")
    coarse = padded.reshape(len(contrast), count, step).mean(2)
    half = window // step // 2
    around = np.pad(coarse, [(0, 0), (half, half)], mode="reflect" if half < count else "edge")
    seen = np.lib.stride_tricks.sliding_window_view(around, 2 * half + 1, axis=1)
    place = (2 * half + 1) // 4
    level = np.partition(seen, place, axis=2)[..., place]
    thin = level - _running(_running(level, window // 25 + 2, np.minimum, (0,)), window // 25 + 2, np.maximum, (0,))
    return np.repeat(thin, step, axis=1)[:, : contrast.shape[1]]


# ink ------------------------------------------------------------------------------------------------------------------


def ink_level(contrast: Array) -> float:
    """Return the contrast of ink, by Otsu's threshold over all that is no paper; 0 where there is none."""
    noise = float(np.percentile(contrast, 70)) / 0.524  # its standard deviation, were it Gaussian
    above = contrast[contrast > np.clip(4 * noise, 0.05, 0.2)]
    if len(above) < LOWEST:
        return 0.0
    counts, edges = np.histogram(above, 128)
    middles = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total[-1] * below / below[-1] - total) ** 2 / (below * (below[-1] - below))
    strong = above[above > middles[np.nanargmax(between[:-1])]]
    level = float(np.median(strong))
    return level if level >= LEAST else 0.0


def _largest(found: list[Piece], most: int) -> list[Piece]:
    return found if len(found) <= most else sorted(found, key=lambda piece: piece.area)[-most:]


# the page -------------------------------------------------------------------------------------------------------------


class _Page:
    """The upright page: its ink, the pieces that may be digits, and the way back to the photo."""

    def __init__(self, contrast: Array, angle: float, factor: int) -> None:
        self.factor = factor
        height, width = contrast.shape
        self.size = width, height
        cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        size = ceil(width * cosine + height * abs(sine)), ceil(height * cosine + width * abs(sine))
        self.back = np.array([[cosine, -sine], [sine, cosine]])  # (x, y) of the page -> of the photo
        self.shift = np.array([width, height]) / 2 - self.back @ np.array(size) / 2
        if angle:
            image = Image.fromarray(contrast)
            (a, b), (d, e) = self.back
            coefficients = (a, b, self.shift[0], d, e, self.shift[1])
            turned = image.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
            contrast = np.asarray(turned)
        self.contrast, self.rules = without_rules(contrast)
        self.ink = ink_level(self.contrast)
        self.near_rules = _running(self.rules, 3, np.maximum)
        self.lowest = max(LOWEST, round(LOWEST_SHARE * max(contrast.shape)))
        self.found: list[Piece] = []
        self.height = 0.0
        if self.ink:
            self._find()

    def _find(self) -> None:
        all_pieces = strokes.pieces(self.contrast > EDGE * self.ink)
        some = [piece for piece in all_pieces if max(piece.height, piece.width) >= self.lowest // 3]
        self.height = strokes.usual_height(some, self.lowest)
        if self.height:
            joined = strokes.whole(_largest(some, 4 * MOST), self.height)
            self.found = _largest([piece for piece in joined if self._may_be_digits(piece)], MOST)

    def _may_be_digits(self, piece: Piece) -> bool:
        tall, wide = piece.height / self.height, piece.width / self.height
        if not (LOW < tall < TALL and wide < WIDE and piece.height >= self.lowest) or strokes.is_blob(piece):
            return False
        large, slender = max(piece.height, piece.width) > max(self.contrast.shape) / 4, strokes.is_slender(piece)
        if large + slender + self._at_edge(piece) > 1:
            return False  # an edge of the paper, or what is beside it
        strength = float(self.contrast[piece.window][piece.mask].mean())
        rule = float(self.near_rules[piece.window][piece.mask].mean())
        return strength > max(FAINT * self.ink, 1.5 * rule) and self._rim(piece) < SOFT * self.ink

    def _at_edge(self, piece: Piece) -> bool:
        """Tell whether a piece reaches the photo's edge."""
        y, x = np.nonzero(piece.mask)
        places = np.stack([x + piece.left, y + piece.top], 1) @ self.back.T + self.shift
        return bool(places.min() < 2 or (places > np.array(self.size) - 3).any())

    def _rim(self, piece: Piece) -> float:
        """Return the mean contrast a little outside a piece: a pen's stroke ends, a cloud fades."""
        reach = max(3, round(0.06 * self.height))
        around, own = self._around(piece, reach)
        rim = _running(own, 2 * reach + 1, np.maximum) & ~_running(own, 2 * reach - 1, np.maximum)
        rim &= around < EDGE * self.ink
        return float(around[rim].mean()) if rim.any() else 0.0

    def _around(self, piece: Piece, margin: int) -> tuple[Array, Array]:
        """Return the contrast in a piece's box and a margin around it, and the piece's mask there."""
        window = tuple(slice(max(line.start - margin, 0), line.stop + margin) for line in piece.window)
        around = self.contrast[window]
        own = np.zeros(around.shape, bool)
        top, left = piece.top - window[0].start, piece.left - window[1].start
        own[top : top + piece.height, left : left + piece.width] = piece.mask
        return around, own

    def candidates(self) -> list[Candidate]:
        """Return what was found, in reading order."""
        if not self.found:
            return []
        lines = strokes.in_lines(self.found, self.height)
        return [Candidate(self, self.found[k], row) for row, line in enumerate(lines) for k in line]

    @cached_property
    def slant(self) -> float:
        """How far the writing must be moved right a row down to lean as MNIST does."""
        slants = []
        for piece in self.found:
            y, x = np.nonzero(piece.mask)
            y, x = y - y.mean(), x - x.mean()
            if (spread := float(y @ y)) > 0 and piece.height > 0.6 * self.height:
                slants.append(-float(x @ y) / spread)
        if not slants:
            return 0.0
        lean = float(np.median(slants)) - NATURAL_SLANT
        return lean * len(slants) / (len(slants) + 4)  # a few digits lean as they like

    def is_wide(self, piece: Piece) -> bool:
        """Tell whether a piece is larger than digits here are."""
        return piece.width > 1.3 * self.height or piece.height > 1.6 * self.height

    def cuts(self, piece: Piece) -> list[tuple[Piece, Piece]]:
        """Return a piece as two that touch, in several ways."""
        found = []
        if piece.width > max(0.75 * self.height, 0.8 * piece.height):
            found = [strokes.cut(piece, low, low + 0.25) for low in (0.25, 0.375, 0.5)]
        elif piece.height > 1.5 * self.height:
            found = [strokes.cut_across(piece, 0.3, 0.7)]
        return [pair for pair in found if pair is not None and min(one.height for one in pair) > 0.4 * self.height]

    def image(self, piece: Piece) -> Array:
        """Return a piece as (28, 28, 1), its rows moved so that the writing leans as MNIST does."""
        slant, margin = self.slant, 2
        around, own = self._around(piece, margin)
        ink = around / self.ink
        near = _running(own, 2 * margin + 1, np.maximum)
        # soft edges belong to it, its neighbours' ink does not
        ink = np.where(own | (near & (ink < EDGE)), np.clip(ink, 0, 1), 0)
        height, width = ink.shape
        size = ceil(width + abs(slant) * height) + height // 2, height + height // 2
        shift = (width + slant * size[1] - size[0]) / 2, (height - size[1]) / 2
        coefficients = (1, -slant, shift[0], 0, 1, shift[1])
        image = Image.fromarray(np.rint(255 * ink).astype(np.uint8))
        moved = image.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
        factor = max(size) // DIGIT_SIDE
        return digits.from_array(np.asarray(moved.reduce(factor) if factor > 1 else moved))

    def box(self, piece: Piece) -> tuple[float, float, float, float]:
        """Return a piece's box in pixels of the photo."""
        y, x = np.nonzero(piece.mask)
        places = np.stack([x + piece.left + 0.5, y + piece.top + 0.5], 1) @ self.back.T + self.shift
        low, high = places.min(0) - 0.5, places.max(0) + 0.5
        left, top, right, bottom = (float(value) * self.factor for value in (*low, *high))
        return left, top, right - left, bottom - top
