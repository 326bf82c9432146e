"""Operators that pick, repeat or add positions along axes: Slice, Split, Gather, Tile, Pad."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from byhand.kernels import cdiv
from byhand.onnx.node_context import NodeContext
from byhand.onnx.registry import reader
from byhand.onnx.symbol import OnnxValue, Symbol, from_layout, layout_of, normalized_axis, stored_form
from byhand.ops import concat, pad
from byhand.ops import slice as slice_op

MAX_PICKED_POSITIONS = 2**20  # that Gather, Tile or Pad list along one axis
MAX_SLICES = 4096  # that positions along one axis are cut into
MAX_PAD_REPEATS = 100  # how often "reflect" or "wrap" padding may go through an image

Cut = tuple[int, int | None, int | None, int]  # axis, start, stop, step


@reader("Slice")
def read_slice(node: NodeContext, x: OnnxValue, *inputs: OnnxValue | None) -> OnnxValue:
    """Read Slice; starts, ends and axes are attributes up to opset 9."""
    if node.opset < 10:
        starts, stops, axes, steps = node.attribute("starts"), node.attribute("ends"), node.attribute("axes"), None
    else:
        listed = [None if value is None else node.integers(value, "starts, ends, axes or steps") for value in inputs]
        starts, stops, axes, steps = (*listed, None, None)[:4]
    axes = list(range(len(starts))) if axes is None else [normalized_axis(axis, x.ndim) for axis in axes]
    steps = [1] * len(starts) if steps is None else steps
    cuts = []
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        size = x.shape[axis]
        if step < 0 and stop < -size:
            stop = None  # before the first position
        if step < 0 and start < -size:
            start, stop = 0, 0
        cuts.append((axis, start, stop, step))
    return slice_value(node, x, cuts)


def slice_value(node: NodeContext, x: OnnxValue, cuts: Sequence[Cut], output: int | None = None) -> OnnxValue:
    """Return x cut along some axes; output: the node's output that the result is named after."""
    slices = [slice(None) for _ in x.shape]
    for axis, start, stop, step in cuts:
        slices[axis] = slice(start, stop, step)
    if not isinstance(x, Symbol) and (x.dtype.kind != "f" or x.dtype.itemsize < 4):
        return x[tuple(slices)]
    positions = [range(size) for size in x.shape]
    cuts = [c for c in cuts if positions[c[0]][slice(*c[1:])] != positions[c[0]]]
    if isinstance(x, Symbol) and any(axis == 0 for axis, *_ in cuts):
        raise node.unsupported("it picks images out of a batch")
    if not cuts:
        return x
    layout = layout_of(x)
    axes, starts, stops, steps = zip(*((layout.index(axis), *rest) for axis, *rest in cuts))
    y = node.apply(slice_op, stored_form(x), starts=starts, stops=stops, axes=axes, steps=steps, output=output)
    return from_layout(y, layout)


@reader("Split")
def read_split(node: NodeContext, x: OnnxValue, split: OnnxValue | None = None) -> list[OnnxValue]:
    """Read Split; without sizes, into equal parts, the last one smaller where they do not divide the axis."""
    axis, count = normalized_axis(node.attribute("axis", 0), x.ndim), node.attribute("num_outputs", len(node.outputs))
    sizes = node.attribute_or_input("split", split, since=13)
    if sizes is None and not 1 <= count <= len(node.outputs):
        raise ValueError(f"num_outputs is {count}; expected 1 to {len(node.outputs)}, the outputs that it has")
    if sizes is None:
        part = cdiv(x.shape[axis], count)
        sizes = [min(part, x.shape[axis] - i * part) for i in range(count)]
    if sum(sizes) != x.shape[axis]:
        raise ValueError(f"the sizes {sizes} do not add up to {x.shape[axis]}, the size of axis {axis}")
    stops = [int(stop) for stop in np.cumsum(sizes)]
    cuts = [(axis, stop - int(size), stop, 1) for stop, size in zip(stops, sizes)]
    return [slice_value(node, x, [part], output=i) for i, part in enumerate(cuts)]


