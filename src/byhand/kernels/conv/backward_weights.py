"""Backward by weights: each position of a filter is a row of the register tile, the pixels of an image row are a segment.

    grad_weight[r, s, c, k] = sum over n, i, j of  x[n, p, q, c] * grad_y[n, i, j, k]

The batch is cut into a fixed number of parts, each with a sum of its own, and these are added in order: the bits do not depend
on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

from byhand.kernels.conv.operands import Channels, images_of
from byhand.kernels.conv.plan import BASE, FIRST, LAST, POSITION, POSITIONS, SEGMENT, WIDTH, weights_plan
from byhand.kernels.conv.problem import ConvShape
from byhand.kernels.microkernel.microkernel import fetch, no_epilogue, tile, tile_per_channel
from byhand.kernels.microkernel.operands import ADD, ZERO, A, B, C, Extent
from byhand.kernels.reductions import add_up
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import Kernel, cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.types import Array


class Partials(NamedTuple):
    """Sums over parts of the batch, one after the other, `size` numbers each."""

    array: Array
    size: int


def sums_kernel(tile: Intrinsic) -> Kernel:
    """Return the kernel that sums with a form of the register tile."""

    @kernel
    def sums(x, grad_y, partials, channels, plan, block):
        """Sum up the gradient of some filters over one part of the batch."""
        groups, count, columns = channels.groups, channels.filters_per_group, channels.columns
        strips, tiles, filters = cdiv(plan.grid_rows, plan.rows_per_chunk), cdiv(count, columns), groups * count
        chunks = cdiv(x.images, plan.images_per_chunk) * strips
        batch_part, part = block // plan.filter_parts, block % plan.filter_parts
        total, end = batch_part * partials.size, (batch_part + 1) * partials.size
        units = range(
            part * groups * tiles // plan.filter_parts,
            (part + 1) * groups * tiles // plan.filter_parts,
        )
        initial = ZERO if writes_all(plan, filters, partials.size) else ADD
        for unit in units if initial == ADD else range(0):
            k = unit // tiles * count + unit % tiles * columns
            for at in range(total + k, end, filters):
                row = partials.array[at : at + min(columns, count - unit % tiles * columns)]
                for i in range(row.size):
                    row[i] = 0.0
        for chunk in range(batch_part * chunks // plan.batch_parts, (batch_part + 1) * chunks // plan.batch_parts):
            n, top = chunk // strips * plan.images_per_chunk, chunk % strips * plan.rows_per_chunk
            images = min(plan.images_per_chunk, x.images - n)
            x_start, y_start = n * x.image_step + top * x.row_step, n * grad_y.image_step + top * grad_y.row_step
            if tiles > 1:  # each unit reads a part of every pixel
                x_size = images * x.image_step if plan.images_per_chunk > 1 else plan.rows_per_chunk * x.row_step
                y_size = images * min(plan.rows_per_chunk, plan.grid_rows - top) * grad_y.row_step
                fetch(grad_y.array, y_start, y_start + y_size)
                fetch(x.array, x_start, x_start + x_size)
            for unit in units:
                group, t = unit // tiles, unit % tiles
                k = group * count + t * columns
                channel = group * channels.depth + channels.per_column * t * columns
                for p in range(plan.phases.shape[0]):
                    phase = plan.phases[p]
                    first, last = max(phase[FIRST], top), min(phase[LAST], top + plan.rows_per_chunk)
                    if first >= last:
                        continue
                    position, segment = phase[POSITION], phase[SEGMENT] + first - top - phase[BASE]
                    tile(
                        A(x.array, x_start + channel, plan.a_rows[position:], plan.a_segments[segment:], x.pixel_step),
                        B(grad_y.array, y_start + k, plan.b_segments[segment:], filters),
                        C(partials.array, total + k, plan.c_rows[position:], 0),
                        Extent(
                            phase[POSITIONS],
                            min(columns, count - t * columns),
                            images * (last - first),
                            phase[WIDTH],
                        ),
                        initial,
                        no_epilogue(partials.array),
                    )
            initial = ADD

    return sums


def writes_all(plan, filters, size):
    """Tell whether the first chunk writes every sum: one phase, that has every row and every position."""
    if plan.phases.shape[0] != 1:
        return False
    phase = plan.phases[0]
    return phase[FIRST] == 0 and phase[LAST] == plan.grid_rows and phase[POSITIONS] * filters == size


sums = sums_kernel(tile)
sums_per_channel = sums_kernel(tile_per_channel)  # depthwise: each column reads a channel of its own


def sum_pixels(
    kernel: Kernel, x: Array, grad_y: Array, grad_weight: Array, channels: Channels, shape: ConvShape
) -> None:
    """Launch the gradient of the filters with one of the kernels."""
    plan = weights_plan(shape, len(x), x.itemsize, channels.columns)
    total = grad_weight.reshape(-1)
    sums_of = total if plan.batch_parts == 1 else scratch(plan.batch_parts * total.size, dtype=x.dtype)
    images, grads, partials = images_of(x, shape.stride), images_of(grad_y), Partials(sums_of, total.size)
    launch(kernel, plan.batch_parts * plan.filter_parts, images, grads, partials, channels, plan)
    if plan.batch_parts > 1:
        add_up(sums_of.reshape(plan.batch_parts, -1), total)
