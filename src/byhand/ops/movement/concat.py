"""concat: arrays joined along one axis.

    y = [xs[0], xs[1], ...] along `axis`;   grad_xs[k] = the slice of grad_y that xs[k] fills

Source: ONNX, operator Concat.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.kernels import compiled
from byhand.ops.flat_kernels import copy_rows
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, normal_axis


def concat_contract(xs: Sequence[Shape], *, axis: int = -1) -> CallSpec:
    """Concatenate along an axis: xs, arrays of equal shape except on that axis -> y.

    Raises ShapeError where their shapes differ on another axis.

    >>> import byhand as bh
    >>> bh.concat([[[1.0]], [[2.0, 3.0]]])
    array([[1., 2., 3.]])
    """
    if not xs or not xs[0]:
        raise ArgumentError("xs is empty; expected one array or more, of one axis or more")
    axis = normal_axis(axis, len(xs[0]))
    for x in xs[1:]:
        if len(x) != len(xs[0]) or any(a != b for i, (a, b) in enumerate(zip(x, xs[0])) if i != axis):
            raise ShapeError(f"xs have the shapes {xs[0]} and {x}; expected equal sizes but for axis {axis}")
    y = (*xs[0][:axis], sum(x[axis] for x in xs), *xs[0][axis + 1 :])
    return CallSpec({"y": y}, {"axis": axis})


def concat_loops(xs, y, *, axis):
    start = 0
    for x in xs:
        for i in np.ndindex(x.shape):
            y[*i[:axis], start + i[axis], *i[axis + 1 :]] = x[i]
        start += x.shape[axis]


def concat_backward_loops(grad_y, grad_xs, *, axis):
    start = 0
    for grad in grad_xs:
        for i in np.ndindex(grad.shape):
            grad[i] = grad_y[*i[:axis], start + i[axis], *i[axis + 1 :]]
        start += grad.shape[axis]


def concat_arrays(xs, y, *, axis):
    np.concatenate(xs, axis, out=y)


def concat_backward_arrays(grad_y, grad_xs, *, axis):
    ends = np.cumsum([grad.shape[axis] for grad in grad_xs])
    for grad, part in zip(grad_xs, np.split(grad_y, ends[:-1], axis)):
        grad[...] = part


@compiled
def concat_compiled(xs, y, *, axis):
    start = 0
    for x in xs:
        width, y_width = prod(x.shape[axis:]), prod(y.shape[axis:])
        copy_rows(x.reshape(-1), y.reshape(-1)[start:], x.size // width, width, y_width, width)
        start += width


@compiled
def concat_backward_compiled(grad_y, grad_xs, *, axis):
    start = 0
    for grad in grad_xs:
        width, y_width = prod(grad.shape[axis:]), prod(grad_y.shape[axis:])
        copy_rows(grad_y.reshape(-1)[start:], grad.reshape(-1), grad.size // width, y_width, width, width)
        start += width


def concat_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    shape, axis = [draw.integer(1, 3) for _ in range(4)], draw.integer(-4, 3)
    xs = []
    for _ in range(draw.integer(1, 3)):
        shape[axis] = draw.integer(1, 3)
        xs.append(draw.array(*shape))
    return (tuple(xs),), {"axis": axis}


concat = Op(
    "concat",
    concat_contract,
    loops=(concat_loops, concat_backward_loops),
    arrays=(concat_arrays, concat_backward_arrays),
    compiled=(concat_compiled, concat_backward_compiled),
    sample=concat_sample,
)
