"""What an int8 program computes, in NumPy: the same integers as the C, bit for bit, for many images at once.

Sums of products are taken in float64, which holds them exactly; the few steps that C computes in float32 are computed in
float32 here, one number after the other, as C does.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from byhand.export.lower import CURVES, MOVES, Step, Value, apply
from byhand.export.quantize import LEAST, MOST, Integers, Quantized
from byhand.ops import get
from byhand.ops.movement.pad import pad
from byhand.ops.op import Array

BATCH = 100


def probabilities(quantized: Quantized, images: Array) -> Array:
    """Return what the program writes for images (N, H, W, C) in uint8: probabilities (N, classes), or its output."""
    parts = []
    for start in range(0, len(images), BATCH):
        made = simulate(quantized, images[start : start + BATCH])
        parts.append(finish(quantized, made[quantized.network.output.name]))
    return np.concatenate(parts)


def finish(quantized: Quantized, q: Array) -> Array:
    """Return what becomes of the last q's: probabilities, or of a network without classes what they mean."""
    network = quantized.network
    q = q.reshape(len(q), -1)
    if network.classes:
        return softmax_rows(q, quantized.exponentials)
    scale = quantized.scales[network.output.name]
    numbers = (q.astype(np.int32) - scale.zero).astype(np.float32) * np.float32(scale.scale)
    return numbers.reshape(len(q), *network.output.shape)


def simulate(quantized: Quantized, images: Array) -> dict[str, Array]:
    """Return the q's of every value of images (N, H, W, C) in uint8, by name: (N, ...) int8."""
    network, kinds = quantized.network, len(quantized.pixels)
    channel = np.arange(images.shape[-1]) % kinds if kinds > 1 else 0
    have = {network.input.name: quantized.pixels[channel, images]}
    for step in network.steps:
        given = [have[one.name].reshape(-1, *one.shape) if isinstance(one, Value) else one for one in step.arguments]
        y = HANDS[step.op](step, quantized.steps[step.name], given)
        have[step.name] = y.reshape(len(images), *step.output.shape)
    return have


def narrow(n: Array, shift: Any, zero: int, low: int, high: int) -> Array:
    """Return n / 2^shift to the nearest, halves away from 0, as q's between low and high."""
    shift = np.asarray(shift, np.int64)
    whole = (np.abs(n) + (np.int64(1) << (shift - 1))) >> shift
    return _q(np.where(n < 0, -whole, whole) + zero, low, high)


def rounded(v: Array, zero: int) -> Array:
    """Return float32 numbers as q's."""
    v = np.clip(v, np.float32(-512), np.float32(512))
    whole = np.trunc(np.where(v < 0, v - np.float32(0.5), v + np.float32(0.5))).astype(np.int64)
    return _q(whole + zero)


def _q(whole: Array, low: int = LEAST, high: int = MOST) -> Array:
    """Return whole numbers as q's."""
    made: Array = np.clip(whole, low, high).astype(np.int8)
    return made


def total(v: Array) -> Array:
    """Return the sum along the last axis, one number after the other in float32, as C adds."""
    return np.add.accumulate(v, axis=-1, dtype=np.float32)[..., -1:]


def _weighted(step: Step, now: Integers, given: list[Any]) -> Array:
    x = given[0].astype(np.float64) - now["zero_x"]
    sums = get(step.op)(x, now["weight"].astype(np.float64), **step.attributes)
    n = (np.rint(sums).astype(np.int64) + now["bias"]) * now["multiplier"].astype(np.int64)
    return narrow(n, now["shift"], now["zero_y"], now["low"], now["high"])


def _pair(step: Step, now: Integers, given: list[Any]) -> Array:
    a, b = (
        (one if held is None else held).astype(np.int64) - zero
        for one, held, zero in zip(given, now["constants"], (now["zero_a"], now["zero_b"]))
    )
    n = a * b * now["multiplier"] if step.op == "multiply" else a * now["times_a"] + b * now["times_b"]
    return narrow(n, now["shift"], now["zero_y"], now["low"], now["high"])


def _global_avg_pool(step: Step, now: Integers, given: list[Any]) -> Array:
    x = given[0].astype(np.int64) - now["zero_x"]
    sums = x.reshape(len(x), -1, x.shape[-1]).sum(1)
    return narrow(sums * now["multiplier"], now["shift"], now["zero_y"], now["low"], now["high"])


