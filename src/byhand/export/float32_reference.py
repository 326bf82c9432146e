"""The float32 C program in NumPy, as an oracle: sums term by term, each rounded, in the order in which C adds.

byhand's own hands add in another order, and the compiled one uses fused multiply-add, so that last digits differ.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from byhand.export.execution import apply_step, arguments_of
from byhand.export.lowering import Network, Step
from byhand.ops.movement.pad import pad
from byhand.ops.op import Array


def run_float32(network: Network, x: Array) -> dict[str, Array]:
    """Return the results of all steps of a C program on normalized images (N, H, W, C), by name; bit for bit, or nearly."""
    results = {network.input.name: x}
    for step in network.steps:
        function = IN_ORDER.get(step.op, apply_step)
        y = function(step, arguments_of(step, results))
        results[step.name] = np.clip(y, np.float32(step.low), np.float32(step.high))
    return results


def _conv2d(step: Step, arguments: list[Array]) -> Array:
    """A convolution, filter row by row, column by column, channel by channel."""
    x, weight, bias = arguments
    call, window = step.call, step.call.window
    assert window is not None
    rows, columns, depth, filters = weight.shape
    height, width = window.output
    filters_per_group = filters // call.attributes["groups"]
    first_channel = np.arange(filters) // filters_per_group * depth
    padded = pad(x, padding=window.padding)
    y = np.broadcast_to(bias, (len(x), height, width, filters)).copy()
    for r in range(rows):
        for s in range(columns):
            p, q = r * window.dilation[0], s * window.dilation[1]
            seen = padded[:, p:, q:][:, : (height - 1) * window.stride[0] + 1 : window.stride[0]]
            seen = seen[:, :, : (width - 1) * window.stride[1] + 1 : window.stride[1]]
            for c in range(depth):
                channel = seen[..., c : c + 1] if call.attributes["groups"] == 1 else seen[..., first_channel + c]
                y += channel * weight[r, s, c]
    return y


def _linear(step: Step, arguments: list[Array]) -> Array:
    x, weight, bias = arguments
    y = np.broadcast_to(bias, (*x.shape[:-1], len(bias))).copy()
    for d in range(len(weight)):
        y += x[..., d : d + 1] * weight[d]
    return y


def _global_avg_pool(step: Step, arguments: list[Array]) -> Array:
    x = arguments[0]
    x = x.reshape(len(x), -1, x.shape[-1])
    total = np.add.accumulate(x, axis=1, dtype=np.float32)[:, -1]
    return (total / np.float32(x.shape[1])).reshape(len(x), *step.output.shape)


def _avg_pool(step: Step, arguments: list[Array]) -> Array:
    """The arrays hand adds pixel by pixel and divides at the end, as C does."""
    return apply_step(step, arguments, hand="arrays")


IN_ORDER: dict[str, Callable[[Step, list[Array]], Array]] = {
    "avg_pool": _avg_pool,
    "conv2d": _conv2d,
    "linear": _linear,
    "global_avg_pool": _global_avg_pool,
}