@reader("Gather")
def read_gather(node: NodeContext, x: OnnxValue, indices: OnnxValue) -> OnnxValue:
    """Read Gather: positions along an axis, by their indices."""
    axis, picked = normalized_axis(node.attribute("axis", 0), x.ndim), node.constant(indices, "indices")
    if picked.dtype.kind not in "iu":
        raise ValueError(f"its indices are of the type {picked.dtype}; expected integers")
    size = x.shape[axis]
    if picked.size and not (-size <= picked.min() and picked.max() < size):
        raise ValueError(f"its indices go from {picked.min()} to {picked.max()}; axis {axis} has {size} positions")
    shape = (*x.shape[:axis], *picked.shape, *x.shape[axis + 1 :])
    if not isinstance(x, Symbol):
        node.reserve(*shape)
        return np.take(x, picked, axis)
    _check_positions(picked.size)
    return node.reshape(pick(node, x, axis, [int(i) % size for i in picked.reshape(-1)]), shape)


@reader("GatherElements")
def read_gather_elements(node: NodeContext, x: OnnxValue, indices: OnnxValue) -> OnnxValue:
    """Read GatherElements, of arrays."""
    axis, picked = normalized_axis(node.attribute("axis", 0), x.ndim), node.constant(indices, "indices")
    node.reserve(*picked.shape)
    return np.take_along_axis(node.constant(x, "input"), picked, axis)


@reader("Tile")
def read_tile(node: NodeContext, x: OnnxValue, repeats: OnnxValue) -> OnnxValue:
    """Read Tile: x repeated along its axes."""
    counts = node.integers(repeats, "repeats")
    if len(counts) != x.ndim or min(counts, default=0) < 0:
        raise ValueError(f"repeats are {counts}; expected a number of 0 or more for each axis of {x.shape}")
    if not isinstance(x, Symbol):
        node.reserve(*(size * count for size, count in zip(x.shape, counts)))
        return np.tile(x, counts)
    for axis, count in enumerate(counts):
        if count != 1:
            _check_positions(x.shape[axis] * count)
            x = pick(node, x, axis, list(range(x.shape[axis])) * count)
    return x


def _check_positions(count: int) -> None:
    """Raise a ValueError for more positions of an axis than byhand lists."""
    if count > MAX_PICKED_POSITIONS:
        raise ValueError(f"it lists {count:,} positions of an axis; byhand lists up to {MAX_PICKED_POSITIONS:,}")


def pick(node: NodeContext, x: OnnxValue, axis: int, positions: Sequence[int]) -> OnnxValue:
    """Return positions along an axis, as slices that are concatenated."""
    if axis == 0:
        raise node.unsupported("it picks images out of a batch")
    if not positions:
        raise ValueError(f"it leaves nothing of axis {axis}; expected one position or more")
    ranges = list(as_ranges(positions))
    if len(ranges) > MAX_SLICES:
        raise node.unsupported(f"it concatenates {len(ranges):,} slices of an axis; byhand does up to {MAX_SLICES:,}")
    parts = [slice_value(node, x, [(axis, *part)]) for part in ranges]
    if len(parts) == 1:
        return parts[0]
    layout = layout_of(parts[0])
    stored = tuple(node.in_layout(part, layout) for part in parts)
    return from_layout(node.apply(concat, stored, axis=layout.index(axis)), layout)


def as_ranges(positions: Sequence[int]) -> Iterator[tuple[int, int | None, int]]:
    """Yield positions as ranges (start, stop, step), as few as possible.

    >>> list(as_ranges([2, 1, 0, 1, 2, 3, 3]))
    [(2, None, -1), (1, 4, 1), (3, 4, 1)]
    """
    i = 0
    while i < len(positions):
        step, end = (positions[i + 1] - positions[i] if i + 1 < len(positions) else 1), i + 1
        while step and end < len(positions) and positions[end] - positions[end - 1] == step:
            end += 1
        step = step if end > i + 1 else 1
        stop = positions[end - 1] + (1 if step > 0 else -1)
        yield positions[i], stop if stop >= 0 else None, step
        i = end


