"""The pixel range of a data set: which values are black and white, where pixels are not 8-bit integers from 0 to 255.

One range holds for a whole data set. It follows from the pixels' type and from their smallest and largest value over all
images, never from one image alone, so that a dark image stays dark:

    integers   0 to the largest value of 8, 10, 12, 14 or 16 bits that holds them all (15 bits, where the type is int16; 7 where
               it is int8); 0 to 1, where no value is larger
    floats     0 to 1 where all values are (a resized image may overshoot by 10 %), 0 to 255 where the largest is about 255
    booleans   0 to 1
    uint8      0 to 255 as they are; 0 to 1, where no array of the set holds a larger value (image files: always 0 to 255)

A range is of one kind of pixels, a line above: an image of another kind has a range of its own. Anything else is refused:
negative integers, integers beyond 65,535, floats of another range, parts of a data set whose ranges differ. `--pixel-range`
states it.
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
PixelKind = Literal["integer", "float", "uint8", "bool"]

OPTION = "--pixel-range LOW,HIGH"
STATE_IT = f"state it with {OPTION}, in Python pixel_range=(LOW, HIGH)"
INTEGER_BITS = (8, 10, 12, 14, 16)  # of cameras and scanners
SIGNED_BITS: dict[tuple[str, ...], tuple[int, ...]] = {("int8",): (7,), ("int16",): (8, 10, 12, 14, 15)}
UNIT_OVERSHOOT = (-0.05, 1.1)  # of floats from 0 to 1, by bicubic resizing
# Floats whose largest value is smaller, and above 0, were divided by 255 twice, or are of any range.
UNIT_MIN_PEAK = 1 / 32
BYTE_OVERSHOOT = (-12.75, 280.5)  # the same of floats from 0 to 255
BYTE_MIN_PEAK = 127.5  # floats whose largest value is smaller, and above 1, may be of any range
SINGLE_MIN_PEAK = 4095  # integers of one image alone: larger values are of 16 bits, smaller ones of an unknown number
TOLD_MAX_PEAK = 63  # 8-bit arrays whose largest value is no larger are a quarter as bright as they may be: it is told
CLIPPED_MAX_SPAN = 0.1  # fraction of the range by which the pixels of one more image may lie beyond it without a word
DIM_FRACTION = 1 / 16  # of the range, that the pixels of one more image have to reach, or it is told
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
        """The kind of the pixels, None where there are several."""
        kinds = {_kind_of_dtype(name) for name in self.dtypes}
        return kinds.pop() if len(kinds) == 1 else None

    def __or__(self, other: "PixelExtent") -> "PixelExtent":
        dtypes = tuple(dict.fromkeys((*self.dtypes, *other.dtypes)))
        return PixelExtent(dtypes, min(self.low, other.low), max(self.high, other.high))

    def __str__(self) -> str:
        low, high = self.low, self.high
        return f"{' and '.join(self.dtypes)}, {low:{_digits(low)}g} to {high:{_digits(high)}g}"


def _kind_of_dtype(name: str) -> PixelKind:
    if name in ("uint8", "bool"):
        return name  # type: ignore[return-value]
    return "float" if name.startswith("float") else "integer"


class TypedRange(PixelRange):
    """A pixel range, the kind of the pixels that it is of (None, as of a range without it: of any), and who says it.

    stated: a person, who may want to clip; else it follows from the pixels of a data set, and no other image lies beyond it.
    """

    kind: PixelKind | None
    stated: bool

    def __new__(cls, low: float, high: float, kind: PixelKind | None = None, stated: bool = True) -> "TypedRange":
        """Return the range."""
        made = super().__new__(cls, (low, high))
        made.kind, made.stated = kind, stated
        return made

    def __getnewargs__(self) -> tuple[float, float, PixelKind | None, bool]:
        return self[0], self[1], self.kind, self.stated


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
    kind = extent.kind
    if kind is None:
        raise ArgumentError(f"pixels are {extent}; these have no range in common; save them as one type")
    if kind == "float":
        if extent.low >= UNIT_OVERSHOOT[0] and (UNIT_MIN_PEAK <= extent.high <= UNIT_OVERSHOOT[1] or extent.high == 0):
            return 0.0, 1.0
        if extent.low >= BYTE_OVERSHOOT[0] and BYTE_MIN_PEAK <= extent.high <= BYTE_OVERSHOOT[1]:
            return 0.0, 255.0
        raise _unknown(extent)
    if extent.low < 0 or extent.high > 2**16 - 1:
        raise _unknown(extent)
    if kind == "bool" or (extent.high <= 1 and not single):
        return 0.0, 1.0
    if single and kind == "integer" and 0 < extent.high <= SINGLE_MIN_PEAK:
        raise _unknown(extent)
    bits = SIGNED_BITS.get(extent.dtypes, INTEGER_BITS)
    return 0.0, float(
        next(2**count - 1 for count in bits if extent.high < 2**count) if extent.high else 2 ** bits[-1] - 1
    )


def range_of_set(extent: PixelExtent, given: PixelRange | None) -> TypedRange:
    """Return the pixel range of a data set, of its kind: the given one, unless that is of another kind.

    Raises ArgumentError as `resolve_pixel_range` does.
    """
    if given is None or extent.kind is None or not applies(given, extent):
        return TypedRange(*resolve_pixel_range(extent), extent.kind, stated=False)
    return TypedRange(*range_of_image(extent, given), extent.kind, stated=is_stated(given))


def range_of_image(extent: PixelExtent, recorded: PixelRange | None, *, single: bool = True) -> PixelRange:
    """Return the pixel range of one more image: that of the training's images, unless it is of another kind.

    single: as in `resolve_pixel_range`, for an image of another kind.
    Raises ArgumentError where the image lies beyond the training's range, and nobody stated that.

    >>> range_of_image(PixelExtent(("uint16",), 3, 999), TypedRange(0, 4095, "integer", stated=False))
    (0, 4095)
    """
    if recorded is None or not applies(recorded, extent):
        return resolve_pixel_range(extent, single=single)
    if not is_stated(recorded) and is_beyond(extent, recorded):
        low, high = (f"{value:{_digits(value)}g}" for value in recorded)
        raise ArgumentError(
            f"pixels are {extent}, those of the training went from {low} to {high}; which values are black and white is not "
            f"known; {STATE_IT}"
        )
    return recorded


def is_beyond(extent: PixelExtent, pixel_range: PixelRange) -> bool:
    """Return whether pixels lie far beyond a range."""
    (low, high), margin = pixel_range, CLIPPED_MAX_SPAN * (pixel_range[1] - pixel_range[0])
    return not (low - margin <= extent.low and extent.high <= high + margin)


def is_dim(extent: PixelExtent, pixel_range: PixelRange) -> bool:
    """Return whether all pixels of an image are in the darkest part of a range: it may be of another one."""
    low, high = pixel_range
    return extent.high - low < DIM_FRACTION * (high - low)


def is_stated(pixel_range: PixelRange) -> bool:
    """Return whether a person stated a range."""
    return getattr(pixel_range, "stated", True)


def applies(pixel_range: PixelRange, extent: PixelExtent) -> bool:
    """Return whether a range is of an image's kind of pixels: the values of one image can't tell."""
    return kind_of(pixel_range) in (None, extent.kind) and extent.kind != "bool"


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
    """Return the images of each split as uint8, the pixel range of the training's, and notes that tell it.

    pixel_range: as given, by default it follows from all arrays of a kind. uint8 stays as it is, and has None, unless its
    largest value is 1, or a person stated a range.
    Raises ArgumentError as `resolve_pixel_range` does, where the range of two splits differs, and for NaN, with the split and
    the image.
    """
    for part, array in arrays.items():
        if array.dtype.kind == "f" and not (isfinite(array.min()) and isfinite(array.max())):
            rows = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
            raise ArgumentError(f"image {rows[0]} of {part} holds NaN or infinity; leave it out or repair it")
    extents = {part: PixelExtent.of(array) for part, array in arrays.items()}
    converted, notes, chosen = {}, list[str](), dict[str, PixelRange | None]()
    for kind in dict.fromkeys(extent.kind for extent in extents.values()):
        parts = {part: extent for part, extent in extents.items() if extent.kind == kind}
        extent = reduce(PixelExtent.__or__, parts.values())
        if kind == "uint8" and extent.high > 1 and not _is_for_bytes(pixel_range):
            found: PixelRange | None = None
            is_told, as_is = extent.high <= TOLD_MAX_PEAK, TypedRange(0.0, 255.0)
        else:
            found = as_is = range_of_set(extent, pixel_range)
            is_told = found != (0.0, 255.0) or extent.high > 255 or extent.low < 0 or extent.high <= TOLD_MAX_PEAK
        if found is None or not is_stated(found):
            check_splits(parts, as_is)
        if is_told:
            given = pixel_range is not None and found is not None and is_stated(found)
            notes.append(describe(extent, as_is, given=given))
        for part in parts:
            chosen[part], converted[part] = found, arrays[part] if found is None else _to_bytes(arrays[part], found)
    return {part: converted[part] for part in arrays}, chosen[next(iter(arrays))], tuple(notes)


def _is_for_bytes(pixel_range: PixelRange | None) -> bool:
    """Return whether a given range is for uint8 too: a person's, not that of other pixels that a network keeps."""
    return pixel_range is not None and kind_of(pixel_range) in (None, "uint8")


