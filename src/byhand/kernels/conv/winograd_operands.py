"""The operands of Winograd's kernels: images as tiles, transformed tiles in planes, filters before and after the transform."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES
from byhand.kernels.runtime.launch import scratch
from byhand.kernels.runtime.launch_graph import scratch_workers
from byhand.kernels.runtime.types import Array, Indices

# Where the channels of a tile are a multiple of so many cache lines (1 KB), tiles are stored one line further apart: else their
# lines would map to few sets of a cache.
SPREAD_LINES = 16


class TiledImages(NamedTuple):
    """Images cut into tiles: each begins `step` pixels after the one before, the first at (top, left) of an image."""

    array: Array
    height: int
    width: int
    channels: int
    top: int
    left: int
    step: int


class Tiling(NamedTuple):
    """The tiles of a batch: how many, those of an image (down, across), and of a block of work."""

    tiles: int
    down: int
    across: int
    block_tiles: int


class Planes(NamedTuple):
    """Transformed tiles: element (plane, tile, channel) = array[plane * plane_step + rows[tile] + channel].

    worker_step: from the planes of one worker to those of the next; 0: all write to the same. row_step: from one tile to the
    next.
    """

    array: Array
    plane_step: int
    worker_step: int
    channels: int
    row_step: int
    rows: Indices


class TransformedFilters(NamedTuple):
    """Transformed filters U, in panels: (planes, groups, tiles of `columns` filters, channels, columns)."""

    array: Array
    groups: int
    filters_per_group: int
    channels: int  # that a filter sees
    columns: int
    planes: int


class SpatialFilters(NamedTuple):
    """3x3 filters to transform: the steps from one group, tile of columns, channel and tap to the next.

    scale: a factor for each filter (of a batch norm), or empty.
    """

    array: Array
    group_step: int
    tile_step: int
    channel_step: int
    tap_step: int
    scale: Array


class Patches(NamedTuple):
    """Memory for a patch of each worker."""

    array: Array
    size: int


class ForwardOperands(NamedTuple):
    """The operands of forward and backward_data.

    bias_plane: the plane to which the bias is added; segments: the offset of the one segment of a product, 0.
    """

    x: TiledImages
    y: TiledImages
    v: Planes
    u: TransformedFilters
    products: Planes
    patches: Patches
    bias_plane: int
    segments: Indices


class WeightsOperands(NamedTuple):
    """The operands of backward_weights.

    v, w: the transformed tiles of images and of grad_y. sums: planes with a row for each channel of a filter; parts of the
    batch have sums of their own, worker_step apart. columns: of the register tile; channel_rows: the offset of each channel in
    v; segments: the offset of the one segment of a product, 0.
    """

    x: TiledImages
    grad: TiledImages
    v: Planes
    w: Planes
    sums: Planes
    patches: Patches
    groups: int
    columns: int
    channel_rows: Indices
    segments: Indices


class ChannelRange(NamedTuple):
    """The channels of a filter from `first` to `end`, and the part of the sums that their products are added to."""

    first: int
    end: int
    part: int


def tiled(x: Array, step: int, top: int, left: int) -> TiledImages:
    """Return images as tiles; top, left: padding."""
    _, height, width, channels = x.shape
    return TiledImages(x.reshape(-1), height, width, channels, -top, -left, step)


def shared_planes(tiles: int, channels: int, planes: int, dtype: np.dtype) -> Planes:
    """Return planes that all workers write to."""
    return _planes(tiles, channels, planes, dtype, 1)


def worker_planes(tiles: int, channels: int, planes: int, dtype: np.dtype) -> Planes:
    """Return planes for each worker."""
    own = _planes(tiles, channels, planes, dtype, scratch_workers())
    return own._replace(worker_step=planes * own.plane_step)


def _planes(tiles: int, channels: int, planes: int, dtype: np.dtype, copies: int) -> Planes:
    """Return planes; powers of two between them, or between their tiles, would map them to the same few sets of a cache."""
    line = CACHE_LINE_BYTES // dtype.itemsize
    row_step = channels if channels % (SPREAD_LINES * line) else channels + line
    step = tiles * row_step + line
    return Planes(
        scratch(copies * planes * step, dtype=dtype), step, 0, channels, row_step, np.arange(tiles) * row_step
    )
