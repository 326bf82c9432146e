"""A network in 8 bits: the scale of every value, and the integers that each step computes with.

    number = scale * (q - zero),   q from -128 to 127,   zero the q that means 0 exactly

A value's scale is fitted to what it is on training images; weights have one scale an output channel and zero = 0. A sum of
products of q's is an integer; it becomes the next value's q by a multiplication with a fraction, which is an integer over a
power of 2, rounded to the nearest, halves away from 0:

    q_y = zero_y + (sum * multiplier) / 2^shift,    multiplier / 2^shift = scale_x * scale_weight / scale_y

What a curve does to each of the 256 numbers stands in a table.

Sources: Jacob et al. 2017, arXiv 1712.05877 (the arithmetic); Krishnamoorthi 2018, arXiv 1806.08342 (a scale a channel).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import frexp, inf, prod
from typing import Any

import numpy as np

from byhand.errors import UnsupportedError
from byhand.export.float32 import axis_taps
from byhand.export.lower import CURVES, MOVES, Network, Step, Value, apply, run
from byhand.ops.op import Array

LEAST, MOST, STEPS = -128, 127, 255
TIED = (
    "max_pool",
    "avg_pool",
    "clip",
    "resize",
    "pad",
    "slice",
    "transpose",
    "channel_shuffle",
)  # y has the scale of x
HALF = 0.5 + 1e-6  # what lies half way, but for a last digit, goes up
ROOM = 2**30  # what a sum of products may reach, and a bias: half of 32 bits each
TERMS = ROOM // (STEPS * MOST)
BATCH = 32  # images that are looked at together

Integers = dict[str, Any]  # what a step computes with: numbers and arrays of integers


@dataclass(frozen=True)
class Scale:
    """What a q means: number = scale * (q - zero)."""

    scale: float
    zero: int

    def quantized(self, values: Any) -> Array:
        """Return numbers as q's, (...) int8: the nearest, of two the upper, so that pixels half a q apart stay apart."""
        with np.errstate(over="ignore", invalid="ignore"):
            q = np.nan_to_num(np.floor(np.asarray(values, np.float64) / self.scale + HALF)) + self.zero
        narrowed: Array = np.clip(q, LEAST, MOST).astype(np.int8)
        return narrowed

    def numbers(self, q: Array) -> Array:
        """Return what q's mean, in float64."""
        return self.scale * (q.astype(np.float64) - self.zero)

    @property
    def table(self) -> Array:
        """What each q from -128 on means."""
        return self.numbers(np.arange(LEAST, MOST + 1))


@dataclass(frozen=True)
class Quantized:
    """A network in 8 bits."""

    network: Network
    scales: dict[str, Scale]  # of every value
    pixels: Array  # the q of each pixel, (1 or C, 256) int8
    steps: dict[str, Integers]  # by what they make
    exponentials: Array  # e^-d of scores that are d q's apart, (256,) float32


def quantize(network: Network, images: Array) -> Quantized:
    """Return a network in 8 bits, calibrated on images (N, H, W, C) in uint8.

    Raises UnsupportedError, which names the layer and its op, where there is no such step in 8 bits.
    """
    kinds = max(network.mean.size, network.std.size)
    mean, std = (np.broadcast_to(one.astype(np.float64), (kinds,))[:, None] for one in (network.mean, network.std))
    shades = (np.arange(256) / 255 - mean) / std
    for step in network.steps:
        if step.op not in RULES:
            raise UnsupportedError(f"{step.name}: the op {step.op} has no form in int8; export the network in float32")
    ranges = calibrate(network, images)
    scales = {network.input.name: fit(shades.min(), shades.max())}
    for step in network.steps:
        scales[step.name] = scales[step.values[0].name] if step.op in TIED else fit(*ranges[step.name])
    steps = {step.name: RULES[step.op](step, scales) for step in network.steps}
    apart = scales[network.output.name].scale * np.arange(256)
    pixels = scales[network.input.name].quantized(shades)
    return Quantized(network, scales, pixels, steps, np.exp(-apart).astype(np.float32))


