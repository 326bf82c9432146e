"""Preprocessing of an image of one handwritten digit, as for MNIST: bright ink on black, scaled and centered.

    ink       bright on black, whether the image has dark ink on light paper or light ink on dark paper
    scale     cropped to the ink and resized, bilinear: the longer side becomes 20 pixels
    center    placed in 28x28 pixels, the ink's center of mass at the middle

An image of MNIST is returned unchanged. Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten
digits", 1998.
"""

import os

import numpy as np
from PIL import Image, ImageFilter, ImageStat

from byhand.data import image_decoding
from byhand.data.pixel_range import PixelRange
from byhand.errors import ArgumentError, FileError, ShapeError
from byhand.shapes import Array

WORKING_SIDE = 1000  # pixels; larger images are averaged down
COARSE_SIDE = 112  # pixels; the ink's box is searched on an image averaged to this size, to suppress noise
INK_SIDE = 20  # pixels of the ink's longer side in an MNIST image
IMAGE_SIDE = 28  # pixels of an MNIST image
# Fractions of the ink's peak: pixels below the first are outside the ink's box, those above the second inside it.
MIN_BOX_INK = 0.04
STRONG_INK = 0.25
MIN_CONTRAST = 8.0  # gray levels of 255; with less, the image is blank


def from_file(path: str | os.PathLike[str], pixel_range: PixelRange | None = None) -> Array:
    """Read an image of one digit (PNG, JPEG or another common format) as an MNIST image, (28, 28, 1) uint8.

    Gray or color, any size, ink dark on light or light on dark. Transparent pixels count as paper; the EXIF orientation is
    applied; images larger than `image_decoding.decode_image` allows are refused. pixel_range: of images of more than 8 bits, by
    default their own, since ink is scaled to its peak.

    Raises FileError for a file that is missing, not an image, truncated, too large, or blank.

    >>> import tempfile, pathlib
    >>> from byhand.data import mnist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "seven.png")
    ...     Image.fromarray(255 - mnist.test_images()[0]).resize((280, 280)).save(path)
    ...     from_file(path).shape
    (28, 28, 1)
    """
    gray = image_decoding.decode_image(path, "L", WORKING_SIDE, _gray, pixel_range, own_range=True)
    try:
        return _digit(gray)
    except ArgumentError as error:
        raise FileError(f"{path}: {error}") from None


