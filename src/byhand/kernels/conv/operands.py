"""The operands of the convolution kernels: flat arrays with their strides, counted in elements."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from byhand.kernels.runtime.types import Array


class Images(NamedTuple):
    """A batch of images (N, H, W, C), flat, and the grid of its pixels that a kernel visits: all, or every stride-th."""

    array: Array
    images: int
    image_step: int  # from one image to the next
    row_step: int  # from one row of the grid to the next
    pixel_step: int  # from one pixel of the grid to the next


class Filters(NamedTuple):
    """Filters, flat, as the register tile reads them: rows (r, s, c) of weights, an element for each column of the tile."""

    array: Array
    group_step: int  # from one group's filters to the next's
    tile_step: int  # from one tile's columns to the next's
    row_step: int  # from one row to the next


class Channels(NamedTuple):
    """How channels are divided: into groups, and the filters of a group into tiles of `columns` columns."""

    groups: int
    depth: int  # channels that a filter sees
    filters_per_group: int
    columns: int  # of a tile
    per_column: int  # channels from one column to the next: 1 in backward_weights of depthwise filters, else 0


class PooledOutput(NamedTuple):
    """The output of a max-pooled convolution, (N, rows, columns, K), and its gradient; relu: whether y is that of a ReLU."""

    y: Array
    argmax: Array
    grad_y: Array
    relu: bool


class Gradients(NamedTuple):
    """The gradients of a convolution to write; None: not wanted."""

    x: Array | None
    weight: Array | None
    bias: Array | None


def images_of(array: Array, stride: tuple[int, int] = (1, 1)) -> Images:
    """Return a batch of images (N, H, W, C) as an operand; stride: of the grid, (height, width)."""
    row, pixel = prod(array.shape[2:]), array.shape[3]
    return Images(array.reshape(-1), len(array), array.shape[1] * row, stride[0] * row, stride[1] * pixel)
