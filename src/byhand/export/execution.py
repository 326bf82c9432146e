"""Runs lowered steps with byhand's own ops: for calibration, accuracy, and as the oracle of the C programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from byhand.export.lowering import Network, Step, StepOperand, StepValue
from byhand.ops import get
from byhand.ops.op import DEFAULT_HAND, Array


def run_steps(network: Network, x: Array, keep: bool = False) -> dict[str, Array]:
    """Return the results of steps on normalized images (N, H, W, C), by name; keep: all of them, not only the output."""
    results = {network.input.name: x}
    last_use = {value.name: i for i, step in enumerate(network.steps) for value in step.values}
    for i, step in enumerate(network.steps):
        results[step.name] = apply_step(step, arguments_of(step, results))
        for value in step.values:
            if not keep and last_use[value.name] == i and value.name != network.output.name:
                results.pop(value.name, None)
    return results


def argument(operand: StepOperand, results: dict[str, Array]) -> Array | None:
    """Return the array of an operand, in the shape in which the step sees it."""
    if isinstance(operand, StepValue):
        return results[operand.name].reshape(-1, *operand.shape)
    return operand


def arguments_of(step: Step, results: dict[str, Array]) -> list[Array]:
    """Return the arrays of a step's operands; None only for a bias that the step omits, and then does not read."""
    return cast("list[Array]", [argument(operand, results) for operand in step.arguments])


def apply_step(step: Step, arguments: Sequence[Array | None], hand: str = DEFAULT_HAND) -> Array:
    """Return the result of a step on arrays, by byhand's op, clamped to the step's bounds."""
    inputs = [tuple(arguments)] if step.op == "concat" else arguments
    y: Array = get(step.op)(*inputs, hand=hand, **step.attributes)
    return np.clip(y, step.low, step.high) if step.clamps else y


def normalize(network: Network, images: Array) -> Array:
    """Return pixels (N, H, W, C) as the network's input in float32: (pixel / 255 - mean) / std."""
    return (images.astype(np.float32) / np.float32(255) - network.mean) / network.std
