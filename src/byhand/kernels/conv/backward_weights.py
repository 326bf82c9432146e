"""The gradient of the filters (backward_weights): a matrix product, summed over the pixels of the batch.

    grad_weight[r, s, c, k] = sum over n, i, j of  x[n, p, q, c] * grad_y[n, i, j, k]
    with  p = i * stride + r * dilation - padding,  q = j * stride + s * dilation - padding

Rows of the register tile are filter rows (r, s, c), its columns filters k; a segment is the pixels of an image row
(weights_plan.py). Example: an image of 5 pixels with 2 channels, a 1x3 filter, padding 1, 4 filters: grad_weight has 3 x 2 =
6 rows of 4 columns. The three inner pixels see every tap: one call of the tile sums them into all 6 rows. The pixels at the
two edges see two taps each: one call each adds them to 4 of the rows.

The batch is divided into a fixed number of parts, each with a partial sum of its own; the partial sums are added in order.
The bits do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from byhand.kernels.conv.operands import Channels, Images
from byhand.kernels.conv.packed_pairs import PairedImages
from byhand.kernels.conv.weights_plan import (
    END_ROW,
    FILTER_ROWS,
    FIRST_FILTER_ROW,
    FIRST_ROW,
    FIRST_SEGMENT,
    ROW_PIXELS,
    TABLE_ROW,
    WeightsPlan,
)
from byhand.kernels.microkernel.microkernel import no_epilogue, prefetch, tile, tile_per_channel
from byhand.kernels.microkernel.operands import ADD, ZERO, A, B, C, Extent
from byhand.kernels.reductions import add_up
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import Kernel, cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.types import Array


class Partials(NamedTuple):
    """Partial sums of grad_weight, flat: one for each part of the batch, `size` elements each."""

    array: Array
    size: int


def launch_backward_weights(
    kernel: Kernel,
    x: Images | PairedImages,
    grad_y: Images | PairedImages,
    grad_weight: Array,
    channels: Channels,
    plan: WeightsPlan,
) -> None:
    """Launch the gradient of the filters with one of the kernels below, or with that of another form of the tile."""
    total = grad_weight.reshape(-1)
    partials = total if plan.batch_parts == 1 else scratch(plan.batch_parts * total.size, dtype=total.dtype)
    launch(kernel, plan.batch_parts * plan.filter_parts, x, grad_y, Partials(partials, total.size), channels, plan)
    if plan.batch_parts > 1:
        add_up(partials.reshape(plan.batch_parts, -1), total)


def starts_of_chunk(x, grad_y, n, top, images, plan, tiles, worker):
    """Return where a chunk begins in x and in grad_y; prefetch it where each of several tiles reads a part of every pixel."""
    x_start, y_start = n * x.image_step + top * x.row_step, n * grad_y.image_step + top * grad_y.row_step
    if tiles > 1:
        x_size = images * x.image_step if plan.images_per_chunk > 1 else plan.rows_per_chunk * x.row_step
        y_size = images * min(plan.rows_per_chunk, plan.grid_rows - top) * grad_y.row_step
        prefetch(grad_y.array, y_start, y_start + y_size)
        prefetch(x.array, x_start, x_start + x_size)
    return x_start, y_start


def make_backward_weights_kernel(tile: Intrinsic, load: Callable[..., tuple[int, int]] = starts_of_chunk) -> Kernel:
    """Return the kernel of the gradient, made with a form of the register tile; load: returns where a chunk begins.

    It may copy the chunk first (packed_pairs.py), in memory of the worker.
    """

    @kernel
    def backward_weights(x, grad_y, partials, channels, plan, block, worker):
        """Write the partial sum over one part of the batch, for one part of the filters."""
        groups, filters_per_group, columns = channels.groups, channels.filters_per_group, channels.columns
        tiles, filters = cdiv(filters_per_group, columns), groups * filters_per_group  # tiles of a group
        batch_part, filter_part = block // plan.filter_parts, block % plan.filter_parts
        first_tile = filter_part * groups * tiles // plan.filter_parts
        end_tile = (filter_part + 1) * groups * tiles // plan.filter_parts
        start = batch_part * partials.size
        initial = ZERO if first_chunk_writes_all(plan, filters, partials.size) else ADD
        if initial == ADD:
            clear_partials(partials, start, channels, first_tile, end_tile)
        strips = cdiv(plan.grid_rows, plan.rows_per_chunk)  # chunks of an image
        chunks = cdiv(x.images, plan.images_per_chunk) * strips
        for chunk in range(batch_part * chunks // plan.batch_parts, (batch_part + 1) * chunks // plan.batch_parts):
            n, top = chunk // strips * plan.images_per_chunk, chunk % strips * plan.rows_per_chunk
            images = min(plan.images_per_chunk, x.images - n)
            x_start, y_start = load(x, grad_y, n, top, images, plan, tiles, worker)
            for filter_tile in range(first_tile, end_tile):
                group, t = filter_tile // tiles, filter_tile % tiles
                k = group * filters_per_group + t * columns  # the tile's first filter
                channel = group * channels.depth + channels.per_column * t * columns  # the first that it reads
                for p in range(plan.phases.shape[0]):
                    phase = plan.phases[p]
                    first, end = max(phase[FIRST_ROW], top), min(phase[END_ROW], top + plan.rows_per_chunk)
                    if first >= end:  # the chunk has none of the phase's rows
                        continue
                    filter_row, segment = phase[FIRST_FILTER_ROW], phase[FIRST_SEGMENT] + first - top - phase[TABLE_ROW]
                    tile(
                        A(
                            x.array,
                            x_start + channel,
                            plan.a_rows[filter_row:],
                            plan.a_segments[segment:],
                            x.pixel_step,
                        ),
                        B(grad_y.array, y_start + k, plan.b_segments[segment:], filters),
                        C(partials.array, start + k, plan.c_rows[filter_row:], 0),
                        Extent(
                            phase[FILTER_ROWS],
                            min(columns, filters_per_group - t * columns),
                            images * (end - first),
                            phase[ROW_PIXELS],
                        ),
                        initial,
                        no_epilogue(partials.array),
                    )
            initial = ADD

    return backward_weights


def clear_partials(partials, start, channels, first_tile, end_tile):
    """Write 0 to the columns of some tiles, in the partial sum that begins at `start`."""
    filters_per_group, columns = channels.filters_per_group, channels.columns
    tiles, filters = cdiv(filters_per_group, columns), channels.groups * filters_per_group
    for filter_tile in range(first_tile, end_tile):
        t = filter_tile % tiles
        k = filter_tile // tiles * filters_per_group + t * columns
        for at in range(start + k, start + partials.size, filters):
            row = partials.array[at : at + min(columns, filters_per_group - t * columns)]
            for i in range(row.size):
                row[i] = 0.0


def first_chunk_writes_all(plan, filters, size):
    """Tell whether the first chunk writes a whole partial sum: it has one phase, with all rows of y and all filter rows."""
    if plan.phases.shape[0] != 1:
        return False
    phase = plan.phases[0]
    return phase[FIRST_ROW] == 0 and phase[END_ROW] == plan.grid_rows and phase[FILTER_ROWS] * filters == size


backward_weights_kernel = make_backward_weights_kernel(tile)
# Depthwise: each column reads a channel of its own.
backward_weights_per_channel = make_backward_weights_kernel(tile_per_channel)
