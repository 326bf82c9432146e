"""Segmentation of handwritten digits on a photo of paper: each digit in reading order, normalized as in MNIST.

    illumination  the photo is divided by its morphological closing: strokes are narrower than the window, shadows are not
    skew          the angle at which the row sums of ink vary most (W. Postl, "Detection of linear oblique structures and
                  skew scan in digitized documents", 1986); the page is rotated back
    printed lines boxes, tables, combs and rules are removed: `rule_removal.py`
    threshold     Otsu's, over all pixels that are not paper (N. Otsu, 1979)
    components    connected, merged, split and sorted into lines of text: `components.py`
    slant         the mean slant of the writing, by second moments, is changed to that of MNIST

This module finds digits and does not classify them; `report.digit_reader.read_digits` asks a network.
"""

import os
from functools import cached_property
from math import ceil

import numpy as np
from PIL import Image, ImageFilter

from byhand.data import components, digits, image_decoding, morphology, rule_removal
from byhand.data.components import Component
from byhand.data.morphology import running
from byhand.errors import ShapeError
from byhand.shapes import Array

WORKING_SIDE = 2400  # pixels; larger photos are averaged down
MAX_SKEW_DEGREES = 20.0
MIN_INK_CONTRAST = 0.15  # below, the paper is blank
# The standard deviation of the page without its darkest 30 %, in contrasts of ink: more is a pattern all over the page, as a
# screen's or a halftone's. Writing reaches 0.25 on squared paper, moire has 0.57 in the median.
MAX_UNEVENNESS = 0.4
# The smallest height of a digit: in pixels, and as a fraction of the photo's longer side.
MIN_DIGIT_PIXELS = 9
MIN_DIGIT_FRACTION = 0.012
# What may hold digits, in typical heights.
MIN_HEIGHT = 0.4
MAX_HEIGHT = 3.2
MAX_WIDTH = 6
# In contrasts of ink: the least of a stroke, the most just outside it, and where a stroke ends.
MIN_STROKE_CONTRAST = 0.6
MAX_RIM_CONTRAST = 0.18
EDGE_CONTRAST = 0.45
MAX_HOLE_CONTRAST = 0.25  # within a stroke's loop, which shows paper; a stain is darker
HOLE_MARGIN_PIXELS = 2  # a stroke's soft edge
# The ground on a bar's darker side over that on the other: a shadow's edge has 0.55 and more, paper on a dark table 0.2 to 0.3.
MIN_GROUND_RATIO = 0.4
MIN_GROUND_PIXELS = 3  # how far beside a bar
MAX_DIGITS = 2000  # of a photo; a pattern of more is no writing
DIGIT_SIDE = 80  # pixels; larger components are averaged down
MNIST_SLANT = 0.13  # MNIST's mean: how far ink moves left a row down


class Candidate:
    """A component that may be a digit, or several that touch.

    box: (x, y, width, height) in pixels of the photo; line: the line of text, from 0; wide: whether it is wider or taller
    than the digits of this page, so that it is more likely several.
    """

    def __init__(self, page: "_Page", component: Component, line: int) -> None:
        self._page, self._component = page, component
        self.box, self.line, self.wide = page.box(component), line, page.is_wide(component)

    @cached_property
    def image(self) -> Array:
        """The digit normalized as in MNIST, (28, 28, 1) uint8."""
        return self._page.image(self._component)

    @cached_property
    def contrast(self) -> float:
        """The mean contrast of its strokes against the paper, 0 to 1."""
        return float(self._page.contrast[self._component.window][self._component.mask].mean())

    @cached_property
    def parts(self) -> tuple[tuple["Candidate", "Candidate"], ...]:
        """Ways to split it into two digits, left and right or upper and lower; none where it is too narrow."""
        cuts = self._page.cuts(self._component)
        return tuple((Candidate(self._page, a, self.line), Candidate(self._page, b, self.line)) for a, b in cuts)


def from_file(path: str | os.PathLike[str]) -> tuple[Image.Image, float]:
    """Return a photo (JPEG, PNG or another common format) in RGB, and the file's pixels for each of its pixels.

    Its EXIF orientation is applied, transparency becomes white; large JPEGs are decoded at a fraction of their size.
    Raises FileError for a file that is missing, no image, cut short, or too large.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "photo.png")
    ...     Image.new("L", (640, 480), 230).save(path)
    ...     photo, scale = from_file(path)
    >>> photo.size, photo.mode, scale
    ((640, 480), 'RGB', 1.0)
    """
    photo = image_decoding.decode_image(path, "RGB", WORKING_SIDE, image_decoding.to_color, own_range=True)
    return photo, max(image_decoding.inspect_image(path, 0).size) / max(photo.size)


