"""The sweep: the kernel of forward and of backward_data, a matrix product whose rows are pixels and whose columns are filters.

    y[n, i, j, k] = sum over r, s, c of  x[n, p, q, c] * weight[r, s, c, k]
    with  p = i * stride + r * dilation - padding,  q = j * stride + s * dilation - padding

forward sweeps y, and reads x; backward_data sweeps grad_x, and reads grad_y with the filters transposed (packed.py). Images are
read where they lie: no window is copied into a matrix (im2col), no image is padded. plan.py has the tables of offsets.
"""

from __future__ import annotations

from collections.abc import Callable

from byhand.kernels.conv.plan import (
    END_ROW,
    FIRST_PIXEL,
    FIRST_ROW,
    FIRST_SEGMENT,
    ROW_PIXELS,
    SEGMENT_COUNT,
    SEGMENT_LENGTH,
    TABLE_ROW,
)
from byhand.kernels.microkernel.microkernel import initial_of, tile
from byhand.kernels.microkernel.operands import A, B, C, Extent
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import Kernel, cdiv, kernel


def start_of_block(x, n, top, images, plan, worker):
    """Return where the block begins in x that has the rows of y from `top` on, of some images from n on."""
    return n * x.image_step + top * x.row_step


def make_sweep_kernel(tile: Intrinsic, load: Callable[..., int] = start_of_block) -> Kernel:
    """Return the kernel of a sweep, made with a form of the register tile; load: returns where a block of x begins.

    It may copy the block first (packed_pairs.py), in memory of the worker.
    """

    @kernel
    def sweep(x, filters, y, channels, epilogue, plan, block, worker):
        """Write the pixels of some images, or of some rows of one, for one part of the filters."""
        groups, filters_per_group, columns = channels.groups, channels.filters_per_group, channels.columns
        tiles = cdiv(filters_per_group, columns)  # of a group
        strips = cdiv(plan.grid_rows, plan.rows_per_block)  # of rows of an image
        strip, filter_part = block // plan.filter_parts, block % plan.filter_parts
        n, top = strip // strips * plan.images_per_block, strip % strips * plan.rows_per_block
        images, initial = min(plan.images_per_block, x.images - n), initial_of(epilogue)
        first_tile = filter_part * groups * tiles // plan.filter_parts
        end_tile = (filter_part + 1) * groups * tiles // plan.filter_parts
        x_start, y_start = load(x, n, top, images, plan, worker), n * y.image_step + top * y.row_step
        for p in range(plan.phases.shape[0]):
            phase = plan.phases[p]
            first, end = max(phase[FIRST_ROW], top), min(phase[END_ROW], top + plan.rows_per_block)
            if first >= end:  # the block has none of the phase's rows
                continue
            pixel = phase[FIRST_PIXEL] + (first - top - phase[TABLE_ROW]) * phase[ROW_PIXELS]
            segment = phase[FIRST_SEGMENT]
            pixels = images * (end - first) * phase[ROW_PIXELS]
            for filter_tile in range(first_tile, end_tile):
                group, t = filter_tile // tiles, filter_tile % tiles
                k = group * filters_per_group + t * columns  # the tile's first filter
                tile(
                    A(x.array, x_start + group * channels.depth, plan.a_rows[pixel:], plan.a_segments[segment:], 1),
                    B(
                        filters.array,
                        group * filters.group_step + t * filters.tile_step,
                        plan.b_segments[segment:],
                        filters.row_step,
                    ),
                    C(y.array, y_start + k, plan.c_rows[pixel:], k),
                    Extent(
                        pixels,
                        min(columns, filters_per_group - t * columns),
                        phase[SEGMENT_COUNT],
                        phase[SEGMENT_LENGTH],
                    ),
                    initial,
                    epilogue,
                )

    return sweep


sweep = make_sweep_kernel(tile)
