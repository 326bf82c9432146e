"""A picture of one handwritten digit, made into what MNIST's makers would have made of it.

    ink bright on black          whichever way round the picture has it
    cropped, fitted to 20x20     the longer side of the ink becomes 20 pixels, the other keeps its proportion, smooth
    placed in 28x28              the ink's centre of mass at the middle

An image of MNIST itself comes out as it went in. Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of
handwritten digits", 1998.
"""

import os

import numpy as np
from PIL import Image, ImageFilter, ImageStat

from byhand.data import image_decoding
from byhand.errors import ArgumentError, FileError, ShapeError
from byhand.shapes import Array

WORKING_SIDE = 1000  # larger pictures are averaged down: no digit needs more
COARSE_SIDE = 112  # where the ink's box is looked for: averaged so far, noise no longer looks like ink

BOX, SIDE = 20, 28
FAINT, STRONG = 0.04, 0.25  # of the ink's peak: never, and always, part of its box
LEAST_CONTRAST = 8.0  # of 255: below, the picture is blank


def from_file(path: str | os.PathLike[str]) -> Array:
    """Read a picture of one digit (PNG, JPEG or another common format), as (28, 28, 1) uint8 in the manner of MNIST.

    Grey or colour, any size, ink dark on light or light on dark; what is transparent counts as paper; a camera's
    orientation mark is followed; very large pictures are refused, as `image_decoding.read` says.

    Raises FileError for a file that is missing, no picture, cut short, too large, or blank.

    >>> import tempfile, pathlib
    >>> from byhand.data import mnist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "seven.png")
    ...     Image.fromarray(255 - mnist.test_images()[0]).resize((280, 280)).save(path)
    ...     from_file(path).shape
    (28, 28, 1)
    """
    grey = image_decoding.decode_image(path, "L", WORKING_SIDE, _grey)
    try:
        return _digit(grey)
    except ArgumentError as error:
        raise FileError(f"{path}: {error}") from None


def from_array(image: Array) -> Array:
    """Make a picture of one digit, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), into (28, 28, 1) uint8 as MNIST has it.

    Integers go from 0 to 255 (or 65535, where one is larger than 255), floats and booleans from 0 to 1 (or 255).

    Raises ShapeError for another shape, ArgumentError for values outside, or for a blank picture.

    >>> import numpy as np
    >>> paper = np.full((100, 60), 255, np.uint8)
    >>> paper[20:80, 25:35] = 0
    >>> one = from_array(paper)
    >>> one[4:24, 13:16, 0].min(), one[:4].max(), one[24:].max()
    (np.uint8(255), np.uint8(0), np.uint8(0))
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise ShapeError(
            f"digits.from_array: image must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {image.shape}"
        )
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    return _digit(_grey(Image.fromarray(_bytes(image))))


def _bytes(image: Array) -> Array:
    """Bring pixel values to 0 .. 255 in uint8."""
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind not in "biuf" or not np.isfinite(image).all() or image.min() < 0 or image.max() > 65535:
        raise ArgumentError(f"digits: pixel values must go from 0 to 255, or from 0 to 1 in floats, got {_span(image)}")
    whites = (255, 65535) if image.dtype.kind in "iu" else (1, 255, 65535)
    white = next(white for white in whites if image.max() <= white)
    grey: Array = np.rint(image.astype(np.float32) * (255 / white)).astype(np.uint8)
    return grey


def _span(image: Array) -> str:
    return f"{image.dtype} {image.min()} to {image.max()}" if image.dtype.kind in "biuf" else str(image.dtype)


def _grey(image: Image.Image) -> Image.Image:
    """Make it 8 bits of grey on white paper, averaged down to the working size."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = Image.fromarray(_bytes(np.asarray(image)))
    elif image.has_transparency_data:
        ink = image.convert("RGBA")
        alpha, light = ink.getchannel("A"), ink.convert("L")
        opaque = alpha.point([0] * 128 + [255] * 128)
        bright = opaque.getbbox() is not None and ImageStat.Stat(light, opaque).extrema[0][0] > 127
        grey = Image.new("L", ink.size, 0 if bright else 255)  # white ink alone would not show on white paper
        grey.paste(light, mask=alpha)
    else:
        grey = image.convert("L")
    factor = -(-max(grey.size) // WORKING_SIDE)
    return grey.reduce(factor) if factor > 1 else grey


def _digit(grey: Image.Image) -> Array:
    ink = _ink(grey)
    ink = ink[_box(ink)]
    height, width = ink.shape
    scale = BOX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BILINEAR))
    small = small * (255 / small.max())
    height, width = small.shape
    # MNIST's middle is pixel 14: over its images the centre of mass lies between 13.5 and 14.5
    mass = small.sum()
    top = SIDE // 2 - round(float(small.sum(1) @ np.arange(height) / mass))
    left = SIDE // 2 - round(float(small.sum(0) @ np.arange(width) / mass))
    top, left = min(max(top, 0), SIDE - height), min(max(left, 0), SIDE - width)
    digit = np.zeros((SIDE, SIDE, 1), np.uint8)
    digit[top : top + height, left : left + width, 0] = np.rint(small)
    return digit


