"""bfloat16: the algorithm that rounds both factors of each product to 16 bits, and multiplies twice as many at once.

Draft.
"""

from __future__ import annotations

from math import ceil, prod

import numpy as np

from byhand.kernels.conv.backward_weights import launch_backward_weights, make_backward_weights_kernel
from byhand.kernels.conv.operands import Channels, Filters, images_of
from byhand.kernels.conv.plan import backward_data_plan, forward_plan
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.conv.sweep import make_sweep_kernel
from byhand.kernels.microkernel.microkernel import no_epilogue, tile_bfloat16
from byhand.kernels.microkernel.operands import Epilogue
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.types import Array

BLOCK_ELEMENTS = 16384
sweep_bfloat16 = make_sweep_kernel(tile_bfloat16)
backward_weights_bfloat16 = make_backward_weights_kernel(tile_bfloat16)


def applies(problem: Problem) -> bool:
    return not problem.shape.depthwise and problem.itemsize == 4


def cost(problem: Problem) -> float:
    return float("inf")


def pairs_of(x: Array, channels: int) -> Array:
    """Return images whose channels are rounded to bfloat16, in pairs: (pixels, groups, ceil(channels / 2)) words."""
    half, rows = ceil(channels / 2), x.size // channels
    words = scratch(rows * half, dtype=np.float32)
    block = max(1, BLOCK_ELEMENTS // channels)
    if channels % 2 == 0:
        launch(
            round_all,
            cdiv(x.size, BLOCK_ELEMENTS),
            x.reshape(-1).view(np.uint32),
            words.view(np.uint16),
            BLOCK_ELEMENTS,
        )
    else:
        launch(
            round_rows, cdiv(rows, block), x.reshape(-1).view(np.uint32), words.view(np.uint16), channels, rows, block
        )
    return words


def rounded(bits):
    """Return the bits of the bfloat16 nearest to a float32, as the low half of a word."""
    if bits & 0x7FFFFFFF > 0x7F800000:
        return bits >> 16 | 64
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


@kernel
def round_all(x, out, size, block):
    first, end = block * size, min((block + 1) * size, x.size)
    source, target = x[first:end], out[first:end]
    for i in range(source.size):
        target[i] = rounded(source[i])


@kernel
def round_rows(x, out, channels, rows, size, block):
    for row in range(block * size, min((block + 1) * size, rows)):
        source, target = (
            x[row * channels : (row + 1) * channels],
            out[row * (channels + 1) : (row + 1) * (channels + 1)],
        )
        for i in range(channels):
            target[i] = rounded(source[i])
        target[channels] = 0


@kernel
def pack_pairs(weight, panels, taps, depth, groups, columns, transposed, block):
    """Pack the filters of one tap: (taps, depth, K) -> (groups, tiles, taps, pairs, columns) of pairs."""
    filters = weight.size // (taps * depth)
    per_group = filters // groups
    length, wide = (per_group, depth) if transposed else (depth, per_group)  # what is summed over, what is side by side
    half, tiles = cdiv(length, 2), cdiv(wide, columns)
    tap = taps - 1 - block if transposed else block
    for g in range(groups):
        for t in range(tiles):
            start = 2 * (((g * tiles + t) * taps + tap) * half) * columns
            for i in range(2 * half):
                for n in range(columns):
                    inner, outer = i, t * columns + n
                    at = start + (i // 2 * columns + n) * 2 + i % 2
                    if inner >= length or outer >= wide:
                        panels[at] = 0
                        continue
                    c, k = (outer, inner) if transposed else (inner, outer)
                    panels[at] = rounded(weight[(block * depth + c) * filters + g * per_group + k])


def _sweep(a, weight, c, epilogue, shape, plan_of, transposed):
    columns, taps = vector_unit().tile_columns(a.dtype), prod(shape.kernel)
    length, wide = (shape.filters_per_group, shape.depth) if transposed else (shape.depth, shape.filters_per_group)
    half, tiles = ceil(length / 2), ceil(wide / columns)
    words = pairs_of(a, length).reshape(*a.shape[:3], shape.groups * half)
    tile_step = taps * half * columns
    panels = scratch(shape.groups * tiles * tile_step, dtype=np.float32)
    launch(
        pack_pairs,
        taps,
        weight.reshape(-1).view(np.uint32),
        panels.view(np.uint16),
        taps,
        shape.depth,
        shape.groups,
        columns,
        transposed,
    )
    filters = Filters(panels, tiles * tile_step, tile_step, columns)
    channels = Channels(shape.groups, half, wide, columns, 0)
    plan = plan_of(half)
    launch(
        sweep_bfloat16,
        plan.blocks,
        images_of(words, (1, 1) if transposed else shape.stride),
        filters,
        images_of(c, shape.stride if transposed else (1, 1)),
        channels,
        epilogue,
        plan,
    )


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    columns = vector_unit().tile_columns(x.dtype)
    _sweep(
        x,
        weight,
        y,
        epilogue,
        shape,
        lambda half: forward_plan(shape._replace(depth=half), len(x), 4, columns, columns),
        False,
    )


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape) -> None:
    columns = vector_unit().tile_columns(grad_y.dtype)
    nothing = no_epilogue(grad_x.reshape(-1)[:0])
    _sweep(
        grad_y,
        weight,
        grad_x,
        nothing,
        shape,
        lambda half: backward_data_plan(shape._replace(filters_per_group=half), len(grad_x), 4, columns),
        True,
    )


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape) -> None:
    """Launch the gradient of the filters: a sum over pixels, so that two neighboring pixels of a row make a pair.

    Each tap of a row sees pairs of its own: x is packed once for each, side by side. Packed so, it is a convolution without
    padding along rows, whose filter has a dilation of a packed row.
    """
    taps, pairs = shape.kernel[1], ceil(shape.output[1] / 2)
    packed_x = pixel_pairs(x, taps, pairs, shape.stride[1], shape.dilation[1], -shape.padding[2])
    packed_grad = pixel_pairs(grad_y, 1, pairs, 1, 1, 0)
    packed_shape = shape._replace(
        image=(shape.image[0], taps * pairs),
        output=(shape.output[0], pairs),
        stride=(shape.stride[0], 1),
        padding=(*shape.padding[:2], 0, 0),
        dilation=(shape.dilation[0], pairs),
    )
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, vector_unit().tile_columns(x.dtype), 0)
    launch_backward_weights(backward_weights_bfloat16, packed_x, packed_grad, grad_weight, channels, packed_shape)


