"""The tiles of Winograd's convolution in memory: where a tile lies, the copy of one at the edge of an image, prefetching.

A tile that reaches beyond the edge of an image is copied into a patch, in which pixels outside are 0. No image is padded.
"""

from __future__ import annotations

from byhand.kernels.microkernel.bilinear_map import Grid
from byhand.kernels.microkernel.microkernel import prefetch


def tile_of(x, tiling, t, size, patches, worker):
    """Return tile t of some images as a grid: where it lies, or a patch in which pixels beyond the edges are 0."""
    n, place = t // (tiling.down * tiling.across), t % (tiling.down * tiling.across)
    row, column = place // tiling.across * x.step + x.top, place % tiling.across * x.step + x.left
    if row >= 0 and row + size <= x.height and column >= 0 and column + size <= x.width:
        return Grid(x.array, ((n * x.height + row) * x.width + column) * x.channels, x.width * x.channels, x.channels)
    line, patch = size * x.channels, worker * patches.size
    low, high = min(size, max(0, -column)), max(0, min(size, x.width - column))
    for i in range(size):
        target = patches.array[patch + i * line : patch + (i + 1) * line]
        p = row + i
        if p < 0 or p >= x.height or low >= high:
            clear(target)
            continue
        start = ((n * x.height + p) * x.width + column + low) * x.channels
        clear(target[: low * x.channels])
        copy(x.array[start : start + (high - low) * x.channels], target[low * x.channels :])
        clear(target[high * x.channels :])
    return Grid(patches.array, patch, line, x.channels)


def clear(target):
    """Write 0."""
    for k in range(target.size):
        target[k] = 0.0


def copy(source, target):
    """Copy an array to the beginning of another."""
    for k in range(source.size):
        target[k] = source[k]


def memory_of(x, tiling, first, end):
    """Return (first, end) of the elements of the rows of images that tiles [first, end) cover."""
    if first >= end:
        return 0, 0
    line, rows = x.width * x.channels, tiling.down * x.step
    top, bottom = first // tiling.across * x.step, ((end - 1) // tiling.across + 1) * x.step - 1
    start = top // rows * x.height + min(top % rows, x.height)
    return start * line, (bottom // rows * x.height + min(bottom % rows + 1, x.height)) * line


def prefetch_part(array, first, end, part, parts):
    """Prefetch one of some equal parts of array[first:end]."""
    prefetch(array, first + (end - first) * part // parts, first + (end - first) * (part + 1) // parts)
