"""A network as a float32 program: each step is a call of a function in `functions.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from byhand.export.functions import FORMULAS, FUNCTIONS
from byhand.export.layout import lay_out
from byhand.export.lower import CURVES, PAIRS, REDUCED, Network, Step, Value
from byhand.export.source import Source, result_name
from byhand.export.text import literal
from byhand.kernels.indexing import steps_of
from byhand.ops.movement.interpolation import interpolation_weights


def write(network: Network) -> Source:
    """Return a network's program in float32; the logits are written where the caller wants the probabilities."""
    source = Source(network, lay_out(network, np.float32, {network.output.name}), "float32", FUNCTIONS)
    mean, std = source.add("pixel_mean", network.mean), source.add("pixel_std", network.std)
    kinds, size = max(network.mean.size, network.std.size), prod(network.input.shape)
    if network.mean.size != network.std.size:
        for name, values in ((mean, network.mean), (std, network.std)):
            source.constants[name] = np.broadcast_to(values, (kinds,)).copy(), ""
    source.call(
        "scale_pixels", "image", size, kinds, mean, std, source.place(network.input), comment="pixels to numbers"
    )
    for step in network.steps:
        WRITERS[step.op](source, step)
    if network.classes:
        name = source.place(network.output)
        source.call("softmax", 1, network.output.size, name, result_name(network), comment="scores to probabilities")
    return source


def operand(source: Source, step: Step, one: Value | np.ndarray, label: str) -> str:
    """Return what C calls an argument of a step: a value, or a constant, which is added."""
    return source.place(one) if isinstance(one, Value) else source.add(f"{step.label}_{label}", one.ravel())


def _conv2d(source: Source, step: Step) -> None:
    x, weight, bias = step.arguments
    filters = source.add(f"{step.label}_weight", np.ascontiguousarray(weight.transpose(3, 0, 1, 2)), order(weight, 3))
    source.call(
        "conv2d", source.window(step), source.place(x), filters, source.add(f"{step.label}_bias", bias),
        *bounds(step), source.place(step.output), comment=source.comment(step),
    )  # fmt: skip


def order(weight: np.ndarray, first: int) -> str:
    """Return what a weight's axes are, as C has them."""
    sizes = [weight.shape[first], *(size for axis, size in enumerate(weight.shape) if axis != first)]
    return f"({', '.join(map(str, sizes))})"


def bounds(step: Step) -> tuple[str, str]:
    """Return the two numbers that a step keeps its result between."""
    return literal(step.low), literal(step.high)


def _linear(source: Source, step: Step) -> None:
    x, weight, bias = step.arguments
    matrix = source.add(f"{step.label}_weight", np.ascontiguousarray(weight.T), order(weight, 1))
    source.call(
        "linear", prod(x.shape[:-1]), *weight.shape, source.place(x), matrix, source.add(f"{step.label}_bias", bias),
        *bounds(step), source.place(step.output), comment=source.comment(step),
    )  # fmt: skip


def _max_pool(source: Source, step: Step) -> None:
    x, y = source.place(step.values[0]), source.place(step.output)
    source.call("max_pool", source.window(step), x, y, comment=source.comment(step))


def _avg_pool(source: Source, step: Step) -> None:
    x, y = source.place(step.values[0]), source.place(step.output)
    padded = int(step.call.attributes["count_include_pad"])
    source.call("avg_pool", source.window(step), padded, x, y, comment=source.comment(step))


def _global_avg_pool(source: Source, step: Step) -> None:
    x = step.values[0]
    pixels, channels = prod(x.shape[:-1]), x.shape[-1]
    y = source.place(step.output)
    source.call("global_avg_pool", pixels, channels, source.place(x), y, comment=source.comment(step))


def _clip(source: Source, step: Step) -> None:
    x = step.values[0]
    ends = (literal(step.attributes[key]) for key in ("low", "high"))
    source.call("clip", x.size, source.place(x), *ends, source.place(step.output), comment=source.comment(step))


def _curve(source: Source, step: Step) -> None:
    x, given = step.values[0], step.call.attributes
    more = [literal(given[name]) for name in FORMULAS[step.op][1]]
    y = source.place(step.output)
    source.call(f"apply_{step.op}", x.size, source.place(x), *more, y, comment=source.comment(step))


def _pair(source: Source, step: Step) -> None:
    names = [operand(source, step, one, "constant") for one in step.arguments]
    axes = pair_axes(source, step)
    source.call(step.op, axes, *names, *bounds(step), source.place(step.output), comment=source.comment(step))


def pair_axes(source: Source, step: Step) -> str:
    """Add how the two arguments of arithmetic lie beside each other; return what C is handed."""
    y = step.call.shapes["y"]
    shapes = [(1, *one.shape) if isinstance(one, Value) else one.shape for one in step.arguments]
    a, b = (far_apart(shape, y) for shape in shapes)
    return source.axes(step, y, a, b)


def far_apart(shape: Sequence[int], y: Sequence[int] | None = None) -> list[int]:
    """Return how far apart the numbers of an array lie along each axis; 0 where it is repeated beside y."""
    return list(steps_of(tuple(shape), y))  # type: ignore[no-untyped-call]


