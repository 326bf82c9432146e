"""What moves numbers and computes none: Reshape, Transpose, Concat, Slice, Pad, Gather, ..."""

from collections.abc import Iterator, Sequence
from math import prod
from operator import index
from typing import Any

import numpy as np

from byhand.onnx.readers.table import operator
from byhand.onnx.values import Symbol, own_order, turned, wrap
from byhand.ops import concat, pad
from byhand.ops import slice as cut

MOST_TAKEN, MOST_CUTS = 2**20, 4096  # places of an axis, and the runs that they make
MOST_TURNS = 100  # times that padding goes through an image


def normal(axis: int, ndim: int) -> int:
    """Return an axis counted from the first, or raise a ValueError."""
    if not -ndim <= index(axis) < ndim:
        raise ValueError(f"the axis {axis} is none of {ndim}")
    return axis + ndim if axis < 0 else axis


def floating(value: Any) -> bool:
    """Tell whether ops work on a value."""
    return isinstance(value, Symbol) or value.dtype.kind == "f"


@operator("Reshape")
def reshape(use: Any, x: Any, shape: Any) -> Any:
    """Read Reshape: a size of 0 stays, one of -1 is what is left."""
    wanted = use.whole(shape, "shape")
    if not use.get("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    if isinstance(x, Symbol) and -1 not in wanted[:1] and wanted and wanted[0] == use.reader.batch:
        wanted[0] = 1
    if -1 in wanted:
        rest = -prod(wanted)
        wanted[wanted.index(-1)] = x.size // rest if rest > 0 else 0
    return use.reshaped(x, wanted)


@operator("Flatten")
def flatten(use: Any, x: Any) -> Any:
    """Read Flatten: two axes, those before one and those from it on."""
    axis = use.get("axis", 1)
    axis = axis if axis == x.ndim else normal(axis, x.ndim)
    return use.reshaped(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@operator("Squeeze")
def squeeze(use: Any, x: Any, axes: Any = None) -> Any:
    """Read Squeeze."""
    wanted = use.whole(axes, "axes") if use.version >= 13 else use.get("axes")
    if wanted is None:
        wanted = [i for i, size in enumerate(x.shape) if size == 1 and not (i == 0 and isinstance(x, Symbol))]
    gone = [normal(axis, x.ndim) for axis in wanted]
    if any(x.shape[axis] != 1 for axis in gone):
        raise ValueError(f"{x.shape} has no size of 1 at each of the axes {wanted}")
    return use.reshaped(x, [size for i, size in enumerate(x.shape) if i not in gone])


@operator("Unsqueeze")
def unsqueeze(use: Any, x: Any, axes: Any = None) -> Any:
    """Read Unsqueeze."""
    wanted = use.whole(axes, "axes") if use.version >= 13 else use.get("axes")
    new = [normal(axis, x.ndim + len(wanted)) for axis in wanted]
    if len(set(new)) < len(new):
        raise ValueError(f"axes are {wanted}; expected each of them once")
    sizes = iter(x.shape)
    return use.reshaped(x, [1 if i in new else next(sizes) for i in range(x.ndim + len(new))])


@operator("Transpose")
def transpose(use: Any, x: Any) -> Any:
    """Read Transpose: nothing moves until an op needs another order."""
    axes = use.get("perm", list(range(x.ndim))[::-1])
    if sorted(axes) != list(range(x.ndim)):
        raise ValueError(f"perm is {axes}; expected an order of 0 to {x.ndim - 1}")
    if not isinstance(x, Symbol):
        return x.transpose(axes)
    if axes[0] != 0:
        raise use.refuse("it moves the batch from the first axis")
    return turned(x, axes)


@operator("Concat")
def read_concat(use: Any, *xs: Any) -> Any:
    """Read Concat."""
    axis = normal(use.get("axis", 1), xs[0].ndim)
    symbols = [x for x in xs if isinstance(x, Symbol)]
    if not symbols:
        if all(x.dtype.kind == "f" and x.size for x in xs):
            return use.apply(concat, tuple(xs), axis=axis)
        use.room(sum(x.size for x in xs))
        return np.concatenate(xs, axis)
    if axis == 0 or len(symbols) < len(xs):
        raise use.refuse("it puts images behind one another" if axis == 0 else "it puts known numbers beside an image")
    order = max(symbols, key=lambda one: one.size).order
    return wrap(use.apply(concat, tuple(use.arranged(x, order) for x in xs), axis=order.index(axis)), order)


@operator("Split")
def split(use: Any, x: Any, sizes: Any = None) -> Any:
    """Read Split; without sizes, in equal parts, the last one smaller where they do not come out even."""
    axis, count = normal(use.get("axis", 0), x.ndim), use.get("num_outputs", len(use.node.output))
    wanted = use.whole(sizes, "sizes") if use.version >= 13 else use.get("split")
    if wanted is None and not 1 <= count <= len(use.node.output):
        raise ValueError(f"num_outputs is {count}, but it has {len(use.node.output)}")
    if wanted is None:
        part = -(-x.shape[axis] // count)
        wanted = [min(part, x.shape[axis] - i * part) for i in range(count)]
    if sum(wanted) != x.shape[axis]:
        raise ValueError(f"the parts {wanted} do not make {x.shape[axis]}, the size of axis {axis}")
    ends = np.cumsum(wanted)
    return [
        sliced(use, x, [(axis, int(end - size), int(end), 1)], i) for i, (end, size) in enumerate(zip(ends, wanted))
    ]


def sliced(use: Any, x: Any, parts: Sequence[tuple[int, Any, Any, int]], output: int | None = None) -> Any:
    """Return x with each (axis, start, stop, step) cut out of it."""
    whole = tuple(slice(None) for _ in x.shape)
    places = list(whole)
    for axis, start, stop, step in parts:
        places[axis] = slice(start, stop, step)
    if not isinstance(x, Symbol) and (x.dtype.kind != "f" or x.dtype.itemsize < 4):
        return x[tuple(places)]
    parts = [one for one in parts if range(x.shape[one[0]])[slice(*one[1:])] != range(x.shape[one[0]])]
    if isinstance(x, Symbol) and any(axis == 0 for axis, *_ in parts):
        raise use.refuse("it picks images out of a batch")
    if not parts:
        return x
    order, raw = own_order(x), x.tensor if isinstance(x, Symbol) else x
    axes, starts, stops, steps = zip(*((order.index(axis), *rest) for axis, *rest in parts))
    return wrap(use.apply(cut, raw, starts=starts, stops=stops, axes=axes, steps=steps, output=output), order)


@operator("Slice")
def read_slice(use: Any, x: Any, *rest: Any) -> Any:
    """Read Slice; its places were attributes up to opset 9."""
    if use.version < 10:
        starts, stops, axes, steps = use.get("starts"), use.get("ends"), use.get("axes"), None
    else:
        given = [use.whole(one, "places") for one in rest]
        starts, stops, axes, steps = (*given, None, None)[:4]
    axes = list(range(len(starts))) if axes is None else [normal(axis, x.ndim) for axis in axes]
    steps = [1] * len(starts) if steps is None else steps
    parts = []
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        size = x.shape[axis]
        if step < 0 and stop < -size:
            stop = None  # before the first
        if step < 0 and start < -size:
            start, stop = 0, 0
        parts.append((axis, start, stop, step))
    return sliced(use, x, parts)


@operator("Gather")
def gather(use: Any, x: Any, indices: Any) -> Any:
    """Read Gather: the places of an axis that are told."""
    axis, indices = normal(use.get("axis", 0), x.ndim), use.fixed(indices, "indices")
    if indices.dtype.kind not in "iu":
        raise ValueError(f"its indices are of the type {indices.dtype}; expected whole numbers")
    if indices.size and not (-x.shape[axis] <= indices.min() and indices.max() < x.shape[axis]):
        raise ValueError(
            f"the indices go from {indices.min()} to {indices.max()}; axis {axis} has {x.shape[axis]} places"
        )
    if not isinstance(x, Symbol):
        use.room(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return np.take(x, indices, axis)
    few(indices.size)
    picked = taken(use, x, axis, [int(i) % x.shape[axis] for i in indices.reshape(-1)])
    return use.reshaped(picked, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


@operator("GatherElements")
def gather_elements(use: Any, x: Any, indices: Any) -> Any:
    """Read GatherElements, of arrays."""
    axis = normal(use.get("axis", 0), x.ndim)
    use.room(*use.fixed(indices, "indices").shape)
    return np.take_along_axis(use.fixed(x, "input"), use.fixed(indices, "indices"), axis)


def few(count: int) -> None:
    """Raise a ValueError for more places of an axis than byhand takes one by one."""
    if count > MOST_TAKEN:
        raise ValueError(f"it takes {count:,} places of an axis; byhand takes up to {MOST_TAKEN:,} one by one")


def taken(use: Any, x: Any, axis: int, places: Sequence[int]) -> Any:
    """Return some places of an axis, as slices put behind one another."""
    if axis == 0:
        raise use.refuse("it picks images out of a batch")
    cuts = list(runs(places))
    if len(cuts) > MOST_CUTS:
        raise use.refuse(
            f"it puts {len(cuts):,} pieces of an axis behind one another; byhand does so with {MOST_CUTS:,}"
        )
    parts = [sliced(use, x, [(axis, *cut)]) for cut in cuts]
    if len(parts) == 1:
        return parts[0]
    raws = tuple(use.arranged(part, parts[0].order) for part in parts)
    return wrap(use.apply(concat, raws, axis=parts[0].order.index(axis)), parts[0].order)


def runs(places: Sequence[int]) -> Iterator[tuple[int, int | None, int]]:
    """Yield places as slices (start, stop, step), as few as they make.

    >>> list(runs([2, 1, 0, 1, 2, 3, 3]))
    [(2, None, -1), (1, 4, 1), (3, 4, 1)]
    """
    i = 0
    while i < len(places):
        step, end = (places[i + 1] - places[i] if i + 1 < len(places) else 1), i + 1
        while step and end < len(places) and places[end] - places[end - 1] == step:
            end += 1
        step = step if end > i + 1 else 1
        stop = places[end - 1] + (1 if step > 0 else -1)
        yield places[i], stop if stop >= 0 else None, step
        i = end


@operator("Pad")
def read_pad(use: Any, x: Any, *rest: Any) -> Any:
    """Read Pad: with a number, or with the image's own pixels (edge, reflect, wrap)."""
    mode = use.get("mode", "constant")
    if use.version < 11:
        pads, value, axes = list(use.get("pads")), use.get("value", 0.0), list(range(x.ndim))
    else:
        pads, value, axes = (*rest, None, None)[:3]
        pads, axes = use.whole(pads, "pads"), use.whole(axes, "axes")
        value = 0 if value is None or value.size == 0 else use.fixed(value, "value").reshape(())[()]
        axes = list(range(x.ndim)) if axes is None else [normal(axis, x.ndim) for axis in axes]
    half = len(pads) // 2
    sides: dict[int, tuple[int, int]] = {axis: (pads[i], pads[half + i]) for i, axis in enumerate(axes)}
    if not isinstance(x, Symbol):
        use.room(*(size + sum(sides.get(i, (0, 0))) for i, size in enumerate(x.shape)))
    if mode != "constant" and any(max(both) > MOST_TURNS * x.shape[axis] for axis, both in sides.items()):
        raise ValueError(f"pads are {pads} of an image {x.shape}; byhand goes up to {MOST_TURNS} times through it")
    cuts = [
        (axis, max(0, -before), x.shape[axis] - max(0, -after), 1)
        for axis, (before, after) in sides.items()
        if min(before, after) < 0
    ]
    x = sliced(use, x, cuts) if cuts else x
    sides = {axis: (max(0, a), max(0, b)) for axis, (a, b) in sides.items() if max(a, b) > 0}
    if not isinstance(x, Symbol):
        widths = [sides.get(axis, (0, 0)) for axis in range(x.ndim)]
        if mode == "constant" and x.ndim == 4 and floating(x) and set(sides) <= {2, 3}:
            return framed(use, x, sides, float(value))
        return np.pad(x, widths, mode, **({"constant_values": value} if mode == "constant" else {}))
    if 0 in sides:
        raise use.refuse("it adds images to a batch")
    if mode == "constant":
        return framed(use, x, sides, float(value))
    for axis, both in sides.items():
        few(x.shape[axis] + sum(both))
        x = taken(use, x, axis, np.pad(np.arange(x.shape[axis]), both, mode).tolist())
    return x


def framed(use: Any, x: Any, sides: dict[int, tuple[int, int]], value: float) -> Any:
    """Return x with a number put before and after some axes, two at a time."""
    if x.ndim > 4:
        raise use.refuse(f"it pads {x.ndim} axes; byhand pads up to four")
    axes = sorted(sides)
    while axes:
        pair, axes = axes[:2], axes[2:]
        others = [axis for axis in own_order(x) if axis not in pair and axis != 0]
        middle = [*pair, *others[: 2 - len(pair)]]
        order = [0, *middle, *others[2 - len(pair) :]]
        if isinstance(x, Symbol) and x.order[0] == 0 and set(x.order[1:3]) >= set(pair):
            order = list(x.order)  # as it lies
        raw, lacking = use.arranged(x, order), 4 - len(order)
        if lacking:
            raw = use.apply("reshape", raw, shape=(*raw.shape[1:], *[1] * lacking))
        (top, bottom), (left, right) = (
            sides.get(axis, (0, 0)) if axis in pair else (0, 0) for axis in [*order[1:3], -1][:2]
        )
        raw = use.apply(pad, raw, padding=(top, bottom, left, right), value=value)
        if lacking:
            raw = use.apply("reshape", raw, shape=raw.shape[1 : len(order)])
        x = wrap(raw, order)
    return x


@operator("Expand")
def expand(use: Any, x: Any, shape: Any) -> Any:
    """Read Expand: sizes of 1 repeated."""
    wanted = np.broadcast_shapes(x.shape, tuple(use.whole(shape, "shape")))
    if not isinstance(x, Symbol):
        return np.broadcast_to(x, use.reader.repeat(wanted))
    if wanted == x.shape:
        return x
    raws, order = use.together([x, np.ones(wanted, np.float32)])
    return wrap(use.apply("multiply", *raws), order)


@operator("Tile")
def tile(use: Any, x: Any, repeats: Any) -> Any:
    """Read Tile: the whole repeated along its axes."""
    times = use.whole(repeats, "repeats")
    if len(times) != x.ndim or min(times, default=0) < 0:
        raise ValueError(f"repeats are {times}; expected a number for each axis of {x.shape}")
    if not isinstance(x, Symbol):
        use.room(*(size * count for size, count in zip(x.shape, times)))
        return np.tile(x, times)
    for axis, count in enumerate(times):
        if count != 1:
            few(x.shape[axis] * count)
            x = taken(use, x, axis, list(range(x.shape[axis])) * count)
    return x


@operator("DepthToSpace")
def depth_to_space(use: Any, x: Any) -> Any:
    """Read DepthToSpace: channels become blocks of pixels."""
    block, (n, c, h, w) = use.get("blocksize"), x.shape
    first = use.get("mode", "DCR") == "DCR"
    shape = (n, block, block, c // block**2, h, w) if first else (n, c // block**2, block, block, h, w)
    apart, axes = use.reshaped(x, shape), (0, 3, 4, 1, 5, 2) if first else (0, 1, 4, 2, 5, 3)
    moved = turned(apart, axes) if isinstance(apart, Symbol) else apart.transpose(axes)
    return use.reshaped(moved, (n, c // block**2, h * block, w * block))


@operator("SpaceToDepth")
def space_to_depth(use: Any, x: Any) -> Any:
    """Read SpaceToDepth: blocks of pixels become channels."""
    block, (n, c, h, w) = use.get("blocksize"), x.shape
    depth_first = use.get("mode", "DCR") == "DCR"
    apart = use.reshaped(x, (n, c, h // block, block, w // block, block))
    axes = (0, 3, 5, 1, 2, 4) if depth_first else (0, 1, 3, 5, 2, 4)
    moved = turned(apart, axes) if isinstance(apart, Symbol) else apart.transpose(axes)
    return use.reshaped(moved, (n, c * block**2, h // block, w // block))
