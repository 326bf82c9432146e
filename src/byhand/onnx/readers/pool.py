"""MaxPool, AveragePool and LpPool, along one, two or three axes, and the global ones."""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np

from byhand.onnx.readers.conv import frame, settings, sides, slices, stacked
from byhand.onnx.readers.reduce import reduced
from byhand.onnx.readers.table import operator
from byhand.onnx.values import IMAGE, Symbol, wrap
from byhand.ops import avg_pool, conv2d, global_avg_pool, max_pool


def pooled(use: Any, x: Any, one: Callable[..., Any]) -> Any:
    """Pool along whatever axes the window has; one(x, kernel, strides, pads, dilations) pools images (N, C, H, W)."""
    kernel = list(use.get("kernel_shape"))
    axes = len(kernel)
    if x.ndim != axes + 2:
        raise ValueError(
            f"x has the shape {x.shape}, but kernel_shape is {kernel}: expected a size for each axis but two"
        )
    strides, dilations = settings(use, axes)
    pads = frame(use, x.shape[2:], kernel, strides, dilations)
    if axes == 1:
        image = use.reshaped(x, (*x.shape[:2], 1, x.shape[2]))
        y = one(image, [1, *kernel], [1, *strides], [0, pads[0], 0, pads[1]], [1, *dilations])
        return use.reshaped(y, (*y.shape[:2], y.shape[3]))
    if axes == 2:
        return one(x, kernel, strides, pads, dilations)
    if axes != 3:
        raise use.refuse(f"its window has {axes} axes; byhand has windows of one to three")
    use.room(*use.fixed(x, "volume").shape)  # first within each slice, then across them
    flat = [pads[1], pads[2], pads[4], pads[5]]
    y = stacked(one(slices(x), kernel[1:], strides[1:], flat, dilations[1:]), x.shape[2])
    rows = y.reshape(*y.shape[:3], -1)
    deep = one(rows, [kernel[0], 1], [strides[0], 1], [pads[0], 0, pads[3], 0], [dilations[0], 1])
    return deep.reshape(*deep.shape[:3], *y.shape[3:])


@operator("MaxPool")
def read_max_pool(use: Any, x: Any) -> Any:
    """Read MaxPool, with the places of what won where they are asked for."""
    ceil_mode = bool(use.get("ceil_mode", 0))

    def one(image: Any, kernel: Any, strides: Any, pads: Any, dilations: Any) -> Any:
        y = use.apply(
            max_pool, use.arranged(image, IMAGE), kernel=tuple(kernel), stride=tuple(strides), padding=sides(pads),
            dilation=tuple(dilations), ceil_mode=ceil_mode,
        )  # fmt: skip
        return wrap(y, IMAGE)

    if not isinstance(x, Symbol) and x.dtype.kind in "iu":
        return pooled(use, x.astype(np.float32), one).astype(x.dtype)
    y = pooled(use, x, one)
    if len(use.node.output) < 2 or not use.node.output[1]:
        return y
    return [y, winners(use, use.fixed(x, "input, whose winners' places are asked for,"), y)]


def winners(use: Any, x: Any, y: Any) -> Any:
    """Return the place in x, counted through all of it, of what won each window: the first that holds it."""
    kernel = list(use.get("kernel_shape"))
    strides, dilations = settings(use, len(kernel))
    pads = frame(use, x.shape[2:], kernel, strides, dilations)
    size = x.shape[2:]
    use.reader.spend(prod(kernel) * (1024 + y.size))
    steps = np.cumprod([1, *size[:-1]]) if use.get("storage_order", 0) else np.cumprod([1, *size[:0:-1]])[::-1]
    found = np.full(y.shape, -1, np.int64)
    for tap in product(*map(range, kernel)):
        at = [np.arange(n) * s - p + t * d for n, s, p, t, d in zip(y.shape[2:], strides, pads, tap, dilations)]
        inside = reduce(np.logical_and.outer, [(a >= 0) & (a < n) for a, n in zip(at, size)])
        seen = x[(slice(None), slice(None), *np.ix_(*[a.clip(0, n - 1) for a, n in zip(at, size)]))]
        place = reduce(np.add.outer, [a * step for a, step in zip(at, steps)])
        np.copyto(found, place, where=(found < 0) & inside & (seen == y))
    images = np.arange(prod(x.shape[:2])).reshape(*x.shape[:2], *[1] * len(size))
    return found + images * prod(size)


