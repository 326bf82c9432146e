"""Images that are padded with zeros, one at a time, in memory of the worker that reads them."""

from __future__ import annotations

from typing import NamedTuple

from byhand.kernels.runtime.types import Array


class PaddedImages(NamedTuple):
    """Images (N, height, width, channels), flat; where windows reach beyond the edges, each image is padded with zeros.

    padded: memory for one padded image for each worker; top, left: its first pixel, in pixels of the image.
    """

    array: Array
    images: int
    height: int
    width: int
    channels: int
    needs_padding: bool
    padded: Array
    padded_height: int
    padded_width: int
    top: int
    left: int


def pad_image(x, n, worker):
    """Copy image n into a worker's padded image, with zeros around it."""
    line = x.padded_width * x.channels
    first = min(max(0, -x.left), x.padded_width) * x.channels
    last = max(0, min(x.padded_width, x.width - x.left)) * x.channels
    for i in range(x.padded_height):
        start, p = (worker * x.padded_height + i) * line, x.top + i
        row = x.padded[start : start + line]
        if p < 0 or p >= x.height or first >= last:
            for k in range(row.size):
                row[k] = 0.0
            continue
        x_start = ((n * x.height + p) * x.width + x.left) * x.channels + first
        inside, after, pixels = row[first:last], row[last:], x.array[x_start : x_start + last - first]
        for k in range(first):
            row[k] = 0.0
        for k in range(inside.size):
            inside[k] = pixels[k]
        for k in range(after.size):
            after[k] = 0.0


def unpad_image(x, n, images, padded, start):
    """Copy the inner part of the padded image that begins at padded[start] to image n of `images`."""
    for p in range(x.height):
        begin = start + ((p - x.top) * x.padded_width - x.left) * x.channels
        row = (n * x.height + p) * x.width * x.channels
        out, inner = images[row : row + x.width * x.channels], padded[begin : begin + x.width * x.channels]
        for k in range(out.size):
            out[k] = inner[k]
