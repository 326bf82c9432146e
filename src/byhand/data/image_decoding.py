"""Decoding image files with Pillow: every fault of a file becomes a one-line FileError."""

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from byhand.data.deep_image import is_deep, is_deep_gray, read_deep
from byhand.data.image_formats import ADVICE, FORMATS, MAX_PIXELS
from byhand.data.open_file import open_regular_file
from byhand.data.pixel_range import PixelExtent, PixelRange
from byhand.data.tiff import is_tiff, read_tiff
from byhand.errors import FileError, UnsupportedError
from byhand.shapes import Array


def decode_image(
    path: str | os.PathLike[str],
    mode: str,
    side: int,
    convert: Callable[[Image.Image], Image.Image],
    pixel_range: PixelRange | None = None,
    *,
    own_range: bool = False,
) -> Image.Image:
    """Return an image decoded, of 8 bits a channel, converted, and upright (its orientation, of EXIF or TIFF, applied).

    mode: "L" for gray, "RGB" for color; side: JPEGs may be decoded at a fraction of their size, no smaller than that;
    pixel_range: the values of black and white of images that have more than 8 bits, or floating point pixels. None: by the
    image alone, where it is clear (own_range: also where only its largest value tells, which suits ink, whose scale does not
    matter). Images over 25 megapixels are refused, save JPEGs that are not progressive: they are
    decoded at a fraction of their size, up to the limit of Pillow, about 89 megapixels.
    Raises FileError for a file that is missing, no image, cut short, or too large.
    """
    data = _bytes(path)
    try:
        with _open_image(path, data) as image:
            full_size = image.size
            image.draft(mode, (side, side))
            # a progressive JPEG keeps the coefficients of the full image, whatever the decoded size
            _check_pixels(path, full_size if "progressive" in image.info else image.size, full_size)
            tiff_orientation = _tiff_orientation(image)
            plain = read_deep(image, data, path).to_8_bits(pixel_range, path, own_range) if is_deep(image) else image
            return _upright(convert(plain), image, tiff_orientation)
    except UnsupportedError:
        if not is_tiff(data) or Path(path).suffix.lower() in ADVICE:  # a camera's raw file begins as a TIFF does
            raise
        deep, orientation, _ = read_tiff(data, path)
        method = TRANSPOSITIONS.get(orientation)
        converted = convert(deep.to_8_bits(pixel_range, path, own_range))
        return converted if method is None else converted.transpose(method)


def _check_pixels(path: object, decoded: tuple[int, int], full_size: tuple[int, int]) -> None:
    if decoded[0] * decoded[1] > MAX_PIXELS:
        raise FileError(
            f"{path} is too large to decode: {full_size[0]}x{full_size[1]} pixels, expected at most "
            f"{MAX_PIXELS // 1_000_000} million; scale it down first"
        )


@dataclass(frozen=True)
class ImageInfo:
    """Facts of an image file: upright size, color, a digest of its bytes, and the pixels of a small image."""

    size: tuple[int, int]  # height, width
    gray: bool
    notes: tuple[str, ...]  # how its pixels are converted, where they are not 8-bit gray or RGB
    digest: bytes
    pixels: Array | None
    # Of pixels with more than 8 bits or of floating point, where their range is unknown.
    extent: PixelExtent | None = None


def inspect_image(path: str | os.PathLike[str], small: int) -> ImageInfo:
    """Inspect an image file without decoding it, unless it has no more than `small` pixels, or more than 8 bits a channel.

    Raises FileError as `decode_image` does, for what its header tells: a truncated file fails when it is decoded.
    """
    data = _bytes(path)
    try:
        return _inspect(path, data, small)
    except UnsupportedError:
        if not is_tiff(data) or Path(path).suffix.lower() in ADVICE:  # a camera's raw file begins as a TIFF does
            raise
    deep, orientation, has_more_pages = read_tiff(data, path)
    height, width = deep.samples.shape[:2]
    notes = (MORE_PAGES,) * has_more_pages + (TRANSPARENT,) * (deep.alpha is not None)
    size = (width, height) if orientation in SIDEWAYS else (height, width)
    return ImageInfo(size, deep.samples.ndim == 2, notes, _digest(data), None, deep.extent)


