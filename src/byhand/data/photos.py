"""A photo as networks that know ImageNet want it: the shorter side resized, the middle cut out."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from byhand.data import pictures

Array = npt.NDArray[Any]
CROP = 0.875  # of the shorter side: 224 of 256, as everyone evaluates on ImageNet
WORKING_SIDE = 1024  # a JPEG may be decoded down to that


def from_file(path: str | os.PathLike[str], size: tuple[int, int] = (224, 224)) -> Array:
    """Read a photo (JPEG, PNG or another common format) as (H, W, 3) uint8.

    Its orientation mark is followed, what is transparent becomes white, grey becomes grey in three channels. It is resized
    (bicubic) so that `size` takes 87.5 % of the middle, and cut.
    Raises FileError for a file that is missing, no picture, cut short, or too large.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "photo.png")
    ...     Image.new("RGB", (640, 480), (255, 0, 0)).save(path)
    ...     from_file(path).shape
    (224, 224, 3)
    """
    photo = pictures.read(path, "RGB", WORKING_SIDE, _colour)
    height, width = size
    scale = max(height / photo.height, width / photo.width) / CROP
    wide, tall = max(width, round(photo.width * scale)), max(height, round(photo.height * scale))
    photo = photo.resize((wide, tall), Image.Resampling.BICUBIC)
    left, top = (wide - width) // 2, (tall - height) // 2
    return np.asarray(photo.crop((left, top, left + width, top + height)))


def _colour(image: Image.Image) -> Image.Image:
    """Make it 8 bits of red, green and blue, on white paper."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):  # 16 bits of grey
        values = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.clip(np.rint(values / (257 if values.max() > 255 else 1)), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        ink = image.convert("RGBA")
        paper = Image.new("RGB", ink.size, (255, 255, 255))
        paper.paste(ink, mask=ink.getchannel("A"))
        return paper
    return image.convert("RGB")
