"""Post-training quantization to int8: the scale of every value, and the integers that each step computes with.

    number = scale * (q - zero_point),   q from -128 to 127,   zero_point the q of 0, exactly

A value's scale is calibrated on training images. Weights have one scale for each output channel, and zero_point = 0. A sum of
products of q's is an integer; requantization brings it to the scale of y with a fixed-point multiplication, rounded to the
nearest, halves away from 0:

    q_y = zero_y + sum * multiplier / 2^shift,    multiplier / 2^shift = scale_x * scale_weight / scale_y

Elementwise functions become a table of 256 entries.

Sources: Jacob et al. 2017, arXiv 1712.05877 (the arithmetic); Krishnamoorthi 2018, arXiv 1806.08342 (scales per channel).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import frexp, inf, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.errors import UnsupportedError
from byhand.export.addressing import axis_taps
from byhand.export.execution import apply_step, normalize, run_steps
from byhand.export.lowering import ELEMENTWISE_OPS, MOVEMENT_OPS, Network, Step, StepOperand, StepValue
from byhand.ops.op import Array

INT8_MIN = -128
INT8_MAX = 127
INT8_STEPS = 255  # between them
INT32_MAX = 2**31 - 1
PIXEL_VALUES = 256
# Ops whose result has the scale of their input.
SAME_SCALE_OPS = ("max_pool", "avg_pool", "clip", "resize", "pad", "slice", "transpose", "channel_shuffle")
# Added before floor: numbers half way between two q's, but for the last digit, are rounded up.
ROUND_HALF_UP = 0.5 + 1e-6
# The largest sum of products, and the largest bias: half of int32's range each.
MAX_SUM = 2**30
MAX_PRODUCTS = MAX_SUM // (INT8_STEPS * INT8_MAX)
MULTIPLIER_BITS = 31
MAX_SHIFT = 62
CALIBRATION_BATCH = 32  # images

StepParameters = dict[str, Any]  # what a step computes with: integers, and arrays of them, by name


@dataclass(frozen=True)
class Scale:
    """The mapping of q's to numbers: number = scale * (q - zero_point)."""

    scale: float
    zero_point: int

    def quantize(self, values: npt.ArrayLike) -> Array:
        """Return numbers as int8: the nearest q, of two the upper one, so that pixels half a q apart stay apart."""
        with np.errstate(over="ignore", invalid="ignore"):
            q = np.nan_to_num(np.floor(np.asarray(values, np.float64) / self.scale + ROUND_HALF_UP)) + self.zero_point
        clipped: Array = np.clip(q, INT8_MIN, INT8_MAX).astype(np.int8)
        return clipped

    def dequantize(self, q: Array) -> Array:
        """Return the numbers of q's, in float64."""
        return self.scale * (q.astype(np.float64) - self.zero_point)

    @property
    def all_numbers(self) -> Array:
        """The numbers of all q's, from -128 to 127."""
        return self.dequantize(np.arange(INT8_MIN, INT8_MAX + 1))


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network in int8.

    scales: of every value; parameters: of every step; both by name. pixel_table: the q of each pixel value, (1 or C, 256) int8;
    exp_table: e^-d of logits that are d q's apart, (256,) float32.
    """

    network: Network
    scales: dict[str, Scale]
    pixel_table: Array
    parameters: dict[str, StepParameters]
    exp_table: Array


def quantize(network: Network, images: Array) -> QuantizedNetwork:
    """Return a network in int8, calibrated on images (N, H, W, C) in uint8.

    Raises UnsupportedError, which names the layer and its op, where int8 has no such step.
    """
    channels = max(network.mean.size, network.std.size)
    mean, std = (np.broadcast_to(a.astype(np.float64), (channels,))[:, None] for a in (network.mean, network.std))
    pixel_numbers = (np.arange(PIXEL_VALUES) / 255 - mean) / std
    for step in network.steps:
        if step.op not in QUANTIZERS:
            raise UnsupportedError(f"{step.name}: the op {step.op} has no int8 form; export the network in float32")
    ranges = calibrate(network, images)
    scales = {network.input.name: fit_scale(pixel_numbers.min(), pixel_numbers.max())}
    for step in network.steps:
        same = step.op in SAME_SCALE_OPS
        scales[step.name] = scales[step.values[0].name] if same else fit_scale(*ranges[step.name])
    parameters = {step.name: QUANTIZERS[step.op](step, scales) for step in network.steps}
    pixel_table = scales[network.input.name].quantize(pixel_numbers)
    exp_table = np.exp(-(scales[network.output.name].scale * np.arange(256))).astype(np.float32)
    return QuantizedNetwork(network, scales, pixel_table, parameters, exp_table)


def calibrate(network: Network, images: Array) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest number of each step's results on images.

    The whole range, no percentile: on MNIST, leaving out a ten-thousandth at each end cost LeNet-5's logits 3.5 dB of signal
    to noise and `small`'s 1.6 dB, and gained no accuracy.
    """
    ranges = {step.name: (inf, -inf) for step in network.steps}
    for start in range(0, len(images), CALIBRATION_BATCH):
        x = normalize(network, images[start : start + CALIBRATION_BATCH])
        results = run_steps(network, x, keep=True)
        for name, (low, high) in ranges.items():
            ranges[name] = min(low, float(results[name].min())), max(high, float(results[name].max()))
    return ranges


