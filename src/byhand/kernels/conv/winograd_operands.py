"""The operands of the kernels of Winograd's convolution: images as tiles, planes of transformed tiles, panels of filters."""

from __future__ import annotations

from typing import NamedTuple

from byhand.kernels.runtime.types import Array, Indices


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


class Panels(NamedTuple):
    """Transformed filters: (planes, groups, tiles of `columns` filters, channels, columns)."""

    array: Array
    groups: int
    filters_per_group: int
    channels: int  # that a filter sees
    columns: int
    planes: int


class Taps(NamedTuple):
    """Filters to transform: the steps from one group, tile of columns, channel and tap to the next; scale: of each filter."""

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
    """The operands of forward and backward_data; unit: the plane of the points (1, 1); start: a table that holds 0."""

    x: TiledImages
    y: TiledImages
    v: Planes
    u: Panels
    products: Planes
    patches: Patches
    unit: int
    start: Indices


class WeightsOperands(NamedTuple):
    """The operands of backward_weights: sums has the channels of a filter for tiles, in parts a worker_step apart.

    columns: of the register tile; channel_rows: a table 0, 1, 2, ...; start: one that holds 0.
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
    start: Indices


class Channels(NamedTuple):
    """The channels of a filter from `first` to `end`, and the part of the sums that their products are added to."""

    first: int
    end: int
    part: int
