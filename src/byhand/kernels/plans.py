"""How a convolution is walked: what is read from where, and how images and filters are cut into blocks.

Forward, each pixel of y is a row of the tile, the window's places are its segments, filters its columns. By data it is the same
sweep over grad_y with the filters turned round: a stride of s there leaves s x s interleaved grids of pixels (`phases`), each
with the window's places that reach it. By weights each place of a filter is a row, and the pixels of an image row a segment.

All offsets are worked out here, once for each set of sizes, in tables that every block shares.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np

from byhand.kernels.host import cache_size, host

SMALL = 2_000_000  # FLOPs of a few microseconds' work: not worth sharing out
BLOCKS = 16  # at least, where the work is shared out: enough for the threads of a laptop to end together
PACKED = (
    256 * 1024
)  # bytes of weights beyond which they are laid out anew for the sweep: rows far apart miss the caches
REUSED = 256  # pixels that weights must serve to be worth it
LANES = 8  # sums over parts of the batch that are added up at the end
SUMS = 256 * 1024  # bytes of such a sum at most
TILES = 4  # of pixels in a block, at least
PIXELS = 256  # of a chunk that is summed while it stays in the L1 and L2 caches


class View(NamedTuple):
    """A convolution's sizes and attributes."""

    image: tuple[int, int]
    output: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    depth: int  # channels that a filter sees
    share: int  # filters of a group

    @property
    def depthwise(self) -> bool:
        """Whether each channel has one filter of its own."""
        return self.depth == self.share == 1 < self.groups

    @property
    def channels(self) -> int:
        """Channels of the image."""
        return self.depth * self.groups

    @property
    def filters(self) -> int:
        """Channels of the output."""
        return self.share * self.groups

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
    """A plan of forward or by data: tables, the frame, and how images are cut into blocks.

    phases, a row each: rows and columns of pixels; first entry in the tables of pixels; first segment, how many; start of its
    weights; from one group's to the next, from one block of columns to the next.
    """

    phases: Any
    a_rows: Any
    c_rows: Any
    segments: Any
    length: int
    frame: tuple[int, int]  # height and width of what a block reads
    origin: tuple[int, int]  # where the frame of the first block begins, in the image
    step: int  # rows of the image from one row of pixels to the next
    framed: bool
    together: int  # images in a block
    rows: int  # of pixels in a block
    parts: int  # of the filters
    blocks: int


def _cut(images: int, rows: int, columns: int, row_bytes: int, flops: int, units: int) -> tuple[int, int, int]:
    """Return how many images, or else how many rows of one, make a block, and into how many parts its filters fall.

    A block's numbers fill half of the L2 cache at most; it has pixels enough for some tiles, so that weights are not read for
    a few pixels only. Where that leaves too few blocks for the threads, filters are shared out too.
    """
    room, wanted = cache_size(2) // 2, BLOCKS if flops > SMALL else 1
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


@cache
def forward_plan(view: View, images: int, size: int, columns: int, packed: bool) -> Sweep:
    """Return how y is swept: in one phase."""
    (height, width), (out_rows, out_columns) = view.image, view.output
    pitch = view.needs[1] if view.framed else width
    row_bytes = size * (view.stride[0] * pitch * view.channels + out_columns * view.filters)
    units = view.groups * ceil(view.share / columns)
    together, rows, parts = _cut(images, out_rows, out_columns, row_bytes, view.flops(images), units)
    tall = (rows - 1) * view.stride[0] + view.reach[0] if view.framed else height
    n, i, j = np.indices((together, rows, out_columns)).reshape(3, -1)
    a_rows = ((n * tall + i * view.stride[0]) * pitch + j * view.stride[1]) * view.channels
    c_rows = ((n * out_rows + i) * out_columns + j) * view.filters
    down, across = view.dilation
    segments = [(r * down * pitch + s * across) * view.channels for r, s in np.ndindex(view.kernel)]
    length = view.depth
    if across == 1 and view.groups == 1:  # the places of a row lie side by side
        segments, length = segments[:: view.kernel[1]], view.kernel[1] * view.depth
    weights = _weights(0, prod(view.kernel) * view.depth, view.share, columns) if packed else (0, view.share, columns)
    return Sweep(
        np.array([[out_rows, out_columns, 0, 0, len(segments), *weights]]), a_rows, c_rows, np.array(segments), length,
        (tall, pitch), (-view.padding[0], -view.padding[2]), view.stride[0], view.framed, together, rows,
        parts, parts * ceil(images / together) * ceil(out_rows / rows),
    )  # fmt: skip


def _weights(start: int, numbers: int, share: int, columns: int) -> tuple[int, int, int]:
    """Return where packed weights start, and the steps from group to group and from block of columns to block."""
    return start, ceil(share / columns) * numbers * columns, numbers * columns