def fit_scale(low: float, high: float) -> Scale:
    """Return the scale whose q's reach from low to high; 0 is one of the numbers, so that padding is exact.

    >>> fit_scale(0.0, 6.0)
    Scale(scale=0.023529411764705882, zero_point=-128)
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = (high - low) / INT8_STEPS
    if scale < np.finfo(np.float32).tiny:
        return Scale(1.0, 0)
    return Scale(scale, int(np.clip(np.rint(INT8_MIN - low / scale), INT8_MIN, INT8_MAX)))


def fixed_point(ratio: float) -> tuple[int, int]:
    """Return (multiplier, shift): ratio = multiplier / 2^shift to 31 bits, saturated where it is too large or too small.

    >>> fixed_point(0.75)
    (1610612736, 31)
    """
    mantissa, exponent = frexp(ratio)
    multiplier, shift = round(mantissa * 2**MULTIPLIER_BITS), MULTIPLIER_BITS - exponent
    if abs(multiplier) == 2**MULTIPLIER_BITS:
        multiplier, shift = multiplier // 2, shift - 1
    if shift < 1:
        return INT32_MAX, 1
    return (multiplier, shift) if shift <= MAX_SHIFT else (round(ratio * 2.0**MAX_SHIFT), MAX_SHIFT)


def clamp_bounds(step: Step, scale: Scale) -> StepParameters:
    """Return the q's that a step clamps its result to."""
    low = int(scale.quantize(step.low)) if np.isfinite(step.low) else INT8_MIN
    high = int(scale.quantize(step.high)) if np.isfinite(step.high) else INT8_MAX
    return {"low": low, "high": high}


# the parameters of each step ------------------------------------------------------------------------------------------

Scales = dict[str, Scale]


def _quantize_weighted(step: Step, scales: Scales) -> StepParameters:
    """A convolution or a linear layer: weights in int8, one scale for each output channel; bias in the scale of the sums."""
    weight, bias = step.constants
    x, y = scales[step.values[0].name], scales[step.name]
    products = prod(weight.shape[:-1])
    if products > MAX_PRODUCTS:
        raise UnsupportedError(
            f"{step.name}: the op {step.op} adds {products:,} products, but 32 bits hold {MAX_PRODUCTS:,}; "
            "export the network in float32"
        )
    largest = np.abs(weight).reshape(-1, weight.shape[-1]).max(0).astype(np.float64)
    unit = np.maximum(largest / INT8_MAX, np.abs(bias.astype(np.float64)) / (x.scale * MAX_SUM))
    unit = np.where(unit == 0, 1, unit)
    multipliers = [fixed_point(float(x.scale * channel_unit / y.scale)) for channel_unit in unit]
    return {
        "weight": np.clip(np.rint(weight / unit), -INT8_MAX, INT8_MAX).astype(np.int8),
        "bias": np.clip(np.rint(bias / (x.scale * unit)), -MAX_SUM, MAX_SUM).astype(np.int32),
        "multiplier": np.array([multiplier for multiplier, _ in multipliers], np.int32),
        "shift": np.array([shift for _, shift in multipliers], np.int8),
        "zero_x": x.zero_point,
        "zero_y": y.zero_point,
    } | clamp_bounds(step, y)


def _quantize_operand(operand: StepOperand, scales: Scales) -> tuple[Scale, Array | None]:
    """Return the scale of an operand; of a constant, also its q's."""
    if isinstance(operand, StepValue):
        return scales[operand.name], None
    assert operand is not None
    scale = fit_scale(float(operand.min()), float(operand.max()))
    return scale, scale.quantize(operand)


def _quantize_add(step: Step, scales: Scales) -> StepParameters:
    """a + b or a - b: both are brought to the scale of y with one shift, and rounded once."""
    (a, first), (b, second) = (_quantize_operand(operand, scales) for operand in step.arguments)
    y = scales[step.name]
    _, shift = fixed_point(max(a.scale, b.scale) / y.scale)
    sign = 1 if step.op == "add" else -1
    return {
        "constants": (first, second),
        "zero_a": a.zero_point,
        "zero_b": b.zero_point,
        "zero_y": y.zero_point,
        "shift": shift,
        "multiplier_a": min(round(a.scale / y.scale * 2.0**shift), INT32_MAX),
        "multiplier_b": sign * min(round(b.scale / y.scale * 2.0**shift), INT32_MAX),
    } | clamp_bounds(step, y)


