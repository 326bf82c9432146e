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

from collections.abc import Callable
from functools import cache, partial
from itertools import groupby, product
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np

from byhand.kernels.runtime.cpu import cache_size, host

SMALL = 2_000_000  # FLOPs of a few microseconds' work: not worth sharing out
BLOCKS = 16  # at least, where the work is shared out: enough for the threads of a laptop to end together
PACKED = (
    256 * 1024
)  # bytes of weights beyond which they are laid out anew for the sweep: rows far apart miss the caches
LANES = 8  # sums over parts of the batch that are added up at the end
SUMS = 2 * 1024 * 1024  # bytes of such sums at most
TILES = 4  # of pixels in a block, at least
PIXELS = 256  # of a chunk that is summed while it stays in the L1 and L2 caches


class ConvShape(NamedTuple):
    """A convolution's sizes and attributes."""

    image: tuple[int, int]
    output: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    depth: int  # channels that a filter sees
    filters_per_group: int

    @property
    def depthwise(self) -> bool:
        """Whether each channel has one filter of its own."""
        return self.depth == self.filters_per_group == 1 < self.groups

    @property
    def channels(self) -> int:
        """Channels of the image."""
        return self.depth * self.groups

    @property
    def filters(self) -> int:
        """Channels of the output."""
        return self.filters_per_group * self.groups

    @property
    def reach(self) -> list[int]:
        """Rows and columns that a window spans."""
        return [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation)]

    @property
    def needs(self) -> list[int]:
        """Rows and columns that all windows together span."""
        return [(out - 1) * s + r for out, s, r in zip(self.output, self.stride, self.reach)]

    @property
    def framed(self) -> bool:
        """Whether windows see anything beyond the image."""
        return any(self.padding[::2]) or any(n > size for n, size in zip(self.needs, self.image))

    def flops(self, images: int) -> int:
        """Work of one pass."""
        return 2 * images * prod(self.output) * self.filters * self.depth * prod(self.kernel)


class Sweep(NamedTuple):
    """A plan of forward or by data: tables, and how images are cut into blocks.

    phases, a row each: first and last row of the pixels' grid, and the one its tables begin with; pixels in a row; first entry
    in the tables of pixels; first segment, how many, and how many numbers each has.
    """

    phases: Any
    a_rows: Any
    c_rows: Any
    a_segments: Any
    b_segments: Any
    together: int  # images in a block
    rows: int  # of pixels in a block
    parts: int  # of the filters
    blocks: int


