"""How a convolution is walked: what is read from where, and how images and filters are cut into blocks.

Forward, each pixel of y is a row of the tile, the window's places are its segments, filters its columns. By data it is the
same sweep over grad_y with the filters turned round. By weights each place of a filter is a row, the pixels of an image row
are a segment.

No image is copied into a frame of zeros. The pixels for which the same places of the window lie in the image are a phase,
with those places as its segments: 3x3 with padding 1 has nine, the inside, four edges and four corners. By data, a stride of s
leaves s x s interleaved grids of pixels, each with places of its own. What would be multiplied by 0 is left out.

All offsets are worked out here, once for each set of sizes, in tables that every block shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import groupby, product
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from byhand.kernels.conv.problem import ConvShape
from byhand.kernels.runtime.cpu import cache_size, host
from byhand.kernels.runtime.types import Indices

# FLOPs of a few microseconds' work, not worth sharing out between threads.
MIN_SHARED_FLOPS = 2_000_000

# Blocks, at least, where work is shared out: enough for the threads of a laptop to end at the same time.
MIN_BLOCKS = 16

# Parts of the batch, at most, that have a sum of their own by weights, and bytes of all such sums.
MAX_BATCH_PARTS = 8
MAX_PARTIAL_BYTES = 2 * 1024 * 1024

# Register tiles of pixels in a block, at least: weights are read for more than a few pixels.
MIN_BLOCK_TILES = 4

# Pixels of a chunk that is summed by weights while it stays in the L1 and L2 caches.
CHUNK_PIXELS = 256

# Columns of the table of phases: first and last row of the grid, the row that its offsets begin with, pixels in a row.
FIRST, LAST, BASE, WIDTH = range(4)
# Of a sweep: first entry in the tables of pixels; first segment, how many, and how many numbers each has.
PIXEL, SEGMENT, SEGMENTS, LENGTH = 4, 5, 6, 7
# By weights (SEGMENT: the first row of pixels): first entry in the tables of a filter's positions, and how many.
POSITION, POSITIONS = 4, 6


class Sweep(NamedTuple):
    """A plan of forward or by data: tables of phases and offsets, and how images are cut into blocks."""

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


class Cut(NamedTuple):
    """How many images, or else how many rows of one, make a block, and into how many parts its filters fall."""

    images: int
    rows: int
    filter_parts: int


def _cut(shape: ConvShape, images: int, grid: tuple[int, int], row_bytes: int, units: int) -> Cut:
    """Return how the work is cut into blocks.

    A block's numbers fill half of the L2 cache at most; it has pixels enough for some tiles, so that weights are not read for
    a few pixels only. Where that leaves too few blocks for the threads, filters are shared out too. Depthwise, weights are few,
    and each part of the filters reads a part of every pixel: a block is small, so that the next part finds its lines near.
    """
    rows, columns = grid
    room = 2 * cache_size(1) if shape.depthwise else cache_size(2) // 2
    wanted = MIN_BLOCKS if shape.flops(images) > MIN_SHARED_FLOPS else 1
    per_block = min(room // max(1, rows * row_bytes), images // wanted)
    strip = rows
    if wanted == 1 and images * rows * row_bytes <= room:
        per_block = images
    if per_block < 1:
        strips = max(ceil(wanted / images), ceil(rows * row_bytes / room))
        strip = min(rows, max(ceil(rows / strips), ceil(MIN_BLOCK_TILES * host().rows / columns)))
        per_block = 1
    if strip == rows:
        per_block = max(per_block, min(images, ceil(MIN_BLOCK_TILES * host().rows / (rows * columns))))
    blocks = ceil(images / per_block) * ceil(rows / strip)
    return Cut(per_block, strip, max(1, min(units, ceil(wanted / blocks))))


class Run(NamedTuple):
    """Pixels along one axis which the same places of a window reach: phase + step * i, for i from `first` to `last`."""

    phase: int
    first: int
    last: int
    places: tuple[tuple[int, int], ...]  # a place of the window, and what it sees where i is 0


def _runs(reach: list[list[tuple[int, int]]], size: int, rate: int, limit: int) -> list[Run]:
    """Return the runs of an axis of `size` pixels; with i, what a place sees moves on by `rate`, and must lie below `limit`."""

    def seen(phase: int, i: int) -> tuple[tuple[int, int], ...]:
        return tuple((place, at) for place, at in reach[phase] if 0 <= at + i * rate < limit)

    runs = []
    for phase in range(len(reach)):
        for places, pixels in groupby(range(ceil((size - phase) / len(reach))), partial(seen, phase)):
            first, *more = pixels
            runs.append(Run(phase, first, first + len(more) + 1, places))
    return runs


def forward_runs(shape: ConvShape) -> list[list[Run]]:
    """Return the runs of y's rows and of its columns."""
    runs = []
    for axis in (0, 1):
        reach = [[(r, r * shape.dilation[axis] - shape.padding[2 * axis]) for r in range(shape.kernel[axis])]]
        runs.append(_runs(reach, shape.output[axis], shape.stride[axis], shape.image[axis]))
    return runs


