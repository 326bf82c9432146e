"""Augmentation: training images changed by chance in ways that leave their class as it is."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from math import log

import numpy as np

from byhand.data.warp import Array, moved, warped
from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.shapes import Shape, integer, number

NUMBERS = {"mixup": 1, "crop": 4, "flip": 1, "rotate": 1, "shift": 2, "colour": 3, "cutout": 2}  # in the order of work
EXAMPLES = {"shift": 2, "rotate": 10, "crop": 0.3, "colour": 0.2, "cutout": 8, "mixup": 0.2}
WHOLE = ("shift", "cutout")  # in pixels
ASPECT = log(4 / 3)  # a crop is that much wider or taller than the image at most (Szegedy et al.)
LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue are (ITU-R BT.601)
CHUNK = 2**15  # pixels at a time, so that what lies in between stays in the cache
TABLE = 2**13  # steps of the table for mixup
SMALL = 64  # pixels: up to here, images are shifted rather than cropped


@dataclass(frozen=True)
class Augment:
    """What may happen to a training image, in this order; 0 and False: it does not.

    mixup   it is blended with another image: weight * image + (1 - weight) * other, weight ~ Beta(mixup + 1, mixup)
    crop    up to that share of its area is cut off, anywhere, the rest is stretched over the whole; its sides' proportion
            changes by up to 4/3, as far as the area allows
    flip    it is mirrored, left to right, every other time
    rotate  it is turned by up to so many degrees, either way
    shift   it is moved by up to so many whole pixels, along both axes
    colour  brightness, contrast and, of three channels, saturation are multiplied by 1 - colour to 1 + colour
    cutout  a square with sides of so many pixels is set to the image's mean; its middle may be any pixel

    Where pixels come from beyond the border, the image is reflected. Crop and rotate, and with them flip and shift, are one
    bilinear resampling; flip and shift alone change no pixel.

    mixup keeps the image's own label. The loss is linear in the label, so that the weighted labels of both images with a
    weight from Beta(mixup, mixup) have the same gradient, in expectation, as one label with a weight from
    Beta(mixup + 1, mixup) (Huszár 2017, "mixup: data-dependent data augmentation").

    Sources: Szegedy et al. 2014, arXiv 1409.4842 (crop); DeVries & Taylor 2017, arXiv 1708.04552 (cutout); Zhang et al. 2017,
    arXiv 1710.09412 (mixup).

    Raises ArgumentError for a setting that can't be.

    >>> augment = Augment(flip=True, shift=2, cutout=8)
    >>> images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    >>> augment(images, np.random.default_rng(1).random((64, augment.numbers))).shape
    (64, 32, 32, 3)
    """

    flip: bool = False
    shift: int = 0
    rotate: float = 0
    crop: float = 0
    colour: float = 0
    cutout: int = 0
    mixup: float = 0

    def __post_init__(self) -> None:
        if not isinstance(self.flip, bool):
            raise ArgumentError(f"augment: flip is {self.flip!r}; expected True or False")
        for name in EXAMPLES:
            value = getattr(self, name)
            if name in WHOLE:
                value = integer(f"augment: {name}", value, 0)
            else:
                value = number(f"augment: {name}", value, 0, {"crop": 1, "colour": 1}.get(name, float("inf")))
            object.__setattr__(self, name, value)
        if self.rotate > 180:
            raise ArgumentError(f"augment: rotate is {self.rotate:g}; expected 180 degrees at most")

    @classmethod
    def parse(cls, text: str) -> "Augment":
        """Return what a person typed: settings with commas between, or "none".

        Raises UnknownNameError for a name that is no setting, ArgumentError for a value that can't be.

        >>> Augment.parse("flip, shift=2, crop=0.3")
        Augment(flip=True, shift=2, rotate=0.0, crop=0.3, colour=0.0, cutout=0, mixup=0.0)
        """
        found: dict[str, bool | int | float] = {}
        for part in [] if text.strip() == "none" else text.split(","):
            name, equals, value = (word.strip() for word in part.partition("="))
            if name not in NUMBERS:
                raise UnknownNameError("augmentation", name, [*NUMBERS, "none"])
            if name in found:
                raise ArgumentError(f"augment: {name} is given twice; expected it once")
            found[name] = True if name == "flip" and not equals else _value(name, value)
        return cls(**found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Return the text that `parse` reads.

        >>> str(Augment(flip=True, rotate=7.5)), str(Augment())
        ('flip,rotate=7.5', 'none')
        """
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value:
                words.append(field.name if value is True else f"{field.name}={repr(value).removesuffix('.0')}")
        return ",".join(words) or "none"

    @property
    def numbers(self) -> int:
        """How many uniform numbers an image needs."""
        return sum(count for name, count in NUMBERS.items() if getattr(self, name))

    def draw(self, count: int, epoch: int, rng: np.random.Generator, seed: Sequence[int]) -> Array:
        """Return the uniforms (count, numbers) of an epoch, from `rng`; of a flip, by turns: seed decides which side is first.

        In any two epochs each image is seen from both sides; by chance, a quarter would be seen from one alone.
        Source: Jordan 2024, arXiv 2404.00498 ("alternating flip").

        >>> augment = Augment(flip=True)
        >>> first, second = (augment.draw(1000, epoch, np.random.default_rng(epoch), [0]) < 0.5 for epoch in range(2))
        >>> bool((first != second).all()), 400 < int(first.sum()) < 600
        (True, True)
        """
        uniforms = rng.random((count, self.numbers), np.float32)
        if self.flip:
            side = np.random.default_rng([*seed, 0, 1]).random(count, np.float32)  # no epoch's own numbers
            self._by_name(uniforms)["flip"][0] = (side + np.float32(0.5 * (epoch % 2))) % 1
        return uniforms

    def _by_name(self, uniforms: Array) -> dict[str, Array]:
        """Return each setting's uniforms, (numbers, N): views, by name."""
        found, first = {}, 0
        for name, count in NUMBERS.items():
            if getattr(self, name):
                found[name] = uniforms[:, first : first + count].T
                first += count
        return found

    def check(self, shape: Shape) -> None:
        """Raise an ArgumentError where images of `shape` (H, W, C) are too small for a shift or a cutout."""
        side = min(shape[:2])
        for name, most in (("shift", side - 1), ("cutout", side)):
            if getattr(self, name) > most:
                raise ArgumentError(
                    f"augment: {name} is {getattr(self, name)} pixels, but the images have {shape[0]} x {shape[1]}; "
                    f"expected {most} at most"
                )

    def __call__(self, images: Array, uniforms: Array, others: Array | None = None) -> Array:
        """Return images (N, H, W, C) in uint8, changed as their uniforms (N, numbers) say, which are from [0, 1).

        An image's result depends on its own pixels and its own uniforms only: the same, whichever images come with it.
        others: (N, H, W, C), what mixup blends in, before anything else happens to either.

        Raises ArgumentError or ShapeError for arrays that don't fit.

        >>> image = np.arange(4, dtype=np.uint8).reshape(1, 1, 4, 1)
        >>> Augment(flip=True)(image, np.array([[0.2]])).ravel()
        array([3, 2, 1, 0], dtype=uint8)
        """
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape[1:]:
            raise ShapeError(f"augment: images are {_about(images)}; expected uint8 (N, H, W, C)")
        uniforms = np.asarray(uniforms, np.float64)
        if uniforms.shape != (len(images), self.numbers):
            raise ShapeError(f"augment: uniforms are {_about(uniforms)}; expected ({len(images)}, {self.numbers})")
        if uniforms.size and not 0 <= uniforms.min() <= uniforms.max() < 1:
            raise ArgumentError(f"augment: uniforms go from {uniforms.min():g} to {uniforms.max():g}; expected [0, 1)")
        if not self.mixup:
            others = None
        elif getattr(others, "shape", None) != images.shape or getattr(others, "dtype", None) != np.uint8:
            raise ShapeError(f"augment: mixup's other images are {_about(others)}; expected uint8 {images.shape}")
        self.check(images.shape[1:])
        if not self.numbers:
            return images.copy()
        result = np.empty(images.shape, np.uint8)
        step = max(1, CHUNK // (images.shape[1] * images.shape[2]))
        for i in range(0, len(images), step):
            part = slice(i, i + step)
            result[part] = self._changed(images[part], uniforms[part], None if others is None else others[part])
        return result

    def _changed(self, images: Array, uniforms: Array, others: Array | None) -> Array:
        """Return a chunk of images, changed."""
        drawn = self._by_name(uniforms)
        if others is not None:
            images = _mixed(images, others, mixing(drawn["mixup"][0], self.mixup))
        n, height, width, _ = images.shape
        flip = drawn["flip"][0] < 0.5 if self.flip else np.zeros(n, bool)
        down, right = np.zeros((2, n), np.int64)
        if self.shift:
            down, right = (drawn["shift"] * (2 * self.shift + 1)).astype(np.int64) - self.shift
        if self.crop or self.rotate:
            angle = np.radians(self.rotate) * (2 * drawn["rotate"][0] - 1) if self.rotate else np.zeros(n)
            crop = _crop(drawn["crop"], self.crop) if self.crop else np.tile([[1.0], [1.0], [0.5], [0.5]], n)
            images = warped(images, _maps((height, width), crop, flip, angle, down, right))
        elif self.flip or self.shift:
            images = moved(images, down, right, flip)
        if self.colour:
            images = _jittered(images, 1 + self.colour * (2 * drawn["colour"] - 1))
        if self.cutout:
            images = _cut(images, drawn["cutout"], self.cutout)
        return images


def suggest(shape: Shape, classes: Sequence[str]) -> Augment:
    """Return what usually helps on images (H, W, C) of such classes.

    Digits and letters, which are 28 x 28 grey images or classes of one character each: a small shift, and no flip, for a
    mirrored letter is another letter or none. Others have no preferred side: a flip, and up to 64 pixels a shift of a
    sixteenth, above a crop, for in photos things are of any size, and jittered colours, for light is.

    >>> str(suggest((28, 28, 1), "0123456789")), str(suggest((32, 32, 3), ["cat", "dog"]))
    ('shift=2', 'flip,shift=2')
    >>> str(suggest((224, 224, 3), ["ants", "bees"]))
    'flip,crop=0.3,colour=0.2'
    """
    side = min(shape[:2])
    if tuple(shape) == (28, 28, 1) or (classes and all(len(name.strip()) == 1 for name in classes)):
        return Augment(shift=side // 14)
    if max(shape[:2]) <= SMALL:
        return Augment(flip=True, shift=side // 16)
    return Augment(flip=True, crop=0.3, colour=0.2)


# what happens to the pixels -------------------------------------------------------------------------------------------


def mixing(uniforms: Array, alpha: float) -> Array:
    """Return weights from Beta(alpha + 1, alpha), one for each uniform number: its distribution function, inverted.

    >>> mixing(np.array([0.0, 0.5]), 1).round(3)
    array([0.   , 0.707])
    """
    shares, weights = _beta(alpha)
    return np.interp(uniforms, shares, weights)


@lru_cache(16)
def _beta(alpha: float) -> tuple[Array, Array]:
    """Return the distribution function of Beta(alpha + 1, alpha), and where it has those values.

    Its density has a pole at weight 1 where alpha < 1. With 1 - weight = v^p and p = max(1, 1/alpha) there is none:

        density dv ~ weight^alpha * v^(p alpha - 1)

    v = 1 - w^2, with even steps of w, are finest near weight 0, where v moves the weight most.
    """
    power = max(1.0, 1 / alpha)

    def places(w: Array) -> tuple[Array, Array]:
        log_v = np.log1p(-w * w)
        return log_v, -np.expm1(power * log_v)

    edges = np.linspace(0, 1, TABLE + 1)
    log_v, weight = places((edges[1:] + edges[:-1]) / 2)
    with np.errstate(divide="ignore"):
        density = alpha * np.log(weight) + (power * alpha - 1) * log_v
        ends = places(edges)[1]
    shares = np.concatenate([[0], np.cumsum(np.exp(density - density.max()) * np.diff(edges**2))])
    return shares / shares[-1], ends


def _mixed(images: Array, others: Array, weights: Array) -> Array:
    weight = weights.astype(np.float32)[:, None, None, None]
    blend: Array = np.rint(weight * images + (1 - weight) * others).astype(np.uint8)
    return blend


def _crop(uniforms: Array, most: float) -> Array:
    """Return what is kept of each image (4, N): its width, its height, its middle across and down, all as shares."""
    area = 1 - most * uniforms[0]
    widest = np.minimum(ASPECT, -np.log(area))  # more would be wider than the image
    root = np.sqrt(np.exp(widest * (2 * uniforms[1] - 1)))
    wide, tall = np.minimum(np.sqrt(area) * root, 1), np.minimum(np.sqrt(area) / root, 1)
    return np.stack([wide, tall, wide / 2 + (1 - wide) * uniforms[2], tall / 2 + (1 - tall) * uniforms[3]])


def _maps(size: tuple[int, int], crop: Array, flip: Array, angle: Array, down: Array, right: Array) -> Array:
    """Return where each pixel of the result comes from, (N, 2, 3): shift, rotate, flip and crop, undone in that order."""
    height, width = size
    wide, tall, x, y = crop
    cos, sin, mirror = np.cos(angle), np.sin(angle), np.where(flip, -1, 1)
    maps = np.empty((len(angle), 2, 3))
    maps[:, 0, 0], maps[:, 0, 1] = wide * mirror * cos, wide * mirror * sin
    maps[:, 1, 0], maps[:, 1, 1] = -tall * sin, tall * cos
    middle = np.stack([width / 2 + right, height / 2 + down], 1)  # of the image, where the shift has put it
    for axis, target in ((0, width * x), (1, height * y)):
        maps[:, axis, 2] = target - maps[:, axis, 0] * middle[:, 0] - maps[:, axis, 1] * middle[:, 1]
    return maps


def _jittered(images: Array, factors: Array) -> Array:
    """Multiply brightness, contrast, saturation of each image by its factors (3, N); clip once, at the end.

        image * brightness;   mean + (image - mean) * contrast;   grey + (image - grey) * saturation

    grey is a pixel's luma, mean that of the whole image. All three are linear, hence one product and one sum a channel.
    """
    height, width, channels = images.shape[1:]
    luma = LUMA if channels == len(LUMA) else (1 / channels,) * channels
    mean = sum(share * total for share, total in zip(luma, _sums(images).T)) / (height * width)
    brightness, contrast, saturation = factors
    offset = brightness * (1 - contrast) * mean
    both, rest = brightness * contrast, 0.0 * saturation
    if channels == len(LUMA):
        both, rest = both * saturation, both * (1 - saturation)
    both, rest, offset = (one.astype(np.float32)[:, None, None] for one in (both, rest, offset))
    if channels == len(LUMA):
        offset = offset + rest * sum(np.float32(share) * images[..., c] for c, share in enumerate(luma))
    result = np.empty_like(images)
    for c in range(channels):
        one = both * images[..., c]
        one += offset
        result[..., c] = np.clip(np.rint(one, out=one), 0, 255, out=one)
    return result


def _cut(images: Array, uniforms: Array, side: int) -> Array:
    """Set a square of each image to the image's mean; uniforms (2, N) say where its middle is."""
    n, height, width, channels = images.shape
    spread = np.arange(side) - side // 2
    # where the square hangs over the border, its own rows at the border are set again
    rows = np.clip((uniforms[0] * height).astype(np.int64)[:, None] + spread, 0, height - 1)
    columns = np.clip((uniforms[1] * width).astype(np.int64)[:, None] + spread, 0, width - 1)
    places = ((rows + height * np.arange(n)[:, None]) * width)[:, :, None] + columns[:, None, :]
    mean = (_sums(images) / (height * width)).round().astype(np.uint8)
    result = images.copy()
    result.reshape(-1, channels)[places.reshape(n, -1)] = mean[:, None, :]
    return result


def _sums(images: Array) -> Array:
    """Return the sum of each channel of each image (N, C): whole numbers, the same in any order."""
    n, height, width, channels = images.shape
    rows = images.reshape(n, height, -1).astype(np.float64).sum(1)  # long rows first: faster than channel by channel
    sums: Array = rows.reshape(n, width, channels).sum(1)
    return sums


# what a person typed --------------------------------------------------------------------------------------------------


def _value(name: str, text: str) -> int | float:
    """Return a setting's value as typed."""
    kind = int if name in WHOLE else float
    example = EXAMPLES.get(name)
    try:
        if example is not None:
            return kind(text)
    except ValueError:
        pass
    expected = f"a {'whole ' if kind is int else ''}number, such as {name}={example}" if example else f"{name} alone"
    raise ArgumentError(f"augment: {name} is '{text}'; expected {expected}")


def _about(value: object) -> str:
    """Return what an array is, in words."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