def check_splits(extents: Mapping[str, PixelExtent], pixel_range: PixelRange) -> None:
    """Raise ArgumentError where one split or file alone has another range than all of them: it was scaled by itself.

    extents: of one kind of pixels, by split or file. A split of integers is of another range where it is dim; bytes and floats
    tell it by what follows from them alone.
    """
    all_dim = all(is_dim(extent, pixel_range) for extent in extents.values())
    for part, extent in extents.items():
        try:
            alone = resolve_pixel_range(extent)
        except ArgumentError:
            continue
        differs = not all_dim and is_dim(extent, pixel_range) if extent.kind == "integer" else alone != pixel_range
        if extent.high > 0 and differs and (extent.kind != "uint8" or alone == (0.0, 1.0)):
            told = ", ".join(
                f"{name} {other.low:{_digits(other.low)}g} to {other.high:{_digits(other.high)}g}"
                for name, other in extents.items()
            )
            raise ArgumentError(
                f"the splits differ in their pixel range ({told}); scale {part} like the others; else {STATE_IT}"
            )


def _to_bytes(images: Array, pixel_range: PixelRange) -> Array:
    """Return images as uint8, converted a group at a time."""
    converted = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), CONVERTED_IMAGES):
        group = slice(start, start + CONVERTED_IMAGES)
        converted[group] = to_bytes(images[group], pixel_range)
    return converted


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
    return TypedRange(float(low), float(high), kind_of(value), is_stated(value))


def _unknown(extent: PixelExtent) -> ArgumentError:
    return ArgumentError(f"pixels are {extent}; which values are black and white is not known; {STATE_IT}")


def _digits(value: float) -> str:
    """Return a number's precision in a format: whole numbers are shown in full."""
    return ".17" if value == round(value) else ".4"