def find(photo: Array) -> list[Candidate]:
    """Return the digits on a photo of paper, (H, W) gray uint8, in reading order; none where it is blank.

    Dark ink on light paper or light on dark; skewed by up to 20 degrees.
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
        raise ShapeError(
            f"digit_segmentation.find: the photo must be (H, W) of uint8, got {photo.shape} of {photo.dtype}"
        )
    factor = ceil(max(photo.shape) / WORKING_SIDE)
    image = Image.fromarray(photo)
    contrast, ground = flatten_illumination(image.reduce(factor) if factor > 1 else image)
    if not ink_level(contrast):
        return []
    angle = estimate_skew(contrast)
    page = _Page(contrast, ground, angle, factor)
    if len(page.found) < 3 and angle:  # too few to tell a turned page from a slanted digit
        page = _Page(contrast, ground, 0.0, factor)
    return page.candidates()


# illumination ----------------------------------------------------------------------------------------------------------------


def flatten_illumination(image: Image.Image) -> tuple[Array, Array]:
    """Return the contrast of ink under even light, 0 to 1: 1 - photo / ground; and the ground, the light of the paper or board.

    Both are (H, W) float32.
    """
    gray = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)))
    side = max(3, max(gray.shape) // 10)
    contrast: Array
    if _is_dark(image):
        board = morphology.opening(gray, side).astype(np.float32)
        ground = board + 16  # of 255: a board's darkest corners are mostly noise
        raised = (gray - board) / ground
        contrast = raised / max(float(np.percentile(raised, 99.8)), 0.5)
    else:
        ground = np.maximum(morphology.closing(gray, side).astype(np.float32), 1)
        contrast = 1 - gray / ground
    contrast -= np.median(contrast)  # closing goes over the noise's peaks
    return np.clip(contrast, 0, 1, out=contrast), ground


def _is_dark(image: Image.Image) -> bool:
    """Tell whether ink is lighter than the paper: strokes cover a small part, so that the skewness of pixels tells."""
    gray = np.asarray(image, np.float32)
    local = np.asarray(image.filter(ImageFilter.BoxBlur(max(image.size) / 16)), np.float32)
    detail = (gray - local) / (local + 16)
    return bool(np.mean(detail * detail * detail) > 0)


# skew -----------------------------------------------------------------------------------------------------------------


def estimate_skew(contrast: Array) -> float:
    """Return by how many degrees the page's lines fall to the right: where sums along them are most uneven."""
    y, x = np.nonzero(contrast > 0.06)
    if len(x) < 20:
        return 0.0
    candidates = slice(None, None, ceil(len(x) / 60_000))
    y, x = y[candidates].astype(np.float32), x[candidates].astype(np.float32)
    weight = np.minimum(contrast[y.astype(int), x.astype(int)], 0.25)  # a faint rule tells as much as ink

    def unevenness(angle: float, bin: float) -> float:
        radians = np.deg2rad(angle)
        down = (y * np.cos(radians) - x * np.sin(radians)) / bin
        sums = np.bincount((down - down.min()).astype(np.intp), weight)
        return float(sums @ sums) * (1 - abs(angle) / 400)  # of two that are as good, the one less turned

    coarse = max(np.arange(-MAX_SKEW_DEGREES, MAX_SKEW_DEGREES + 0.1, 0.5), key=lambda angle: unevenness(angle, 4))
    return float(max(coarse + np.arange(-0.6, 0.61, 0.05), key=lambda angle: unevenness(angle, 1)))


# ink ------------------------------------------------------------------------------------------------------------------


def ink_level(contrast: Array) -> float:
    """Return the contrast of ink, by Otsu's threshold over pixels that are not paper; 0 where there is none."""
    noise = float(np.percentile(contrast, 70)) / 0.524  # the standard deviation of Gaussian noise
    above = contrast[contrast > np.clip(4 * noise, 0.05, 0.2)]
    if len(above) < MIN_DIGIT_PIXELS:
        return 0.0
    counts, edges = np.histogram(above, 128)
    middles = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total[-1] * below / below[-1] - total) ** 2 / (below * (below[-1] - below))
    strong = above[above > middles[np.nanargmax(between[:-1])]]
    level = float(np.median(strong))
    return level if level >= max(MIN_INK_CONTRAST, noise / MAX_UNEVENNESS) else 0.0


