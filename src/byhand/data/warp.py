"""Images moved: by whole pixels exactly, or through an affine map with bilinear interpolation; the border reflects."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[Any]

LANES = 4  # channels that one 64-bit integer holds, 16 bits each
LOW = np.uint64(0x00FF00FF00FF00FF)  # of each lane, the lower 8 bits
HALF = np.uint64(0x0080008000800080)  # in each lane, half of 256
ONE = 1 << 16  # a pixel's width in the integers that hold coordinates


def moved(images: Array, down: Array, right: Array, flip: Array) -> Array:
    """Mirror the images (N, H, W, C) for which `flip` (N,) is true, then move each by whole pixels (N,); none is blended.

    >>> moved(np.arange(4, dtype=np.uint8).reshape(1, 1, 4, 1), np.array([0]), np.array([1]), np.array([True])).ravel()
    array([2, 3, 2, 1], dtype=uint8)
    """
    n, height, width, channels = images.shape
    if flip.any():
        plain = images[flip]
        turned = np.empty_like(plain)
        for c in range(channels):  # long runs of bytes, not three at a time
            turned[..., c] = plain[:, :, ::-1, c]
        images = images.copy()
        images[flip] = turned
    most = int(np.abs(right).max(initial=0))
    wide = np.concatenate([images[:, :, most:0:-1], images, images[:, :, -2 : -2 - most : -1]], axis=2)
    runs = sliding_window_view(wide.reshape(n, height, -1), width * channels, axis=2)
    rows = _reflected(np.arange(height) - down[:, None], height)
    result: Array = runs[np.arange(n)[:, None], rows, (most - right[:, None]) * channels].reshape(images.shape)
    return result


def warped(images: Array, maps: Array) -> Array:
    """Draw each image (N, H, W, C) in uint8 anew: maps (N, 2, 3) say where in it the centre of a new pixel lies.

        (x, y) = maps @ (column + 1/2, row + 1/2, 1)      in pixels, from the upper left corner of the image

    Bilinear, right to two levels of 255: the place between pixels counts in 256ths. A map that shrinks is not smoothed.

    >>> stretched = [[[0.5, 0, 1], [0, 1, 0]]]
    >>> warped(np.array([[[[0], [0], [100], [100]]]], np.uint8), np.array(stretched)).ravel()
    array([  0,  25,  75, 100], dtype=uint8)
    """
    n, height, width, channels = images.shape
    (x, left, right), (y, top, bottom) = (_line(maps[:, axis], height, width, axis) for axis in (0, 1))
    rows = _reflected(np.arange(-top, height + bottom), height)
    columns = _reflected(np.arange(-left, width + right), width)
    across, down = ((line >> 8 & 255).view(np.uint64) for line in (x, y))
    stride = len(columns)
    places = (x >> 16) + (y >> 16) * stride
    places += (np.arange(n) * (len(rows) * stride) + top * stride + left)[:, None, None]
    result = np.empty_like(images)
    for c in range(0, channels, LANES):
        lanes = np.zeros((n, height, width, LANES), np.uint16)
        some = range(min(LANES, channels - c))
        for i in some:
            lanes[..., i] = images[..., c + i]
        flat = lanes.view(np.uint64)[..., 0].take(rows, axis=1).take(columns, axis=2).ravel()
        # one product blends four channels: 255 * 256 fits the 16 bits of a lane
        above = _blend(flat.take(places), flat[1:].take(places), across)
        below = _blend(flat[stride:].take(places), flat[stride + 1 :].take(places), across)
        lanes = _blend(above, below, down).view(np.uint16).reshape(n, height, width, LANES)
        for i in some:
            result[..., c + i] = lanes[..., i]
    return result


def _line(rows: Array, height: int, width: int, axis: int) -> tuple[Array, int, int]:
    """Return one coordinate of every pixel (N, H, W) as whole 65,536ths, and how far they leave the image on either side."""
    along = np.rint(ONE * (rows[:, :1] * (np.arange(width) + 0.5))).astype(np.int64)
    down = np.rint(ONE * (rows[:, 1:2] * (np.arange(height) + 0.5) + (rows[:, 2:] - 0.5))).astype(np.int64)
    lines = down[:, :, None] + along[:, None, :]
    size = height if axis else width
    ends = lines[:, :: max(1, height - 1), :: max(1, width - 1)] >> 16  # a line is longest between the corners
    return lines, max(0, -int(ends.min())), max(0, int(ends.max()) + 2 - size)


def _blend(a: Array, b: Array, part: Array) -> Array:
    """Return (1 - part / 256) a + (part / 256) b, each lane rounded."""
    a *= np.uint64(256) - part
    b *= part
    a += b
    a += HALF
    a >>= np.uint64(8)
    a &= LOW
    return a


def _reflected(places: Array, size: int) -> Array:
    """Return which pixel of `size` is seen at a place outside: a mirror stands on the last one (np.pad's "reflect")."""
    if size == 1:
        return np.zeros_like(places)
    places = np.abs(places) % (2 * size - 2)
    result: Array = np.minimum(places, 2 * size - 2 - places)
    return result
