"""cutout: a square at a random place, set to the image's mean; its middle may be any pixel.

Source: DeVries & Taylor 2017, arXiv 1708.04552.
"""

import numpy as np

from byhand.data.augment.registry import augmentation
from byhand.data.image_warp import channel_sums
from byhand.shapes import Array


@augmentation("cutout", kind=int, uniforms=2, example=8, largest=lambda side: side)
def cutout(images: Array, uniforms: Array, side: int) -> Array:
    """Set a square of each image to the image's mean."""
    n, height, width, channels = images.shape
    spread = np.arange(side) - side // 2
    # where the square hangs over the border, its rows and columns at the border are set again
    rows = np.clip((uniforms[0] * height).astype(np.int64)[:, None] + spread, 0, height - 1)
    columns = np.clip((uniforms[1] * width).astype(np.int64)[:, None] + spread, 0, width - 1)
    pixels = ((rows + height * np.arange(n)[:, None]) * width)[:, :, None] + columns[:, None, :]
    mean = (channel_sums(images) / (height * width)).round().astype(np.uint8)
    result = images.copy()
    result.reshape(-1, channels)[pixels.reshape(n, -1)] = mean[:, None, :]
    return result
