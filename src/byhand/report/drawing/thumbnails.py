"""Thumbnails of images (H, W, C) of any type, and their data URIs for an HTML page."""

import base64
import io

import numpy as np
from PIL import Image

from byhand.ops.op import Array

WHOLE_MAX_PIXELS = 64  # longer side of an image that is kept as it is
THUMBNAIL_PIXELS = 160  # longer side that larger images are reduced to
JPEG_QUALITY = 82


def thumbnail(image: Array) -> Image.Image:
    """Return an image (H, W, C), uint8 or floating point, as a thumbnail of at most 160 x 160 pixels.

    One channel is gray, three are red, green and blue; of any other number the mean is shown. Floating point is scaled from its
    minimum, black, to its maximum, white.

    >>> thumbnail(np.zeros((300, 600, 3), np.uint8)).size
    (160, 80)
    """
    if image.shape[-1] not in (1, 3):
        image = image.astype(np.float32).mean(-1, keepdims=True)
    if image.dtype != np.uint8:
        finite = np.where(np.isfinite(image), image, 0).astype(np.float64)
        low, high = finite.min(), finite.max()
        image = ((finite - low) * (255 / ((high - low) or 1))).astype(np.uint8)
    small = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else np.ascontiguousarray(image))
    if max(small.size) > WHOLE_MAX_PIXELS:
        small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    return small


def data_uri(image: Image.Image) -> str:
    """Return a thumbnail as a `data:` URI, small ones as PNG, larger ones as JPEG."""
    buffer = io.BytesIO()
    if max(image.size) <= WHOLE_MAX_PIXELS:
        image.save(buffer, "PNG", optimize=True)
        media = "png"
    else:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY)
        media = "jpeg"
    return f"data:image/{media};base64,{base64.b64encode(buffer.getvalue()).decode()}"
