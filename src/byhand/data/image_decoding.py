"""Decoding image files with Pillow: every fault of a file becomes a one-line FileError."""

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from byhand.data.image_formats import FORMATS
from byhand.data.open_file import open_regular_file
from byhand.errors import FileError
from byhand.shapes import Array

MAX_PIXELS = 25_000_000  # to decode: 5000 x 5000, which takes 100 MB


def decode_image(
    path: str | os.PathLike[str], mode: str, side: int, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Return an image decoded, converted, and upright (its EXIF orientation applied).

    mode: "L" for gray, "RGB" for color; side: JPEGs may be decoded at a fraction of their size, no smaller than that.
    Images over 25 megapixels are refused, save JPEGs that are not progressive: they are decoded at a fraction of their
    size, up to the limit of Pillow, about 89 megapixels.
    Raises FileError for a file that is missing, no image, cut short, or too large.
    """
    with _open_image(path, _bytes(path)) as image:
        full_size = image.size
        image.draft(mode, (side, side))
        # a progressive JPEG keeps the coefficients of the full image, whatever the decoded size
        width, height = full_size if "progressive" in image.info else image.size
        if width * height > MAX_PIXELS:
            raise FileError(
                f"{path} is too large to decode: {full_size[0]}x{full_size[1]} pixels, expected at most "
                f"{MAX_PIXELS // 1_000_000} million; scale it down first"
            )
        return _upright(image, convert)


@dataclass(frozen=True)
class ImageInfo:
    """Facts of an image file: upright size, color, a digest of its bytes, and the pixels of a small image."""

    size: tuple[int, int]  # height, width
    gray: bool
    note: str  # how its pixels are converted, where they are not 8-bit gray or RGB
    digest: bytes
    pixels: Array | None


def inspect_image(path: str | os.PathLike[str], small: int) -> ImageInfo:
    """Inspect an image file without decoding it, unless it has no more than `small` pixels.

    Raises FileError as `decode_image` does, for what its header tells: a truncated file fails when it is decoded.
    """
    data = _bytes(path)
    with _open_image(path, data) as image:
        width, height = image.size
        gray, pixels = _is_gray(image), None
        if width * height <= small:
            pixels = np.asarray(_upright(image, to_gray if gray else to_color))
            height, width = pixels.shape[:2]
        elif image.getexif().get(ORIENTATION, 1) in SIDEWAYS:
            height, width = width, height
        return ImageInfo((height, width), gray, _note(image), blake2b(data, digest_size=16).digest(), pixels)


ORIENTATION = 0x0112  # EXIF's tag
SIDEWAYS = (5, 6, 7, 8)  # its values that swap height and width
GRAY = ("1", "L", "LA", "La", "I", "F")


def _is_gray(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None:
        colors = np.asarray(image.getpalette("RGB")).reshape(-1, 3)
        return bool((colors == colors[:, :1]).all())
    return image.mode in GRAY or image.mode.startswith("I;16")


def _note(image: Image.Image) -> str:
    if image.has_transparency_data:
        return "transparent, put on white paper"
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return "16 bits of gray, made 8"
    if image.mode in ("CMYK", "YCCK", "LAB", "HSV"):
        return f"{image.mode}, made red, green and blue"
    return ""


def to_color(image: Image.Image) -> Image.Image:
    """Return an image as 8-bit RGB, transparency on white."""
    image = _of_8_bits(image)
    if image.has_transparency_data:
        ink = image.convert("RGBA")
        paper = Image.new("RGB", ink.size, (255, 255, 255))
        paper.paste(ink, mask=ink.getchannel("A"))
        return paper
    return image.convert("RGB")


def to_gray(image: Image.Image) -> Image.Image:
    """Return an image as 8-bit gray, transparency on white; 8-bit gray stays as it is."""
    image = _of_8_bits(image)
    return image if image.mode == "L" else (to_color(image) if image.mode != "1" else image).convert("L")


def _of_8_bits(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):  # 16 bits of gray
        values = np.asarray(image).astype(np.float64)
        return Image.fromarray(np.clip(np.rint(values / (257 if values.max() > 255 else 1)), 0, 255).astype(np.uint8))
    return image


def _upright(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    converted = convert(image)
    converted.info = image.info  # where the orientation mark is
    return ImageOps.exif_transpose(converted)


def _bytes(path: str | os.PathLike[str]) -> bytes:
    with open_regular_file(path, "an image") as file:
        return file.read()


@contextmanager
def _open_image(path: str | os.PathLike[str], data: bytes) -> Iterator[Image.Image]:
    """Open an image from memory: a broken chunk that claims four billion bytes then allocates no more than the file has."""
    with _no_warnings():
        try:
            Image.init()
            with Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN]) as image:
                if image.width * image.height > (Image.MAX_IMAGE_PIXELS or np.inf):
                    raise Image.DecompressionBombError
                yield image
        except FileError:
            raise
        except UnidentifiedImageError:
            raise FileError(f"{path} is no image that can be read; expected {', '.join(FORMATS)}") from None
        except Image.DecompressionBombError:
            raise FileError(f"{path} has too many pixels: it looks like a decompression bomb; scale it down") from None
        except Exception as error:  # broken bytes can raise anything in Pillow's decoders
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FileError(f"{path} can't be decoded: {reason}; save it anew as PNG") from None


_lock = threading.Lock()
_inside = 0
_outer = warnings.catch_warnings()


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Ignore warnings (Pillow's, about metadata) while any thread is inside: Python's filters are global."""
    global _inside, _outer  # noqa: PLW0603
    with _lock:
        if not _inside:
            _outer = warnings.catch_warnings()
            _outer.__enter__()
            warnings.simplefilter("ignore")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _outer.__exit__(None, None, None)
