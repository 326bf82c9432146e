"""`Preprocessing`: everything between an image file, or an array of pixels, and a network's input.

Training writes this record into the model, and whatever feeds the model obeys it: `byhand predict`, `explain`, `look`,
`trace`, the exported page, C code and ONNX file, and `Model.predict`.

    file    -> pixels   read, its range mapped to 0 ... 255, resized and cropped, or centered as a digit
    pixels  -> input    (pixel / 255 - mean) / std
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from byhand.data.pixel_range import (
    OPTION,
    PixelExtent,
    PixelKind,
    PixelRange,
    TypedRange,
    applies,
    check_pixel_range,
    is_beyond,
    is_dim,
    is_stated,
    kind_of,
    range_of_image,
    to_bytes,
)
from byhand.errors import ArgumentError, ByhandError, FileError, UnknownNameError
from byhand.shapes import Array, Shape, number

READERS = ("picture", "digit", "array")
FILE_READERS = READERS[:2]
DIGIT_SHAPE = (28, 28, 1)
RANGE_FIELDS = ("pixel_kind", "pixel_range_stated")  # of the JSON record, beside the fields of `Preprocessing`


@dataclass(frozen=True)
class Preprocessing:
    """What a network's training did to an image, so that prediction does the same.

    reader: "picture" (resized, and cropped at the center), "digit" (ink on black, scaled and centered as in MNIST) or "array"
    (the network was trained on floating point arrays, so that how a file becomes one is not known);
    crop_pct: the fraction of a picture's shorter side that an image shows (timm's word), None where it is unknown;
    pixel_range: the values of black and white of pixels that are not uint8, None where there were none; with the kind of the
    pixels (`TypedRange`; "pixel_kind" in JSON), it is for pixels of that kind alone;
    mean, std: of the normalization (pixel / 255 - mean) / std, a number or one a channel.

    Raises UnknownNameError for another reader, ArgumentError for a number that is out of range.

    >>> record = Preprocessing(crop_pct=1.0, pixel_range=(0, 1023), mean=0.5, std=0.25)
    >>> record.pixels(np.array([0, 1023, 2000], np.uint16))
    array([  0, 255, 255], dtype=uint8)
    >>> Preprocessing.from_json(record.to_json()) == record
    True
    """

    reader: str = "picture"
    crop_pct: float | None = None
    pixel_range: PixelRange | None = None
    mean: float | list[float] = 0.5
    std: float | list[float] = 1.0

    def __post_init__(self) -> None:
        if self.reader not in READERS:
            raise UnknownNameError("reader", str(self.reader), READERS)
        crop = None if self.crop_pct is None else number("crop_pct", self.crop_pct)
        if crop is not None and not 0 < crop <= 1:
            raise ArgumentError(f"crop_pct is {crop}; expected a fraction of a photo's shorter side, up to 1")
        object.__setattr__(self, "crop_pct", crop)
        if self.pixel_range is not None:
            checked = check_pixel_range(self.pixel_range, f"pixel_range is {self.pixel_range!r}")
            object.__setattr__(self, "pixel_range", checked)

    def for_channels(self, channels: int, **changes: Any) -> "Preprocessing":
        """Return this record with changes that are not None, its mean and std checked for a number of channels."""
        changed = replace(self, **{name: value for name, value in changes.items() if value is not None})
        mean, std = (per_channel(name, getattr(changed, name), channels) for name in ("mean", "std"))
        if not np.all(std):
            raise ArgumentError("std is 0; expected numbers to divide by")
        return replace(changed, mean=mean, std=std)

    def trained_on(self, dtype: npt.DTypeLike, record: "Preprocessing | None") -> "Preprocessing":
        """Return the record after a training on images of a dtype; record: of these images, but for mean and std."""
        if dtype != np.uint8:
            return replace(self, reader="array")
        return self if record is None else replace(record, mean=self.mean, std=self.std)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON has it."""
        pixel_range = None if self.pixel_range is None else list(self.pixel_range)
        record = asdict(replace(self, pixel_range=None)) | {"pixel_range": pixel_range}
        kind = kind_of(self.pixel_range)
        if kind is None:
            return record
        stated = self.pixel_range is not None and is_stated(self.pixel_range)
        return record | {"pixel_kind": kind, "pixel_range_stated": stated}

    @classmethod
    def from_json(cls, value: Any) -> "Preprocessing":
        """Return the record that `to_json` wrote; raises FileError for anything else."""
        try:
            if not isinstance(value, Mapping) or not value.keys() <= {*cls.__dataclass_fields__, *RANGE_FIELDS}:
                raise TypeError
            given = dict(value)
            kind, stated = given.pop("pixel_kind", None), given.pop("pixel_range_stated", True)
            if kind not in (None, *get_args(PixelKind)) or not isinstance(stated, bool):
                raise TypeError
            if given.get("pixel_range") is not None:
                low, high = given["pixel_range"]
                given["pixel_range"] = TypedRange(float(low), float(high), kind, stated)
            for name in ("mean", "std"):
                if name in given and not isinstance(given[name], (int, float, list)):
                    raise TypeError
            return cls(**given)
        except (ArithmeticError, TypeError, ValueError, ByhandError) as error:
            reason = f": {error}" if isinstance(error, ByhandError) else ""
            raise FileError(f"its preprocessing is {value!r:.200}, which is no such record{reason}") from None

    def read(self, path: str | os.PathLike[str], shape: Shape) -> Array:
        """Return an image file as (H, W, C) uint8; raises FileError for one that can't be read."""
        from byhand.data import digits, photos  # noqa: PLC0415  (Pillow takes as long to import as the rest of byhand)

        if self.reader == "array":
            raise ArgumentError(
                "the network was trained on floating point arrays: how an image file becomes one is not known; state it with "
                "--reader picture, --mean and --std"
            )
        if self.reader == "digit":
            return digits.from_file(path, self.pixel_range)
        height, width, channels = shape
        return photos.from_file(path, (height, width), channels, self.crop_pct, self.pixel_range)

    def range_note(self, path: str | os.PathLike[str]) -> str:
        """Return a line that tells of a file whose pixels may have another range than those of the training, or ""."""
        from byhand.data import image_decoding  # noqa: PLC0415  (Pillow, as above)

        extent = None if self.pixel_range is None else image_decoding.inspect_image(path, 0).extent
        if extent is None or self.pixel_range is None:
            return ""
        if not applies(self.pixel_range, extent):
            kind = kind_of(self.pixel_range)
            return (
                f"{path} holds {extent}, the training {kind}s: its own values tell its range; {OPTION} says otherwise"
            )
        low, high = self.pixel_range
        if is_beyond(extent, self.pixel_range):
            return f"{path} holds {extent}, clipped to the training's {low:g} to {high:g}; {OPTION} says otherwise"
        if is_dim(extent, self.pixel_range):
            return f"{path} holds {extent}, dark beside the training's {low:g} to {high:g}; {OPTION} says otherwise"
        return ""

    def pixels(self, images: npt.ArrayLike) -> Array:
        """Return images as uint8, by the recorded range; without one, by that of the array where it is clear.

        Raises ArgumentError where it is not, or where the array lies beyond the recorded range.
        """
        images = np.asarray(images)
        recorded = self.pixel_range
        if images.dtype == np.uint8:
            extent = PixelExtent.of(images) if kind_of(recorded) == "uint8" and images.size else None
            if extent is None or recorded is None or is_beyond(extent, recorded):  # bytes from 0 to 255, as files have
                return images
            return to_bytes(images, recorded)
        extent = PixelExtent.of(images)
        if recorded is not None and applies(recorded, extent) and is_dim(extent, recorded) and extent.high > 0:
            low, high = recorded
            warnings.warn(
                f"pixels are {extent}, dark beside the training's {low:g} to {high:g}; "
                "model.preprocessing = dataclasses.replace(model.preprocessing, pixel_range=(LOW, HIGH)) says otherwise",
                stacklevel=2,
            )
        return to_bytes(images, range_of_image(extent, recorded, single=False))

    def normalized_levels(self, dtype: npt.DTypeLike) -> Array:
        """Return the network's input for each of the 256 pixel values: a row for each channel, or one row for all."""
        with np.errstate(all="ignore"):  # a file may hold a mean that float32 does not reach
            mean, std = (np.atleast_1d(np.asarray(value, dtype))[:, None] for value in (self.mean, self.std))
            return (np.arange(256).astype(dtype) / 255 - mean) / std  # type: ignore[no-any-return]

    def describe(self, shape: Shape) -> str:
        """Return a line that tells the record, for images of a shape.

        >>> Preprocessing(crop_pct=1.0, mean=0.13, std=0.31).describe((28, 28, 1))
        'pictures: 28 x 28 gray, resized, the whole shorter side; pixels (x / 255 - 0.13) / 0.31'
        """
        *sides, channels = shape
        dims = " x ".join(map(str, sides))
        size = {1: f"{dims} gray", 3: f"{dims} color"}.get(channels, f"{dims} x {channels}")
        seen = "an unknown part of the" if self.crop_pct is None else f"{self.crop_pct:.1%} of the"
        seen = "the whole" if self.crop_pct == 1 else seen
        how = {
            "picture": f"resized, {seen} shorter side",
            "digit": "one digit each, centered as in MNIST",
            "array": "floating point, as they are",
        }[self.reader]
        deep = ""
        if self.pixel_range is not None:
            low, high = self.pixel_range
            deep = f"; {low:g} is black, {high:g} white"
        mean, std = (", ".join(f"{x:.4g}" for x in np.atleast_1d(value)) for value in (self.mean, self.std))
        pixels = f"(x / 255 - {mean}) / {std}" if "," not in mean + std else f"(x / 255 - ({mean})) / ({std})"
        return f"{self.reader}s: {size}, {how}{deep}; pixels {pixels}"


def per_channel(name: str, value: npt.ArrayLike, channels: int) -> float | list[float]:
    """Return a number, or a list of one a channel."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.shape not in ((), (channels,)) or not all(isfinite(item) for item in array.ravel()):
        raise ArgumentError(f"{name} is {value!r}; expected a number, or {channels} of them, one a channel")
    return array.tolist()  # type: ignore[no-any-return]
