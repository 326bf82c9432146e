"""add and multiply: y = a + b and y = a * b, with sizes of 1 repeated as NumPy does.

    grad_a = grad_y         (add)        grad_a = grad_y * b       (multiply)        and b alike

A number that was repeated was used many times; its gradient is the sum over its uses.
"""

from math import prod

import numpy as np

from byhand.ops.op import Call, Op
from byhand.shapes import broadcast


def add_contract(a, b):
    """Add, with sizes of 1 repeated as NumPy does: a (...), b (...) -> y. Raises ShapeError where they do not fit.

    >>> import byhand as bh
    >>> bh.add([[1.0, 2.0]], [10.0, 20.0])
    array([[11., 22.]])
    """
    y = broadcast(a, b)
    return Call({"y": y}, flops=prod(y))


def multiply_contract(a, b):
    """Multiply, with sizes of 1 repeated as NumPy does: a (...), b (...) -> y. Raises ShapeError where they do not fit.

    >>> import byhand as bh
    >>> bh.multiply([[1.0, 2.0]], [10.0, 20.0])
    array([[10., 40.]])
    """
    y = broadcast(a, b)
    return Call({"y": y}, flops=prod(y))


def _at(place, shape):
    """Return the place in an array of `shape` that broadcasting shows at `place`."""
    return tuple(0 if size == 1 else i for i, size in zip(place[len(place) - len(shape) :], shape))


def _summed(grad, shape):
    """Return a gradient summed over the axes that broadcasting repeated."""
    grad = grad.sum(tuple(range(grad.ndim - len(shape))))
    return grad.sum(tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


def add_loops(a, b, y):
    for i in np.ndindex(y.shape):
        y[i] = a[_at(i, a.shape)] + b[_at(i, b.shape)]


def add_backward_loops(grad_y, grad_a, grad_b):
    for grad in (grad_a, grad_b):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                grad[_at(i, grad.shape)] += grad_y[i]


def multiply_loops(a, b, y):
    for i in np.ndindex(y.shape):
        y[i] = a[_at(i, a.shape)] * b[_at(i, b.shape)]


def multiply_backward_loops(a, b, grad_y, grad_a, grad_b):
    for grad, other in ((grad_a, b), (grad_b, a)):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                grad[_at(i, grad.shape)] += grad_y[i] * other[_at(i, other.shape)]


def add_arrays(a, b, y):
    np.add(a, b, out=y)


def add_backward_arrays(grad_y, grad_a, grad_b):
    for grad in (grad_a, grad_b):
        if grad is not None:
            grad[...] = _summed(grad_y, grad.shape)


def multiply_arrays(a, b, y):
    np.multiply(a, b, out=y)


def multiply_backward_arrays(a, b, grad_y, grad_a, grad_b):
    for grad, other in ((grad_a, b), (grad_b, a)):
        if grad is not None:
            grad[...] = _summed(grad_y * other, grad.shape)


def pair_sample(draw):
    """Draw a legal call."""
    shape = [draw.integer(1, 4) for _ in range(4)]
    thin = [draw.choice([1, size]) for size in shape][draw.integer(0, 3) :]
    pair = (draw.array(*shape), draw.array(*thin))
    return (pair if draw.choice([True, False]) else pair[::-1]), {}


add = Op(
    "add",
    add_contract,
    loops=(add_loops, add_backward_loops),
    arrays=(add_arrays, add_backward_arrays),
    sample=pair_sample,
    onnx="Add",
)
multiply = Op(
    "multiply",
    multiply_contract,
    loops=(multiply_loops, multiply_backward_loops),
    arrays=(multiply_arrays, multiply_backward_arrays),
    sample=pair_sample,
    onnx="Mul",
)
