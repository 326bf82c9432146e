"""A lowered network as a float32 C program: each step is a call of a function in `float32_kernels.py`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from byhand.export.addressing import axis_taps, binary_strides, copies_of, offset, output_axis_first
from byhand.export.c_source import CSource, result_name
from byhand.export.c_text import literal
from byhand.export.float32_kernels import ELEMENTWISE_FORMULAS, FUNCTIONS
from byhand.export.lowering import (
    BINARY_OPS,
    ELEMENTWISE_OPS,
    MOVEMENT_OPS,
    REDUCE_OPS,
    Network,
    Step,
    StepOperand,
    StepValue,
)
from byhand.export.memory_layout import lay_out
from byhand.ops.op import Array


def write_program(network: Network) -> CSource:
    """Return a network's float32 program; logits are written where the caller wants the probabilities."""
    source = CSource(network, lay_out(network, np.float32, {network.output.name}), "float32", FUNCTIONS)
    channels, size = max(network.mean.size, network.std.size), prod(network.input.shape)
    mean, std = (np.broadcast_to(values, (channels,)).copy() for values in (network.mean, network.std))
    names = source.add_constant("pixel_mean", mean), source.add_constant("pixel_std", std)
    x = source.c_name(network.input)
    source.add_call("scale_pixels", "image", size, channels, *names, x, comment="pixels to numbers")
    for step in network.steps:
        WRITERS[step.op](source, step)
    if network.classes:
        logits = source.c_name(network.output)
        result = result_name(network)
        source.add_call("softmax", 1, network.output.size, logits, result, comment="scores to probabilities")
    return source


def _operand(source: CSource, step: Step, operand: StepOperand) -> str:
    """Return the C name of an operand of arithmetic; a constant is added."""
    if isinstance(operand, StepValue):
        return source.c_name(operand)
    assert operand is not None
    return source.add_constant(f"{step.layer}_constant", operand.ravel())


def _clamp_bounds(step: Step) -> tuple[str, str]:
    """Return the bounds that a step clamps its result to, as C literals."""
    return literal(step.low), literal(step.high)


def _add_weight(source: CSource, step: Step, weight: Array) -> str:
    """Add a weight, outputs first; return its C name."""
    stored = output_axis_first(weight)
    return source.add_constant(f"{step.layer}_weight", stored, f"({', '.join(map(str, stored.shape))})")


def _write_conv2d(source: CSource, step: Step) -> None:
    weight, bias = step.constants
    x, y = source.c_name(step.values[0]), source.c_name(step.output)
    names = _add_weight(source, step, weight), source.add_constant(f"{step.layer}_bias", bias)
    window = source.add_window(step)
    source.add_call("conv2d", window, x, *names, *_clamp_bounds(step), y, comment=source.comment(step))


def _write_linear(source: CSource, step: Step) -> None:
    weight, bias = step.constants
    x, y = step.values[0], source.c_name(step.output)
    names = _add_weight(source, step, weight), source.add_constant(f"{step.layer}_bias", bias)
    sizes = prod(x.shape[:-1]), *weight.shape
    source.add_call("linear", *sizes, source.c_name(x), *names, *_clamp_bounds(step), y, comment=source.comment(step))


def _write_max_pool(source: CSource, step: Step) -> None:
    x, y = source.c_name(step.values[0]), source.c_name(step.output)
    source.add_call("max_pool", source.add_window(step), x, y, comment=source.comment(step))


def _write_avg_pool(source: CSource, step: Step) -> None:
    x, y = source.c_name(step.values[0]), source.c_name(step.output)
    include_pad = int(step.call.attributes["count_include_pad"])
    source.add_call("avg_pool", source.add_window(step), include_pad, x, y, comment=source.comment(step))


def _write_global_avg_pool(source: CSource, step: Step) -> None:
    x, y = step.values[0], source.c_name(step.output)
    pixels, channels = prod(x.shape[:-1]), x.shape[-1]
    source.add_call("global_avg_pool", pixels, channels, source.c_name(x), y, comment=source.comment(step))


def _write_clip(source: CSource, step: Step) -> None:
    x, y = step.values[0], source.c_name(step.output)
    low, high = literal(step.attributes["low"]), literal(step.attributes["high"])
    source.add_call("clip", x.size, source.c_name(x), low, high, y, comment=source.comment(step))