def _largest(found: list[Component], max_count: int) -> list[Component]:
    return found if len(found) <= max_count else sorted(found, key=lambda component: component.area)[-max_count:]


# the page -------------------------------------------------------------------------------------------------------------


class _Page:
    """The upright page: its ink, the components that may be digits, and the map back to the photo."""

    def __init__(self, contrast: Array, ground: Array, angle: float, factor: int) -> None:
        self.ground, self.factor = ground, factor
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
        self.min_height = max(MIN_DIGIT_PIXELS, round(MIN_DIGIT_FRACTION * max(contrast.shape)))
        if ink := ink_level(contrast):
            contrast, self.lines = rule_removal.remove_lines(contrast, ink, self.min_height)
        self.contrast, rules = rule_removal.divide_ruled_lines(contrast)
        self.ink = ink_level(self.contrast)
        self.near_rules = running(rules, 3, np.maximum)
        self.found: list[Component] = []
        self.height = 0.0
        if self.ink:
            self._find()

    def _find(self) -> None:
        all_components = components.connected_components(self.contrast > EDGE_CONTRAST * self.ink)
        candidates = [
            component for component in all_components if max(component.height, component.width) >= self.min_height // 3
        ]
        candidates = components.without_bar_codes(candidates)
        self.height = components.typical_height(candidates, self.min_height)
        if self.height:
            joined = components.merge_parts(_largest(candidates, 4 * MAX_DIGITS), self.height)
            self.found = _largest([component for component in joined if self._may_be_digits(component)], MAX_DIGITS)

    def _may_be_digits(self, component: Component) -> bool:
        height, width = component.height / self.height, component.width / self.height
        fits = MIN_HEIGHT < height < MAX_HEIGHT and width < MAX_WIDTH and component.height >= self.min_height
        if not fits or components.is_blob(component) or components.is_printed_ring(component):
            return False
        large = max(component.height, component.width) > max(self.contrast.shape) / 4
        slender = components.is_slender(component)
        if large + slender + self._at_edge(component) > 1:
            return False  # an edge of the paper, or an object beside it
        if self._is_border(component) or self._is_filled(component):
            return False
        strength = float(self.contrast[component.window][component.mask].mean())
        rule = float(self.near_rules[component.window][component.mask].mean())
        return (
            strength > max(MIN_STROKE_CONTRAST * self.ink, 1.5 * rule)
            and self._rim(component) < MAX_RIM_CONTRAST * self.ink
        )

    def _at_edge(self, component: Component) -> bool:
        """Tell whether a component reaches the photo's edge."""
        y, x = np.nonzero(component.mask)
        places = np.stack([x + component.left, y + component.top], 1) @ self.back.T + self.shift
        return bool(places.min() < 2 or (places > np.array(self.size) - 3).any())

    def _is_border(self, component: Component) -> bool:
        """Tell whether a bar lies where the paper ends: between light and dark ground, or along the photo's side."""
        if component.height <= 2 * component.width:
            return False
        y, x = np.nonzero(component.mask)
        x, y = (np.stack([x + component.left, y + component.top], 1) @ self.back.T + self.shift).T
        beside = np.count_nonzero(x < 1), np.count_nonzero(x > self.size[0] - 2)
        if 2 * max(beside) >= component.height:
            return True
        rows = slice(max(int(y.min()), 0), int(y.max()) + 1)
        left, right = max(int(x.min()) - 1, 0), int(x.max()) + 2
        reach = max(MIN_GROUND_PIXELS, component.width)
        sides = self.ground[rows, max(left - reach, 0) : left], self.ground[rows, right : right + reach]
        if not min(side.size for side in sides):
            return False
        dark, light = sorted(float(np.median(side)) for side in sides)
        return dark < MIN_GROUND_RATIO * light

    def _is_filled(self, component: Component) -> bool:
        """Tell whether a component's inside, away from its strokes, is darker than paper: a stain with a rim."""
        mask, until = component.mask, np.logical_or.accumulate
        inside = until(mask) & until(mask[::-1])[::-1] & until(mask, 1) & until(mask[:, ::-1], 1)[:, ::-1] & ~mask
        inside = running(inside, 2 * HOLE_MARGIN_PIXELS + 1, np.minimum)
        contrast = self.contrast[component.window][inside]
        return bool(len(contrast) and np.median(contrast) > MAX_HOLE_CONTRAST * self.ink)

    def _rim(self, component: Component) -> float:
        """Return the mean contrast just outside a component: a stroke ends sharply, a shadow fades."""
        reach = max(3, round(0.06 * self.height))
        around, own = self._around(component, reach)
        rim = running(own, 2 * reach + 1, np.maximum) & ~running(own, 2 * reach - 1, np.maximum)
        rim &= around < EDGE_CONTRAST * self.ink
        return float(around[rim].mean()) if rim.any() else 0.0

    def _around(self, component: Component, margin: int) -> tuple[Array, Array]:
        """Return the contrast in a component's box and a margin around it, and the component's mask there."""
        window = tuple(slice(max(line.start - margin, 0), line.stop + margin) for line in component.window)
        around = self.contrast[window]
        own = np.zeros(around.shape, bool)
        top, left = component.top - window[0].start, component.left - window[1].start
        own[top : top + component.height, left : left + component.width] = component.mask
        return around, own

    def candidates(self) -> list[Candidate]:
        """Return the candidates in reading order."""
        if not self.found:
            return []
        lines = components.text_lines(self.found, self.height)
        return [Candidate(self, self.found[k], row) for row, line in enumerate(lines) for k in line]

    @cached_property
    def slant(self) -> float:
        """How far each row must be shifted to give the writing the slant of MNIST."""
        slants = []
        for component in self.found:
            y, x = np.nonzero(component.mask)
            y, x = y - y.mean(), x - x.mean()
            if (spread := float(y @ y)) > 0 and component.height > 0.6 * self.height:
                slants.append(-float(x @ y) / spread)
        if not slants:
            return 0.0
        lean = float(np.median(slants)) - MNIST_SLANT
        return lean * len(slants) / (len(slants) + 4)  # shrunk towards 0 where digits are few

    def is_wide(self, component: Component) -> bool:
        """Tell whether a component is larger than digits here are."""
        return component.width > 1.3 * self.height or component.height > 1.6 * self.height

    def cuts(self, component: Component) -> list[tuple[Component, Component]]:
        """Return a component as two that touch, in several ways."""
        found = []
        if component.width > max(0.75 * self.height, 0.8 * component.height):
            found = [components.split_horizontally(component, low, low + 0.25) for low in (0.25, 0.375, 0.5)]
        elif component.height > 1.5 * self.height:
            found = [components.split_vertically(component, 0.3, 0.7)]
        return [pair for pair in found if pair is not None and min(half.height for half in pair) > 0.4 * self.height]

    def image(self, component: Component) -> Array:
        """Return a component as (28, 28, 1), its rows moved so that the writing leans as MNIST does."""
        slant, margin = self.slant, 2
        around, own = self._around(component, margin)
        ink = around / self.ink
        near = running(own, 2 * margin + 1, np.maximum)
        # its soft edges are kept, ink of neighbors is not
        ink = np.where(own | (near & (ink < EDGE_CONTRAST)), np.clip(ink, 0, 1), 0)
        height, width = ink.shape
        size = ceil(width + abs(slant) * height) + height // 2, height + height // 2
        shift = (width + slant * size[1] - size[0]) / 2, (height - size[1]) / 2
        coefficients = (1, -slant, shift[0], 0, 1, shift[1])
        image = Image.fromarray(np.rint(255 * ink).astype(np.uint8))
        moved = image.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
        factor = max(size) // DIGIT_SIDE
        return digits.from_array(np.asarray(moved.reduce(factor) if factor > 1 else moved))

    def box(self, component: Component) -> tuple[float, float, float, float]:
        """Return a component's box in pixels of the photo."""
        y, x = np.nonzero(component.mask)
        places = np.stack([x + component.left + 0.5, y + component.top + 0.5], 1) @ self.back.T + self.shift
        low, high = places.min(0) - 0.5, places.max(0) + 0.5
        left, top, right, bottom = (float(value) * self.factor for value in (*low, *high))
        return left, top, right - left, bottom - top