def _softmax(source: Source, step: Step) -> None:
    x = step.values[0]
    rows, size = prod(x.shape[:-1]), x.shape[-1]
    source.call("softmax", rows, size, source.place(x), source.place(step.output), comment=source.comment(step))


def _layer_norm(source: Source, step: Step) -> None:
    x, gamma, beta = step.arguments
    names = [source.add(f"{step.label}_{key}", one.ravel()) for key, one in (("gamma", gamma), ("beta", beta))]
    eps, y = literal(step.call.attributes["eps"]), source.place(step.output)
    rows = x.size // gamma.size
    source.call("layer_norm", rows, gamma.size, source.place(x), *names, eps, y, comment=source.comment(step))


def _lrn(source: Source, step: Step) -> None:
    x, given = step.values[0], step.call.attributes
    more = [literal(given[key]) for key in ("alpha", "beta", "bias")]
    sizes = (prod(x.shape[:-1]), x.shape[-1], given["size"])
    source.call("lrn", *sizes, *more, source.place(x), source.place(step.output), comment=source.comment(step))


def _reduction(source: Source, step: Step) -> None:
    x, axes = step.values[0], step.call.attributes["axes"]
    shape = (1, *x.shape)
    sizes = prod(shape[: axes[0]]), prod(shape[axes[0] : axes[-1] + 1]), prod(shape[axes[-1] + 1 :])
    source.call(step.op, *sizes, source.place(x), source.place(step.output), comment=source.comment(step))


def _resize(source: Source, step: Step) -> None:
    x, y = step.values[0], step.output
    names = []
    for axis, label in ((0, "rows"), (1, "columns")):
        indices, weights = axis_taps(step, axis)
        names += [
            indices.shape[1],
            source.add(f"{step.label}_{label}", indices.ravel().astype(np.int16)),
            source.add(f"{step.label}_{label}_weight", weights.ravel().astype(np.float32)),
        ]
    sizes = (x.shape[1], x.shape[2], y.shape[0], y.shape[1])
    source.call("resize", *sizes, *names, source.place(x), source.place(y), comment=source.comment(step))


def axis_taps(step: Step, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which pixels a resized axis is mixed from, and how much each counts."""
    rule = dict(step.call.attributes)
    scale, mode = rule.pop("scales")[axis], rule.pop("mode")
    return interpolation_weights(step.values[0].shape[axis], step.output.shape[axis], scale, mode, **rule)  # type: ignore[no-any-return, no-untyped-call]


# what moves numbers: pieces of x that are copied to places in y ---------------------------------------------------------

Piece = tuple[Value, list[int], list[int], list[int], int, int]  # from what, sizes, steps in x and y, the first places


def pieces(step: Step) -> list[Piece]:
    """Return the copies that a step is."""
    x, given = step.values[0], step.call.attributes
    have, make = far_apart((1, *x.shape)), far_apart((1, *step.output.shape))
    sizes = [1, *step.output.shape]
    if step.op == "concat":
        axis, start, found = given["axis"], 0, []
        for value in step.values:
            shape = [1, *value.shape]
            found.append((value, shape, far_apart(shape), make, 0, start * make[axis]))
            start += shape[axis]
        return found
    if step.op == "pad":
        top, _, left, _ = given["padding"]
        return [(x, [1, *x.shape], have, make, 0, top * make[1] + left * make[2])]
    if step.op == "slice":
        first = sum(start * far for start, far in zip(given["starts"], have))
        return [(x, sizes, [step * far for step, far in zip(given["steps"], have)], make, first, 0)]
    if step.op == "transpose":
        return [(x, sizes, [have[axis] for axis in given["axes"]], make, 0, 0)]
    groups, channels = given["groups"], x.shape[-1]  # channel_shuffle
    share = channels // groups
    return [(x, [x.size // channels, share, groups], [channels, 1, share], [channels, groups, 1], 0, 0)]


def _move(source: Source, step: Step) -> None:
    y, several = source.place(step.output), pieces(step)
    if step.op == "pad":
        source.call("fill", step.output.size, literal(step.call.attributes["value"]), y, comment="the frame")
    for i, (x, sizes, a, b, first, to) in enumerate(several):
        axes = source.axes(step, sizes, a, b, f"axes_{i + 1}" if len(several) > 1 else "axes")
        source.call("copy", axes, at(source.place(x), first), at(y, to), comment=source.comment(step) if not i else "")


def at(name: str, start: int) -> str:
    """Return where an array's number `start` lies."""
    return f"{name} + {start}" if start else name


WRITERS: dict[str, Callable[[Source, Step], None]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "global_avg_pool": _global_avg_pool,
    "clip": _clip,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "lrn": _lrn,
    "resize": _resize,
    **dict.fromkeys(CURVES, _curve),
    **dict.fromkeys(PAIRS, _pair),
    **dict.fromkeys(REDUCED, _reduction),
    **dict.fromkeys(("pad", "slice", "transpose", "channel_shuffle", "concat"), _move),
}
