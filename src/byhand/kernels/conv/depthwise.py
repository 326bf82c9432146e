"""depthwise: the algorithm for one filter per channel, row by row of the output.

    y[n, i, j, c] = sum over r, s of  x[n, p, q, c] * weight[r, s, 0, c]
    with  p = i * stride + r * dilation - padding,  q = j * stride + s * dilation - padding

A depthwise convolution is no matrix product: no element of x serves two filters. So a row of output pixels is computed for
a vector of channels at a time (microkernel/depthwise_row.py): a loaded weight serves neighboring pixels, and so does a loaded
element of x. Rows and columns are cut into runs of pixels that see the same taps (pixel_runs.py), so that padding is neither
read nor copied.

backward_data is the same sum over grad_y, with the filter read in reverse. With a stride, the pixels of grad_x that lie a
stride apart see the same taps: each of these interleaved grids has runs of its own.
"""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import NamedTuple

from byhand.kernels.conv.backward_weights import backward_weights_per_channel, launch_backward_weights
from byhand.kernels.conv.operands import Channels, images_of
from byhand.kernels.conv.pixel_runs import PixelRun, backward_data_runs, forward_runs
from byhand.kernels.conv.plan import table
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.conv.weights_plan import weights_plan
from byhand.kernels.microkernel.depthwise_row import OVERLAPPING, PixelRow, WindowTaps, depthwise_row
from byhand.kernels.microkernel.microkernel import initial_of, no_epilogue
from byhand.kernels.microkernel.operands import Epilogue
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch
from byhand.kernels.runtime.types import Array, Indices

# FLOPs of a block, at least: a microsecond's work, more than the taking of a block.
MIN_BLOCK_FLOPS = 200_000

# Strips into which the rows of few images are cut, at most: enough for the threads of a laptop to end at the same time.
MAX_STRIPS = 8

# Columns of the tables of runs, as in a PixelRun.
#   FIRST, END            its pixels of the grid, the last excluded
#   PHASE                 where pixel 0 of the grid lies in the output
#   TAPS                  how many taps its pixels see
#   FIRST_TAP, TAP_STEP   the number of the first of them, and the step to the next
#   X_FIRST, X_STEP       the pixel of x that pixel 0 of the grid sees through the first, and the step to the next
FIRST, END, PHASE, TAPS, FIRST_TAP, TAP_STEP, X_FIRST, X_STEP = range(8)


class Grid(NamedTuple):
    """The rows, or the columns, of pixels that a sweep visits: steps in x and y to the next, sizes, taps of the window."""

    x_step: int
    y_step: int
    x_size: int
    y_size: int
    pixels: int
    taps: int


class DepthwisePlan(NamedTuple):
    """The plan of a depthwise sweep: its runs of pixels, and the size of its blocks.

    A block is images_per_block images, or rows_per_block rows of the grid of one image. y_offsets: of the pixels of a row of
    the grid, in y. form: of the window (microkernel/depthwise_row.py).
    """

    row_runs: Indices
    column_runs: Indices
    y_offsets: Indices
    form: int
    rows: Grid
    columns: Grid
    channels: int
    images_per_block: int
    rows_per_block: int
    blocks: int


def applies(problem: Problem) -> bool:
    """Tell whether each channel has one filter of its own."""
    return problem.shape.depthwise


