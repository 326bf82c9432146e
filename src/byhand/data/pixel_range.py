"""The pixel range of a data set: which values are black and white, where pixels are not 8-bit integers from 0 to 255.

One range holds for a whole data set. It follows from the pixels' type and from their smallest and largest value over all
images, never from one image alone, so that a dark image stays dark:

    integers   0 to the largest value of 8, 10, 12, 14 or 16 bits that holds them all (15 bits, where the type is int16);
               0 to 1, where no value is larger
    floats     0 to 1 where all values are (a resized image may overshoot by 10 %), 0 to 255 where the largest is about 255
    booleans   0 to 1
    uint8      0 to 255 as they are; 0 to 1, where no array of the set holds a larger value (image files: always 0 to 255)

A range is that of integers or of floats: an image of the other kind has a range of its own. Anything else is refused:
negative integers, integers beyond 65,535, floats of another range. `--pixel-range` states it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import isfinite
from typing import Literal

import numpy as np

from byhand.errors import ArgumentError
from byhand.shapes import Array

PixelRange = tuple[float, float]  # the values of black and of white
PixelKind = Literal["integer", "float"]

OPTION = "--pixel-range LOW,HIGH"
INTEGER_BITS = (8, 10, 12, 14, 16)  # of cameras and scanners
INT16_BITS = (8, 10, 12, 14, 15)
UNIT_OVERSHOOT = (-0.05, 1.1)  # of floats from 0 to 1, by bicubic resizing
BYTE_OVERSHOOT = (-12.75, 280.5)  # the same of floats from 0 to 255
BYTE_MIN_PEAK = 127.5  # floats whose largest value is smaller, and above 1, may be of any range
SINGLE_MIN_PEAK = 4095  # integers of one image alone: larger values are of 16 bits, smaller ones of an unknown number
CONVERTED_IMAGES = 256  # at a time: bounds the memory of the conversion


@dataclass(frozen=True)
class PixelExtent:
    """The type of pixels, and their smallest and largest value; `|` joins those of two images or arrays."""

    dtypes: tuple[str, ...]
    low: float
    high: float

    @classmethod
    def of(cls, pixels: Array) -> "PixelExtent":
        """Return the extent of an array. Raises ArgumentError for NaN, infinity, and what is no number."""
        if pixels.dtype.kind not in "biuf" or not pixels.size:
            raise ArgumentError(f"pixels are {pixels.dtype} of shape {pixels.shape}; expected numbers")
        low, high = float(pixels.min()), float(pixels.max())
        if not (isfinite(low) and isfinite(high)):
            raise ArgumentError("a pixel is NaN or infinite; expected finite numbers")
        return cls((pixels.dtype.newbyteorder("=").name,), low, high)

    @property
    def kind(self) -> PixelKind | None:
        """The kind of the pixels, None where some are integers and some floats."""
        kinds: set[PixelKind] = {"float" if name.startswith("float") else "integer" for name in self.dtypes}
        return kinds.pop() if len(kinds) == 1 else None

    def __or__(self, other: "PixelExtent") -> "PixelExtent":
        dtypes = tuple(dict.fromkeys((*self.dtypes, *other.dtypes)))
        return PixelExtent(dtypes, min(self.low, other.low), max(self.high, other.high))

    def __str__(self) -> str:
        low, high = self.low, self.high
        return f"{' and '.join(self.dtypes)}, {low:{_digits(low)}g} to {high:{_digits(high)}g}"


class TypedRange(PixelRange):
    """A pixel range, and the kind of the pixels that it is of; None, as of a range without it: of any."""

    kind: PixelKind | None

    def __new__(cls, low: float, high: float, kind: PixelKind | None = None) -> "TypedRange":
        """Return the range."""
        made = super().__new__(cls, (low, high))
        made.kind = kind
        return made

    def __getnewargs__(self) -> tuple[float, float, PixelKind | None]:
        return self[0], self[1], self.kind


def kind_of(pixel_range: PixelRange | None) -> PixelKind | None:
    """Return the kind of the pixels that a range is of, None: of any."""
    return getattr(pixel_range, "kind", None)


def join(extents: Iterable[PixelExtent]) -> PixelExtent | None:
    """Return the extent of all images, None where there are none."""
    every = list(extents)
    return reduce(PixelExtent.__or__, every) if every else None


def resolve_pixel_range(extent: PixelExtent, *, single: bool = False) -> PixelRange:
    """Return the values of black and white of pixels that go from extent.low to extent.high over a whole data set.

    single: the extent is that of one image alone, whose largest value tells less.
    Raises ArgumentError, which names `--pixel-range`, where they don't follow from the extent.

    >>> resolve_pixel_range(PixelExtent(("uint16",), 3, 999)), resolve_pixel_range(PixelExtent(("float32",), 0, 1.01))
    ((0.0, 1023.0), (0.0, 1.0))
    """
    floats = [name.startswith("float") for name in extent.dtypes]
    if all(floats):
        if extent.low >= UNIT_OVERSHOOT[0] and extent.high <= UNIT_OVERSHOOT[1]:
            return 0.0, 1.0
        if extent.low >= BYTE_OVERSHOOT[0] and BYTE_MIN_PEAK <= extent.high <= BYTE_OVERSHOOT[1]:
            return 0.0, 255.0
        raise _unknown(extent)
    if any(floats) or extent.low < 0 or extent.high > 2**16 - 1:
        raise _unknown(extent)
    if extent.high <= 1 and not single:
        return 0.0, 1.0
    if single and 0 < extent.high <= SINGLE_MIN_PEAK:
        raise _unknown(extent)
    bits = INT16_BITS if extent.dtypes == ("int16",) else INTEGER_BITS
    return 0.0, float(
        next(2**count - 1 for count in bits if extent.high < 2**count) if extent.high else 2 ** bits[-1] - 1
    )


def range_of_set(extent: PixelExtent, given: PixelRange | None) -> TypedRange:
    """Return the pixel range of a data set, of its kind: the given one, unless that is of the other kind.

    Raises ArgumentError as `resolve_pixel_range` does.
    """
    chosen = resolve_pixel_range(extent) if given is None or not applies(given, extent) else given
    return TypedRange(*chosen, extent.kind)


def applies(pixel_range: PixelRange, extent: PixelExtent) -> bool:
    """Return whether a range is of an image's kind of pixels: the values of one image can't tell."""
    return kind_of(pixel_range) in (None, extent.kind)


def to_bytes(pixels: Array, pixel_range: PixelRange) -> Array:
    """Return pixels as uint8: black becomes 0, white 255, what lies beyond is clipped.

    >>> to_bytes(np.array([0, 512, 1023, 2000]), (0, 1023))
    array([  0, 128, 255, 255], dtype=uint8)
    """
    low, high = pixel_range
    scaled = (pixels.astype(np.float64) - low) * (255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def arrays_to_bytes(
    arrays: Mapping[str, Array], pixel_range: PixelRange | None = None
) -> tuple[dict[str, Array], PixelRange | None, tuple[str, ...]]:
    """Return the images of each split as uint8, their one pixel range, and a note that tells it.

    pixel_range: as given, by default it follows from all arrays. uint8 stays as it is, and has None, unless its largest value
    is 1.
    Raises ArgumentError as `resolve_pixel_range` does, and for NaN, with the split and the image.
    """
    if all(array.dtype == np.uint8 for array in arrays.values()) and _max(arrays) != 1:
        return dict(arrays), None, ()
    for part, array in arrays.items():
        if array.dtype.kind == "f" and not (isfinite(array.min()) and isfinite(array.max())):
            rows = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
            raise ArgumentError(f"image {rows[0]} of {part} holds NaN or infinity; leave it out or repair it")
    extent = join(PixelExtent.of(array) for array in arrays.values())
    assert extent is not None
    chosen = range_of_set(extent, pixel_range)
    converted = {}
    for part, array in arrays.items():
        converted[part] = np.empty(array.shape, np.uint8)
        for start in range(0, len(array), CONVERTED_IMAGES):
            group = slice(start, start + CONVERTED_IMAGES)
            converted[part][group] = to_bytes(array[group], chosen)
    same = chosen == (0.0, 255.0) and extent.high <= 255 and extent.low >= 0
    return converted, chosen, () if same else (describe(extent, chosen, given=pixel_range is not None),)


def _max(arrays: Mapping[str, Array]) -> int:
    return max(int(array.max()) for array in arrays.values())


def describe(extent: PixelExtent, pixel_range: PixelRange, *, given: bool) -> str:
    """Return a line that tells what becomes black and white, and why."""
    low, high = pixel_range
    beyond = "; what lies beyond is clipped" if extent.low < low or extent.high > high else ""
    why = "as --pixel-range says" if given else f"{OPTION} says otherwise"
    return f"pixels are {extent}: {low:{_digits(low)}g} becomes black, {high:{_digits(high)}g} white{beyond} ({why})"


def parse_pixel_range(text: str) -> PixelRange:
    """Return the range that `--pixel-range` gives.

    >>> parse_pixel_range("-1024,3071")
    (-1024.0, 3071.0)
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = np.nan
    return check_pixel_range((low, high), f"--pixel-range is {text!r}")


def check_pixel_range(value: PixelRange, got: str) -> PixelRange:
    """Return a range, or raise an ArgumentError that begins with `got`."""
    low, high = value
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ArgumentError(f"{got}; expected the values of black and white, two numbers, the smaller first: 0,1023")
    return TypedRange(float(low), float(high), kind_of(value))


def _unknown(extent: PixelExtent) -> ArgumentError:
    return ArgumentError(f"pixels are {extent}: which values are black and white is not known; state it with {OPTION}")


def _digits(value: float) -> str:
    """Return a number's precision in a format: whole numbers are shown in full."""
    return ".17" if value == round(value) else ".4"