@reader("Pad")
def read_pad(node: NodeContext, x: OnnxValue, *inputs: OnnxValue | None) -> OnnxValue:
    """Read Pad: with a constant, or with the image's own pixels (edge, reflect, wrap); negative pads crop."""
    mode = node.attribute("mode", "constant")
    value, pads = _pad_inputs(node, x.ndim, inputs)
    if not isinstance(x, Symbol):
        node.reserve(*(size + sum(pads.get(axis, (0, 0))) for axis, size in enumerate(x.shape)))
    if mode != "constant" and any(max(pad) > MAX_PAD_REPEATS * x.shape[axis] for axis, pad in pads.items()):
        raise ValueError(
            f"its pads are {pads} of {x.shape}; byhand goes through an image up to {MAX_PAD_REPEATS} times"
        )
    cropped: list[Cut] = [
        (axis, max(0, -before), x.shape[axis] - max(0, -after), 1)
        for axis, (before, after) in pads.items()
        if min(before, after) < 0
    ]
    x = slice_value(node, x, cropped) if cropped else x
    pads = {axis: (max(0, a), max(0, b)) for axis, (a, b) in pads.items() if max(a, b) > 0}
    if not isinstance(x, Symbol):
        if mode == "constant" and x.ndim == 4 and x.dtype.kind == "f" and set(pads) <= {2, 3}:
            return pad_constant(node, x, pads, float(value))
        widths = [pads.get(axis, (0, 0)) for axis in range(x.ndim)]
        return np.pad(x, widths, mode, **({"constant_values": value} if mode == "constant" else {}))
    if 0 in pads:
        raise node.unsupported("it adds images to a batch")
    if mode == "constant":
        return pad_constant(node, x, pads, float(value))
    for axis, widths_of_axis in pads.items():
        _check_positions(x.shape[axis] + sum(widths_of_axis))
        x = pick(node, x, axis, np.pad(np.arange(x.shape[axis]), widths_of_axis, mode).tolist())
    return x


def _pad_inputs(
    node: NodeContext, ndim: int, inputs: Sequence[OnnxValue | None]
) -> tuple[Any, dict[int, tuple[int, int]]]:
    """Return the constant to pad with, and (before, after) of each axis that is padded."""
    if node.opset < 11:
        pads, value, axes = list(node.attribute("pads")), node.attribute("value", 0.0), list(range(ndim))
    else:
        pads_input, value_input, axes_input = (*inputs, None, None)[:3]
        pads = node.integers(pads_input, "pads")
        axes = list(range(ndim)) if axes_input is None else node.integers(axes_input, "axes")
        axes = [normalized_axis(axis, ndim) for axis in axes]
        value = 0
        if value_input is not None and value_input.size > 0:
            value = node.constant(value_input, "value").reshape(())[()]
    half = len(pads) // 2
    return value, {axis: (pads[i], pads[half + i]) for i, axis in enumerate(axes)}


def pad_constant(node: NodeContext, x: OnnxValue, pads: dict[int, tuple[int, int]], value: float) -> OnnxValue:
    """Return x padded with a constant: the op pads two axes at a time, the rows and columns of a layout."""
    if x.ndim > 4:
        raise node.unsupported(f"it pads {x.ndim} axes; byhand pads up to four")
    axes = sorted(pads)
    while axes:
        padded, axes = axes[:2], axes[2:]
        others = [axis for axis in layout_of(x) if axis not in padded and axis != 0]
        layout = [0, *padded, *others]
        if isinstance(x, Symbol) and x.layout[0] == 0 and set(x.layout[1:3]) >= set(padded):
            layout = list(x.layout)  # already stored as rows or columns
        stored, missing_axes = node.in_layout(x, layout), 4 - len(layout)
        if missing_axes:
            stored = node.apply("reshape", stored, shape=(*stored.shape[1:], *[1] * missing_axes))
        rows_and_columns = [*layout[1:3], -1][:2]
        (top, bottom), (left, right) = (pads[axis] if axis in padded else (0, 0) for axis in rows_and_columns)
        stored = node.apply(pad, stored, padding=(top, bottom, left, right), value=value)
        if missing_axes:
            stored = node.apply("reshape", stored, shape=stored.shape[1 : len(layout)])
        x = from_layout(stored, layout)
    return x