@cache
def data_plan(view: View, images: int, size: int, columns: int) -> tuple[Sweep, Any, int]:
    """Return how grad_x is swept, a phase for each grid of pixels; the places to pack; how many numbers they take.

    Each place is a row: r, s, where it starts in the packed weights, the steps of its phase from group to group and from
    block of columns to block.
    """
    (_, width), (out_rows, out_columns) = view.image, view.output
    down, across = (_reached(axis, view) for axis in (0, 1))
    first = [min((o for places in axis for _, o in places), default=0) for axis in (down, across)]
    last = [max((o for places in axis for _, o in places), default=0) for axis in (down, across)]
    grid = [ceil(size / step) for size, step in zip(view.image, view.stride)]
    needs = [g + b - a for g, a, b in zip(grid, first, last)]
    framed = any(a < 0 or a + n > out for a, n, out in zip(first, needs, view.output))
    pitch = needs[1] if framed else out_columns
    row_bytes = size * (pitch * view.filters + view.stride[0] * width * view.channels)
    units = view.groups * ceil(view.depth / columns)
    together, rows, parts = _cut(images, grid[0], grid[1], row_bytes, view.flops(images), units)
    tall = rows + last[0] - first[0] if framed else out_rows
    shift = 0 if framed else first[0] * pitch + first[1]
    joined = view.dilation[1] == view.stride[1] == view.groups == 1
    tables: list[list[Any]] = [[] for _ in range(5)]
    phases, a_rows, c_rows, segments, packs = tables
    start = 0
    for (p, rows_reached), (q, columns_reached) in product(enumerate(down), enumerate(across)):
        counts = [ceil((size - phase) / step) for size, phase, step in zip(view.image, (p, q), view.stride)]
        if min(counts) <= 0:
            continue
        n, i, j = np.indices((together, min(rows, counts[0]), counts[1])).reshape(3, -1)
        places = [(r, s, ((o - first[0]) * pitch + u - first[1] + shift) * view.filters)
                  for r, o in rows_reached for s, u in columns_reached]  # fmt: skip
        heads = [at for *_, at in places[:: len(columns_reached) if joined else 1]]
        weights = _weights(start, len(places) * view.share, view.depth, columns)
        if view.depthwise:
            weights = start, 0, columns
        phases.append([*counts, len(a_rows), len(segments), len(heads), *weights])
        a_rows += (((n * tall + i) * pitch + j) * view.filters).tolist()
        c_rows += (
            ((n * view.image[0] + p + i * view.stride[0]) * width + q + j * view.stride[1]) * view.channels
        ).tolist()
        segments += heads
        row = view.filters if view.depthwise else view.share * columns
        packs += [(r, s, start + k * row, *weights[1:]) for k, (r, s, _) in enumerate(places)]
        start += len(places) * row if view.depthwise else weights[1] * view.groups
    length = view.share * (view.kernel[1] if joined else 1)
    return Sweep(
        np.array(phases), np.array(a_rows), np.array(c_rows), np.array(segments, np.int64), length, (tall, pitch),
        (first[0], first[1]), 1, framed, together, rows, parts, parts * ceil(images / together) * ceil(grid[0] / rows),
    ), np.array(packs, np.int64).reshape(-1, 5), start  # fmt: skip


def _reached(axis: int, view: View) -> list[list[tuple[int, int]]]:
    """Return, for each phase of an axis, the places that reach it, the last first, each with the row of y it comes from."""
    before, step, apart = view.padding[2 * axis], view.stride[axis], view.dilation[axis]
    places = [(r, r * apart - before) for r in reversed(range(view.kernel[axis]))]
    return [[(r, (phase - at) // step) for r, at in places if (phase - at) % step == 0] for phase in range(step)]


class Sums(NamedTuple):
    """A plan by weights: tables, the frame, chunks of images or rows, and how the work is cut into blocks."""

    a_rows: Any
    c_rows: Any
    segments: Any
    frame: tuple[int, int]
    framed: bool
    together: int
    rows: int
    lanes: int  # parts of the batch
    parts: int  # of the filters


@cache
def weights_plan(view: View, images: int, size: int, columns: int) -> Sums:
    """Return how grad_weight is summed up."""
    pitch = view.needs[1] if view.framed else view.image[1]
    out_rows, out_columns = view.output
    together = max(1, min(images, PIXELS // max(1, out_rows * out_columns)))
    rows = out_rows if together > 1 else min(out_rows, max(1, PIXELS // out_columns))
    tall = (rows - 1) * view.stride[0] + view.reach[0] if view.framed else view.image[0]
    r, s, c = np.indices((*view.kernel, view.depth)).reshape(3, -1)
    a_rows = (r * view.dilation[0] * pitch + s * view.dilation[1]) * view.channels + c
    n, i = np.indices((together, rows)).reshape(2, -1)
    segments = (n * tall + i * view.stride[0]) * pitch * view.channels
    chunks = ceil(images / together) * ceil(out_rows / rows)
    lanes, parts = 1, 1
    if view.flops(images) > SMALL:
        if len(a_rows) * view.filters * size <= SUMS:
            lanes = min(chunks, LANES)
        parts = min(view.groups * ceil(view.share / columns), ceil(BLOCKS / lanes))
    return Sums(
        a_rows, np.arange(len(a_rows)) * view.filters, segments, (tall, pitch), view.framed, together, rows, lanes,
        parts,
    )  # fmt: skip
