"""A quantized network as an int8 C program: each step is a call of a function in `int8_kernels.py`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from byhand.export.addressing import binary_strides, copies_of, offset, output_axis_first
from byhand.export.c_source import CSource, result_name
from byhand.export.c_text import literal
from byhand.export.int8_kernels import FUNCTIONS
from byhand.export.lowering import ELEMENTWISE_OPS, MOVEMENT_OPS, Step, StepValue
from byhand.export.memory_layout import lay_out
from byhand.export.quantization import QuantizedNetwork, StepParameters


def write_program(quantized: QuantizedNetwork) -> CSource:
    """Return a network's int8 program; its probabilities are float32."""
    network = quantized.network
    source = CSource(network, lay_out(network, np.int8), "int8", FUNCTIONS)
    channels, x = len(quantized.pixel_table), network.input
    table = source.add_constant("pixels", quantized.pixel_table.ravel(), f"({channels}, 256)")
    source.add_call("look_up_pixels", "image", x.size, channels, table, source.c_name(x), comment="pixels to numbers")
    for step in network.steps:
        WRITERS[step.op](source, step, quantized.parameters[step.name])
    y, size, result = source.c_name(network.output), network.output.size, result_name(network)
    if network.classes:
        table = source.add_constant("exponentials", quantized.exp_table)
        source.add_call("softmax", size, table, y, result, comment="scores to probabilities")
    else:
        scale = quantized.scales[network.output.name]
        source.add_call("dequantize", size, y, scale.zero_point, literal(scale.scale), result)
    return source


def _clamp_arguments(parameters: StepParameters) -> tuple[int, int, int]:
    """Return the last arguments of `requantize`: the zero point of y, and its bounds."""
    return parameters["zero_y"], parameters["low"], parameters["high"]


def _add_weighted(source: CSource, step: Step, parameters: StepParameters) -> list[str]:
    """Add the constants of a convolution or a linear layer; return the arguments after x."""
    weight = output_axis_first(parameters["weight"])
    names = [source.add_constant(f"{step.layer}_weight", weight, f"({', '.join(map(str, weight.shape))})")]
    bias, multiplier, shift = (
        source.add_constant(f"{step.layer}_{key}", parameters[key]) for key in ("bias", "multiplier", "shift")
    )
    fields = {"multiplier": multiplier, "shift": shift}
    fields |= {key: parameters[key] for key in ("zero_x", "zero_y", "low", "high")}
    struct = source.add_struct("requantization", f"{step.layer}_requantization", fields)
    return [*names, bias, struct, source.c_name(step.output)]


def _write_conv2d(source: CSource, step: Step, parameters: StepParameters) -> None:
    window, x = source.add_window(step), source.c_name(step.values[0])
    source.add_call("conv2d", window, x, *_add_weighted(source, step, parameters), comment=source.comment(step))


