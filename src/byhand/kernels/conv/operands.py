"""The operands of the convolution kernels: flat arrays, and how far apart in them things lie, counted in numbers."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from byhand.kernels.runtime.types import Array


class Images(NamedTuple):
    """A batch of images (N, H, W, C); the grid that a kernel walks may take every second row or pixel of it, or every third."""

    array: Array
    images: int
    image_step: int  # from one image to the next
    row_step: int  # from one row of the grid to the next
    pixel_step: int  # from one pixel of the grid to the next


class Filters(NamedTuple):
    """Filters as the register tile reads them: rows of numbers, one for each column of the tile."""

    array: Array
    group_step: int  # from one group's filters to the next's
    tile_step: int  # from one tile's columns to the next's
    row_step: int  # from one row to the next


class Channels(NamedTuple):
    """How channels are divided: into groups, and the filters of a group into tiles of so many columns."""

    groups: int
    depth: int  # channels that a filter sees
    filters_per_group: int
    columns: int  # of a tile
    per_column: int  # channels from one column's to the next's: 1 where each filter has a channel of its own, else 0


def images_of(array: Array, stride: tuple[int, int] = (1, 1)) -> Images:
    """Return a batch of images (N, H, W, C) as kernels take it; stride: of the grid, in rows and pixels."""
    row, pixel = prod(array.shape[2:]), array.shape[3]
    return Images(array.reshape(-1), len(array), array.shape[1] * row, stride[0] * row, stride[1] * pixel)
