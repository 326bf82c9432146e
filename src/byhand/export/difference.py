"""What is lost on the way to C, layer by layer: float32 as C adds beside Python, int8 beside float32."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10, prod

import numpy as np

from byhand.export.integers import simulate
from byhand.export.lower import Network
from byhand.export.quantize import Quantized, prepared
from byhand.export.sequential import run_in_order
from byhand.export.text import shape
from byhand.nn import Model
from byhand.ops.op import Array

IMAGES, NUMBERS = 16, 2_000_000  # that are compared, at most; numbers of the largest layer


@dataclass(frozen=True)
class Layer:
    """What one step of C differs by; largest and mean of |difference|, in the layer's own unit."""

    name: str
    op: str
    shape: str
    float32_largest: float  # C's float32 beside Python
    float32_mean: float
    int8_largest: float | None = None  # int8 beside C's float32
    int8_mean: float | None = None
    int8_snr: float | None = None  # dB: 10 log10 of (the sum of squares / the sum of squared differences)


def layers(model: Model, network: Network, images: Array, quantized: Quantized | None = None) -> list[Layer]:
    """Return a row for each step, over some of the images (N, H, W, C) in uint8."""
    images = images[: images_for(network, len(images))]
    python, ours = model.trace(images), run_in_order(network, prepared(network, images))
    small = None if quantized is None else simulate(quantized, images)
    rows = []
    for step in network.steps:
        exact = ours[step.name].ravel().astype(np.float64)
        largest, mean = _far(exact, python[step.name].ravel())
        row = (step.name, step.op, shape(step.output.shape), largest, mean)
        if quantized is None or small is None:
            rows.append(Layer(*row))
            continue
        near = quantized.scales[step.name].numbers(small[step.name]).ravel()
        rows.append(Layer(*row, *_far(near, exact), _decibels(exact, near)))
    return rows


def images_for(network: Network, count: int) -> int:
    """Return how many images are compared: fewer where they are large."""
    most = max((step.output.size for step in network.steps), default=1)
    return max(1, min(count, IMAGES, NUMBERS // max(most, prod(network.input.shape))))


def _far(a: Array, b: Array) -> tuple[float, float]:
    off = np.abs(a - b)
    return float(off.max()), float(off.mean())


def _decibels(exact: Array, near: Array) -> float | None:
    """Return the signal-to-noise ratio; None where there is no signal."""
    signal, noise = float(np.square(exact).sum()), float(np.square(exact - near).sum())
    if signal == 0:
        return None
    return 10 * log10(signal / noise) if noise else inf
