"""direct: the filters are read where they lie, row by row of the (R, S, C / groups, K) array.

The algorithm to begin with. Its limit is the weights: beyond some 256 KB, rows of filters lie too far apart for the caches, and
`packed` lays them out anew.
"""

from __future__ import annotations

from byhand.kernels.conv.backward_weights import sum_pixels, sums
from byhand.kernels.conv.operands import Channels, Filters, images_of
from byhand.kernels.conv.plan import forward_plan
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.conv.sweep import sweep
from byhand.kernels.microkernel.operands import Epilogue
from byhand.kernels.runtime.cpu import host
from byhand.kernels.runtime.launch import launch
from byhand.kernels.runtime.types import Array

# Bytes of weights beyond which a tile's rows miss the caches: they lie a row of all filters apart.
STRIDED_WEIGHT_BYTES = 256 * 1024

# FLOPs in the time of one weight that misses the caches.
MISS_FLOPS = 32


def applies(problem: Problem) -> bool:
    """Tell whether a problem can be computed with filters as they lie: by data they have to be turned round."""
    return not problem.shape.depthwise and problem.direction != "backward_data"


def cost(problem: Problem) -> float:
    """Return the work, and the weights that miss the caches."""
    strided = problem.shape.filters_per_group > problem.tile_columns and problem.weight_bytes > STRIDED_WEIGHT_BYTES
    misses = problem.shape.weights if strided and problem.direction == "forward" else 0
    return problem.tile_flops + MISS_FLOPS * misses


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch y = x convolved with weight."""
    columns = host().columns(x.dtype)
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, columns, 0)
    filters = Filters(weight.reshape(-1), shape.filters_per_group, columns, shape.filters)
    plan = forward_plan(shape, len(x), x.itemsize, columns, shape.filters)
    launch(sweep, plan.blocks, images_of(x, shape.stride), filters, images_of(y), channels, epilogue, plan)


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape) -> None:
    """Launch the sum over all pixels that each filter saw."""
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, host().columns(x.dtype), 0)
    sum_pixels(sums, x, grad_y, grad_weight, channels, shape)


direct = Algorithm("direct", applies, cost, forward=forward, backward_weights=backward_weights)