def from_array(image: Array) -> Array:
    """Return an image of one digit, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), as an MNIST image, (28, 28, 1) uint8.

    Integers are from 0 to 255 (or to 65535, if any exceeds 255), floats and booleans from 0 to 1 (or to 255).

    Raises ShapeError for another shape, ArgumentError for values outside these ranges or a blank image.

    >>> import numpy as np
    >>> paper = np.full((100, 60), 255, np.uint8)
    >>> paper[20:80, 25:35] = 0
    >>> digit = from_array(paper)
    >>> digit[4:24, 13:16, 0].min(), digit[:4].max(), digit[24:].max()
    (np.uint8(255), np.uint8(0), np.uint8(0))
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise ShapeError(
            f"digits.from_array: image must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {image.shape}"
        )
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    return _digit(_gray(Image.fromarray(_bytes(image))))


def _bytes(image: Array) -> Array:
    """Return pixel values scaled to 0 .. 255, uint8."""
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind not in "biuf" or not np.isfinite(image).all() or image.min() < 0 or image.max() > 65535:
        raise ArgumentError(f"digits: pixel values must go from 0 to 255, or from 0 to 1 in floats, got {_span(image)}")
    whites = (255, 65535) if image.dtype.kind in "iu" else (1, 255, 65535)
    white = next(white for white in whites if image.max() <= white)
    gray: Array = np.rint(image.astype(np.float32) * (255 / white)).astype(np.uint8)
    return gray


def _span(image: Array) -> str:
    return f"{image.dtype} {image.min()} to {image.max()}" if image.dtype.kind in "biuf" else str(image.dtype)


def _gray(image: Image.Image) -> Image.Image:
    """Return an image as 8-bit gray on white paper, averaged down to at most WORKING_SIDE pixels."""
    if image.has_transparency_data:
        ink = image.convert("RGBA")
        alpha, light = ink.getchannel("A"), ink.convert("L")
        opaque = alpha.point([0] * 128 + [255] * 128)
        bright = opaque.getbbox() is not None and ImageStat.Stat(light, opaque).extrema[0][0] > 127
        gray = Image.new("L", ink.size, 0 if bright else 255)  # white ink is invisible on white paper
        gray.paste(light, mask=alpha)
    else:
        gray = image.convert("L")
    factor = -(-max(gray.size) // WORKING_SIDE)
    return gray.reduce(factor) if factor > 1 else gray


def _digit(gray: Image.Image) -> Array:
    """Return the ink of a gray image, scaled and centered, as (28, 28, 1) uint8."""
    ink = _ink(gray)
    ink = ink[_box(ink)]
    height, width = ink.shape
    scale = INK_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BILINEAR))
    small = small * (255 / small.max())
    height, width = small.shape
    # The middle is pixel 14: the centers of mass of MNIST's images lie between 13.5 and 14.5.
    mass = small.sum()
    top = IMAGE_SIDE // 2 - round(float(small.sum(1) @ np.arange(height) / mass))
    left = IMAGE_SIDE // 2 - round(float(small.sum(0) @ np.arange(width) / mass))
    top, left = min(max(top, 0), IMAGE_SIDE - height), min(max(left, 0), IMAGE_SIDE - width)
    digit = np.zeros((IMAGE_SIDE, IMAGE_SIDE, 1), np.uint8)
    digit[top : top + height, left : left + width, 0] = np.rint(small)
    return digit


def _ink(gray: Image.Image) -> Array:
    """Return the ink of each pixel (H, W): its difference from the paper, less the noise, at least 0."""
    pixels = np.asarray(gray, np.float32)
    paper, edge = _paper(pixels)
    # The third moment tells dark ink from light ink: strokes are few pixels on one side of the paper's level, noise is
    # symmetric. The level is the blurred image, which follows uneven light more closely than a plane.
    detail = pixels - np.asarray(gray.filter(ImageFilter.BoxBlur(max(gray.size) / 4)), np.float32)
    distance = pixels - paper if np.mean(detail**3) > 0 else paper - pixels
    noise = 5 * np.median(np.abs(distance[edge]))  # 3.4 standard deviations of Gaussian noise
    ink: Array = np.maximum(distance - noise, 0)
    return ink


def _paper(gray: Array) -> tuple[Array, Array]:
    """Return the paper's level under uneven light, a plane fitted to the image's border, and the border as a mask.

    The fit minimizes absolute deviations, which makes it robust against ink at the border: least squares, iteratively
    reweighted by 1 / |residual| (E. J. Schlossmacher, 1973).
    """
    height, width = gray.shape
    edge = np.zeros(gray.shape, bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    terms = [np.broadcast_to(term, gray.shape) for term in (np.ones(1), x, y)]
    at_edge = np.stack([term[edge] for term in terms], axis=1)
    values = gray[edge].astype(np.float64)
    fit: Array = np.zeros(len(terms))
    fit[0] = np.median(values)
    for _ in range(20):
        weight = 1 / np.sqrt(np.maximum(np.abs(values - at_edge @ fit), 0.5))  # half a gray level is rounding
        fit = np.linalg.lstsq(at_edge * weight[:, None], values * weight, rcond=None)[0]
    paper = np.zeros_like(gray)
    for factor, term in zip(fit, terms):
        paper += np.float32(factor) * term
    return paper, edge


def _box(ink: Array) -> tuple[slice, slice]:
    """Return the rows and columns that hold ink, found on a coarse grid and then refined.

    Raises ArgumentError for a blank image.
    """
    step = -(-max(ink.shape) // COARSE_SIDE)
    rows, columns = (-(-n // step) for n in ink.shape)
    padded = np.zeros((rows * step, columns * step), np.float32)
    padded[: ink.shape[0], : ink.shape[1]] = ink
    coarse = padded.reshape(rows, step, columns, step).mean((1, 3))
    if coarse.max() < MIN_CONTRAST:
        raise ArgumentError(
            "the image is blank: no ink stands out from the paper (what is transparent counts as white)"
        )
    # Weak ink that does not touch the strong ink's box is dirt or a JPEG artifact; it raises the threshold of the box.
    apart = coarse.copy()
    down, across = _extent(coarse > STRONG_INK * coarse.max())
    apart[max(down.start - 1, 0) : down.stop + 1, max(across.start - 1, 0) : across.stop + 1] = 0
    down, across = _extent(coarse > max(MIN_BOX_INK * coarse.max(), apart.max()))
    if step == 1:
        return down, across
    down, across = (slice(line.start * step, line.stop * step) for line in (down, across))
    box = ink[down, across]
    tight_down, tight_across = _extent(box > STRONG_INK * box.max())
    return (
        slice(down.start + tight_down.start, down.start + tight_down.stop),
        slice(across.start + tight_across.start, across.start + tight_across.stop),
    )


def _extent(mask: Array) -> tuple[slice, slice]:
    """Return the smallest range of rows and of columns that holds a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
