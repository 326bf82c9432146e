"""Sweep plans: tables of the elements that a convolution multiplies, and how its pixels are cut into blocks of work.

    y[n, i, j, k] = sum over r, s, c of  x[n, p, q, c] * weight[r, s, c, k]
    with  p = i * stride + r * dilation - padding,  q = j * stride + s * dilation - padding

The register tile (microkernel/microkernel.py) computes it, as it computes a matrix product:

    row       a pixel (n, i, j) of y; a_rows[m] is the offset of what it sees in x, c_rows[m] its offset in y
    column    a filter k
    tap       a position (r, s) of the filter window
    segment   neighboring elements that are multiplied and summed: the channels under a tap, or under adjacent taps of a row;
              a_segments[t] is its offset from a_rows[m], b_segments[t] the offset of its weights
    phase     pixels that see the same taps, and so share their segments: 3x3 with padding 1 has nine phases, the inside, four
              edges and four corners (pixel_runs.py). Taps that would read padding are in no table: they cost nothing.

backward_data is the same sweep with other operands: a row is a pixel of grad_x, a column a channel, and grad_y is read
through the transposed filters. weights_plan.py has the plan of backward_weights.

Example: a row of 5 pixels with 2 channels, a 1x3 filter, padding 1, 4 filters.

>>> shape = ConvShape((1, 5), (1, 5), (1, 3), (1, 1), (0, 0, 1, 1), (1, 1), groups=1, depth=2, filters_per_group=4)
>>> plan = forward_plan(shape, images=1, itemsize=4, columns=4, weight_row=4)
>>> plan.phases[:, [ROW_PIXELS, FIRST_PIXEL, FIRST_SEGMENT, SEGMENT_COUNT, SEGMENT_LENGTH]].tolist()
[[1, 0, 0, 1, 4], [3, 1, 1, 1, 6], [1, 4, 2, 1, 4]]
>>> plan.a_rows.tolist(), plan.c_rows.tolist()
([0, 2, 4, 6, 8], [0, 4, 8, 12, 16])
>>> plan.a_segments.tolist(), plan.b_segments.tolist()
([0, -2, -2], [8, 0, 0])

There are three phases: pixel 0, pixels 1 to 3, pixel 4. Pixels 1 to 3 see all three taps, which lie side by side, as one
segment of 3 taps x 2 channels = 6 elements. For pixel 2 it begins at 4 - 2 = element 2 of x, which is pixel 1, and at element
0 of the weights. Pixel 0 sees only the taps 1 and 2: 4 elements of x from 0 + 0 on, and weights from 8 = 1 tap x 2 channels x
4 filters on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from byhand.kernels.conv.pixel_runs import PixelRun, backward_data_runs, forward_runs
from byhand.kernels.conv.problem import ConvShape
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.kernels.runtime.types import Indices

# FLOPs of a few microseconds' work, not worth distributing over threads.
MIN_SHARED_FLOPS = 2_000_000

# Blocks, at least, of work that is distributed: enough for the threads of a laptop to end at the same time.
MIN_BLOCKS = 16

# Register tiles of pixels in a block, at least: the block reads all weights, which must serve enough pixels.
MIN_BLOCK_TILES = 4

# Columns of the table of phases.
#   FIRST_ROW, END_ROW             its rows of the grid of pixels, the last excluded
#   TABLE_ROW                      the row with which its entries in a_rows and c_rows begin
#   ROW_PIXELS                     pixels in each of its rows
#   FIRST_PIXEL                    its first entry in a_rows and c_rows
#   FIRST_SEGMENT, SEGMENT_COUNT   its entries in a_segments and b_segments
#   SEGMENT_LENGTH                 elements of a segment
FIRST_ROW, END_ROW, TABLE_ROW, ROW_PIXELS, FIRST_PIXEL, FIRST_SEGMENT, SEGMENT_COUNT, SEGMENT_LENGTH = range(8)


class SweepPlan(NamedTuple):
    """The plan of a sweep, forward or backward_data: tables of phases and offsets, and the size of its blocks.

    grid_rows: rows of the grid of pixels that is swept, those of y, or every stride-th row of grad_x.
    A block is images_per_block images, or rows_per_block rows of one image, for one of filter_parts parts of the filters. The
    tables hold the offsets of one block, relative to its first row; all blocks share them.
    """

    phases: Indices
    a_rows: Indices
    c_rows: Indices
    a_segments: Indices
    b_segments: Indices
    images_per_block: int
    rows_per_block: int
    grid_rows: int
    filter_parts: int
    blocks: int


@cache
def forward_plan(
    shape: ConvShape, images: int, itemsize: int, columns: int, weight_row: int, pixel: int | None = None
) -> SweepPlan:
    """Return the plan of y; columns: of the register tile; weight_row: elements from a row (r, s, c) of weights to the next.

    pixel: elements from a pixel of x to the next, where they are more than its channels.
    """
    row_bytes = itemsize * (shape.stride[0] * shape.image[1] * shape.channels + shape.output[1] * shape.filters)
    tiles = shape.groups * ceil(shape.filters_per_group / columns)
    return _forward_plan(shape, images, weight_row, _blocking(shape, images, shape.output, row_bytes, tiles), pixel)


@cache
def single_block_plan(shape: ConvShape, images: int, columns: int, pixel: int | None = None) -> SweepPlan:
    """Return the plan of y with all pixels in one block and filters in panels of `columns` columns."""
    return _forward_plan(shape, images, columns, Blocking(images, shape.output[0], 1), pixel)


def _forward_plan(
    shape: ConvShape, images: int, weight_row: int, blocking: Blocking, pixel: int | None = None
) -> SweepPlan:
    def weight_offset(r: int, s: int) -> int:
        return (r * shape.kernel[1] + s) * shape.depth * weight_row

    x = SweepOperand(*shape.image, pixel or shape.channels, shape.stride)
    y = SweepOperand(*shape.output, shape.filters, (1, 1))
    adjacent = shape.dilation[1] == shape.groups == 1
    return _sweep_plan(forward_runs(shape), x, y, Taps(shape.depth, weight_offset, adjacent), images, blocking)


@cache
def backward_data_plan(
    shape: ConvShape, images: int, itemsize: int, columns: int, pixel: int | None = None
) -> SweepPlan:
    """Return the plan of grad_x, with transposed filters in panels (packed.py).

    pixel: elements from a pixel of grad_y to the next, where they are more than its filters.
    """
    grid = ceil(shape.image[0] / shape.stride[0]), ceil(shape.image[1] / shape.stride[1])
    row_bytes = itemsize * (shape.output[1] * shape.filters + shape.stride[0] * shape.image[1] * shape.channels)
    tiles = shape.groups * ceil(shape.depth / columns)
    blocking = _blocking(shape, images, grid, row_bytes, tiles)
    last_tap = prod(shape.kernel) - 1

    def weight_offset(r: int, s: int) -> int:
        return (last_tap - r * shape.kernel[1] - s) * shape.filters_per_group * columns

    grad_y = SweepOperand(*shape.output, pixel or shape.filters, (1, 1))
    grad_x = SweepOperand(*shape.image, shape.channels, shape.stride)
    adjacent = shape.dilation[1] == shape.stride[1] == shape.groups == 1
    taps = Taps(shape.filters_per_group, weight_offset, adjacent)
    return _sweep_plan(backward_data_runs(shape), grad_y, grad_x, taps, images, blocking)


class Blocking(NamedTuple):
    """The size of a block: images, or rows of one image; and the number of parts into which its filters are divided."""

    images: int
    rows: int
    filter_parts: int


def _blocking(shape: ConvShape, images: int, grid: tuple[int, int], row_bytes: int, tiles: int) -> Blocking:
    """Return the size of a block; grid: (rows, columns) of pixels, row_bytes: memory that a row of them touches.

    A block touches half of the L2 cache at most, and has pixels enough for MIN_BLOCK_TILES tiles, so that its reading of the
    weights pays. Where that gives too few blocks for the threads, the tiles of filters are divided too.
    """
    rows, columns = grid
    block_bytes = cache_size(2) // 2
    blocks_wanted = MIN_BLOCKS if shape.flops(images) > MIN_SHARED_FLOPS else 1
    images_per_block = min(block_bytes // max(1, rows * row_bytes), images // blocks_wanted)
    rows_per_block = rows
    min_pixels = MIN_BLOCK_TILES * vector_unit().tile_rows
    if blocks_wanted == 1 and images * rows * row_bytes <= block_bytes:
        images_per_block = images
    if images_per_block < 1:
        strips = max(ceil(blocks_wanted / images), ceil(rows * row_bytes / block_bytes))
        rows_per_block = min(rows, max(ceil(rows / strips), ceil(min_pixels / columns)))
        images_per_block = 1
    if rows_per_block == rows:
        images_per_block = max(images_per_block, min(images, ceil(min_pixels / (rows * columns))))
    blocks = ceil(images / images_per_block) * ceil(rows / rows_per_block)
    return Blocking(images_per_block, rows_per_block, max(1, min(tiles, ceil(blocks_wanted / blocks))))


class SweepOperand(NamedTuple):
    """Images that a sweep reads or writes: their size, and the step (height, width) in them per pixel of the grid.

    pixel: elements from a pixel to the next.
    """

    height: int
    width: int
    pixel: int
    step: tuple[int, int]


class Taps(NamedTuple):
    """The taps of a sweep: elements of each, the offset of a tap's weights, and whether the taps of a row are one segment.

    They are where they are adjacent, in the image and in the weights.
    """

    length: int
    weight_offset: Callable[[int, int], int]
    adjacent: bool


def _sweep_plan(
    runs: tuple[list[PixelRun], list[PixelRun]],
    a: SweepOperand,
    c: SweepOperand,
    taps: Taps,
    images: int,
    blocking: Blocking,
) -> SweepPlan:
    """Return the plan with a phase for each run of rows and each run of columns; a: what is read, c: what is written."""
    grid_rows = ceil(c.height / c.step[0])
    whole_images = blocking.rows == grid_rows
    phases: list[list[int]] = []
    a_rows: list[Indices] = []
    c_rows: list[Indices] = []
    a_segments: list[int] = []
    b_segments: list[int] = []
    pixels = 0
    for rows, columns in product(*runs):
        table_row = rows.first if whole_images else 0
        table_rows = rows.end - rows.first if whole_images else blocking.rows
        row_pixels = columns.end - columns.first
        n, i, j = np.indices((blocking.images, table_rows, row_pixels)).reshape(3, -1)
        i, j = i + table_row, j + columns.first
        a_rows.append(((n * a.height + i * a.step[0]) * a.width + j * a.step[1]) * a.pixel)
        c_i, c_j = rows.phase + i * c.step[0], columns.phase + j * c.step[1]
        c_rows.append(((n * c.height + c_i) * c.width + c_j) * c.pixel)

        seen = [(r, s, (p * a.width + q) * a.pixel) for r, p in rows.taps for s, q in columns.taps]
        length = taps.length
        if taps.adjacent and seen:  # a segment for each row of taps, which begins with the row's first tap
            seen = seen[:: len(columns.taps)]
            length *= len(columns.taps)
        phases.append([rows.first, rows.end, table_row, row_pixels, pixels, len(a_segments), len(seen), length])
        a_segments += [offset for _, _, offset in seen]
        b_segments += [taps.weight_offset(r, s) for r, s, _ in seen]
        pixels += n.size
    return SweepPlan(
        phases=table(phases, 8),
        a_rows=np.concatenate(a_rows),
        c_rows=np.concatenate(c_rows),
        a_segments=table(a_segments),
        b_segments=table(b_segments),
        images_per_block=blocking.images,
        rows_per_block=blocking.rows,
        grid_rows=grid_rows,
        filter_parts=blocking.filter_parts,
        blocks=blocking.filter_parts * ceil(images / blocking.images) * ceil(grid_rows / blocking.rows),
    )


def table(values: Sequence[int | Sequence[int]], columns: int | None = None) -> Indices:
    """Return a table of offsets, with the given number of columns or one-dimensional."""
    array = np.array(values, np.int64)
    return array if columns is None else array.reshape(-1, columns)
