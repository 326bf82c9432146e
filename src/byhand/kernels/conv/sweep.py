"""The sweep: every pixel of the output is a row of the register tile, every filter a column.

Forward and backward by data are both this sweep: over x with the filters, and over grad_y with the filters turned round
(packed.py). Images are read where they lie: no window is copied into a matrix (im2col), no image is padded.
"""

from __future__ import annotations

from byhand.kernels.conv.plan import BASE, FIRST, LAST, LENGTH, PIXEL, SEGMENT, SEGMENTS, WIDTH
from byhand.kernels.microkernel.microkernel import initial_of, tile, tile_per_tap
from byhand.kernels.microkernel.operands import A, B, C, Extent
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import Kernel, cdiv, kernel


def sweep_kernel(tile: Intrinsic) -> Kernel:
    """Return the kernel that sweeps with a form of the register tile."""

    @kernel
    def sweep(x, filters, y, channels, epilogue, plan, block):
        """Compute the pixels of some images, or of a strip of one, for a part of the filters."""
        groups, count, columns = channels.groups, channels.filters_per_group, channels.columns
        strips, tiles = cdiv(plan.grid_rows, plan.rows_per_block), cdiv(count, columns)
        strip, part = block // plan.filter_parts, block % plan.filter_parts
        n, top = strip // strips * plan.images_per_block, strip % strips * plan.rows_per_block
        images, initial = min(plan.images_per_block, x.images - n), initial_of(epilogue)
        first_unit = part * groups * tiles // plan.filter_parts
        last_unit = (part + 1) * groups * tiles // plan.filter_parts
        for p in range(plan.phases.shape[0]):
            phase = plan.phases[p]
            first, last = max(phase[FIRST], top), min(phase[LAST], top + plan.rows_per_block)
            if first >= last:
                continue
            pixel, segment = phase[PIXEL] + (first - top - phase[BASE]) * phase[WIDTH], phase[SEGMENT]
            pixels = images * (last - first) * phase[WIDTH]
            x_start, y_start = n * x.image_step + top * x.row_step, n * y.image_step + top * y.row_step
            for unit in range(first_unit, last_unit):
                group, t = unit // tiles, unit % tiles
                k = group * count + t * columns  # the tile's first filter
                channel = group * channels.depth + channels.per_column * t * columns
                tile(
                    A(x.array, x_start + channel, plan.a_rows[pixel:], plan.a_segments[segment:], 1),
                    B(
                        filters.array,
                        group * filters.group_step + t * filters.tile_step,
                        plan.b_segments[segment:],
                        filters.row_step,
                    ),
                    C(y.array, y_start + k, plan.c_rows[pixel:], k),
                    Extent(pixels, min(columns, count - t * columns), phase[SEGMENTS], phase[LENGTH]),
                    initial,
                    epilogue,
                )

    return sweep


sweep = sweep_kernel(tile)
sweep_per_channel = sweep_kernel(tile_per_tap)  # depthwise: each column reads a channel of its own
