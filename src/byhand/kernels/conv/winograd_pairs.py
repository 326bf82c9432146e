"""The steps of Winograd's convolution in bfloat16: transforms in float32, products of rounded tiles and rounded filters.

The register tile multiplies words of two bfloat16 numbers. What makes a pair is what the sum runs over (packed_pairs.py):
channels in forward and backward_data, tiles in backward_weights. Tiles of images are rounded as they are transformed; filters,
and pairs of tiles, are transformed to a patch in the L1 cache, from which they are rounded into the planes:

    forward, backward_data   v (planes, tiles, C / 2)
                             u (planes, K / columns, C / 2, columns)
    backward_weights         v (planes, C / PANEL_CHANNELS, tiles / 2, PANEL_CHANNELS)
                             w (planes, K / columns, tiles / 2, columns)

In backward_weights, a panel holds what one register tile reads, as one stream of memory. The last of an odd number of tiles is
paired with 0.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np

from byhand.kernels.conv.winograd_arrays import TAPS, matrices
from byhand.kernels.conv.winograd_kernels import Steps, make_multiply_plane, scaled_taps
from byhand.kernels.conv.winograd_operands import Planes
from byhand.kernels.conv.winograd_tiles import tile_of
from byhand.kernels.microkernel.bilinear_map import Grid, bilinear_map, bilinear_map_rounded
from byhand.kernels.microkernel.microkernel import no_epilogue, tile_bfloat16
from byhand.kernels.microkernel.operands import A, B, C, Extent
from byhand.kernels.microkernel.rounding import pair_rows
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES, vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import Kernel, cdiv, kernel
from byhand.kernels.runtime.launch import scratch

# Channels of a panel of the images in backward_weights: a cache line of words.
PANEL_CHANNELS = 16

# Elements between two planes in a patch: planes a power of 2 apart would share a set of the L1 cache.
PLANE_GAP_ELEMENTS = CACHE_LINE_BYTES // 4

# Where a pair's second row begins if it has none: below 0, so that pair_rows takes zeros.
NO_ROW = -1


def bfloat16_steps(outputs: int) -> Steps:
    """Return the steps of F(outputs x outputs, 3x3) in bfloat16."""
    size = outputs + TAPS - 1
    map_image, map_gradient = bilinear_map(matrices(outputs, TAPS).input), bilinear_map(matrices(TAPS, outputs).filter)
    return Steps(
        make_round_filters(outputs),
        make_round_channels(bilinear_map_rounded(matrices(outputs, TAPS).input), size),
        make_multiply_plane(tile_bfloat16),
        make_round_tiles(map_image, size, size, PANEL_CHANNELS),
        make_round_tiles(map_gradient, outputs, size, vector_unit().tile_columns("f4")),
        sum_panels,
    )


def patch_elements(outputs: int, channels: int) -> int:
    """Return the elements of a worker's patch: a tile of an image, and two transformed ones."""
    planes = (outputs + TAPS - 1) ** 2
    return planes * channels + 2 * planes * (channels + PLANE_GAP_ELEMENTS)


def panel_planes(tiles: int, channels: int, panel: int, planes: int, copies: int) -> Planes:
    """Return planes of pairs of tiles, in panels of some channels; copies: for as many workers."""
    step = ceil(channels / panel) * ceil(tiles / 2) * panel + PLANE_GAP_ELEMENTS
    rows = np.arange(tiles) // 2 * panel
    worker_step = planes * step if copies > 1 else 0
    return Planes(scratch(copies * planes * step, dtype=np.float32), step, worker_step, channels, panel, rows)


def make_round_channels(map_tile: Intrinsic, size: int) -> Callable[..., None]:
    """Return the function that transforms tiles and rounds them: neighboring channels are pairs."""

    def round_channels(x, tiling, v, patches, first, end, row, worker):
        row_step, step = 2 * size * v.plane_step, 2 * v.plane_step  # in numbers
        for t in range(first, end):
            target = worker * v.worker_step + v.rows[row + t - first]
            source = tile_of(x, tiling, t, size, patches, worker)
            map_tile(source, Grid(v.array, 2 * target, row_step, step), x.channels)

    return round_channels


