"""A photo preprocessed as for ImageNet: the shorter side resized, the center cropped."""

import os
from math import ceil

import numpy as np
from PIL import Image

from byhand.data import image_decoding
from byhand.data.image_formats import MAX_PIXELS
from byhand.data.pixel_range import PixelRange
from byhand.errors import FileError
from byhand.shapes import Array

CHANNELS = (1, 3)  # gray, color
CROP = 0.875  # timm's crop_pct: 224 of 256 pixels, the usual evaluation on ImageNet


def from_file(
    path: str | os.PathLike[str],
    size: tuple[int, int] = (224, 224),
    channels: int = 3,
    crop: float | None = CROP,
    pixel_range: PixelRange | None = None,
) -> Array:
    """Read a photo (JPEG, PNG or another common format) as (H, W, channels) uint8, gray or color.

    Its orientation mark is followed, what is transparent becomes white, gray becomes gray in three channels. It is resized
    (bicubic) so that `size` takes the part `crop` of the middle, and cut; one of that very size stays as it is with crop 1.
    crop None: unknown, CROP but for a photo of that very size. pixel_range: the values of black and white of a photo with more
    than 8 bits a channel, or of floating point; None: by the photo alone, where it is clear.
    Raises FileError for a file that is missing, no image, cut short, or too large.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "photo.png")
    ...     Image.new("RGB", (640, 480), (255, 0, 0)).save(path)
    ...     from_file(path).shape
    (224, 224, 3)
    """
    height, width = size
    if height * width > MAX_PIXELS:
        raise FileError(
            f"the network takes images of {height} x {width} pixels; byhand makes them up to "
            f"{MAX_PIXELS // 1_000_000} million"
        )
    if channels not in CHANNELS:
        raise FileError(f"{path}: the network takes {channels} channels; an image file becomes 1 or 3")
    mode, convert = ("L", image_decoding.to_gray) if channels == 1 else ("RGB", image_decoding.to_color)
    photo = image_decoding.decode_image(path, mode, ceil(max(size) / (crop or CROP)), convert, pixel_range)
    crop = crop or (1.0 if photo.size == (width, height) else CROP)
    scale = max(height / photo.height, width / photo.width) / crop
    if scale**2 * photo.width * photo.height > MAX_PIXELS:  # a strip: only its middle is resized
        left, top = (max(0, (side - ceil(kept / scale) - 8) // 2) for side, kept in zip(photo.size, (width, height)))
        photo = photo.crop((left, top, photo.width - left, photo.height - top))
    resized_width, resized_height = max(width, round(photo.width * scale)), max(height, round(photo.height * scale))
    photo = photo.resize((resized_width, resized_height), Image.Resampling.BICUBIC)
    left, top = (resized_width - width) // 2, (resized_height - height) // 2
    return np.asarray(photo.crop((left, top, left + width, top + height))).reshape(height, width, channels)
