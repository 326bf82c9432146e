"""depthwise: each channel has one filter of its own, so that each column of the register tile reads a channel of its own.

A depthwise convolution is no matrix product: no number of x serves two filters. It is bound by memory, and its blocks are
small, so that the lines of a pixel are still in the L1 cache when the next part of its channels is read.
"""

from __future__ import annotations

from byhand.kernels.conv.backward_weights import sum_pixels, sums_per_channel
from byhand.kernels.conv.operands import Channels, Filters, images_of
from byhand.kernels.conv.plan import data_plan, forward_plan
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.conv.sweep import sweep_per_channel
from byhand.kernels.microkernel.microkernel import no_epilogue
from byhand.kernels.microkernel.operands import Epilogue
from byhand.kernels.runtime.cpu import host
from byhand.kernels.runtime.launch import launch
from byhand.kernels.runtime.types import Array


def applies(problem: Problem) -> bool:
    """Tell whether each channel has one filter of its own."""
    return problem.shape.depthwise


def cost(problem: Problem) -> float:
    """Return the work."""
    return problem.flops


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch y = x convolved with weight."""
    plan = forward_plan(shape, len(x), x.itemsize, host().columns(x.dtype), shape.filters)
    filters, channels = _as_one_group(weight, shape)
    launch(sweep_per_channel, plan.blocks, images_of(x, shape.stride), filters, images_of(y), channels, epilogue, plan)


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape) -> None:
    """Launch the sweep over grad_y; the filters need not be turned round: the plan reads them backwards."""
    plan = data_plan(shape, len(grad_x), grad_x.itemsize, host().columns(grad_x.dtype))
    (filters, channels), grads = _as_one_group(weight, shape), images_of(grad_x, shape.stride)
    nothing = no_epilogue(grad_x.reshape(-1)[:0])
    launch(sweep_per_channel, plan.blocks, images_of(grad_y), filters, grads, channels, nothing, plan)


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape) -> None:
    """Launch the sum over all pixels that each filter saw."""
    _, channels = _as_one_group(grad_weight, shape)
    sum_pixels(sums_per_channel, x, grad_y, grad_weight, channels, shape)


def _as_one_group(weight: Array, shape: ConvShape) -> tuple[Filters, Channels]:
    """Return all channels as one group, whose columns read channels of their own."""
    columns = host().columns(weight.dtype)
    filters = Filters(weight.reshape(-1), 0, columns, shape.filters)
    return filters, Channels(1, shape.channels, shape.channels, columns, 1)


depthwise = Algorithm("depthwise", applies, cost, forward, backward_data, backward_weights)
