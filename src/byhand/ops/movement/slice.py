"""slice: every so many numbers of some axes, from a start up to a stop: y[i, ...] = x[start + i * step, ...].

The gradient of a number that was cut away is 0; all others move back along the way they came.

Source: ONNX, operator Slice; Python's and NumPy's slices are the same.
"""

from math import prod

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.kernels.indexing import merged, row_start, steps_of
from byhand.ops.op import Call, Op
from byhand.shapes import normal_axis

GRAIN = 16384  # elements of a block
range_of = slice  # Python's own; the name is the op's below


def contract(x, *, starts, stops, axes=None, steps=None):
    """Cut a part out of some axes: x -> y, whose axis axes[i] holds starts[i], starts[i] + steps[i], ..., not stops[i].

    starts, stops: places, negative ones counted from the end, those beyond an end moved to it; None: from the first, to the
    last. axes: by default the first ones; steps: by default 1, negative ones go backwards. Raises ArgumentError where the
    four do not fit together.

    >>> import byhand as bh
    >>> bh.slice([[0.0, 1, 2, 3], [4, 5, 6, 7]], starts=(1, -1), stops=(2, None), steps=(1, -2))
    array([[7., 5.]])
    """
    starts, stops = whole("starts", starts, None), whole("stops", stops, len(starts))
    axes = tuple(range(len(starts))) if axes is None else whole("axes", axes, len(starts))
    steps = (1,) * len(starts) if steps is None else whole("steps", steps, len(starts))
    axes = [normal_axis(axis, len(x)) for axis in axes]
    if len(set(axes)) < len(axes) or 0 in steps:
        raise ArgumentError(f"axes are {tuple(axes)} and steps {steps}; expected each axis once, and no step of 0")
    y, firsts, strides = list(x), [0] * len(x), [1] * len(x)
    for axis, start, stop, step in zip(axes, starts, stops, steps):
        begin, end, _ = range_of(start, stop, step).indices(x[axis])
        y[axis] = len(range(begin, end, step))
        firsts[axis], strides[axis] = (begin, step) if y[axis] else (0, 1)
    return Call({"y": tuple(y)}, {"starts": tuple(firsts), "steps": tuple(strides)})


def whole(name, values, count):
    """Return whole numbers (None, in starts and stops, stays) as a tuple, or raise an ArgumentError that names them."""
    good = isinstance(values, (tuple, list)) and (count is None or len(values) == count)
    for one in values if good else ():
        good = good and (hasattr(one, "__index__") and not isinstance(one, (bool, np.ndarray)))
        good = good or (one is None and name in ("starts", "stops"))
        if not good:
            break
    if not good:
        some = "whole numbers" if count is None else f"{count} whole numbers, as many as starts,"
        raise ArgumentError(f"{name} is {values!r}; expected {some} in brackets")
    return tuple(None if one is None else int(one) for one in values)


def slice_loops(x, y, *, starts, steps):
    for i in np.ndindex(y.shape):
        y[i] = x[tuple(start + at * step for start, at, step in zip(starts, i, steps))]


def slice_backward_loops(grad_y, grad_x, *, starts, steps):
    grad_x[...] = 0
    for i in np.ndindex(grad_y.shape):
        grad_x[tuple(start + at * step for start, at, step in zip(starts, i, steps))] = grad_y[i]


def _part(x, y, starts, steps):
    """Return the part of x that y is, as a view."""
    ends = [start + size * step for start, size, step in zip(starts, y.shape, steps)]
    return x[tuple(range_of(start, end if end >= 0 else None, step) for start, end, step in zip(starts, ends, steps))]


def slice_arrays(x, y, *, starts, steps):
    y[...] = _part(x, y, starts, steps)


def slice_backward_arrays(grad_y, grad_x, *, starts, steps):
    grad_x[...] = 0
    _part(grad_x, grad_y, starts, steps)[...] = grad_y