def calibrate(network: Network, images: Array) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest number that each step makes of images.

    All of the range, not a percentile of it: on MNIST, leaving out a ten-thousandth at each end cost LeNet-5's logits 3.5 dB of
    signal to noise and `small`'s 1.6 dB, for nothing in accuracy.
    """
    ranges = {step.name: (inf, -inf) for step in network.steps}
    for start in range(0, len(images), BATCH):
        made = run(network, prepared(network, images[start : start + BATCH]), keep=True)
        for name, (low, high) in ranges.items():
            ranges[name] = min(low, float(made[name].min())), max(high, float(made[name].max()))
    return ranges


def prepared(network: Network, images: Array) -> Array:
    """Return pixels (N, H, W, C) as the numbers that the network receives, in float32."""
    return (images.astype(np.float32) / np.float32(255) - network.mean) / network.std


def fit(low: float, high: float) -> Scale:
    """Return the scale whose 256 q's reach from low to high; 0 is one of them, so that padding is exact.

    >>> fit(0.0, 6.0)
    Scale(scale=0.023529411764705882, zero=-128)
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = (high - low) / STEPS
    if scale < np.finfo(np.float32).tiny:
        return Scale(1.0, 0)
    return Scale(scale, int(np.clip(np.rint(LEAST - low / scale), LEAST, MOST)))


def fraction(ratio: float) -> tuple[int, int]:
    """Return (multiplier, shift): ratio = multiplier / 2^shift to 31 bits; what is too large or too small saturates.

    >>> fraction(0.75)
    (1610612736, 31)
    """
    part, exponent = frexp(ratio)
    multiplier, shift = round(part * 2**31), 31 - exponent
    if abs(multiplier) == 2**31:
        multiplier, shift = multiplier // 2, shift - 1
    if shift < 1:
        return 2**31 - 1, 1
    return (multiplier, shift) if shift <= 62 else (round(ratio * 2.0**62), 62)


def ends(step: Step, scale: Scale) -> Integers:
    """Return the q's that a step keeps its result between."""
    low, high = (scale.quantized(one) if np.isfinite(one) else None for one in (step.low, step.high))
    return {"low": LEAST if low is None else int(low), "high": MOST if high is None else int(high)}


# what each step computes with ------------------------------------------------------------------------------------------

Scales = dict[str, Scale]


def _weighted(step: Step, scales: Scales) -> Integers:
    """A convolution or a linear layer: weights in int8, one scale an output channel; bias in the unit of the sums."""
    value, weight, bias = step.arguments
    x, y = scales[value.name], scales[step.name]
    terms = prod(weight.shape[:-1])
    if terms > TERMS:
        raise UnsupportedError(
            f"{step.name}: the op {step.op} adds {terms:,} products, but 32 bits hold {TERMS:,}; export it in float32"
        )
    largest = np.abs(weight).reshape(-1, weight.shape[-1]).max(0).astype(np.float64)
    unit = np.maximum(largest / MOST, np.abs(bias.astype(np.float64)) / (x.scale * ROOM))
    unit = np.where(unit == 0, 1, unit)
    fractions = [fraction(float(x.scale * one / y.scale)) for one in unit]
    return {
        "weight": np.clip(np.rint(weight / unit), -MOST, MOST).astype(np.int8),
        "bias": np.clip(np.rint(bias / (x.scale * unit)), -ROOM, ROOM).astype(np.int32),
        "multiplier": np.array([one for one, _ in fractions], np.int32),
        "shift": np.array([one for _, one in fractions], np.int8),
        "zero_x": x.zero,
        "zero_y": y.zero,
    } | ends(step, y)


def operand(one: Value | Array, scales: Scales) -> tuple[Scale, Array | None]:
    """Return the scale of an argument of arithmetic; of a constant, also its q's."""
    if isinstance(one, Value):
        return scales[one.name], None
    scale = fit(float(one.min()), float(one.max()))
    return scale, scale.quantized(one)


def _added(step: Step, scales: Scales) -> Integers:
    """a + b, or a - b: both are brought to the unit of y with one shift, and rounded once."""
    (a, first), (b, second) = (operand(one, scales) for one in step.arguments)
    y = scales[step.name]
    _, shift = fraction(max(a.scale, b.scale) / y.scale)
    sign = 1 if step.op == "add" else -1
    return {
        "constants": (first, second), "zero_a": a.zero, "zero_b": b.zero, "zero_y": y.zero, "shift": shift,
        "times_a": min(round(a.scale / y.scale * 2.0**shift), 2**31 - 1),
        "times_b": sign * min(round(b.scale / y.scale * 2.0**shift), 2**31 - 1),
    } | ends(step, y)  # fmt: skip


