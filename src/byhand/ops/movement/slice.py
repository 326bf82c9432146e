"""slice: strided slices of some axes, as Python's and NumPy's x[start:stop:step].

    y[i, ...] = x[start + i * step, ...];   grad_x[start + i * step, ...] = grad_y[i, ...], 0 elsewhere

Source: ONNX, operator Slice.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.kernels.indexing import element_strides, merge_axes, row_start
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.flat_kernels import zero
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, normal_axis

python_slice = slice  # this module's `slice` is the op


def contract(
    x: Shape,
    *,
    starts: Sequence[int],
    stops: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> CallSpec:
    """Slice some axes: x -> y, whose axis axes[i] holds the indices starts[i], starts[i] + steps[i], ..., before stops[i].

    starts, stops: indices as in Python's slices, negative ones count from the end; None: from the first, through the last.
    axes: by default the first ones; steps: by default 1, negative ones go backwards. Raises ArgumentError where the four
    do not fit together.

    >>> import byhand as bh
    >>> bh.slice([[0.0, 1, 2, 3], [4, 5, 6, 7]], starts=(1, -1), stops=(2, None), steps=(1, -2))
    array([[7., 5.]])
    """
    starts, stops = integers("starts", starts, None), integers("stops", stops, len(starts))
    axes = tuple(range(len(starts))) if axes is None else integers("axes", axes, len(starts))
    steps = (1,) * len(starts) if steps is None else integers("steps", steps, len(starts))
    axes = [normal_axis(axis, len(x)) for axis in axes]
    if len(set(axes)) < len(axes) or 0 in steps:
        raise ArgumentError(f"axes are {tuple(axes)} and steps {steps}; expected each axis once, and no step of 0")
    y, firsts, strides = list(x), [0] * len(x), [1] * len(x)
    for axis, start, stop, step in zip(axes, starts, stops, steps):
        begin, end, _ = python_slice(start, stop, step).indices(x[axis])
        y[axis] = len(range(begin, end, step))
        firsts[axis], strides[axis] = (begin, step) if y[axis] else (0, 1)
    return CallSpec({"y": tuple(y)}, {"starts": tuple(firsts), "steps": tuple(strides)})


def integers(name, values, count):
    """Return integers as a tuple, None allowed in starts and stops; raise an ArgumentError for anything else."""
    optional = name in ("starts", "stops")

    def valid(value):
        return (value is None and optional) or (
            hasattr(value, "__index__") and not isinstance(value, (bool, np.ndarray))
        )

    if (
        not isinstance(values, (tuple, list))
        or (count is not None and len(values) != count)
        or not all(map(valid, values))
    ):
        expected = "whole numbers" if count is None else f"{count} whole numbers, as many as starts,"
        raise ArgumentError(f"{name} is {values!r}; expected {expected} in brackets")
    return tuple(None if value is None else int(value) for value in values)


def slice_loops(x, y, *, starts, steps):
    for i in np.ndindex(y.shape):
        y[i] = x[tuple(start + at * step for start, at, step in zip(starts, i, steps))]


def slice_backward_loops(grad_y, grad_x, *, starts, steps):
    grad_x[...] = 0
    for i in np.ndindex(grad_y.shape):
        grad_x[tuple(start + at * step for start, at, step in zip(starts, i, steps))] = grad_y[i]


def sliced_view(x, y, starts, steps):
    """Return the view of x that is y."""
    ends = [start + size * step for start, size, step in zip(starts, y.shape, steps)]
    return x[
        tuple(python_slice(start, end if end >= 0 else None, step) for start, end, step in zip(starts, ends, steps))
    ]


def slice_arrays(x, y, *, starts, steps):
    y[...] = sliced_view(x, y, starts, steps)


def slice_backward_arrays(grad_y, grad_x, *, starts, steps):
    grad_x[...] = 0
    sliced_view(grad_x, grad_y, starts, steps)[...] = grad_y


@kernel
def gather_rows(x, y, sizes, steps, start, rows, block):
    """Write rows of y from elements of x that lie `steps` apart; a step of 0 repeats one."""
    size, step, row, end = sizes[-1], steps[-1], block * rows, min((block + 1) * rows, y.size // sizes[-1])
    while row < end:
        at, count = start + row_start(row, sizes, steps), min(end - row, sizes[-2] - row % sizes[-2])
        for i in range(count):
            out, first = y[(row + i) * size : (row + i + 1) * size], at + i * steps[-2]
            if step == 1:
                source = x[first:]
                for k in range(size):
                    out[k] = source[k]
            else:
                for k in range(size):
                    out[k] = x[np.uintp(first + k * step)]  # unsigned: no test for a negative index
        row += count


@kernel
def scatter_rows(y, x, sizes, steps, start, rows, block):
    """Write the rows of y into x, where `gather_rows` would read them."""
    size, step, row, end = sizes[-1], steps[-1], block * rows, min((block + 1) * rows, y.size // sizes[-1])
    while row < end:
        at, count = start + row_start(row, sizes, steps), min(end - row, sizes[-2] - row % sizes[-2])
        for i in range(count):
            source, first = y[(row + i) * size : (row + i + 1) * size], at + i * steps[-2]
            if step == 1:
                out = x[first:]
                for k in range(size):
                    out[k] = source[k]
            else:
                for k in range(size):
                    x[np.uintp(first + k * step)] = source[k]  # unsigned: no test for a negative index
        row += count


def launch_gather(x, y, steps, start=0):
    """Launch y = elements of x: one step in memory per axis of y, from element `start` on."""
    if y.size:
        sizes, steps = merge_axes(y.shape, steps)
        rows = cdiv(BLOCK_ELEMENTS, sizes[-1])
        launch(gather_rows, cdiv(y.size // sizes[-1], rows), x.reshape(-1), y.reshape(-1), sizes, steps, start, rows)


def memory_steps(x, starts, steps):
    """Return how far apart in x's memory the elements of y lie along each axis, and where the first one lies."""
    apart = element_strides(x.shape)
    first = sum(distance * start for distance, start in zip(apart, starts))
    return [distance * step for distance, step in zip(apart, steps)], first


@compiled
def slice_compiled(x, y, *, starts, steps):
    launch_gather(x, y, *memory_steps(x, starts, steps))


@compiled
def slice_backward_compiled(grad_y, grad_x, *, starts, steps):
    if grad_y.size < grad_x.size:
        zero(grad_x)
    if grad_y.size:
        apart, start = memory_steps(grad_x, starts, steps)
        sizes, apart = merge_axes(grad_y.shape, apart)
        rows = cdiv(BLOCK_ELEMENTS, sizes[-1])
        blocks = cdiv(prod(sizes[:-1]), rows)
        launch(scatter_rows, blocks, grad_y.reshape(-1), grad_x.reshape(-1), sizes, apart, start, rows)


def sample(draw: SampleSource) -> Sample:
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
)
