"""depthwise: the algorithm for one filter per channel, in which each column of the register tile reads its own channel.

A depthwise convolution is no matrix product: no element of x serves two filters. It is bound by memory, and its blocks are
small, so that the lines of a pixel are still in the L1 cache when the next tile reads other channels of it.
"""

from __future__ import annotations

from byhand.kernels.conv.backward_weights import backward_weights_per_channel, launch_backward_weights
from byhand.kernels.conv.operands import Channels, Filters, images_of
from byhand.kernels.conv.plan import backward_data_plan, forward_plan
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.conv.sweep import sweep_per_channel
from byhand.kernels.conv.weights_plan import weights_plan
from byhand.kernels.microkernel.microkernel import no_epilogue
from byhand.kernels.microkernel.operands import Epilogue
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.launch import launch
from byhand.kernels.runtime.types import Array


def applies(problem: Problem) -> bool:
    """Tell whether each channel has one filter of its own."""
    return problem.shape.depthwise


def cost(problem: Problem) -> float:
    """Return the FLOPs."""
    return problem.flops


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch y = x convolved with weight."""
    plan = forward_plan(shape, len(x), x.itemsize, vector_unit().tile_columns(x.dtype), shape.filters)
    filters, channels = _as_one_group(weight, shape)
    launch(sweep_per_channel, plan.blocks, images_of(x, shape.stride), filters, images_of(y), channels, epilogue, plan)


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape) -> None:
    """Launch the sweep of grad_x; the filters need no packing: the plan reads their taps in reverse order."""
    plan = backward_data_plan(shape, len(grad_x), grad_x.itemsize, vector_unit().tile_columns(grad_x.dtype))
    (filters, channels), grads = _as_one_group(weight, shape), images_of(grad_x, shape.stride)
    nothing = no_epilogue(grad_x.reshape(-1)[:0])
    launch(sweep_per_channel, plan.blocks, images_of(grad_y), filters, grads, channels, nothing, plan)


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape) -> None:
    """Launch the gradient of the filters."""
    _, channels = _as_one_group(grad_weight, shape)
    plan = weights_plan(shape, len(x), x.itemsize, channels.columns)
    operands = images_of(x, shape.stride), images_of(grad_y)
    launch_backward_weights(backward_weights_per_channel, *operands, grad_weight, channels, plan)


def _as_one_group(weight: Array, shape: ConvShape) -> tuple[Filters, Channels]:
    """Return all channels as one group, in which each column reads its own channel."""
    columns = vector_unit().tile_columns(weight.dtype)
    filters = Filters(weight.reshape(-1), 0, columns, shape.filters)
    return filters, Channels(1, shape.channels, shape.channels, columns, 1)


depthwise = Algorithm("depthwise", applies, cost, forward, backward_data, backward_weights)
