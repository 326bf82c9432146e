"""The error of each step of a C program: float32 in C against Python, int8 against float32 in C."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10, prod

import numpy as np

from byhand.export.c_text import shape_text
from byhand.export.execution import normalize
from byhand.export.float32_reference import run_float32
from byhand.export.int8_reference import run_int8
from byhand.export.lowering import Network
from byhand.export.quantization import QuantizedNetwork
from byhand.nn import Model
from byhand.ops.op import Array

MAX_IMAGES = 16  # that are compared
MAX_ELEMENTS = 2_000_000  # of the largest layer on all of them


@dataclass(frozen=True)
class LayerError:
    """The error of one step: the maximum and the mean of |difference|, in the layer's own unit.

    float32_*: C against Python; int8_*: int8 against float32 in C; int8_snr: signal to noise in dB, 10 log10 of (sum of
    squares / sum of squared errors), None where there is no signal.
    """

    name: str
    op: str
    shape: str
    float32_max: float
    float32_mean: float
    int8_max: float | None = None
    int8_mean: float | None = None
    int8_snr: float | None = None


def layer_errors(
    model: Model, network: Network, images: Array, quantized: QuantizedNetwork | None = None
) -> list[LayerError]:
    """Return the error of each step on the first of the images (N, H, W, C) in uint8."""
    images = images[: compared_images(network, len(images))]
    expected, float32_results = model.trace(images), run_float32(network, normalize(network, images))
    int8_results = {} if quantized is None else run_int8(quantized, images)
    rows = []
    for step in network.steps:
        exact = float32_results[step.name].ravel().astype(np.float64)
        largest, mean = _max_and_mean_error(exact, expected[step.name].ravel())
        row = LayerError(step.name, step.op, shape_text(step.output.shape), largest, mean)
        if quantized is not None:
            numbers = quantized.scales[step.name].dequantize(int8_results[step.name]).ravel()
            int8_errors = _max_and_mean_error(numbers, exact)
            row = LayerError(row.name, row.op, row.shape, largest, mean, *int8_errors, _snr(exact, numbers))
        rows.append(row)
    return rows


def compared_images(network: Network, available: int) -> int:
    """Return how many images are compared: fewer where they, or the layers, are large."""
    largest = max((step.output.size for step in network.steps), default=1)
    return max(1, min(available, MAX_IMAGES, MAX_ELEMENTS // max(largest, prod(network.input.shape))))


def _max_and_mean_error(a: Array, b: Array) -> tuple[float, float]:
    errors = np.abs(a - b)
    return float(errors.max()), float(errors.mean())


def _snr(exact: Array, approximate: Array) -> float | None:
    """Return the signal-to-noise ratio in dB; None where there is no signal."""
    signal, noise = float(np.square(exact).sum()), float(np.square(exact - approximate).sum())
    if signal == 0:
        return None
    return 10 * log10(signal / noise) if noise else inf
