"""Images moved by whole pixels, exactly, or through an affine map with bilinear interpolation; the border reflects."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from byhand.shapes import Array

LANES = 4  # channels that one 64-bit integer holds, 16 bits each
LOW_BYTES = np.uint64(0x00FF00FF00FF00FF)  # the lower 8 bits of each lane
HALF = np.uint64(0x0080008000800080)  # 128, half of 256, in each lane
FIXED_POINT_ONE = 1 << 16  # one pixel in the integers that hold coordinates


def flip_and_shift(images: Array, down: Array, right: Array, flip: Array) -> Array:
    """Flip the images (N, H, W, C) for which `flip` (N,) is true, then move each by whole pixels down and right (N,).

    >>> flip_and_shift(np.arange(4, dtype=np.uint8).reshape(1, 1, 4, 1), np.array([0]), np.array([1]), np.array([True])).ravel()
    array([2, 3, 2, 1], dtype=uint8)
    """
    n, height, width, channels = images.shape
    if flip.any():
        selected = images[flip]
        flipped = np.empty_like(selected)
        for c in range(channels):  # long runs of bytes, not three at a time
            flipped[..., c] = selected[:, :, ::-1, c]
        images = images.copy()
        images[flip] = flipped
    reach = int(np.abs(right).max(initial=0))
    padded = np.concatenate([images[:, :, reach:0:-1], images, images[:, :, -2 : -2 - reach : -1]], axis=2)
    runs = sliding_window_view(padded.reshape(n, height, -1), width * channels, axis=2)
    rows = _reflected(np.arange(height) - down[:, None], height)
    result: Array = runs[np.arange(n)[:, None], rows, (reach - right[:, None]) * channels].reshape(images.shape)
    return result


def affine_warp(images: Array, maps: Array) -> Array:
    """Resample images (N, H, W, C) in uint8; maps (N, 2, 3): from the center of a pixel of the result to a point of the image.

        (x, y) = maps @ (column + 1/2, row + 1/2, 1)      in pixels, from the upper left corner of the image

    Bilinear, right to two levels of 255: the place between pixels counts in 256ths. A map that shrinks is not smoothed.

    >>> stretched = [[[0.5, 0, 1], [0, 1, 0]]]
    >>> affine_warp(np.array([[[[0], [0], [100], [100]]]], np.uint8), np.array(stretched)).ravel()
    array([  0,  25,  75, 100], dtype=uint8)
    """
    n, height, width, channels = images.shape
    (x, left, right), (y, top, bottom) = (_coordinates(maps[:, axis], height, width, axis) for axis in (0, 1))
    rows = _reflected(np.arange(-top, height + bottom), height)
    columns = _reflected(np.arange(-left, width + right), width)
    across, down = ((line >> 8 & 255).view(np.uint64) for line in (x, y))
    stride = len(columns)
    sources = (x >> 16) + (y >> 16) * stride
    sources += (np.arange(n) * (len(rows) * stride) + top * stride + left)[:, None, None]
    result = np.empty_like(images)
    for c in range(0, channels, LANES):
        lanes = np.zeros((n, height, width, LANES), np.uint16)
        group = range(min(LANES, channels - c))
        for i in group:
            lanes[..., i] = images[..., c + i]
        flat = lanes.view(np.uint64)[..., 0].take(rows, axis=1).take(columns, axis=2).ravel()
        # one product blends four channels: 255 * 256 fits the 16 bits of a lane
        above = _blend(flat.take(sources), flat[1:].take(sources), across)
        below = _blend(flat[stride:].take(sources), flat[stride + 1 :].take(sources), across)
        lanes = _blend(above, below, down).view(np.uint16).reshape(n, height, width, LANES)
        for i in group:
            result[..., c + i] = lanes[..., i]
    return result


def _coordinates(rows: Array, height: int, width: int, axis: int) -> tuple[Array, int, int]:
    """Return one coordinate (N, H, W) in 65,536ths of a pixel, and how far it leaves the image on either side."""
    along = np.rint(FIXED_POINT_ONE * (rows[:, :1] * (np.arange(width) + 0.5))).astype(np.int64)
    down = np.rint(FIXED_POINT_ONE * (rows[:, 1:2] * (np.arange(height) + 0.5) + (rows[:, 2:] - 0.5))).astype(np.int64)
    lines = down[:, :, None] + along[:, None, :]
    size = height if axis else width
    ends = lines[:, :: max(1, height - 1), :: max(1, width - 1)] >> 16  # a line is longest between the corners
    return lines, max(0, -int(ends.min())), max(0, int(ends.max()) + 2 - size)


def _blend(a: Array, b: Array, part: Array) -> Array:
    """Return (1 - part / 256) a + (part / 256) b, each lane rounded; a and b are overwritten."""
    a *= np.uint64(256) - part
    b *= part
    a += b
    a += HALF
    a >>= np.uint64(8)
    a &= LOW_BYTES
    return a


def _reflected(positions: Array, size: int) -> Array:
    """Return the pixels of `size` that positions outside show: reflected at the last pixel (np.pad's "reflect")."""
    if size == 1:
        return np.zeros_like(positions)
    positions = np.abs(positions) % (2 * size - 2)
    result: Array = np.minimum(positions, 2 * size - 2 - positions)
    return result


def channel_sums(images: Array) -> Array:
    """Return the sum of each channel of each image (N, C): integers, exact in any order."""
    n, height, width, channels = images.shape
    rows = images.reshape(n, height, -1).astype(np.float64).sum(1)  # long rows first: faster than channel by channel
    sums: Array = rows.reshape(n, width, channels).sum(1)
    return sums