def cost(problem: Problem) -> float:
    """Return the FLOPs."""
    return problem.flops


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch y = x convolved with weight."""
    plan = depthwise_plan("forward", shape, len(x))
    launch(depthwise_sweep, plan.blocks, x.reshape(-1), weight.reshape(-1), y.reshape(-1), epilogue, len(x), plan)


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape) -> None:
    """Launch the sweep of grad_x."""
    plan = depthwise_plan("backward_data", shape, len(grad_x))
    arrays = (array.reshape(-1) for array in (grad_y, weight, grad_x))
    launch(depthwise_sweep, plan.blocks, *arrays, no_epilogue(grad_x.reshape(-1)[:0]), len(grad_x), plan)


@kernel
def depthwise_sweep(x, weight, y, epilogue, images, plan, block):
    """Write the rows of y of a block."""
    channels, rows, columns, initial = plan.channels, plan.rows, plan.columns, initial_of(epilogue)
    strips = cdiv(rows.pixels, plan.rows_per_block)  # of an image
    first_image, top = block // strips * plan.images_per_block, block % strips * plan.rows_per_block
    for n in range(first_image, min(images, first_image + plan.images_per_block)):
        for p in range(plan.row_runs.shape[0]):
            run = plan.row_runs[p]
            for i in range(max(run[FIRST], top), min(run[END], top + plan.rows_per_block)):
                x_row = (n * rows.x_size + i * rows.x_step + run[X_FIRST]) * columns.x_size
                y_row = (n * rows.y_size + i * rows.y_step + run[PHASE]) * columns.y_size
                for q in range(plan.column_runs.shape[0]):
                    across = plan.column_runs[q]
                    tap = run[FIRST_TAP] * columns.taps + across[FIRST_TAP]
                    depthwise_row(
                        x,
                        weight,
                        y,
                        PixelRow(
                            x_row * channels,
                            across[FIRST] * columns.x_step + across[X_FIRST],
                            columns.x_size,
                            columns.x_step,
                            (y_row + across[FIRST] * columns.y_step + across[PHASE]) * channels,
                            columns.y_step,
                            plan.y_offsets,
                            across[END] - across[FIRST],
                            channels,
                        ),
                        WindowTaps(
                            plan.form,
                            run[TAPS],
                            across[TAPS],
                            run[X_STEP] * columns.x_size * channels,
                            across[X_STEP],
                            tap * channels,
                            run[TAP_STEP] * columns.taps * channels,
                            across[TAP_STEP] * channels,
                        ),
                        initial,
                        epilogue,
                    )


@cache
def depthwise_plan(pass_name: str, shape: ConvShape, images: int) -> DepthwisePlan:
    """Return the plan of y, or of grad_x."""
    if pass_name == "forward":
        row_runs, column_runs = forward_runs(shape)
        rows, columns = (
            Grid(stride, 1, x_size, y_size, y_size, taps)
            for stride, x_size, y_size, taps in zip(shape.stride, shape.image, shape.output, shape.kernel)
        )
    else:
        row_runs, column_runs = backward_data_runs(shape)
        rows, columns = (
            Grid(1, stride, x_size, y_size, ceil(y_size / stride), taps)
            for stride, x_size, y_size, taps in zip(shape.stride, shape.output, shape.image, shape.kernel)
        )
    form, column_runs = _overlapping(column_runs, columns)
    rows_wanted = ceil(MIN_BLOCK_FLOPS / max(1, 2 * columns.y_size * shape.weights))
    rows_per_block = max(ceil(rows.pixels / max(1, MAX_STRIPS // images)), rows_wanted)
    images_per_block = max(1, min(images, rows_per_block // rows.pixels))
    rows_per_block = min(rows_per_block, rows.pixels)
    return DepthwisePlan(
        row_runs=_table(row_runs),
        column_runs=_table(column_runs),
        y_offsets=table([i * columns.y_step * shape.channels for i in range(columns.pixels)]),
        form=form,
        rows=rows,
        columns=columns,
        channels=shape.channels,
        images_per_block=images_per_block,
        rows_per_block=rows_per_block,
        blocks=ceil(images / images_per_block) * ceil(rows.pixels / rows_per_block),
    )


def _overlapping(runs: list[PixelRun], columns: Grid) -> tuple[int, list[PixelRun]]:
    """Return the form of the window; where it is not 0, all pixels of a row are one run, which sees all taps."""
    window = columns.taps, columns.x_step
    taps = max((run.taps for run in runs), key=len)
    if window not in OVERLAPPING or len(taps) < columns.taps or columns.y_step > 1 or taps[1][1] - taps[0][1] != 1:
        return 0, runs
    before, last_pixel = -taps[0][1], (columns.pixels - 1) * columns.x_step
    after = last_pixel + taps[-1][1] + 1 - columns.x_size
    if max(before, after) > columns.taps // 2:
        return 0, runs
    return OVERLAPPING.index(window) + 1, [PixelRun(0, 0, columns.pixels, taps)]


def _table(runs: list[PixelRun]) -> Indices:
    """Return runs as a table; those that see no tap have zeros."""
    rows = []
    for run in runs:
        (tap, pixel), (next_tap, next_pixel) = (*run.taps, *run.taps[-1:], (0, 0), (0, 0))[:2]
        steps = next_tap - tap, next_pixel - pixel
        rows.append([run.first, run.end, run.phase, len(run.taps), tap, steps[0], pixel, steps[1]])
    return table(rows, 8)


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape) -> None:
    """Launch the gradient of the filters: all channels are one group, in which each column reads its own channel."""
    channels = Channels(1, shape.channels, shape.channels, vector_unit().tile_columns(x.dtype), 1)
    plan = weights_plan(shape, len(x), x.itemsize, channels.columns)
    operands = images_of(x, shape.stride), images_of(grad_y)
    launch_backward_weights(backward_weights_per_channel, *operands, grad_weight, channels, plan)


depthwise = Algorithm("depthwise", applies, cost, forward, backward_data, backward_weights)