def _quantize_multiply(step: Step, scales: Scales) -> StepParameters:
    (a, first), (b, second) = (_quantize_operand(operand, scales) for operand in step.arguments)
    y = scales[step.name]
    multiplier, shift = fixed_point(a.scale * b.scale / y.scale)
    return {
        "constants": (first, second),
        "zero_a": a.zero_point,
        "zero_b": b.zero_point,
        "zero_y": y.zero_point,
        "multiplier": multiplier,
        "shift": shift,
    } | clamp_bounds(step, y)


def _quantize_global_avg_pool(step: Step, scales: Scales) -> StepParameters:
    """The mean of all pixels has a scale of its own: its range is narrower than that of the pixels."""
    x, y = scales[step.values[0].name], scales[step.name]
    multiplier, shift = fixed_point(x.scale / y.scale / prod(step.values[0].shape[:-1]))
    zeros = {"zero_x": x.zero_point, "zero_y": y.zero_point}
    return zeros | {"multiplier": multiplier, "shift": shift} | clamp_bounds(step, y)


def _quantize_pool(step: Step, scales: Scales) -> StepParameters:
    return {"zero": scales[step.name].zero_point}


def _quantize_clip(step: Step, scales: Scales) -> StepParameters:
    y, low, high = scales[step.name], step.attributes["low"], step.attributes["high"]
    return {
        "low": INT8_MIN if low == -inf else int(y.quantize(low)),
        "high": INT8_MAX if high == inf else int(y.quantize(high)),
    }


def _quantize_elementwise(step: Step, scales: Scales) -> StepParameters:
    x = scales[step.values[0].name].all_numbers
    with np.errstate(all="ignore"):
        return {"table": scales[step.name].quantize(apply_step(step, [x]))}


def _quantize_movement(step: Step, scales: Scales) -> StepParameters:
    """Data movement; a table converts q's where the scales of x and y differ."""
    y = scales[step.name]
    sources = [scales[value.name] for value in step.values]
    tables = [None if source == y else y.quantize(source.all_numbers) for source in sources]
    return {"tables": tables, "value": int(y.quantize(step.call.attributes.get("value", 0.0)))}


def _quantize_nearest(step: Step, scales: Scales) -> StepParameters:
    if step.call.attributes["mode"] != "nearest":
        raise UnsupportedError(f"{step.name}: the op resize has an int8 form only where mode is 'nearest'")
    return {"indices": [axis_taps(step, axis)[0][:, 0].astype(np.int16) for axis in (0, 1)]}


def _quantize_softmax(step: Step, scales: Scales) -> StepParameters:
    """Softmax: e^-d of an x that is d below the maximum is looked up."""
    x, y = scales[step.values[0].name], scales[step.name]
    table = np.exp(-x.scale * np.arange(256)).astype(np.float32)
    return {"table": table, "unit": np.float32(1 / y.scale), "zero_y": y.zero_point}


def _quantize_layer_norm(step: Step, scales: Scales) -> StepParameters:
    gamma, beta = step.constants
    x, y = scales[step.values[0].name], scales[step.name]
    return {
        "gamma": (gamma.ravel() / y.scale).astype(np.float32),
        "beta": (beta.ravel() / y.scale).astype(np.float32),
        "eps": np.float32(step.call.attributes["eps"] / x.scale**2),
        "zero_x": x.zero_point,
        "zero_y": y.zero_point,
    }


def _quantize_lrn(step: Step, scales: Scales) -> StepParameters:
    x, y, attributes = scales[step.values[0].name], scales[step.name], step.call.attributes
    if attributes["beta"] not in (0.5, 0.75, 1.0):
        raise UnsupportedError(f"{step.name}: the op lrn has an int8 form only where beta is 0.5, 0.75 or 1")
    return {
        "alpha": np.float32(attributes["alpha"] / attributes["size"] * x.scale**2),
        "bias": np.float32(attributes["bias"]),
        "quarters": int(4 * attributes["beta"]),
        "unit": np.float32(x.scale / y.scale),
        "zero_x": x.zero_point,
        "zero_y": y.zero_point,
    }


QUANTIZERS: dict[str, Callable[[Step, Scales], StepParameters]] = {
    "conv2d": _quantize_weighted,
    "linear": _quantize_weighted,
    "add": _quantize_add,
    "subtract": _quantize_add,
    "multiply": _quantize_multiply,
    "global_avg_pool": _quantize_global_avg_pool,
    "max_pool": _quantize_pool,
    "avg_pool": _quantize_pool,
    "clip": _quantize_clip,
    "resize": _quantize_nearest,
    "softmax": _quantize_softmax,
    "layer_norm": _quantize_layer_norm,
    "lrn": _quantize_lrn,
    **dict.fromkeys(MOVEMENT_OPS, _quantize_movement),
    **dict.fromkeys(ELEMENTWISE_OPS, _quantize_elementwise),
}