def _max_pool(step: Step, now: Integers, given: list[Any]) -> Array:
    return np.maximum(apply(step, [given[0].astype(np.float32)]), LEAST).astype(np.int8)


def _avg_pool(step: Step, now: Integers, given: list[Any]) -> Array:
    x, ones = given[0].astype(np.float64) - now["zero"], np.ones((1, *given[0].shape[1:3], 1))
    view = step.call.window
    assert view is not None
    # in a frame of zeros that count, or not, behind which the last window may reach where nothing counts
    top, bottom, left, right = view.padding
    reach = [(count - 1) * stride + kernel for count, stride, kernel in zip(view.output, view.stride, view.kernel)]
    more = [max(0, far - size) for far, size in zip(reach, (x.shape[1] + top + bottom, x.shape[2] + left + right))]
    counted = pad(ones, padding=view.padding, value=float(step.call.attributes["count_include_pad"]))
    sums, counts = (
        np.rint(
            prod(view.kernel)
            * get("avg_pool")(pad(one, padding=(0, more[0], 0, more[1])), kernel=view.kernel, stride=view.stride)
        ).astype(np.int64)
        for one in (pad(x, padding=view.padding), counted)
    )
    counts = np.maximum(counts, 1)
    whole = (np.abs(sums) + counts // 2) // counts
    return _q(np.where(sums < 0, -whole, whole) + now["zero"])


def _clip(step: Step, now: Integers, given: list[Any]) -> Array:
    return _q(given[0], now["low"], now["high"])


def _curve(step: Step, now: Integers, given: list[Any]) -> Array:
    return now["table"][given[0].astype(np.int64) - LEAST]  # type: ignore[no-any-return]


def _move(step: Step, now: Integers, given: list[Any]) -> Array:
    parts = [x if table is None else table[x.astype(np.int64) - LEAST] for x, table in zip(given, now["tables"])]
    if step.op == "pad":
        frame = {"padding": step.call.attributes["padding"], "value": float(now["value"])}
        return _q(pad(parts[0].astype(np.float32), hand="arrays", **frame))
    return _q(apply(step, [part.astype(np.float32) for part in parts], hand="arrays"))


def _nearest(step: Step, now: Integers, given: list[Any]) -> Array:
    rows, columns = now["indices"]
    return given[0][:, rows][:, :, columns]  # type: ignore[no-any-return]


def softmax_rows(q: Array, table: Array) -> Array:
    """Return the probabilities of rows of q's: e^-d of what is d below the largest, over their sum."""
    v = table[q.max(-1, keepdims=True).astype(np.int64) - q]
    return v / total(v)  # type: ignore[no-any-return]


def _softmax(step: Step, now: Integers, given: list[Any]) -> Array:
    return rounded(softmax_rows(given[0], now["table"]) * now["unit"], now["zero_y"])


def _layer_norm(step: Step, now: Integers, given: list[Any]) -> Array:
    size = np.float32(now["gamma"].size)
    v = (given[0].astype(np.int32) - now["zero_x"]).astype(np.float32).reshape(len(given[0]), -1, now["gamma"].size)
    v = v - total(v) / size
    inv_std = np.float32(1) / np.sqrt(total(v * v) / size + now["eps"])
    return rounded(now["gamma"] * v * inv_std + now["beta"], now["zero_y"])


def _lrn(step: Step, now: Integers, given: list[Any]) -> Array:
    v = given[0].astype(np.int64) - now["zero_x"]
    size = step.call.attributes["size"]
    before = (size - 1) // 2
    frame = np.pad(v * v, [(0, 0)] * (v.ndim - 1) + [(before, size - 1 - before)])
    sums = np.lib.stride_tricks.sliding_window_view(frame, size, -1).sum(-1).astype(np.float32)
    s = now["bias"] + now["alpha"] * sums
    root = np.sqrt(s)
    power = {2: root, 3: root * np.sqrt(root), 4: s}[now["quarters"]]
    return rounded(v.astype(np.float32) * now["unit"] / power, now["zero_y"])


HANDS: dict[str, Callable[[Step, Integers, list[Any]], Array]] = {
    "conv2d": _weighted,
    "linear": _weighted,
    "add": _pair,
    "subtract": _pair,
    "multiply": _pair,
    "global_avg_pool": _global_avg_pool,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "clip": _clip,
    "resize": _nearest,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "lrn": _lrn,
    **dict.fromkeys(MOVES, _move),
    **dict.fromkeys(CURVES, _curve),
}