def pixel_pairs(x: Array, taps: int, pairs: int, stride: int, dilation: int, first: int) -> Array:
    """Return rows of images as pairs of bfloat16 pixels, for each tap of a row: (N, H, taps * pairs, C) words.

    Pair p of tap s: the pixels first + s * dilation + 2 * p * stride, and a stride after it; 0 beyond the edges.
    """
    n, height, width, channels = x.shape
    words = scratch(n, height, taps * pairs, channels, dtype=np.float32)
    rows = max(1, BLOCK_ELEMENTS // (2 * pairs * channels * taps))
    launch(
        pack_pixels,
        cdiv(n * height, rows),
        x.reshape(-1).view(np.uint32),
        words.reshape(-1).view(np.uint32),
        n * height,
        width,
        channels,
        taps,
        pairs,
        stride,
        dilation,
        first,
        rows,
    )
    return words


@kernel
def pack_pixels(x, words, height, width, channels, taps, pairs, stride, dilation, first, rows, block):
    for row in range(block * rows, min((block + 1) * rows, height)):
        for s in range(taps):
            for p in range(pairs):
                q = first + s * dilation + 2 * p * stride
                start = ((row * taps + s) * pairs + p) * channels
                out = words[start : start + channels]
                low, high = 0 <= q < width, 0 <= q + stride < width
                left = x[(row * width + q) * channels : (row * width + q + 1) * channels] if low else x[:0]
                right = (
                    x[(row * width + q + stride) * channels : (row * width + q + stride + 1) * channels]
                    if high
                    else x[:0]
                )
                if low and high:
                    for c in range(channels):
                        out[c] = rounded(left[c]) | rounded(right[c]) << 16
                elif low:
                    for c in range(channels):
                        out[c] = rounded(left[c])
                elif high:
                    for c in range(channels):
                        out[c] = rounded(right[c]) << 16
                else:
                    for c in range(channels):
                        out[c] = 0


bfloat16 = Algorithm(
    "bfloat16", applies, cost, forward=forward, backward_data=backward_data, backward_weights=backward_weights
)