@operator("AveragePool")
def read_avg_pool(use: Any, x: Any) -> Any:
    """Read AveragePool."""
    ceil_mode, padding_counts = bool(use.get("ceil_mode", 0)), bool(use.get("count_include_pad", 0))

    def one(image: Any, kernel: Any, strides: Any, pads: Any, dilations: Any) -> Any:
        if max(dilations) > 1:
            return dilated(use, image, kernel, strides, pads, dilations, padding_counts, ceil_mode)
        y = use.apply(
            avg_pool, use.arranged(image, IMAGE), kernel=tuple(kernel), stride=tuple(strides), padding=sides(pads),
            ceil_mode=ceil_mode, count_include_pad=padding_counts,
        )  # fmt: skip
        return wrap(y, IMAGE)

    return pooled(use, x, one)


def dilated(
    use: Any, x: Any, kernel: Any, strides: Any, pads: Any, dilations: Any, padding_counts: bool, ceil_mode: bool
) -> Any:  # fmt: skip
    """Return the averages of windows whose pixels lie apart: their sums by how many there are."""
    total = window_sums(use, x, kernel, strides, pads, dilations, ceil_mode)
    ones = np.ones(use.room(1, 1, *x.shape[2:]), np.float32)
    if padding_counts:
        ones, pads = np.pad(ones, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])], constant_values=1), [0] * 4
    counts = window_sums(use, ones, kernel, strides, pads, dilations, ceil_mode)
    raws, order = use.together([total, (1 / counts).astype(getattr(total, "dtype", np.float32))])
    return wrap(use.apply("multiply", *raws), order)


def window_sums(use: Any, x: Any, kernel: Any, strides: Any, pads: Any, dilations: Any, ceil_mode: bool) -> Any:
    """Return the sum of every window, channel by channel: a depthwise convolution with ones."""
    pads = list(pads)
    if ceil_mode:
        for axis in range(2):
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            size = x.shape[2 + axis] + pads[axis] + pads[2 + axis]
            pads[2 + axis] += -(size - reach) % strides[axis]
    ones = np.ones(use.room(*kernel, 1, x.shape[1]), getattr(x, "dtype", np.float32))
    y = use.apply(
        conv2d, use.arranged(x, IMAGE), ones, stride=tuple(strides), padding=sides(pads), dilation=tuple(dilations),
        groups=x.shape[1],
    )  # fmt: skip
    return wrap(y, IMAGE)


@operator("LpPool")
def lp_pool(use: Any, x: Any) -> Any:
    """Read LpPool: (sum of |x|^p)^(1/p) of every window."""
    p, ceil_mode = float(use.get("p", 2)), bool(use.get("ceil_mode", 0))

    def one(image: Any, kernel: Any, strides: Any, pads: Any, dilations: Any) -> Any:
        return window_sums(use, image, kernel, strides, pads, dilations, ceil_mode)

    return power(use, pooled(use, power(use, use.elementwise("abs", x), p), one), 1 / p)


def power(use: Any, x: Any, exponent: float) -> Any:
    """Return a value to a power."""
    raw = x.tensor if isinstance(x, Symbol) else x
    return (
        x
        if exponent == 1
        else wrap(use.apply("power", raw, np.array([exponent], getattr(raw, "dtype", None) or np.float32)), _order(x))
    )


def _order(x: Any) -> Sequence[int]:
    return x.order if isinstance(x, Symbol) else range(x.ndim)


@operator("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(use: Any, x: Any) -> Any:
    """Read the poolings over a whole image."""
    kind, axes = use.node.op_type, list(range(2, x.ndim))
    if kind == "GlobalAveragePool" and x.ndim == 4:
        return wrap(use.apply(global_avg_pool, use.arranged(x, IMAGE), keepdims=True), IMAGE)
    if kind != "GlobalLpPool":
        return reduced(use, "reduce_mean" if kind == "GlobalAveragePool" else "reduce_max", x, axes, True)
    p = float(use.get("p", 2))
    total = reduced(use, "reduce_sum", power(use, use.elementwise("abs", x), p), axes, True)
    return power(use, total, 1 / p)
