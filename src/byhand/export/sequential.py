"""What a float32 program computes, in NumPy: each sum one product after the other, rounded each time, as C adds.

Python's own hands add in another order, and its compiled one multiplies and adds in one rounding, so that last digits differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from byhand.export.lower import Network, Step, apply, see
from byhand.ops.movement.pad import pad
from byhand.ops.op import Array

Hand = Callable[[Step, list[Any]], Array]


def run_in_order(network: Network, x: Array) -> dict[str, Array]:
    """Return what every step of a C program makes of prepared images (N, H, W, C), by name, to the last digits or nearly."""
    have = {network.input.name: x}
    for step in network.steps:
        y = HANDS.get(step.op, apply)(step, [see(one, have) for one in step.arguments])
        have[step.name] = np.clip(y, np.float32(step.low), np.float32(step.high))
    return have


def _conv2d(step: Step, given: list[Any]) -> Array:
    """The taps of a filter, row by row, column by column, channel by channel."""
    x, weight, bias = given
    call, view = step.call, step.call.window
    assert view is not None
    rows, columns, depth, filters = weight.shape
    height, width = view.output
    first = (
        np.arange(filters) // (filters // call.attributes["groups"]) * depth
    )  # the channel that each filter begins at
    frame = pad(x, padding=view.padding)
    y = np.broadcast_to(bias, (len(x), height, width, filters)).copy()
    for r in range(rows):
        for s in range(columns):
            p, q = r * view.dilation[0], s * view.dilation[1]
            seen = frame[:, p:, q:][:, : (height - 1) * view.stride[0] + 1 : view.stride[0]]
            seen = seen[:, :, : (width - 1) * view.stride[1] + 1 : view.stride[1]]
            for c in range(depth):
                channel = seen[..., c : c + 1] if call.attributes["groups"] == 1 else seen[..., first + c]
                y += channel * weight[r, s, c]
    return y


def _linear(step: Step, given: list[Any]) -> Array:
    x, weight, bias = given
    y = np.broadcast_to(bias, (*x.shape[:-1], len(bias))).copy()
    for d in range(len(weight)):
        y += x[..., d : d + 1] * weight[d]
    return y


def _global_avg_pool(step: Step, given: list[Any]) -> Array:
    x = given[0]
    x = x.reshape(len(x), -1, x.shape[-1])
    total = np.add.accumulate(x, axis=1, dtype=np.float32)[:, -1]
    return (total / np.float32(x.shape[1])).reshape(len(x), *step.output.shape)


def _avg_pool(step: Step, given: list[Any]) -> Array:
    """NumPy's hand adds place by place, and divides at the end, as C does."""
    return apply(step, given, hand="arrays")


HANDS: dict[str, Hand] = {
    "avg_pool": _avg_pool,
    "conv2d": _conv2d,
    "linear": _linear,
    "global_avg_pool": _global_avg_pool,
}
