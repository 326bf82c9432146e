"""The int8 C program in NumPy, as an oracle: the same integers, bit for bit, for many images at once.

Sums of products are taken in float64, which holds them exactly. The few steps that C computes in float32 are computed in
float32 here, term by term, as C does.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import numpy.typing as npt

from byhand.export.execution import apply_step, arguments_of
from byhand.export.lowering import ELEMENTWISE_OPS, MOVEMENT_OPS, Step
from byhand.export.quantization import INT8_MAX, INT8_MIN, QuantizedNetwork, StepParameters
from byhand.ops import get
from byhand.ops.movement.pad import pad
from byhand.ops.op import Array

BATCH_SIZE = 100
# Beyond these bounds a float32 is out of int8's range whatever its zero point; C clips to them before it converts.
FLOAT_BOUND = 512


def probabilities(quantized: QuantizedNetwork, images: Array) -> Array:
    """Return the result of the program on images (N, H, W, C) in uint8: probabilities (N, classes), or its output."""
    parts = []
    for start in range(0, len(images), BATCH_SIZE):
        results = run_int8(quantized, images[start : start + BATCH_SIZE])
        parts.append(_as_numbers(quantized, results[quantized.network.output.name]))
    return np.concatenate(parts)


def run_int8(quantized: QuantizedNetwork, images: Array) -> dict[str, Array]:
    """Return the q's of every value on images (N, H, W, C) in uint8, by name: (N, ...) int8."""
    network, channels = quantized.network, len(quantized.pixel_table)
    channel = np.arange(images.shape[-1]) % channels if channels > 1 else 0
    results = {network.input.name: quantized.pixel_table[channel, images]}
    for step in network.steps:
        arguments = arguments_of(step, results)
        y = STEP_FUNCTIONS[step.op](step, quantized.parameters[step.name], arguments)
        results[step.name] = y.reshape(len(images), *step.output.shape)
    return results


def _as_numbers(quantized: QuantizedNetwork, q: Array) -> Array:
    """Return the program's result from the last q's: probabilities, or dequantized numbers."""
    network = quantized.network
    q = q.reshape(len(q), -1)
    if network.classes:
        return softmax_rows(q, quantized.exp_table)
    scale = quantized.scales[network.output.name]
    numbers = (q.astype(np.int32) - scale.zero_point).astype(np.float32) * np.float32(scale.scale)
    return numbers.reshape(len(q), *network.output.shape)


def requantize(n: Array, shift: npt.ArrayLike, zero: int, low: int, high: int) -> Array:
    """Return n / 2^shift + zero, rounded to the nearest, halves away from 0, clamped to low ... high."""
    bits = np.asarray(shift, np.int64)
    magnitude = (np.abs(n) + (np.int64(1) << (bits - 1))) >> bits
    return _clamp_int8(np.where(n < 0, -magnitude, magnitude) + zero, low, high)


def round_to_int8(v: Array, zero: int) -> Array:
    """Return float32 numbers rounded to q's, halves away from 0."""
    v = np.clip(v, np.float32(-FLOAT_BOUND), np.float32(FLOAT_BOUND))
    rounded = np.trunc(np.where(v < 0, v - np.float32(0.5), v + np.float32(0.5))).astype(np.int64)
    return _clamp_int8(rounded + zero)


def _clamp_int8(integers: Array, low: int = INT8_MIN, high: int = INT8_MAX) -> Array:
    q: Array = np.clip(integers, low, high).astype(np.int8)
    return q


def sum_in_order(v: Array) -> Array:
    """Return the sum along the last axis, term by term in float32, as C adds."""
    return np.add.accumulate(v, axis=-1, dtype=np.float32)[..., -1:]


def _look_up(table: Array, q: Array) -> Array:
    """Return the entries of a table that begins with that of q = -128."""
    return table[q.astype(np.int64) - INT8_MIN]