@kernel
def picked(x, y, sizes, steps, start, rows, block):
    """Fill y, row by row, with numbers of x that lie `steps` apart; a step of 0 repeats one."""
    size, step, row, end = sizes[-1], steps[-1], block * rows, min((block + 1) * rows, y.size // sizes[-1])
    while row < end:
        at, count = start + row_start(row, sizes, steps), min(end - row, sizes[-2] - row % sizes[-2])
        for i in range(count):
            out, first = y[(row + i) * size : (row + i + 1) * size], at + i * steps[-2]
            if step == 1:
                numbers = x[first:]
                for k in range(size):
                    out[k] = numbers[k]
            else:
                for k in range(size):
                    out[k] = x[np.uintp(first + k * step)]
        row += count


@kernel
def placed(y, x, sizes, steps, start, rows, block):
    """Put the rows of y into x, where `picked` finds them."""
    size, step, row, end = sizes[-1], steps[-1], block * rows, min((block + 1) * rows, y.size // sizes[-1])
    while row < end:
        at, count = start + row_start(row, sizes, steps), min(end - row, sizes[-2] - row % sizes[-2])
        for i in range(count):
            numbers, first = y[(row + i) * size : (row + i + 1) * size], at + i * steps[-2]
            if step == 1:
                out = x[first:]
                for k in range(size):
                    out[k] = numbers[k]
            else:
                for k in range(size):
                    x[np.uintp(first + k * step)] = numbers[k]
        row += count


@kernel
def zeroed(x, block):
    part = x[block * GRAIN : (block + 1) * GRAIN]
    for k in range(part.size):
        part[k] = 0.0


def zero(x):
    """Launch x = 0."""
    launch(zeroed, cdiv(x.size, GRAIN), x.reshape(-1))


def pick(x, y, steps, start=0):
    """Launch y = the numbers of x that lie `steps` apart, an axis of y each, from number `start` on."""
    if y.size:
        sizes, steps = merged(y.shape, steps)
        rows = cdiv(GRAIN, sizes[-1])
        launch(picked, cdiv(y.size // sizes[-1], rows), x.reshape(-1), y.reshape(-1), sizes, steps, start, rows)


def walk(x, starts, steps):
    """Return how far apart in memory x's numbers lie along each axis of y, and where y's first one lies."""
    apart = steps_of(x.shape)
    return [one * step for one, step in zip(apart, steps)], sum(one * start for one, start in zip(apart, starts))


@compiled
def slice_compiled(x, y, *, starts, steps):
    pick(x, y, *walk(x, starts, steps))


@compiled
def slice_backward_compiled(grad_y, grad_x, *, starts, steps):
    if grad_y.size < grad_x.size:
        zero(grad_x)
    if grad_y.size:
        apart, start = walk(grad_x, starts, steps)
        sizes, apart = merged(grad_y.shape, apart)
        rows = cdiv(GRAIN, sizes[-1])
        blocks = cdiv(prod(sizes[:-1]), rows)
        launch(placed, blocks, grad_y.reshape(-1), grad_x.reshape(-1), sizes, apart, start, rows)


def sample(draw):
    """Draw a legal call."""
    x = draw.array(*(draw.integer(1, 5) for _ in range(4)))
    axes = draw.choice([(0, 1), (3,), (-1, 2), (1, 3, 2), (2,)])
    starts, stops, steps = [], [], []
    for axis in axes:
        size = x.shape[axis]
        step, first, count = draw.choice([1, 1, 2, -1, -3]), draw.integer(0, size - 1), draw.integer(1, size)
        last = first + count * step
        starts.append(first if draw.choice([True, False]) else first - size)
        stops.append(None if last < 0 else last)
        steps.append(step)
    return (x,), {"starts": tuple(starts), "stops": tuple(stops), "axes": axes, "steps": tuple(steps)}


slice = Op(
    "slice",
    contract,
    loops=(slice_loops, slice_backward_loops),
    arrays=(slice_arrays, slice_backward_arrays),
    compiled=(slice_compiled, slice_backward_compiled),
    sample=sample,
    onnx="Slice",
)
