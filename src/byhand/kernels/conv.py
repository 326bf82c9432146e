"""Convolution over the tile: forward and by data as one sweep over images, by weights as a sum over pixels (plans.py).

Nothing is unrolled into columns (im2col): where an image has padding, the strip of it that a block needs is copied into a
frame of zeros that stays in the L2 cache, else the image is read where it lies.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Any

from byhand.kernels.host import host
from byhand.kernels.kernel import kernel, launch, scratch, variant
from byhand.kernels.plans import PACKED, REUSED, Sums, Sweep, View, data_plan, forward_plan, weights_plan
from byhand.kernels.record import workers
from byhand.kernels.sums import add_up, column_sums
from byhand.kernels.tile import ADD, BIAS, ZERO, tile, tile_per_channel, tile_per_tap

SLICE = 4096  # weights that a block packs

# kernels --------------------------------------------------------------------------------------------------------------


def fill_frame(frame, start, height, width, image, place, rows, columns, channels, top, left):
    """Copy what a window of `height` x `width` at (top, left) sees of an image into a frame; 0 beyond the image's edge."""
    first, last = min(max(0, -left), width) * channels, max(0, min(width, columns - left)) * channels
    for i in range(height):
        at, p = start + i * width * channels, top + i
        row = frame[at : at + width * channels]
        if p < 0 or p >= rows or first >= last:
            for k in range(row.size):
                row[k] = 0.0
            continue
        seen = place + (p * columns + left) * channels + first
        inside, after, pixels = row[first:last], row[last:], image[seen : seen + last - first]
        for k in range(first):
            row[k] = 0.0
        for k in range(inside.size):
            inside[k] = pixels[k]
        for k in range(after.size):
            after[k] = 0.0


