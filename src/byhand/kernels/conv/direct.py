"""direct: the algorithm that reads the filters where they lie, row by row of the (R, S, C / groups, K) array.

Read it first: it is the simplest. Its limit is the weights: beyond some 256 KB a tile's rows of weights lie too far apart for
the caches, and `packed` copies them.
"""

from __future__ import annotations

from byhand.kernels.conv import pointwise_weights
from byhand.kernels.conv.backward_weights import backward_weights_kernel, launch_backward_weights
from byhand.kernels.conv.operands import Channels, Filters, images_of
from byhand.kernels.conv.plan import forward_plan
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.conv.sweep import sweep
from byhand.kernels.conv.weights_plan import weights_plan
from byhand.kernels.microkernel.operands import Epilogue
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.launch import launch
from byhand.kernels.runtime.types import Array

# Bytes of weights beyond which a tile's rows miss the caches: they lie a row of all filters apart.
STRIDED_WEIGHT_BYTES = 256 * 1024

# FLOPs in the time of one weight that misses the caches.
MISS_FLOPS = 32


def applies(problem: Problem) -> bool:
    """Tell whether filters can be read as they lie: not for backward_data, which needs them transposed."""
    return not problem.shape.depthwise and problem.pass_name != "backward_data"


def cost(problem: Problem) -> float:
    """Return the FLOPs, plus those in the time of the weights that miss the caches."""
    strided = problem.shape.filters_per_group > problem.tile_columns and problem.weight_bytes > STRIDED_WEIGHT_BYTES
    strided = strided or problem.fixed_weights  # in panels, they are one stream
    misses = problem.shape.weights if strided and problem.pass_name == "forward" else 0
    return problem.tile_flops + MISS_FLOPS * misses


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch y = x convolved with weight."""
    columns = vector_unit().tile_columns(x.dtype)
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, columns, 0)
    filters = Filters(weight.reshape(-1), shape.filters_per_group, columns, shape.filters)
    plan = forward_plan(shape, len(x), x.itemsize, columns, shape.filters)
    launch(sweep, plan.blocks, images_of(x, shape.stride), filters, images_of(y), channels, epilogue, plan)


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape) -> None:
    """Launch the gradient of the filters."""
    if pointwise_weights.applies(shape, x.itemsize):
        pointwise_weights.backward_weights(x, grad_y, grad_weight, shape)
        return
    channels = Channels(shape.groups, shape.depth, shape.filters_per_group, vector_unit().tile_columns(x.dtype), 0)
    plan = weights_plan(shape, len(x), x.itemsize, channels.columns)
    operands = images_of(x, shape.stride), images_of(grad_y)
    launch_backward_weights(backward_weights_kernel, *operands, grad_weight, channels, plan)


direct = Algorithm("direct", applies, cost, forward=forward, backward_weights=backward_weights)