def make_round_filters(outputs: int) -> Kernel:
    """Return the kernel that transforms filters and rounds them to pairs of channels."""
    size = outputs + TAPS - 1
    planes, map_filter = size * size, bilinear_map(matrices(outputs, TAPS).filter)

    @kernel
    def transform_filters(taps, u, parts, patches, block, worker):
        """Transform one panel of filters, of one part of the pairs."""
        panel, part, tiles = block // parts, block % parts, cdiv(u.filters_per_group, u.columns)
        group, t = panel // tiles, panel % tiles
        k, length = group * u.filters_per_group + t * u.columns, min(u.columns, u.filters_per_group - t * u.columns)
        copied = worker * patches.size
        low = copied + TAPS * TAPS * u.columns
        high = low + planes * u.columns
        for pair in range(part * u.channels // parts, (part + 1) * u.channels // parts):
            start = group * taps.group_step + t * taps.tile_step + 2 * pair * taps.channel_step
            for half in range(2):
                source = scaled_taps(
                    taps, start + half * taps.channel_step, k, length, patches.array, copied, u.columns
                )
                at = high if half else low
                map_filter(source, Grid(patches.array, at, size * u.columns, u.columns), length)
            for plane in range(planes):
                at, target = plane * u.columns, ((plane * u.groups * tiles + panel) * u.channels + pair) * u.columns
                pair_rows(patches.array, low + at, high + at, u.array, target, length)

    return transform_filters


def make_round_tiles(map_tile: Intrinsic, size: int, width: int, panel: int) -> Callable[..., None]:
    """Return the function that transforms tiles of size x size pixels to width x width planes, and rounds pairs of them.

    panel: channels of a panel.
    """
    planes = width * width

    def round_tiles(x, tiling, v, patches, first, end, row, worker):
        step, panel_step = x.channels + PLANE_GAP_ELEMENTS, cdiv(v.rows.size, 2) * panel
        low = worker * patches.size + planes * x.channels
        high = low + planes * step
        for t in range(first, end, 2):
            for i in range(min(2, end - t)):
                source = tile_of(x, tiling, t + i, size, patches, worker)
                map_tile(source, Grid(patches.array, high if i else low, width * step, step), x.channels)
            target = worker * v.worker_step + v.rows[row + t - first]
            for plane in range(planes):
                second = high + plane * step if t + 1 < end else NO_ROW - x.channels
                for c in range(0, x.channels, panel):
                    at = target + plane * v.plane_step + c // panel * panel_step
                    count = min(panel, x.channels - c)
                    pair_rows(patches.array, low + plane * step + c, second + c, v.array, at, count)

    return round_tiles


def sum_panels(operands, plane, channels, count, initial, worker):
    """Write, or add, the sums over pairs of tiles of one plane."""
    v, w, sums, columns = operands.v, operands.w, operands.sums, operands.columns
    start = channels.part * sums.worker_step + plane * sums.plane_step + sums.rows[channels.first]
    w_start = worker * w.worker_step + plane * w.plane_step
    for t in range(cdiv(w.channels, columns)):
        tile_bfloat16(
            A(
                v.array,
                worker * v.worker_step + plane * v.plane_step,
                operands.channel_rows[channels.first :],
                operands.segments,
                PANEL_CHANNELS,
            ),
            B(w.array, w_start + t * cdiv(w.rows.size, 2) * columns, operands.segments, columns),
            C(sums.array, start + t * columns, sums.rows, 0),
            Extent(channels.end - channels.first, min(columns, w.channels - t * columns), 1, cdiv(count, 2)),
            initial,
            no_epilogue(sums.array),
        )