def _sweep(
    a, images, height, width, depth, frames, frame, origin, step, framed, together, rows, parts, grid, phases, a_rows, segments,
    length, b, b_step, columns, bias, relu, c, c_rows, c_image, c_row, groups, share, along, block, worker,
):  # fmt: skip
    """Sweep the pixels of some images, or of a strip of one."""
    strips, channels, blocks = -(-grid // rows), depth * groups, -(-share // columns)
    strip, part = block // parts, block % parts
    n, t = strip // strips * together, strip % strips * rows
    count = min(together, images - n)
    source, a_start = a, (n * height + t * step) * width * channels
    if framed:
        size = frame[0] * frame[1] * channels
        source, a_start = frames, worker * together * size
        for k in range(count):
            at, place = a_start + k * size, (n + k) * height * width * channels
            fill_frame(
                frames, at, frame[0], frame[1], a, place, height, width, channels, origin[0] + t * step, origin[1]
            )
    start = BIAS if bias.size > 0 else ZERO
    for p in range(phases.shape[0]):
        tall, wide, pixel, segment, several = phases[p, 0], phases[p, 1], phases[p, 2], phases[p, 3], phases[p, 4]
        b_start, b_group, b_block = phases[p, 5], phases[p, 6], phases[p, 7]
        pixels = count * min(tall - t, rows) * wide
        if pixels <= 0:
            continue
        for unit in range(part * groups * blocks // parts, (part + 1) * groups * blocks // parts):
            g, k = unit // blocks, unit % blocks * columns
            tile(
                source, a_start + g * depth + along * k, a_rows, pixel, pixels, segments, segment, several, length, 1,
                b, b_start + g * b_group + k // columns * b_block, length * b_step, b_step,
                c, n * c_image + t * c_row + g * share + k, c_rows, min(columns, share - k),
                start, bias, g * share + k, relu,
            )  # fmt: skip


def _sums(
    x, images, height, width, depth, frames, frame, origin, framed, together, rows, grid, a_rows, segments, length, a_step,
    stride, dy, columns, sums, c_rows, groups, share, lanes, parts, along, block, worker,
):  # fmt: skip
    """Sum up the gradient of some filters over some of the images."""
    strips, channels, filters = -(-grid // rows), depth * groups, share * groups
    chunks, lane, part = -(-images // together) * strips, block // parts, block % parts
    blocks = -(-share // columns)
    first, last = part * groups * blocks // parts, (part + 1) * groups * blocks // parts
    size = frame[0] * frame[1] * channels
    start = ZERO
    for chunk in range(lane * chunks // lanes, (lane + 1) * chunks // lanes):
        n, t = chunk // strips * together, chunk % strips * rows
        count = min(together, images - n)
        source, a_start = x, (n * height + t * stride) * width * channels
        if framed:
            source, a_start = frames, worker * together * size
            for k in range(count):
                at, place = a_start + k * size, (n + k) * height * width * channels
                fill_frame(
                    frames, at, frame[0], frame[1], x, place, height, width, channels, origin[0] + t * stride, origin[1]
                )  # fmt: skip
        several = count * min(grid - t, rows)
        for unit in range(first, last):
            g, k = unit // blocks, unit % blocks * columns
            tile(
                source, a_start + g * depth + along * k, a_rows, 0, a_rows.size, segments, 0, several, length, a_step,
                dy, (n * grid + t) * length * filters + g * share + k, length * filters, filters,
                sums, lane * a_rows.size * filters + g * share + k, c_rows, min(columns, share - k), start, sums, 0, 0,
            )  # fmt: skip
        start = ADD


sweep, sums = kernel(_sweep), kernel(_sums)
sweep_per_channel, sums_per_channel = (
    kernel(variant(_sweep, tile=tile_per_tap)),
    kernel(variant(_sums, tile=tile_per_channel)),
)


@kernel
def pack_forward(weight, packed, numbers, share, columns, block):
    """Lay a block of a group's filters out side by side: weight (numbers, K) -> (groups, blocks, numbers, columns)."""
    blocks = -(-share // columns)
    g, k = block // blocks, block % blocks * columns
    count, start = min(columns, share - k), block * numbers * columns
    for i in range(numbers):
        row, into = weight[i, g * share + k :], packed[start + i * columns :]
        for n in range(count):
            into[n] = row[n]


@kernel
def pack_by_data(weight, packed, places, groups, columns, depthwise, slices, block):
    """Turn one place of the filters round: weight[r, s] (depth, K) -> (groups, blocks, share, columns of depth)."""
    at, part = block // slices, block % slices
    r, s, start, group, step = places[at, 0], places[at, 1], places[at, 2], places[at, 3], places[at, 4]
    depth, share = weight.shape[2], weight.shape[3] // groups
    if depthwise:
        row = weight[r, s, 0]
        for k in range(row.size):
            packed[start + k] = row[k]
        return
    for g in range(groups):
        for c in range(part * depth // slices, (part + 1) * depth // slices):
            place = start + g * group + c // columns * step + c % columns
            for k in range(share):
                packed[place + k * columns] = weight[r, s, c, g * share + k]


# passes ---------------------------------------------------------------------------------------------------------------


def forward(x: Any, weight: Any, bias: Any, y: Any, view: View, relu: bool = False) -> None:
    """Write y = x convolved with weight, plus bias; with `relu`, what is negative becomes 0."""
    columns, numbers = host().columns(x.dtype), weight.size // view.filters
    packed = (
        not view.depthwise and view.share > columns and weight.nbytes > PACKED and len(x) * prod(view.output) > REUSED
    )
    plan = forward_plan(view, len(x), x.itemsize, columns, packed)
    b, b_step = weight.reshape(-1), view.filters
    if packed:
        blocks = view.groups * ceil(view.share / columns)
        b, b_step = scratch(blocks * numbers * columns, dtype=x.dtype), columns
        launch(pack_forward, blocks, weight.reshape(numbers, -1), b, numbers, view.share, columns)
    _launch_sweep(
        plan, x, b, b_step, bias, y, view.output[0], view.groups, view.depth, view.share, view.depthwise, relu
    )


def by_data(weight: Any, grad_y: Any, grad_x: Any, view: View) -> None:
    """Write the gradient of the images."""
    columns = host().columns(grad_y.dtype)
    plan, places, size = data_plan(view, len(grad_x), grad_x.itemsize, columns)
    b = scratch(size, dtype=weight.dtype)
    slices = 1 if view.depthwise else ceil(view.depth * view.filters / SLICE)
    launch(pack_by_data, len(places) * slices, weight, b, places, view.groups, columns, view.depthwise, slices)
    b_step = view.filters if view.depthwise else columns
    grid = ceil(view.image[0] / view.stride[0])
    _launch_sweep(
        plan, grad_y, b, b_step, None, grad_x, grid, view.groups, view.share, view.depth, view.depthwise, False,
        row_c=view.stride[0],
    )  # fmt: skip


def _launch_sweep(
    plan: Sweep, a: Any, b: Any, b_step: int, bias: Any, c: Any, grid: int, groups: int, depth: int, share: int,
    depthwise: bool, relu: bool, row_c: int = 1,
) -> None:  # fmt: skip
    images, height, width, channels = a.shape
    columns = host().columns(a.dtype)
    if depthwise:
        groups, depth, share = 1, channels, channels
    row = c.shape[2] * c.shape[3]
    launch(
        sweep_per_channel if depthwise else sweep, plan.blocks,
        a.reshape(-1), images, height, width, depth, _frames(plan, channels, a.dtype), plan.frame, plan.origin, plan.step,
        plan.framed, plan.together, plan.rows, plan.parts, grid, plan.phases, plan.a_rows, plan.segments, plan.length, b,
        b_step, columns, a[:0, 0, 0, 0] if bias is None else bias, relu, c.reshape(-1), plan.c_rows, c.shape[1] * row,
        row_c * row, groups, share, int(depthwise),
    )  # fmt: skip


def _frames(plan: Sweep | Sums, channels: int, dtype: Any) -> Any:
    """Return memory for what a block reads, for each thread."""
    size = plan.together * plan.frame[0] * plan.frame[1] * channels if plan.framed else 0
    return scratch(workers() * size, dtype=dtype)


def by_weights(x: Any, grad_y: Any, grad_weight: Any, view: View) -> None:
    """Write the gradient of the filters."""
    columns = host().columns(x.dtype)
    plan = weights_plan(view, len(x), x.itemsize, columns)
    groups, depth, share_ = (
        (1, view.channels, view.channels) if view.depthwise else (view.groups, view.depth, view.share)
    )
    total = grad_weight.reshape(-1)
    sums_of = total if plan.lanes == 1 else scratch(plan.lanes * total.size, dtype=x.dtype)
    launch(
        sums_per_channel if view.depthwise else sums, plan.lanes * plan.parts,
        x.reshape(-1), len(x), *x.shape[1:3], depth, _frames(plan, view.channels, x.dtype), plan.frame,
        (-view.padding[0], -view.padding[2]), plan.framed, plan.together, plan.rows, view.output[0], plan.a_rows,
        plan.segments, view.output[1], view.stride[1] * view.channels, view.stride[0], grad_y.reshape(-1), columns, sums_of,
        plan.c_rows, groups, share_, plan.lanes, plan.parts, int(view.depthwise),
    )  # fmt: skip
    if plan.lanes > 1:
        add_up(sums_of.reshape(plan.lanes, -1), total)


def by_bias(grad_y: Any, grad_bias: Any) -> None:
    """Write the gradient of the bias: grad_y summed over all but its last axis."""
    column_sums(grad_y.reshape(-1, grad_y.shape[-1]), grad_bias)
