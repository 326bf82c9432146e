"""bfloat16: the algorithm that rounds both factors of each product to 16 bits; the CPU then multiplies twice as many at once.

    y[n, i, j, k] = sum over r, s, c of  b(x[n, p, q, c]) * b(weight[r, s, c, k])

b rounds a float32 to the nearest bfloat16, which has 8 bits of precision in place of 24. Products are exact, sums are float32,
and so are all arrays: x, y, weights, gradients. It is taken where `precision="bf16"` is asked for (algorithm.py), and a CPU
has the instruction vdpbf16ps (AVX512_BF16: Cooper Lake, Sapphire Rapids, Zen 4 and later); never unasked.

The kernels are those of float32, sweep.py and backward_weights.py, with another form of the register tile. It multiplies
words of two numbers each, in which images and filters are packed (packed_pairs.py).

Accuracy: rounding changes a factor by 2**-8 of itself at most, so a product by 2**-7, and a sum by 2**-7 (0.8 %) of the sum of
its products' absolute values. This bound holds for all numbers up to 3e38. Where products cancel, the sum itself may be smaller
than the bound. For factors from a normal distribution, the largest error is 1e-3 to 4e-3 of the largest result, measured
against float64.

An odd last pixel of grad_y is paired with 0, and padding is packed as zeros. So of a NaN or an infinity in an image,
backward_weights makes NaN in more weights than float32 does.
"""

from __future__ import annotations

from math import ceil, gcd, inf, prod

from byhand.kernels.conv.backward_weights import launch_backward_weights, make_backward_weights_kernel
from byhand.kernels.conv.operands import Channels, Filters, images_of
from byhand.kernels.conv.packed_pairs import (
    PACK_BLOCK_ELEMENTS,
    ChannelPairs,
    PairedFilters,
    PixelPairs,
    RowSpan,
    load_block,
    load_chunk,
    pack_filters,
    pack_filters_transposed,
    paired_images,
    row_span,
)
from byhand.kernels.conv.pixel_runs import backward_data_runs, forward_runs
from byhand.kernels.conv.plan import SweepPlan, backward_data_plan, forward_plan
from byhand.kernels.conv.problem import BF16, Algorithm, ConvShape, Problem
from byhand.kernels.conv.sweep import make_sweep_kernel
from byhand.kernels.conv.weights_plan import weights_plan
from byhand.kernels.microkernel.microkernel import no_epilogue, tile_bfloat16
from byhand.kernels.microkernel.operands import Epilogue
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import prepared, scratch_workers
from byhand.kernels.runtime.types import Array

# Parts of the filters for which the same chunk is packed again: with more, it is packed first.
MAX_PACKINGS_OF_CHUNK = 2

# Pixels of a row into which a 1x1 convolution's are put together: a few tiles' work, which stays in the L1 cache.
MAX_ROW_PIXELS = 512

# Time of backward_weights with a single vector of columns, over that of half of the float32 FLOPs: its few rows are no whole
# tiles.
SINGLE_VECTOR_SLOWDOWN = 1.4

# FLOPs in the time of rounding one element of an image, and, of an odd number of channels, one pixel more.
ROUND_FLOPS = 16
ODD_PIXEL_FLOPS = 350

# FLOPs in the time of packing one weight, and one that is transposed.
PACK_FLOPS = 12
PACK_TRANSPOSED_FLOPS = 48

sweep_bfloat16 = make_sweep_kernel(tile_bfloat16, load_block)
backward_weights_bfloat16 = make_backward_weights_kernel(tile_bfloat16, load_chunk)


def applies(problem: Problem) -> bool:
    """Tell whether the CPU multiplies bfloat16 numbers, and groups are large enough for pairs."""
    shape = problem.shape
    pairs = shape.groups == 1 or min(shape.depth, shape.filters_per_group) > 2
    return vector_unit().bfloat16 and problem.itemsize == 4 and pairs


