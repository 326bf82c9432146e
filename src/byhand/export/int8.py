"""A network as an int8 program: each step is a call of a function in `int8_functions.py`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from byhand.export.float32 import at, order, pair_axes, pieces
from byhand.export.int8_functions import FUNCTIONS
from byhand.export.layout import lay_out
from byhand.export.lower import CURVES, MOVES, Step
from byhand.export.quantize import Integers, Quantized
from byhand.export.source import Source, result_name
from byhand.export.text import literal


def write(quantized: Quantized) -> Source:
    """Return a network's program in int8; probabilities are float32."""
    network = quantized.network
    source = Source(network, lay_out(network, np.int8), "int8", FUNCTIONS)
    kinds, given = len(quantized.pixels), network.input
    table = source.add("pixels", quantized.pixels.ravel(), f"({kinds}, 256)")
    source.call("look_up_pixels", "image", given.size, kinds, table, source.place(given), comment="pixels to numbers")
    for step in network.steps:
        WRITERS[step.op](source, step, quantized.steps[step.name])
    y, size, result = source.place(network.output), network.output.size, result_name(network)
    if network.classes:
        table = source.add("exponentials", quantized.exponentials)
        source.call("softmax", size, table, y, result, comment="scores to probabilities")
    else:
        scale = quantized.scales[network.output.name]
        source.call("to_numbers", size, y, scale.zero, literal(scale.scale), result)
    return source


def ends(now: Integers) -> tuple[int, int, int]:
    """Return what `narrow` is handed last: the zero of y, and its bounds."""
    return now["zero_y"], now["low"], now["high"]


def weighted(source: Source, step: Step, now: Integers) -> list[Any]:
    """Add what a convolution and a linear layer have in common; return what their functions are handed after x."""
    last = step.arguments[1].ndim - 1
    turned = np.ascontiguousarray(np.moveaxis(now["weight"], last, 0))
    weight = source.add(f"{step.label}_weight", turned, order(now["weight"], last))
    bias, multiplier, shift = (source.add(f"{step.label}_{key}", now[key]) for key in ("bias", "multiplier", "shift"))
    parts = {"multiplier": multiplier, "shift": shift} | {key: now[key] for key in ("zero_x", "zero_y", "low", "high")}
    return [weight, bias, source.struct("units", f"{step.label}_units", parts), source.place(step.output)]


def _conv2d(source: Source, step: Step, now: Integers) -> None:
    x = source.place(step.values[0])
    source.call("conv2d", source.window(step), x, *weighted(source, step, now), comment=source.comment(step))


def _linear(source: Source, step: Step, now: Integers) -> None:
    x, weight, _ = step.arguments
    sizes = prod(x.shape[:-1]), *weight.shape
    source.call("linear", *sizes, source.place(x), *weighted(source, step, now), comment=source.comment(step))


def _max_pool(source: Source, step: Step, now: Integers) -> None:
    x, y = source.place(step.values[0]), source.place(step.output)
    source.call("max_pool", source.window(step), x, y, comment=source.comment(step))


def _avg_pool(source: Source, step: Step, now: Integers) -> None:
    x, y = source.place(step.values[0]), source.place(step.output)
    padded = int(step.call.attributes["count_include_pad"])
    source.call("avg_pool", source.window(step), padded, x, now["zero"], y, comment=source.comment(step))


def _global_avg_pool(source: Source, step: Step, now: Integers) -> None:
    x, y = step.values[0], source.place(step.output)
    more = [now[key] for key in ("zero_x", "multiplier", "shift", "zero_y")]
    sizes = prod(x.shape[:-1]), x.shape[-1]
    source.call("global_avg_pool", *sizes, source.place(x), *more, y, comment=source.comment(step))


def _pair(source: Source, step: Step, now: Integers) -> None:
    names = []
    for one, held, zero in zip(step.arguments, now["constants"], (now["zero_a"], now["zero_b"])):
        names += [source.place(one) if held is None else source.add(f"{step.label}_constant", held.ravel()), zero]
    times = [now["multiplier"]] if step.op == "multiply" else [now["times_a"], now["times_b"]]
    name = "multiply" if step.op == "multiply" else "add"  # a - b = a + (-1) b
    axes, y = pair_axes(source, step), source.place(step.output)
    source.call(name, axes, *names, *times, now["shift"], *ends(now), y, comment=source.comment(step))


def _curve(source: Source, step: Step, now: Integers) -> None:
    x, y = step.values[0], source.place(step.output)
    table = source.add(f"{step.label}_table", now["table"], step.op)
    source.call("look_up", x.size, table, source.place(x), y, comment=f"{source.comment(step)}, {step.op}")


def _clip(source: Source, step: Step, now: Integers) -> None:
    x, y = step.values[0], source.place(step.output)
    source.call("clip", x.size, source.place(x), now["low"], now["high"], y, comment=source.comment(step))


def _move(source: Source, step: Step, now: Integers) -> None:
    y, several = source.place(step.output), pieces(step)
    if step.op == "pad":
        source.call("fill", step.output.size, now["value"], y, comment="the frame")
    for i, ((x, sizes, a, b, first, to), table) in enumerate(zip(several, now["tables"])):
        end = f"_{i + 1}" if len(several) > 1 else ""
        axes = source.axes(step, sizes, a, b, f"axes{end}")
        name = 0 if table is None else source.add(f"{step.label}_table{end}", table)
        text = source.comment(step) if not i else ""
        source.call("copy", axes, name, at(source.place(x), first), at(y, to), comment=text)


def _nearest(source: Source, step: Step, now: Integers) -> None:
    x, y = step.values[0], step.output
    names = [source.add(f"{step.label}_{key}", one) for key, one in zip(("rows", "columns"), now["indices"])]
    sizes = (x.shape[1], x.shape[2], y.shape[0], y.shape[1])
    source.call("nearest", *sizes, *names, source.place(x), source.place(y), comment=source.comment(step))


def _softmax(source: Source, step: Step, now: Integers) -> None:
    x, y = step.values[0], source.place(step.output)
    table = source.add(f"{step.label}_table", now["table"])
    sizes = prod(x.shape[:-1]), x.shape[-1]
    more = literal(now["unit"]), now["zero_y"]
    source.call("softmax_int8", *sizes, table, *more, source.place(x), y, comment=source.comment(step))


def _layer_norm(source: Source, step: Step, now: Integers) -> None:
    x, y = step.values[0], source.place(step.output)
    names = [source.add(f"{step.label}_{key}", now[key]) for key in ("gamma", "beta")]
    size = now["gamma"].size
    more = *names, literal(now["eps"]), now["zero_y"]
    sizes = x.size // size, size
    source.call("layer_norm", *sizes, source.place(x), now["zero_x"], *more, y, comment=source.comment(step))


def _lrn(source: Source, step: Step, now: Integers) -> None:
    x, y = step.values[0], source.place(step.output)
    sizes = prod(x.shape[:-1]), x.shape[-1], step.call.attributes["size"]
    more = literal(now["alpha"]), now["quarters"], literal(now["bias"]), literal(now["unit"])
    zeros = now["zero_x"], now["zero_y"]
    source.call("lrn", *sizes, *more, source.place(x), *zeros, y, comment=source.comment(step))


WRITERS: dict[str, Callable[[Source, Step, Integers], None]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "global_avg_pool": _global_avg_pool,
    "add": _pair,
    "subtract": _pair,
    "multiply": _pair,
    "clip": _clip,
    "resize": _nearest,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "lrn": _lrn,
    **dict.fromkeys(MOVES, _move),
    **dict.fromkeys(CURVES, _curve),
}
