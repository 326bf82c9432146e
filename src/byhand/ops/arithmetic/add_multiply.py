"""add and multiply: y = a + b and y = a * b, with NumPy's broadcasting.

    grad_a = grad_y         (add)        grad_a = grad_y * b       (multiply)        and b alike

The gradient of an element that is repeated is the sum over its uses (broadcast.py).

Source: ONNX, operators Add and Mul.
"""

import numpy as np

from byhand.kernels import compiled
from byhand.ops.arithmetic.broadcast import (
    broadcast_call,
    broadcast_index,
    launch_add,
    launch_multiply,
    sum_to_shape,
    unbroadcast,
)
from byhand.ops.op import CallSpec, Op
from byhand.ops.samples import broadcast_pair
from byhand.shapes import Shape

# add ------------------------------------------------------------------------------------------------------------------


def add_contract(a: Shape, b: Shape) -> CallSpec:
    """Add with NumPy's broadcasting: a (...), b (...) -> y. Raises ShapeError where the shapes do not broadcast.

    >>> import byhand as bh
    >>> bh.add([[1.0, 2.0]], [10.0, 20.0])
    array([[11., 22.]])
    """
    return broadcast_call(a, b)


def add_loops(a, b, y):
    for i in np.ndindex(y.shape):
        y[i] = a[broadcast_index(i, a.shape)] + b[broadcast_index(i, b.shape)]


def add_backward_loops(grad_y, grad_a, grad_b):
    for grad in (grad_a, grad_b):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                grad[broadcast_index(i, grad.shape)] += grad_y[i]


def add_arrays(a, b, y):
    np.add(a, b, out=y)


def add_backward_arrays(grad_y, grad_a, grad_b):
    for grad in (grad_a, grad_b):
        if grad is not None:
            grad[...] = sum_to_shape(grad_y, grad.shape)


@compiled
def add_compiled(a, b, y):
    launch_add(a, b, y)


@compiled
def add_backward_compiled(grad_y, grad_a, grad_b):
    unbroadcast(grad_y, None, grad_a)
    unbroadcast(grad_y, None, grad_b)


add = Op(
    "add",
    add_contract,
    loops=(add_loops, add_backward_loops),
    arrays=(add_arrays, add_backward_arrays),
    compiled=(add_compiled, add_backward_compiled),
    sample=broadcast_pair,
)


# multiply -------------------------------------------------------------------------------------------------------------


def multiply_contract(a: Shape, b: Shape) -> CallSpec:
    """Multiply with NumPy's broadcasting: a (...), b (...) -> y. Raises ShapeError where the shapes do not broadcast.

    >>> import byhand as bh
    >>> bh.multiply([[1.0, 2.0]], [10.0, 20.0])
    array([[10., 40.]])
    """
    return broadcast_call(a, b)


def multiply_loops(a, b, y):
    for i in np.ndindex(y.shape):
        y[i] = a[broadcast_index(i, a.shape)] * b[broadcast_index(i, b.shape)]


def multiply_backward_loops(a, b, grad_y, grad_a, grad_b):
    for grad, other in ((grad_a, b), (grad_b, a)):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                grad[broadcast_index(i, grad.shape)] += grad_y[i] * other[broadcast_index(i, other.shape)]


def multiply_arrays(a, b, y):
    np.multiply(a, b, out=y)


def multiply_backward_arrays(a, b, grad_y, grad_a, grad_b):
    for grad, other in ((grad_a, b), (grad_b, a)):
        if grad is not None:
            grad[...] = sum_to_shape(grad_y * other, grad.shape)


@compiled
def multiply_compiled(a, b, y):
    launch_multiply(a, b, y)


@compiled
def multiply_backward_compiled(a, b, grad_y, grad_a, grad_b):
    unbroadcast(grad_y, b, grad_a)
    unbroadcast(grad_y, a, grad_b)


multiply = Op(
    "multiply",
    multiply_contract,
    loops=(multiply_loops, multiply_backward_loops),
    arrays=(multiply_arrays, multiply_backward_arrays),
    compiled=(multiply_compiled, multiply_backward_compiled),
    sample=broadcast_pair,
)
