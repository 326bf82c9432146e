"""The plan of backward_weights: tables of the elements to multiply, and how pixels are cut into chunks and blocks of work.

    grad_weight[r, s, c, k] = sum over n, i, j of  x[n, p, q, c] * grad_y[n, i, j, k]
    with  p = i * stride + r * dilation - padding,  q = j * stride + s * dilation - padding

The register tile (microkernel/microkernel.py) computes it, with another meaning of rows and segments than in plan.py:

    row       a filter row (r, s, c): a channel c under a tap (r, s); a_rows[m] is the distance in x from a pixel (i * stride,
              j * stride) to what the filter row sees, c_rows[m] its offset in grad_weight
    column    a filter k
    segment   the pixels of one row of y that see the same taps: they are summed over; a_segments[t] is the offset in x,
              b_segments[t] that in grad_y
    phase     filter rows that are summed over the same pixels
    chunk     pixels of a few images, or of some rows of one: they stay in the caches while all phases are summed

Example: the convolution of plan.py, a row of 5 pixels with 2 channels, a 1x3 filter, padding 1, 4 filters.

>>> shape = ConvShape((1, 5), (1, 5), (1, 3), (1, 1), (0, 0, 1, 1), (1, 1), groups=1, depth=2, filters_per_group=4)
>>> plan = weights_plan(shape, images=1, itemsize=4, columns=4)
>>> plan.phases[:, [ROW_PIXELS, FIRST_FILTER_ROW, FIRST_SEGMENT, FILTER_ROWS]].tolist()
[[1, 0, 0, 4], [3, 4, 1, 6], [1, 10, 2, 4]]
>>> plan.a_rows[4:10].tolist(), plan.c_rows[4:10].tolist()
([-2, -1, 0, 1, 2, 3], [0, 4, 8, 12, 16, 20])
>>> plan.a_segments.tolist(), plan.b_segments.tolist()
([0, 2, 8], [0, 4, 16])

The second phase are the pixels 1 to 3, which see all three taps: 3 taps x 2 channels = 6 filter rows, each summed over a
segment of 3 pixels, which begins at element 2 of x (pixel 1) and element 4 of grad_y. Its first filter row, channel 0 of tap
0, sees x two elements, one pixel, before that.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import ceil
from typing import NamedTuple

import numpy as np

from byhand.kernels.conv.pixel_runs import forward_runs, runs_by_tap
from byhand.kernels.conv.plan import MIN_BLOCKS, MIN_SHARED_FLOPS, table
from byhand.kernels.conv.problem import ConvShape
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.types import Indices

# Parts of the batch, at most, that have partial sums of their own.
MAX_BATCH_PARTS = 8

# Bytes of all partial sums, at most: with one part of the batch, each part of the filters reads all images.
MAX_PARTIAL_BYTES = 16 * 1024 * 1024

# Pixels of a chunk: it stays in the L1 and L2 caches.
CHUNK_PIXELS = 256

# Columns of the table of phases.
#   FIRST_ROW, END_ROW              its rows of y, the last excluded
#   TABLE_ROW                       the row with which its segments begin
#   ROW_PIXELS                      pixels in each of its rows: the length of a segment
#   FIRST_FILTER_ROW, FILTER_ROWS   its entries in a_rows and c_rows
#   FIRST_SEGMENT                   its first entry in a_segments and b_segments
FIRST_ROW, END_ROW, TABLE_ROW, ROW_PIXELS, FIRST_FILTER_ROW, FIRST_SEGMENT, FILTER_ROWS = range(7)


class WeightsPlan(NamedTuple):
    """The plan of backward_weights: tables of phases and offsets, the size of chunks, and the parts of the work.

    grid_rows: rows of y. A chunk is images_per_chunk images or rows_per_chunk rows of one image; the tables hold the offsets
    of one chunk. A block of work is one of batch_parts parts of the chunks, for one of filter_parts parts of the filters.
    """

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
def weights_plan(shape: ConvShape, images: int, itemsize: int, columns: int) -> WeightsPlan:
    """Return the plan of grad_weight; columns: of the register tile.

    Where the channels of one tap fill the rows of a register tile, each tap is a phase, with all pixels that see it.
    Otherwise each run of pixels is a phase, with all taps that it sees: that makes more rows.
    """
    (height, width), (out_height, out_width) = shape.image, shape.output
    images_per_chunk = max(1, min(images, CHUNK_PIXELS // max(1, out_height * out_width)))
    rows_per_chunk = out_height if images_per_chunk > 1 else min(out_height, max(1, CHUNK_PIXELS // out_width))
    whole_images = rows_per_chunk == out_height
    chunks = ceil(images / images_per_chunk) * ceil(out_height / rows_per_chunk)
    batch_parts, filter_parts = parts(shape, images, itemsize, columns, chunks)
    row_runs, column_runs = forward_runs(shape)
    if shape.depth >= vector_unit().tile_rows:
        row_runs, column_runs = (runs_by_tap(runs) if len(runs) > 1 else runs for runs in (row_runs, column_runs))
    phases: list[list[int]] = []
    a_rows: list[int] = []
    c_rows: list[int] = []
    a_segments: list[int] = []
    b_segments: list[int] = []
    for row_run, column_run in product(row_runs, column_runs):
        table_row = row_run.first if whole_images else 0
        table_rows = row_run.end - row_run.first if whole_images else rows_per_chunk
        n, i = np.indices((images_per_chunk, table_rows)).reshape(2, -1)
        i, j = i + table_row, column_run.first
        taps = [(r, s, (p * width + q) * shape.channels) for r, p in row_run.taps for s, q in column_run.taps]
        filter_rows, row_pixels = len(taps) * shape.depth, column_run.end - column_run.first
        phases.append([row_run.first, row_run.end, table_row, row_pixels, len(a_rows), len(a_segments), filter_rows])
        a_segments += (((n * height + i * shape.stride[0]) * width + j * shape.stride[1]) * shape.channels).tolist()
        b_segments += (((n * out_height + i) * out_width + j) * shape.filters).tolist()
        for r, s, offset in taps:
            a_rows += [offset + c for c in range(shape.depth)]
            c_rows += [((r * shape.kernel[1] + s) * shape.depth + c) * shape.filters for c in range(shape.depth)]
    return WeightsPlan(
        phases=table(phases, 7),
        a_rows=table(a_rows),
        c_rows=table(c_rows),
        a_segments=table(a_segments),
        b_segments=table(b_segments),
        images_per_chunk=images_per_chunk,
        rows_per_chunk=rows_per_chunk,
        grid_rows=out_height,
        batch_parts=batch_parts,
        filter_parts=filter_parts,
    )


def parts(shape: ConvShape, images: int, itemsize: int, columns: int, chunks: int) -> tuple[int, int]:
    """Return into how many parts the batch and the filters are divided; their product is the number of blocks."""
    if shape.flops(images) <= MIN_SHARED_FLOPS:
        return 1, 1
    tiles = shape.groups * ceil(shape.filters_per_group / columns)
    batch_parts = max(1, min(chunks, MAX_BATCH_PARTS, MAX_PARTIAL_BYTES // (shape.weights * itemsize)))
    return batch_parts, min(tiles, ceil(MIN_BLOCKS / batch_parts))