def _write_linear(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, weight = step.values[0], step.constants[0]
    sizes = prod(x.shape[:-1]), *weight.shape
    names = _add_weighted(source, step, parameters)
    source.add_call("linear", *sizes, source.c_name(x), *names, comment=source.comment(step))


def _write_max_pool(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, y = source.c_name(step.values[0]), source.c_name(step.output)
    source.add_call("max_pool", source.add_window(step), x, y, comment=source.comment(step))


def _write_avg_pool(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, y = source.c_name(step.values[0]), source.c_name(step.output)
    include_pad, zero = int(step.call.attributes["count_include_pad"]), parameters["zero"]
    source.add_call("avg_pool", source.add_window(step), include_pad, x, zero, y, comment=source.comment(step))


def _write_global_avg_pool(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, y = step.values[0], source.c_name(step.output)
    numbers = [parameters[key] for key in ("zero_x", "multiplier", "shift", "zero_y")]
    sizes = prod(x.shape[:-1]), x.shape[-1]
    source.add_call("global_avg_pool", *sizes, source.c_name(x), *numbers, y, comment=source.comment(step))


def _write_binary(source: CSource, step: Step, parameters: StepParameters) -> None:
    operands: list[str | int] = []
    zeros = parameters["zero_a"], parameters["zero_b"]
    for argument, constant, zero in zip(step.arguments, parameters["constants"], zeros):
        if isinstance(argument, StepValue):
            operands += [source.c_name(argument), zero]
        else:
            operands += [source.add_constant(f"{step.layer}_constant", constant.ravel()), zero]
    if step.op == "multiply":
        function, multipliers = "multiply", [parameters["multiplier"]]
    else:  # a - b = a + (-1) b
        function, multipliers = "add", [parameters["multiplier_a"], parameters["multiplier_b"]]
    strides, y = source.add_strides(step, *binary_strides(step)), source.c_name(step.output)
    numbers = [*multipliers, parameters["shift"], *_clamp_arguments(parameters)]
    source.add_call(function, strides, *operands, *numbers, y, comment=source.comment(step))


def _write_clip(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, y = step.values[0], source.c_name(step.output)
    low, high = parameters["low"], parameters["high"]
    source.add_call("clip", x.size, source.c_name(x), low, high, y, comment=source.comment(step))


def _write_elementwise(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, y = step.values[0], source.c_name(step.output)
    table = source.add_constant(f"{step.layer}_table", parameters["table"])
    source.add_call("look_up", x.size, table, source.c_name(x), y, comment=source.comment(step))


def _write_movement(source: CSource, step: Step, parameters: StepParameters) -> None:
    y, copies = source.c_name(step.output), copies_of(step)
    if step.op == "pad":
        source.add_call("fill", step.output.size, parameters["value"], y, comment="the padding")
    for i, (copy, table) in enumerate(zip(copies, parameters["tables"])):
        suffix = f"_{i + 1}" if len(copies) > 1 else ""
        strides = source.add_strides(step, copy.sizes, copy.source_strides, copy.target_strides, f"strides{suffix}")
        name = "0" if table is None else source.add_constant(f"{step.layer}_table{suffix}", table)
        x = offset(source.c_name(copy.source), copy.source_start)
        comment = source.comment(step) if i == 0 else ""
        source.add_call("copy", strides, name, x, offset(y, copy.target_start), comment=comment)


def _write_nearest(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, y = step.values[0], step.output
    rows, columns = parameters["indices"]
    names = source.add_constant(f"{step.layer}_rows", rows), source.add_constant(f"{step.layer}_columns", columns)
    sizes = x.shape[1], x.shape[2], y.shape[0], y.shape[1]
    source.add_call("nearest", *sizes, *names, source.c_name(x), source.c_name(y), comment=source.comment(step))


def _write_softmax(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, y = step.values[0], source.c_name(step.output)
    table = source.add_constant(f"{step.layer}_table", parameters["table"])
    sizes, unit = (prod(x.shape[:-1]), x.shape[-1]), literal(parameters["unit"])
    zero_y, name = parameters["zero_y"], source.c_name(x)
    source.add_call("softmax_int8", *sizes, table, unit, zero_y, name, y, comment=source.comment(step))


def _write_layer_norm(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, y, size = step.values[0], source.c_name(step.output), parameters["gamma"].size
    names = [source.add_constant(f"{step.layer}_{key}", parameters[key]) for key in ("gamma", "beta")]
    input_arguments = source.c_name(x), parameters["zero_x"]
    output_arguments = literal(parameters["eps"]), parameters["zero_y"], y
    arguments = x.size // size, size, *input_arguments, *names, *output_arguments
    source.add_call("layer_norm", *arguments, comment=source.comment(step))


def _write_lrn(source: CSource, step: Step, parameters: StepParameters) -> None:
    x, y = step.values[0], source.c_name(step.output)
    sizes = prod(x.shape[:-1]), x.shape[-1], step.call.attributes["size"]
    alpha, bias, unit = (literal(parameters[key]) for key in ("alpha", "bias", "unit"))
    equation = alpha, parameters["quarters"], bias, unit
    arguments = *sizes, *equation, source.c_name(x), parameters["zero_x"], parameters["zero_y"], y
    source.add_call("lrn", *arguments, comment=source.comment(step))


WRITERS: dict[str, Callable[[CSource, Step, StepParameters], None]] = {
    "conv2d": _write_conv2d,
    "linear": _write_linear,
    "max_pool": _write_max_pool,
    "avg_pool": _write_avg_pool,
    "global_avg_pool": _write_global_avg_pool,
    "add": _write_binary,
    "subtract": _write_binary,
    "multiply": _write_binary,
    "clip": _write_clip,
    "resize": _write_nearest,
    "softmax": _write_softmax,
    "layer_norm": _write_layer_norm,
    "lrn": _write_lrn,
    **dict.fromkeys(MOVEMENT_OPS, _write_movement),
    **dict.fromkeys(ELEMENTWISE_OPS, _write_elementwise),
}