def cost(problem: Problem) -> float:
    """Return half of the FLOPs, plus those in the time of rounding and packing; infinite where float32 is asked for."""
    if problem.precision != BF16:
        return inf
    shape = problem.shape
    if problem.matrix and problem.fixed_weights:  # bound by the reading of the weights, which are half as many bytes
        return problem.flops / 2
    x, y = problem.images * prod(shape.image) * shape.channels, problem.pixels * shape.filters
    depth, filters = shape.depth, shape.filters_per_group
    summed, columns, rounded, packing = {
        "forward": (depth, filters, x, PACK_FLOPS),
        "backward_data": (filters, depth, y, PACK_TRANSPOSED_FLOPS),
        "backward_weights": (_flat_pixels(shape, problem.images)[1].output[1], filters, x + y, 0),
    }[problem.pass_name]
    odd_pixels = rounded // summed if summed % 2 and problem.pass_name != "backward_weights" else 0
    packed = 0 if problem.fixed_weights else packing * shape.weights
    products = problem.tile_flops * ceil(summed / 2) / summed
    if problem.pass_name == "backward_weights" and columns <= problem.tile_columns // 2:
        products *= SINGLE_VECTOR_SLOWDOWN
    return products + ROUND_FLOPS * rounded + ODD_PIXEL_FLOPS * odd_pixels + packed


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch y = x convolved with weight."""
    half, columns = ceil(shape.depth / 2), vector_unit().tile_columns(x.dtype)
    plan = forward_plan(shape._replace(depth=half), len(x), x.itemsize, columns, columns)
    rows = row_span(forward_runs(shape)[0], shape.stride[0])
    images = paired_images(x, ChannelPairs(shape.depth), shape.stride, rows, _block_of(plan))
    channels, filters = Channels(shape.groups, half, shape.filters_per_group, columns, 0), _packed(weight, shape)
    launch(sweep_bfloat16, plan.blocks, images, filters, images_of(y), channels, epilogue, plan)


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape) -> None:
    """Launch grad_x = grad_y convolved with the transposed filters."""
    half, columns = ceil(shape.filters_per_group / 2), vector_unit().tile_columns(grad_y.dtype)
    plan = backward_data_plan(shape._replace(filters_per_group=half), len(grad_x), grad_x.itemsize, columns)
    rows, pairing = row_span(backward_data_runs(shape)[0], 1), ChannelPairs(shape.filters_per_group)
    images = paired_images(grad_y, pairing, (1, 1), rows, _block_of(plan))
    channels, filters = Channels(shape.groups, half, shape.depth, columns, 0), _packed(weight, shape, transposed=True)
    grads, nothing = images_of(grad_x, shape.stride), no_epilogue(grad_x.reshape(-1)[:0])
    launch(sweep_bfloat16, plan.blocks, images, filters, grads, channels, nothing, plan)


def _block_of(plan: SweepPlan) -> tuple[int, int] | None:
    """Return the images and rows that a block packs; None: several blocks read the same ones."""
    return (plan.images_per_block, plan.rows_per_block) if plan.filter_parts == 1 else None


def _packed(weight: Array, shape: ConvShape, *, transposed: bool = False) -> Filters:
    """Return the filters in panels: packed now, or once where they do not change."""
    taps, columns = prod(shape.kernel), vector_unit().tile_columns(weight.dtype)
    summed, wide = shape.depth, shape.filters_per_group
    if transposed:
        summed, wide = wide, summed
    tiles, pairs = ceil(wide / columns), ceil(summed / 2)
    tile_step = taps * pairs * columns

    def fill(panels: Array) -> None:
        tap_elements = shape.depth * shape.filters
        parts = min(ceil(tap_elements / PACK_BLOCK_ELEMENTS), shape.depth)
        filters = PairedFilters(
            weight.reshape(-1), panels, taps, shape.depth, shape.groups, shape.filters_per_group, columns, parts
        )
        if transposed:
            rows = scratch(scratch_workers() * pairs, dtype=weight.dtype)
            launch(pack_filters_transposed, taps * parts, filters, rows)
        else:
            launch(pack_filters, taps * parts, filters)

    name = "pairs", shape.kernel, shape.depth, shape.groups, shape.filters, transposed
    panels = prepared(name, (weight,), shape.groups * tiles * tile_step, fill)
    return Filters(panels, tiles * tile_step, tile_step, columns)


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape) -> None:
    """Launch the gradient of the filters."""
    images, shape = _flat_pixels(shape, len(x))
    x, grad_y = x.reshape(images, *shape.image, -1), grad_y.reshape(images, *shape.output, -1)
    (row_stride, stride), dilation, taps = shape.stride, shape.dilation[1], shape.kernel[1]
    pairs, columns = ceil(shape.output[1] / 2), vector_unit().tile_columns(x.dtype)
    # One tap needs one word for each pair of outputs. Several taps share the words that begin at each pixel.
    pixels_per_word, words_per_pair = (2 * stride, 1) if taps == 1 else (1, 2 * stride)
    words = (pairs - 1) * words_per_pair + (taps - 1) * dilation + 1
    pair_shape = shape._replace(
        image=(shape.image[0], words),
        output=(shape.output[0], pairs),
        stride=(row_stride, words_per_pair),
        padding=(*shape.padding[:2], 0, 0),
    )
    plan = weights_plan(pair_shape, len(x), x.itemsize, columns)
    packed_first = plan.filter_parts > MAX_PACKINGS_OF_CHUNK
    block = None if packed_first else (plan.images_per_chunk, plan.rows_per_chunk)
    x_rows, pairing = (
        row_span(forward_runs(shape)[0], row_stride),
        PixelPairs(words, -shape.padding[2], pixels_per_word, stride),
    )
    paired_x = paired_images(x, pairing, pair_shape.stride, x_rows, block)
    paired_grad = paired_images(grad_y, PixelPairs(pairs, 0, 2, 1), (1, 1), RowSpan(1, 0, 0), block)
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, columns, 0)
    launch_backward_weights(backward_weights_bfloat16, paired_x, paired_grad, grad_weight, channels, plan)


def _flat_pixels(shape: ConvShape, images: int) -> tuple[int, ConvShape]:
    """Return a batch (images, shape) of the same pixels in longer rows, where each pixel of y is one of x; else the same.

    All pixels are one row, or rows of the same power of 2. So a matrix product, whose images are one pixel wide, has pairs too.
    """
    pixels = images * prod(shape.output)
    width = pixels if pixels <= MAX_ROW_PIXELS else gcd(pixels, MAX_ROW_PIXELS)
    pointwise = prod(shape.kernel) == prod(shape.stride) == 1 and shape.image == shape.output and not any(shape.padding)
    if not pointwise or width <= shape.output[1]:
        return images, shape
    return pixels // width, shape._replace(image=(1, width), output=(1, width))


bfloat16 = Algorithm(
    "bfloat16",
    applies,
    cost,
    forward=forward,
    backward_data=backward_data,
    backward_weights=backward_weights,
    error=2.0**-7,
)