def _weighted(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    x = arguments[0].astype(np.float64) - parameters["zero_x"]
    sums = get(step.op)(x, parameters["weight"].astype(np.float64), **step.attributes)
    n = (np.rint(sums).astype(np.int64) + parameters["bias"]) * parameters["multiplier"].astype(np.int64)
    return requantize(n, parameters["shift"], parameters["zero_y"], parameters["low"], parameters["high"])


def _binary(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    first, second = parameters["constants"]
    a = (arguments[0] if first is None else first).astype(np.int64) - parameters["zero_a"]
    b = (arguments[1] if second is None else second).astype(np.int64) - parameters["zero_b"]
    if step.op == "multiply":
        n = a * b * parameters["multiplier"]
    else:
        n = a * parameters["multiplier_a"] + b * parameters["multiplier_b"]
    return requantize(n, parameters["shift"], parameters["zero_y"], parameters["low"], parameters["high"])


def _global_avg_pool(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    x = arguments[0].astype(np.int64) - parameters["zero_x"]
    n = x.reshape(len(x), -1, x.shape[-1]).sum(1) * parameters["multiplier"]
    return requantize(n, parameters["shift"], parameters["zero_y"], parameters["low"], parameters["high"])


def _max_pool(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    return np.maximum(apply_step(step, [arguments[0].astype(np.float32)]), INT8_MIN).astype(np.int8)


def _avg_pool(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    """Sums and counts of windows as averages of padded arrays times the window's size, which float64 holds exactly."""
    x = arguments[0].astype(np.float64) - parameters["zero"]
    ones = np.ones((1, *x.shape[1:3], 1))
    window = step.call.window
    assert window is not None
    # With ceil_mode the last window reaches beyond the padding, where nothing counts.
    overhang = []
    for axis in (0, 1):
        reach = (window.output[axis] - 1) * window.stride[axis] + window.kernel[axis]
        before, after = window.padding[2 * axis : 2 * axis + 2]
        overhang.append(max(0, reach - (x.shape[1 + axis] + before + after)))
    count_include_pad = float(step.call.attributes["count_include_pad"])
    padded = pad(x, padding=window.padding), pad(ones, padding=window.padding, value=count_include_pad)
    sums, counts = (
        np.rint(
            prod(window.kernel)
            * get("avg_pool")(
                pad(v, padding=(0, overhang[0], 0, overhang[1])), kernel=window.kernel, stride=window.stride
            )
        ).astype(np.int64)
        for v in padded
    )
    counts = np.maximum(counts, 1)
    magnitude = (np.abs(sums) + counts // 2) // counts
    return _clamp_int8(np.where(sums < 0, -magnitude, magnitude) + parameters["zero"])


def _clip(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    return _clamp_int8(arguments[0], parameters["low"], parameters["high"])


def _elementwise(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    return _look_up(parameters["table"], arguments[0])


def _movement(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    parts = [q if table is None else _look_up(table, q) for q, table in zip(arguments, parameters["tables"])]
    floats = [part.astype(np.float32) for part in parts]
    if step.op == "pad":
        padding, value = step.call.attributes["padding"], float(parameters["value"])
        return _clamp_int8(pad(floats[0], hand="arrays", padding=padding, value=value))
    return _clamp_int8(apply_step(step, floats, hand="arrays"))


def _nearest(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    rows, columns = parameters["indices"]
    return arguments[0][:, rows][:, :, columns]


def softmax_rows(q: Array, table: Array) -> Array:
    """Return the softmax of rows of q's; table[d]: e^-d of a q that is d below the maximum."""
    v = table[q.max(-1, keepdims=True).astype(np.int64) - q]
    return v / sum_in_order(v)  # type: ignore[no-any-return]


def _softmax(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    return round_to_int8(softmax_rows(arguments[0], parameters["table"]) * parameters["unit"], parameters["zero_y"])


def _layer_norm(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    gamma, beta = parameters["gamma"], parameters["beta"]
    size = np.float32(gamma.size)
    v = (
        (arguments[0].astype(np.int32) - parameters["zero_x"])
        .astype(np.float32)
        .reshape(len(arguments[0]), -1, gamma.size)
    )
    v = v - sum_in_order(v) / size
    inv_std = np.float32(1) / np.sqrt(sum_in_order(v * v) / size + parameters["eps"])
    return round_to_int8(gamma * v * inv_std + beta, parameters["zero_y"])


def _lrn(step: Step, parameters: StepParameters, arguments: list[Array]) -> Array:
    v = arguments[0].astype(np.int64) - parameters["zero_x"]
    size = step.call.attributes["size"]
    before = (size - 1) // 2
    padded = np.pad(v * v, [(0, 0)] * (v.ndim - 1) + [(before, size - 1 - before)])
    sums = np.lib.stride_tricks.sliding_window_view(padded, size, -1).sum(-1).astype(np.float32)
    s = parameters["bias"] + parameters["alpha"] * sums
    root = np.sqrt(s)
    power = {2: root, 3: root * np.sqrt(root), 4: s}[parameters["quarters"]]
    return round_to_int8(v.astype(np.float32) * parameters["unit"] / power, parameters["zero_y"])


STEP_FUNCTIONS: dict[str, Callable[[Step, StepParameters, list[Array]], Array]] = {
    "conv2d": _weighted,
    "linear": _weighted,
    "add": _binary,
    "subtract": _binary,
    "multiply": _binary,
    "global_avg_pool": _global_avg_pool,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "clip": _clip,
    "resize": _nearest,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "lrn": _lrn,
    **dict.fromkeys(MOVEMENT_OPS, _movement),
    **dict.fromkeys(ELEMENTWISE_OPS, _elementwise),
}