def _cut(view: ConvShape, images: int, grid: tuple[int, int], row_bytes: int, units: int) -> tuple[int, int, int]:
    """Return how many images, or else how many rows of one, make a block, and into how many parts its filters fall.

    A block's numbers fill half of the L2 cache at most; it has pixels enough for some tiles, so that weights are not read for
    a few pixels only. Where that leaves too few blocks for the threads, filters are shared out too. Depthwise, weights are few,
    and each part of the filters reads a part of every pixel: a block is small, so that the next part finds its lines near.
    """
    rows, columns = grid
    room, wanted = (
        2 * cache_size(1) if view.depthwise else cache_size(2) // 2,
        BLOCKS if view.flops(images) > SMALL else 1,
    )
    together = min(room // max(1, rows * row_bytes), images // wanted)
    strip = rows
    if wanted == 1 and images * rows * row_bytes <= room:
        together = images
    if together < 1:
        strips = max(ceil(wanted / images), ceil(rows * row_bytes / room))
        strip = min(rows, max(ceil(rows / strips), ceil(TILES * host().rows / columns)))
        together = 1
    if strip == rows:
        together = max(together, min(images, ceil(TILES * host().rows / (rows * columns))))
    blocks = ceil(images / together) * ceil(rows / strip)
    return together, strip, max(1, min(units, ceil(wanted / blocks)))


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


def forward_runs(view: ConvShape) -> list[list[Run]]:
    """Return the runs of y's rows and of its columns."""
    runs = []
    for axis in (0, 1):
        reach = [[(r, r * view.dilation[axis] - view.padding[2 * axis]) for r in range(view.kernel[axis])]]
        runs.append(_runs(reach, view.output[axis], view.stride[axis], view.image[axis]))
    return runs


def data_runs(view: ConvShape) -> list[list[Run]]:
    """Return the runs of grad_x's rows and of its columns: those that lie a stride apart are a phase; the last place first."""
    runs = []
    for axis in (0, 1):
        before, step, apart = view.padding[2 * axis], view.stride[axis], view.dilation[axis]
        places = [(r, before - r * apart) for r in reversed(range(view.kernel[axis]))]
        reach = [[(r, (p + at) // step) for r, at in places if (p + at) % step == 0] for p in range(step)]
        runs.append(_runs(reach, view.image[axis], 1, view.output[axis]))
    return runs


def _sweep_plan(
    runs: list[list[Run]], a: tuple[int, int, int], rate: tuple[int, int], c: tuple[int, int, int], step: tuple[int, int],
    joined: bool, length: int, b_at: Callable[[int, int], int], images: int, cut: tuple[int, int, int],
) -> Sweep:  # fmt: skip
    """Return a sweep: a phase for each run of rows and run of columns; a and c: rows, columns and channels.

    joined: the places of a row lie side by side, in the image and in the weights, and make one segment.
    """
    together, strip, parts = cut
    grid = ceil(c[0] / step[0])
    whole = strip == grid
    lists: list[list[Any]] = [[] for _ in range(5)]
    phases, a_rows, c_rows, a_segments, b_segments = lists
    pixel = 0
    for rows, columns in product(*runs):
        first = rows.first if whole else 0
        tall, wide = rows.last - first if whole else strip, columns.last - columns.first
        n, i, j = np.indices((together, tall, wide)).reshape(3, -1)
        i, j = i + first, j + columns.first
        a_rows.append(((n * a[0] + i * rate[0]) * a[1] + j * rate[1]) * a[2])
        c_rows.append(((n * c[0] + rows.phase + i * step[0]) * c[1] + columns.phase + j * step[1]) * c[2])
        places = [(r, s, o * a[1] + u) for r, o in rows.places for s, u in columns.places]
        heads = places[:: len(columns.places)] if joined and places else places
        numbers = length * (len(columns.places) if joined else 1)
        phases.append([rows.first, rows.last, first, wide, pixel, len(a_segments), len(heads), numbers])
        a_segments += [at * a[2] for *_, at in heads]
        b_segments += [b_at(r, s) for r, s, _ in heads]
        pixel += n.size
    return Sweep(
        np.array(phases, np.int64), np.concatenate(a_rows), np.concatenate(c_rows), np.array(a_segments, np.int64),
        np.array(b_segments, np.int64), together, strip, parts, parts * ceil(images / together) * ceil(grid / strip),
    )  # fmt: skip


@cache
def forward_plan(view: ConvShape, images: int, size: int, columns: int, b_step: int) -> Sweep:
    """Return how y is swept."""
    row_bytes = size * (view.stride[0] * view.image[1] * view.channels + view.output[1] * view.filters)
    units = view.groups * ceil(view.filters_per_group / columns)
    return _forward_plan(view, images, b_step, _cut(view, images, view.output, row_bytes, units))


@cache
def whole_plan(view: ConvShape, images: int, columns: int) -> Sweep:
    """Return how y is swept with filters that lie side by side, all pixels at once."""
    return _forward_plan(view, images, columns, (images, view.output[0], 1))


def _forward_plan(view: ConvShape, images: int, b_step: int, cut: tuple[int, int, int]) -> Sweep:
    return _sweep_plan(
        forward_runs(view), (*view.image, view.channels), view.stride, (*view.output, view.filters), (1, 1),
        view.dilation[1] == view.groups == 1, view.depth, lambda r, s: (r * view.kernel[1] + s) * view.depth * b_step,
        images, cut,
    )  # fmt: skip


@cache
def data_plan(view: ConvShape, images: int, size: int, columns: int) -> Sweep:
    """Return how grad_x is swept: with the filters turned round, but for depthwise ones, which are read as they are."""
    rows, wide = (ceil(pixels / step) for pixels, step in zip(view.image, view.stride))
    row_bytes = size * (view.output[1] * view.filters + view.stride[0] * view.image[1] * view.channels)
    units = view.groups * ceil(view.depth / columns)
    cut = _cut(view, images, (rows, wide), row_bytes, units)
    last = prod(view.kernel) - 1

    def b_at(r: int, s: int) -> int:
        place = r * view.kernel[1] + s
        return place * view.filters if view.depthwise else (last - place) * view.filters_per_group * columns

    joined = view.dilation[1] == view.stride[1] == view.groups == 1
    return _sweep_plan(
        data_runs(view), (*view.output, view.filters), (1, 1), (*view.image, view.channels), view.stride, joined, view.filters_per_group,
        b_at, images, cut,
    )  # fmt: skip


class Sums(NamedTuple):
    """A plan by weights: tables, chunks of images or rows, and how the work is cut into blocks.

    phases, a row each: first and last row of y, and the one its tables begin with; first segment, and how many numbers each
    has; first entry in the tables of places, and how many.
    """

    phases: Any
    a_rows: Any
    c_rows: Any
    a_segments: Any
    b_segments: Any
    together: int
    rows: int
    lanes: int  # parts of the batch
    parts: int  # of the filters


@cache
def weights_plan(view: ConvShape, images: int, size: int, columns: int) -> Sums:
    """Return how grad_weight is summed up: each place of the window over the pixels from which it sees the image.

    Where a place's channels fill a tile, each place is a phase, with the pixels it sees; else each run of pixels, with all
    places that see them.
    """
    (height, width), (out_rows, out_columns) = view.image, view.output
    together = max(1, min(images, PIXELS // max(1, out_rows * out_columns)))
    strip = out_rows if together > 1 else min(out_rows, max(1, PIXELS // out_columns))
    whole = strip == out_rows
    chunks = ceil(images / together) * ceil(out_rows / strip)
    numbers = prod(view.kernel) * view.depth * view.filters
    lanes, parts = 1, 1
    units = view.groups * ceil(view.filters_per_group / columns)
    if view.flops(images) > SMALL:
        lanes = max(1, min(chunks, LANES, SUMS // (numbers * size)))
        parts = min(units, ceil(BLOCKS / lanes))
    lists: list[list[Any]] = [[] for _ in range(5)]
    phases, a_rows, c_rows, a_segments, b_segments = lists
    runs = forward_runs(view)
    if view.depth >= host().rows and any(len(axis) > 1 for axis in runs):
        runs = _tap_runs(runs)
    for rows, wide in product(*runs):
        first = rows.first if whole else 0
        n, i = np.indices((together, rows.last - first if whole else strip)).reshape(2, -1)
        i, j = i + first, wide.first
        places = [(r, s, o * width + u) for r, o in rows.places for s, u in wide.places]
        count = len(places) * view.depth
        phases.append([rows.first, rows.last, first, len(a_segments), wide.last - j, len(a_rows), count])
        a_segments += (((n * height + i * view.stride[0]) * width + j * view.stride[1]) * view.channels).tolist()
        b_segments += (((n * out_rows + i) * out_columns + j) * view.filters).tolist()
        for r, s, at in places:
            a_rows += [at * view.channels + c for c in range(view.depth)]
            c_rows += [((r * view.kernel[1] + s) * view.depth + c) * view.filters for c in range(view.depth)]
    return Sums(
        np.array(phases, np.int64).reshape(-1, 7), np.array(a_rows, np.int64), np.array(c_rows, np.int64),
        np.array(a_segments, np.int64), np.array(b_segments, np.int64), together, strip, lanes, parts,
    )  # fmt: skip


def _tap_runs(runs: list[list[Run]]) -> list[list[Run]]:
    """Return for each place of an axis the pixels from which it sees the image."""
    return [
        [Run(0, there[0].first, there[-1].last, (place,))
         for place in sorted({place for run in axis for place in run.places})
         if (there := [run for run in axis if place in run.places])]
        for axis in runs
    ]  # fmt: skip