def _inspect(path: str | os.PathLike[str], data: bytes, small: int) -> ImageInfo:
    """Return what Pillow tells of an image. Raises UnsupportedError where it does not read the image."""
    with _open_image(path, data) as image:
        gray, pixels, extent, notes = _is_gray(image), None, None, _notes(image)
        tiff_orientation = _tiff_orientation(image)
        height, width = _upright_size(image, tiff_orientation)
        if is_deep(image):
            _check_pixels(path, image.size, image.size)
            extent = read_deep(image, data, path).extent
        elif width * height <= small:
            pixels = np.asarray(_upright((to_gray if gray else to_color)(image), image, tiff_orientation))
        if tiff_orientation is None and image.getexif().get(ORIENTATION, 1) in SIDEWAYS:
            height, width = width, height
        return ImageInfo((height, width), gray, notes, _digest(data), pixels, extent)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


ORIENTATION = 0x0112  # EXIF's tag, and TIFF's
SIDEWAYS = (5, 6, 7, 8)  # its values that swap height and width
IMAGE_WIDTH, IMAGE_LENGTH = 256, 257  # TIFF's tags
MORE_PAGES, TRANSPARENT = "several pages or frames, the first is taken", "transparent, put on white paper"
GRAY = ("1", "L", "LA", "La", "I", "F")
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _tiff_orientation(image: Image.Image) -> int | None:
    """Return the orientation of a TIFF that was opened, not loaded: newer versions of Pillow drop it then."""
    tags = getattr(image, "tag_v2", None)
    return None if tags is None else tags.get(ORIENTATION, 1)


def _upright_size(image: Image.Image, tiff_orientation: int | None) -> tuple[int, int]:
    """Return the height and width, of a TIFF upright: newer versions of Pillow open it with its sides swapped already."""
    tags = getattr(image, "tag_v2", None)
    width, height = image.size if tags is None else (tags[IMAGE_WIDTH], tags[IMAGE_LENGTH])
    return (width, height) if tiff_orientation in SIDEWAYS else (height, width)


def _upright(converted: Image.Image, source: Image.Image, tiff_orientation: int | None) -> Image.Image:
    """Return the converted image upright; newer versions of Pillow turn a TIFF themselves when it is loaded."""
    converted.load()
    turned = tiff_orientation is not None and _tiff_orientation(source) != tiff_orientation
    orientation = source.getexif().get(ORIENTATION, 1) if tiff_orientation is None else tiff_orientation
    method = None if turned else TRANSPOSITIONS.get(orientation)
    return converted.copy() if method is None else converted.transpose(method)  # a copy: the source is closed


def _is_gray(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None:
        colors = np.asarray(image.getpalette("RGB")).reshape(-1, 3)
        return bool((colors == colors[:, :1]).all())
    return image.mode in GRAY or image.mode.startswith("I;16") or (is_deep(image) and is_deep_gray(image))


def _notes(image: Image.Image) -> tuple[str, ...]:
    """Return what becomes of an image's frames, transparency and colors, where it has more than 8-bit gray or RGB."""
    notes = []
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's preview is no second page
        notes.append(MORE_PAGES)
    if image.has_transparency_data:
        notes.append(TRANSPARENT)
    if image.mode in ("CMYK", "YCCK", "LAB", "HSV"):
        notes.append(f"{image.mode}, made red, green and blue")
    return tuple(notes)


def to_color(image: Image.Image) -> Image.Image:
    """Return an image as 8-bit RGB, transparency on white."""
    if image.has_transparency_data:
        ink = image.convert("RGBA")
        paper = Image.new("RGB", ink.size, (255, 255, 255))
        paper.paste(ink, mask=ink.getchannel("A"))
        return paper
    return image.convert("RGB")


def to_gray(image: Image.Image) -> Image.Image:
    """Return an image as 8-bit gray, transparency on white; 8-bit gray stays as it is."""
    if image.has_transparency_data:
        return to_color(image).convert("L")
    return image if image.mode == "L" else (to_color(image) if image.mode != "1" else image).convert("L")


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
        except (FileError, MemoryError):
            raise
        except UnidentifiedImageError:
            known = ADVICE.get(Path(path).suffix.lower(), f"expected {', '.join(FORMATS)}")
            raise UnsupportedError(f"{path} is no image that can be read; {known}") from None
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