def _ink(grey: Image.Image) -> Array:
    """How far each pixel is from the paper, to the ink's side of it; 0 where that may be noise."""
    pixels = np.asarray(grey, np.float32)
    paper, edge = _paper(pixels)
    # Strokes are a small part of their surroundings, all on one side of it, noise is on both: the third moment tells
    # dark ink from light. The surroundings are the blurred picture, which follows uneven light further than a plane.
    detail = pixels - np.asarray(grey.filter(ImageFilter.BoxBlur(max(grey.size) / 4)), np.float32)
    distance = pixels - paper if np.mean(detail**3) > 0 else paper - pixels
    noise = 5 * np.median(np.abs(distance[edge]))  # 3.4 standard deviations, were it Gaussian
    ink: Array = np.maximum(distance - noise, 0)
    return ink


def _paper(grey: Array) -> tuple[Array, Array]:
    """The paper under uneven light: the plane that fits the picture's border best, and that border.

    The fit is of least absolute deviations, a median with a slope: ink that reaches the border does not bend it. It is
    found by least squares, reweighted by 1 / |residual| (E. J. Schlossmacher, 1973).
    """
    height, width = grey.shape
    edge = np.zeros(grey.shape, bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    terms = [np.broadcast_to(term, grey.shape) for term in (np.ones(1), x, y)]
    at_edge = np.stack([term[edge] for term in terms], axis=1)
    values = grey[edge].astype(np.float64)
    fit: Array = np.zeros(len(terms))
    fit[0] = np.median(values)
    for _ in range(20):
        weight = 1 / np.sqrt(np.maximum(np.abs(values - at_edge @ fit), 0.5))  # 0.5: half a grey level is exact
        fit = np.linalg.lstsq(at_edge * weight[:, None], values * weight, rcond=None)[0]
    paper = np.zeros_like(grey)
    for factor, term in zip(fit, terms):
        paper += np.float32(factor) * term
    return paper, edge


def _box(ink: Array) -> tuple[slice, slice]:
    """The rows and columns that hold ink, found on a coarse grid, then drawn tight."""
    step = -(-max(ink.shape) // COARSE_SIDE)
    rows, columns = (-(-n // step) for n in ink.shape)
    padded = np.zeros((rows * step, columns * step), np.float32)
    padded[: ink.shape[0], : ink.shape[1]] = ink
    coarse = padded.reshape(rows, step, columns, step).mean((1, 3))
    if coarse.max() < LEAST_CONTRAST:
        raise ArgumentError(
            "the picture is blank: no ink stands out from the paper (what is transparent counts as white)"
        )
    # what lies apart from the strong ink is not its smooth rim: dirt, or what JPEG leaves around a stroke
    apart = coarse.copy()
    down, across = _extent(coarse > STRONG * coarse.max())
    apart[max(down.start - 1, 0) : down.stop + 1, max(across.start - 1, 0) : across.stop + 1] = 0
    down, across = _extent(coarse > max(FAINT * coarse.max(), apart.max()))
    if step == 1:
        return down, across
    down, across = (slice(line.start * step, line.stop * step) for line in (down, across))
    inside = ink[down, across]
    tight_down, tight_across = _extent(inside > STRONG * inside.max())
    return (
        slice(down.start + tight_down.start, down.start + tight_down.stop),
        slice(across.start + tight_across.start, across.start + tight_across.stop),
    )


def _extent(mask: Array) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