def _multiplied(step: Step, scales: Scales) -> Integers:
    (a, first), (b, second) = (operand(one, scales) for one in step.arguments)
    y = scales[step.name]
    multiplier, shift = fraction(a.scale * b.scale / y.scale)
    return {
        "constants": (first, second), "zero_a": a.zero, "zero_b": b.zero, "zero_y": y.zero, "multiplier": multiplier,
        "shift": shift,
    } | ends(step, y)  # fmt: skip


def _averaged(step: Step, scales: Scales) -> Integers:
    """The mean of all pixels, whose range is its own: that of the pixels would be too wide for it."""
    x, y = scales[step.values[0].name], scales[step.name]
    multiplier, shift = fraction(x.scale / y.scale / prod(step.values[0].shape[:-1]))
    return {"zero_x": x.zero, "zero_y": y.zero, "multiplier": multiplier, "shift": shift} | ends(step, y)


def _tied(step: Step, scales: Scales) -> Integers:
    return {"zero": scales[step.name].zero}


def _clipped(step: Step, scales: Scales) -> Integers:
    y = scales[step.name]
    low, high = (step.attributes[key] for key in ("low", "high"))
    return {
        "low": LEAST if low == -inf else int(y.quantized(low)), "high": MOST if high == inf else int(y.quantized(high))
    }  # fmt: skip


def _curved(step: Step, scales: Scales) -> Integers:
    x = scales[step.values[0].name].table
    with np.errstate(all="ignore"):
        return {"table": scales[step.name].quantized(apply(step, [x]))}


def _moved(step: Step, scales: Scales) -> Integers:
    """Numbers in other places; where scales differ, a table says what each becomes."""
    y = scales[step.name]
    tables = [None if scales[value.name] == y else y.quantized(scales[value.name].table) for value in step.values]
    value = step.call.attributes.get("value", 0.0)
    return {"tables": tables, "value": int(y.quantized(value))}


def _nearest(step: Step, scales: Scales) -> Integers:
    if step.call.attributes["mode"] != "nearest":
        raise UnsupportedError(f"{step.name}: the op resize has a form in int8 only where mode is 'nearest'")
    return {"indices": [axis_taps(step, axis)[0][:, 0].astype(np.int16) for axis in (0, 1)]}


def _shared_out(step: Step, scales: Scales) -> Integers:
    """Softmax: e^x of what is d below the largest is looked up."""
    x, y = scales[step.values[0].name], scales[step.name]
    table = np.exp(-x.scale * np.arange(256)).astype(np.float32)
    return {"table": table, "unit": np.float32(1 / y.scale), "zero_y": y.zero}


def _normed(step: Step, scales: Scales) -> Integers:
    value, gamma, beta = step.arguments
    x, y = scales[value.name], scales[step.name]
    return {
        "gamma": (gamma.ravel() / y.scale).astype(np.float32), "beta": (beta.ravel() / y.scale).astype(np.float32),
        "eps": np.float32(step.call.attributes["eps"] / x.scale**2), "zero_x": x.zero, "zero_y": y.zero,
    }  # fmt: skip


def _inhibited(step: Step, scales: Scales) -> Integers:
    x, y, given = scales[step.values[0].name], scales[step.name], step.call.attributes
    if given["beta"] not in (0.5, 0.75, 1.0):
        raise UnsupportedError(f"{step.name}: the op lrn has a form in int8 only where beta is 0.5, 0.75 or 1")
    return {
        "alpha": np.float32(given["alpha"] / given["size"] * x.scale**2), "bias": np.float32(given["bias"]),
        "quarters": int(4 * given["beta"]), "unit": np.float32(x.scale / y.scale), "zero_x": x.zero, "zero_y": y.zero,
    }  # fmt: skip


RULES: dict[str, Callable[[Step, Scales], Integers]] = {
    "conv2d": _weighted,
    "linear": _weighted,
    "add": _added,
    "subtract": _added,
    "multiply": _multiplied,
    "global_avg_pool": _averaged,
    "max_pool": _tied,
    "avg_pool": _tied,
    "clip": _clipped,
    "resize": _nearest,
    "softmax": _shared_out,
    "layer_norm": _normed,
    "lrn": _inhibited,
    **dict.fromkeys(MOVES, _moved),
    **dict.fromkeys(CURVES, _curved),
}
