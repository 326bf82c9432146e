"""Images of more than 8 bits a channel, or of signed or floating point pixels: all of their bits, as an array.

Pillow opens them, but reads color of 16 bits as its upper 8, leaves the pixels of TIFF's WhiteIsZero inverted unless they have
8 bits, and knows neither signed bytes nor unsigned 32 bits.
"""

import io
import sys
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from byhand.data.pixel_range import PixelExtent, PixelRange, range_of_image, to_bytes
from byhand.errors import ArgumentError, FileError, UnsupportedError
from byhand.shapes import Array

BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR_CONFIGURATION, SAMPLE_FORMAT = 258, 262, 284, 339  # TIFF's tags
WHITE_IS_ZERO, SEPARATE_PLANES, UNSIGNED, SIGNED = 0, 2, 1, 2  # their values
DEEP_COLOR = ("RGB", "RGBA", "LA")  # Pillow's modes; of CMYK it reads the upper 8 bits, which cover the whole range
PACKED_COLOR = ("BGR;15", "BGR;16")  # 16 bits a pixel
SCALED_FORMATS = ("PPM", "JPEG2000")  # which state their largest value, and Pillow scales it to 65535
# The raw mode of Pillow that reads the other byte of 16-bit samples.
OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


class DeepImage(NamedTuple):
    """An image's samples (H, W) or (H, W, 3), and what its file tells of them."""

    samples: Array
    white: float | None  # the value of white, where the format states it; black is 0
    inverted: bool  # TIFF's WhiteIsZero: the range's low end is white
    alpha: Array | None  # opacity (H, W) from 0 to 1, where there is any

    @property
    def extent(self) -> PixelExtent | None:
        """The extent of the pixels; None where the format states the range."""
        return PixelExtent.of(self.samples) if self.white is None else None

    def to_8_bits(self, pixel_range: PixelRange | None, path: object, own_range: bool = False) -> Image.Image:
        """Return the image as 8-bit gray or RGB, transparency on white.

        pixel_range: of the data set, for pixels of its kind; for others, and where it is None: as this image alone tells, or
        a FileError that names --pixel-range.
        own_range: its largest value may tell.
        """
        if self.white is not None:
            pixel_range = 0.0, self.white
        else:
            try:
                pixel_range = range_of_image(PixelExtent.of(self.samples), pixel_range, single=not own_range)
            except ArgumentError as error:
                raise FileError(f"{path}: {error}") from None
        pixels = to_bytes(self.samples, pixel_range)
        if self.inverted:
            pixels = 255 - pixels
        if self.alpha is not None:
            alpha = self.alpha if pixels.ndim == 2 else self.alpha[..., None]
            pixels = np.rint(255 - alpha * (255.0 - pixels)).astype(np.uint8)
        return Image.fromarray(pixels)


def is_deep(image: Image.Image) -> bool:
    """Return whether an image that was opened has pixels that are not unsigned, of 8 bits or fewer."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return True
    tags = getattr(image, "tag_v2", {})
    if image.mode == "L":
        return bool(tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0] == SIGNED)
    bits = tags.get(BITS_PER_SAMPLE, (8,))
    is_wide = isinstance(bits, tuple) and max(bits) > 8
    if image.mode not in DEEP_COLOR or _raw_mode(image) in PACKED_COLOR:
        return is_wide and tags.get(PLANAR_CONFIGURATION) == SEPARATE_PLANES
    return ";16" in _raw_mode(image) or is_wide


def is_deep_gray(image: Image.Image) -> bool:
    """Return whether a deep image is gray."""
    return image.mode not in ("RGB", "RGBA") or _raw_mode(image).startswith("LA;16")


def read_deep(image: Image.Image, data: bytes, path: object) -> DeepImage:
    """Return the samples of an image; data: the bytes of its file.

    Raises FileError for samples that Pillow does not read right.
    """
    tags = getattr(image, "tag_v2", {})
    inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    is_scaled = image.format in SCALED_FORMATS and image.mode != "F"  # PFM is in PPM's family
    white = 65535.0 if is_scaled else None
    bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
    sample_format = tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0]
    transparent = image.info.get("transparency")
    if image.mode in ("RGB", "RGBA", "CMYK"):
        samples, alpha = _color(image, data, path)
    else:
        samples, alpha = np.asarray(image), None
    if image.mode == "L":
        samples = samples.view(np.int8)
    elif image.mode == "I" and "tag_v2" in vars(image):
        samples = samples.view(np.uint32) if sample_format == UNSIGNED and bits == 32 else samples
        samples = samples.astype(np.int16) if sample_format == SIGNED and bits == 16 else samples
    if 8 < bits < 16:
        white = 2.0**bits - 1
    if transparent is not None and alpha is None and image.format == "PNG":
        same = samples == np.asarray(transparent)
        alpha = 1.0 - (same if samples.ndim == 2 else same.all(-1))
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        raise FileError(f"{path} holds NaN or infinity; expected finite numbers")
    return DeepImage(samples, white, inverted, alpha)


def _color(image: Image.Image, data: bytes, path: object) -> tuple[Array, Array | None]:
    """Return the 16-bit samples of a color image or of gray with opacity, (H, W, 3) or (H, W), and its opacity."""
    raw = _raw_mode(image)
    if ";16" not in raw:
        raise UnsupportedError(f"{path} has color of 16 bits in separate planes; save it anew, interleaved")
    if raw.startswith("LA"):  # two samples of 16 bits are four of 8
        _set_raw_mode(image, "RGBA")
        samples = np.ascontiguousarray(np.asarray(image)).view(">u2")
        return samples[..., 0], samples[..., 1] / 65535
    other: Any = Image.open(io.BytesIO(data), formats=[str(image.format)])
    _set_raw_mode(other, raw[:-1] + OTHER_BYTE[raw[-1]])
    samples = np.asarray(image).astype(np.uint16) << 8 | np.asarray(other)
    return samples[..., :3], samples[..., 3] / 65535 if samples.shape[2] == 4 else None


def _raw_mode(image: Image.Image) -> str:
    """Return Pillow's name of the pixels' layout in the file."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    raw = arguments if isinstance(arguments, str) else arguments[0] if arguments else ""
    return raw if isinstance(raw, str) else ""


def _set_raw_mode(image: Any, raw: str) -> None:
    """Make Pillow decode an image that was opened by another layout of the pixels, of as many bits."""
    for place, (codec, extents, offset, arguments) in enumerate(image.tile):
        tile, changed = image.tile[place], raw if isinstance(arguments, str) else (raw, *arguments[1:])
        image.tile[place] = (
            tile._replace(args=changed) if hasattr(tile, "_replace") else (codec, extents, offset, changed)
        )
