"""Images as thumbnails: any (H, W, C) as a small picture, grey where it is grey, and that as text for a page."""

import base64
import io

import numpy as np
from PIL import Image

from byhand.ops.op import Array

SMALL, LARGE = 64, 160  # pixels: up to SMALL a picture stays as it is, every pixel; larger ones shrink to LARGE


def thumbnail(image: Array) -> Image.Image:
    """Return an image (H, W, C), uint8 or floating point, as a picture of at most 160 x 160 pixels.

    One channel is grey, three are colours, of other numbers of channels the mean is grey. Floating point goes from its
    smallest number, black, to its largest, white.

    >>> thumbnail(np.zeros((300, 600, 3), np.uint8)).size
    (160, 80)
    """
    if image.shape[-1] not in (1, 3):
        image = image.astype(np.float32).mean(-1, keepdims=True)
    if image.dtype != np.uint8:
        good = np.where(np.isfinite(image), image, 0).astype(np.float64)
        low, high = good.min(), good.max()
        image = ((good - low) * (255 / ((high - low) or 1))).astype(np.uint8)
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else np.ascontiguousarray(image))
    if max(picture.size) > SMALL:
        picture.thumbnail((LARGE, LARGE), Image.Resampling.LANCZOS)
    return picture


def data_uri(picture: Image.Image) -> str:
    """Return a picture as a `data:` address: small ones whole (PNG), larger ones as JPEG."""
    buffer = io.BytesIO()
    kind = "PNG" if max(picture.size) <= SMALL else "JPEG"
    picture.save(buffer, kind, **({"optimize": True} if kind == "PNG" else {"quality": 82}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