def data_runs(shape: ConvShape) -> list[list[Run]]:
    """Return the runs of grad_x's rows and of its columns: those that lie a stride apart are a phase; the last place first."""
    runs = []
    for axis in (0, 1):
        before, step, apart = shape.padding[2 * axis], shape.stride[axis], shape.dilation[axis]
        places = [(r, before - r * apart) for r in reversed(range(shape.kernel[axis]))]
        reach = [[(r, (p + at) // step) for r, at in places if (p + at) % step == 0] for p in range(step)]
        runs.append(_runs(reach, shape.image[axis], 1, shape.output[axis]))
    return runs


class Side(NamedTuple):
    """An operand of a sweep: its rows, columns and channels, and how far a step of the grid moves in it, (down, across)."""

    rows: int
    columns: int
    channels: int
    step: tuple[int, int]


class Segments(NamedTuple):
    """The segments of a sweep: numbers of one; where a position's weights lie; whether a row's positions make one segment.

    They do where they lie side by side, in the image and in the weights.
    """

    length: int
    b_at: Callable[[int, int], int]
    joined: bool


def _sweep_plan(runs: list[list[Run]], a: Side, c: Side, segments: Segments, images: int, cut: Cut) -> Sweep:
    """Return a sweep: a phase for each run of rows and run of columns."""
    grid = ceil(c.rows / c.step[0])
    whole = cut.rows == grid
    phases: list[list[int]] = []
    a_rows: list[Indices] = []
    c_rows: list[Indices] = []
    a_segments: list[int] = []
    b_segments: list[int] = []
    pixel = 0
    for rows, columns in product(*runs):
        first = rows.first if whole else 0
        tall, wide = rows.last - first if whole else cut.rows, columns.last - columns.first
        n, i, j = np.indices((cut.images, tall, wide)).reshape(3, -1)
        i, j = i + first, j + columns.first
        a_rows.append(((n * a.rows + i * a.step[0]) * a.columns + j * a.step[1]) * a.channels)
        c_i, c_j = rows.phase + i * c.step[0], columns.phase + j * c.step[1]
        c_rows.append(((n * c.rows + c_i) * c.columns + c_j) * c.channels)
        places = [(r, s, o * a.columns + u) for r, o in rows.places for s, u in columns.places]
        heads = places[:: len(columns.places)] if segments.joined and places else places
        length = segments.length * (len(columns.places) if segments.joined else 1)
        phases.append([rows.first, rows.last, first, wide, pixel, len(a_segments), len(heads), length])
        a_segments += [at * a.channels for *_, at in heads]
        b_segments += [segments.b_at(r, s) for r, s, _ in heads]
        pixel += n.size
    return Sweep(
        phases=table(phases, 8),
        a_rows=np.concatenate(a_rows),
        c_rows=np.concatenate(c_rows),
        a_segments=table(a_segments),
        b_segments=table(b_segments),
        images_per_block=cut.images,
        rows_per_block=cut.rows,
        grid_rows=grid,
        filter_parts=cut.filter_parts,
        blocks=cut.filter_parts * ceil(images / cut.images) * ceil(grid / cut.rows),
    )


def table(values: Sequence[int | Sequence[int]], columns: int | None = None) -> Indices:
    """Return a table of offsets."""
    array = np.array(values, np.int64)
    return array if columns is None else array.reshape(-1, columns)


@cache
def forward_plan(shape: ConvShape, images: int, itemsize: int, columns: int, weight_row: int) -> Sweep:
    """Return how y is swept; weight_row: numbers from one row of weights to the next."""
    row_bytes = itemsize * (shape.stride[0] * shape.image[1] * shape.channels + shape.output[1] * shape.filters)
    units = shape.groups * ceil(shape.filters_per_group / columns)
    return _forward_plan(shape, images, weight_row, _cut(shape, images, shape.output, row_bytes, units))


@cache
def whole_plan(shape: ConvShape, images: int, columns: int) -> Sweep:
    """Return how y is swept with filters that lie side by side, all pixels at once."""
    return _forward_plan(shape, images, columns, Cut(images, shape.output[0], 1))


def _forward_plan(shape: ConvShape, images: int, weight_row: int, cut: Cut) -> Sweep:
    def b_at(r: int, s: int) -> int:
        return (r * shape.kernel[1] + s) * shape.depth * weight_row

    a, c = Side(*shape.image, shape.channels, shape.stride), Side(*shape.output, shape.filters, (1, 1))
    segments = Segments(shape.depth, b_at, joined=shape.dilation[1] == shape.groups == 1)
    return _sweep_plan(forward_runs(shape), a, c, segments, images, cut)


@cache
def data_plan(shape: ConvShape, images: int, itemsize: int, columns: int) -> Sweep:
    """Return how grad_x is swept: with the filters turned round, but for depthwise ones, which are read as they are."""
    rows, wide = (ceil(pixels / step) for pixels, step in zip(shape.image, shape.stride))
    row_bytes = itemsize * (shape.output[1] * shape.filters + shape.stride[0] * shape.image[1] * shape.channels)
    units = shape.groups * ceil(shape.depth / columns)
    cut = _cut(shape, images, (rows, wide), row_bytes, units)
    last = prod(shape.kernel) - 1

    def b_at(r: int, s: int) -> int:
        place = r * shape.kernel[1] + s
        return place * shape.filters if shape.depthwise else (last - place) * shape.filters_per_group * columns

    a, c = Side(*shape.output, shape.filters, (1, 1)), Side(*shape.image, shape.channels, shape.stride)
    joined = shape.dilation[1] == shape.stride[1] == shape.groups == 1
    return _sweep_plan(data_runs(shape), a, c, Segments(shape.filters_per_group, b_at, joined), images, cut)


class Sums(NamedTuple):
    """A plan by weights: tables of phases and offsets, chunks of images or rows, and how the work is cut into blocks."""

    phases: Indices
    a_rows: Indices
    c_rows: Indices
    a_segments: Indices
    b_segments: Indices
    images_per_chunk: int
    rows_per_chunk: int
    grid_rows: int
    batch_parts: int
    filter_parts: int


@cache
def weights_plan(shape: ConvShape, images: int, itemsize: int, columns: int) -> Sums:
    """Return how grad_weight is summed up: each place of the window over the pixels from which it sees the image.

    Where a place's channels fill a tile, each place is a phase, with the pixels it sees; else each run of pixels, with all
    places that see them.
    """
    (height, width), (out_rows, out_columns) = shape.image, shape.output
    per_chunk = max(1, min(images, CHUNK_PIXELS // max(1, out_rows * out_columns)))
    strip = out_rows if per_chunk > 1 else min(out_rows, max(1, CHUNK_PIXELS // out_columns))
    whole = strip == out_rows
    chunks = ceil(images / per_chunk) * ceil(out_rows / strip)
    batch_parts, filter_parts = 1, 1
    units = shape.groups * ceil(shape.filters_per_group / columns)
    if shape.flops(images) > MIN_SHARED_FLOPS:
        batch_parts = max(1, min(chunks, MAX_BATCH_PARTS, MAX_PARTIAL_BYTES // (shape.weights * itemsize)))
        filter_parts = min(units, ceil(MIN_BLOCKS / batch_parts))
    phases: list[list[int]] = []
    a_rows: list[int] = []
    c_rows: list[int] = []
    a_segments: list[int] = []
    b_segments: list[int] = []
    runs = forward_runs(shape)
    if shape.depth >= host().rows and any(len(axis) > 1 for axis in runs):
        runs = _runs_of_places(runs)
    for rows, wide in product(*runs):
        first = rows.first if whole else 0
        n, i = np.indices((per_chunk, rows.last - first if whole else strip)).reshape(2, -1)
        i, j = i + first, wide.first
        places = [(r, s, o * width + u) for r, o in rows.places for s, u in wide.places]
        count = len(places) * shape.depth
        phases.append([rows.first, rows.last, first, wide.last - j, len(a_rows), len(a_segments), count])
        a_segments += (((n * height + i * shape.stride[0]) * width + j * shape.stride[1]) * shape.channels).tolist()
        b_segments += (((n * out_rows + i) * out_columns + j) * shape.filters).tolist()
        for r, s, at in places:
            a_rows += [at * shape.channels + c for c in range(shape.depth)]
            c_rows += [((r * shape.kernel[1] + s) * shape.depth + c) * shape.filters for c in range(shape.depth)]
    return Sums(
        phases=table(phases, 7),
        a_rows=table(a_rows),
        c_rows=table(c_rows),
        a_segments=table(a_segments),
        b_segments=table(b_segments),
        images_per_chunk=per_chunk,
        rows_per_chunk=strip,
        grid_rows=out_rows,
        batch_parts=batch_parts,
        filter_parts=filter_parts,
    )


def _runs_of_places(runs: list[list[Run]]) -> list[list[Run]]:
    """Return for each place of an axis the pixels from which it sees the image."""
    result = []
    for axis in runs:
        by_place: dict[tuple[int, int], list[Run]] = {}
        for run in axis:
            for place in run.places:
                by_place.setdefault(place, []).append(run)
        result.append([Run(0, seen[0].first, seen[-1].last, (place,)) for place, seen in sorted(by_place.items())])
    return result