def _write_elementwise(source: CSource, step: Step) -> None:
    x, y, attributes = step.values[0], source.c_name(step.output), step.call.attributes
    parameters = [literal(attributes[name]) for name in ELEMENTWISE_FORMULAS[step.op].parameters]
    source.add_call(f"apply_{step.op}", x.size, source.c_name(x), *parameters, y, comment=source.comment(step))


def _write_binary(source: CSource, step: Step) -> None:
    operands = [_operand(source, step, operand) for operand in step.arguments]
    strides, y = source.add_strides(step, *binary_strides(step)), source.c_name(step.output)
    source.add_call(step.op, strides, *operands, *_clamp_bounds(step), y, comment=source.comment(step))


def _write_softmax(source: CSource, step: Step) -> None:
    x, y = step.values[0], source.c_name(step.output)
    rows, size = prod(x.shape[:-1]), x.shape[-1]
    source.add_call("softmax", rows, size, source.c_name(x), y, comment=source.comment(step))


def _write_layer_norm(source: CSource, step: Step) -> None:
    x, y = step.values[0], source.c_name(step.output)
    gamma, beta = step.constants
    names = [source.add_constant(f"{step.layer}_{key}", a.ravel()) for key, a in (("gamma", gamma), ("beta", beta))]
    eps, rows = literal(step.call.attributes["eps"]), x.size // gamma.size
    source.add_call("layer_norm", rows, gamma.size, source.c_name(x), *names, eps, y, comment=source.comment(step))


def _write_lrn(source: CSource, step: Step) -> None:
    x, y, attributes = step.values[0], source.c_name(step.output), step.call.attributes
    parameters = [literal(attributes[key]) for key in ("alpha", "beta", "bias")]
    sizes = prod(x.shape[:-1]), x.shape[-1], attributes["size"]
    source.add_call("lrn", *sizes, *parameters, source.c_name(x), y, comment=source.comment(step))


def _write_reduction(source: CSource, step: Step) -> None:
    x, y, axes = step.values[0], source.c_name(step.output), step.call.attributes["axes"]
    shape, end = (1, *x.shape), axes[-1] + 1
    sizes = prod(shape[: axes[0]]), prod(shape[axes[0] : end]), prod(shape[end:])
    source.add_call(step.op, *sizes, source.c_name(x), y, comment=source.comment(step))


def _write_resize(source: CSource, step: Step) -> None:
    x, y = step.values[0], step.output
    tap_arguments: list[int | str] = []
    for axis, label in ((0, "rows"), (1, "columns")):
        indices, weights = axis_taps(step, axis)
        tap_arguments += [
            indices.shape[1],
            source.add_constant(f"{step.layer}_{label}", indices.ravel().astype(np.int16)),
            source.add_constant(f"{step.layer}_{label}_weight", weights.ravel().astype(np.float32)),
        ]
    sizes = x.shape[1], x.shape[2], y.shape[0], y.shape[1]
    names = source.c_name(x), source.c_name(y)
    source.add_call("resize", *sizes, *tap_arguments, *names, comment=source.comment(step))


def _write_movement(source: CSource, step: Step) -> None:
    y, copies = source.c_name(step.output), copies_of(step)
    if step.op == "pad":
        value = literal(step.call.attributes["value"])
        source.add_call("fill", step.output.size, value, y, comment="the padding")
    for i, copy in enumerate(copies):
        label = f"strides_{i + 1}" if len(copies) > 1 else "strides"
        strides = source.add_strides(step, copy.sizes, copy.source_strides, copy.target_strides, label)
        x = offset(source.c_name(copy.source), copy.source_start)
        comment = source.comment(step) if i == 0 else ""
        source.add_call("copy", strides, x, offset(y, copy.target_start), comment=comment)


WRITERS: dict[str, Callable[[CSource, Step], None]] = {
    "conv2d": _write_conv2d,
    "linear": _write_linear,
    "max_pool": _write_max_pool,
    "avg_pool": _write_avg_pool,
    "global_avg_pool": _write_global_avg_pool,
    "clip": _write_clip,
    "softmax": _write_softmax,
    "layer_norm": _write_layer_norm,
    "lrn": _write_lrn,
    "resize": _write_resize,
    **dict.fromkeys(ELEMENTWISE_OPS, _write_elementwise),
    **dict.fromkeys(BINARY_OPS, _write_binary),
    **dict.fromkeys(REDUCE_OPS, _write_reduction),
    **dict.fromkeys(MOVEMENT_OPS, _write_movement),
}
