"""maximum and minimum: the larger or the smaller of two arrays, element by element, with NumPy's broadcasting.

The input that was taken gets grad_y; of two equal ones each gets half of it (scalar_function.py).

Source: ONNX, operators Max and Min.
"""

import numpy as np

from byhand.kernels import compiled
from byhand.ops.arithmetic.broadcast import broadcast_call
from byhand.ops.arithmetic.scalar_function import (
    apply_function,
    apply_function_backward,
    binary_kernels,
    launch_binary,
    launch_binary_backward,
    sum_gradients,
)
from byhand.ops.op import CallSpec, Op
from byhand.ops.samples import broadcast_pair
from byhand.shapes import Shape

# maximum: y = max(a, b);  derivatives 1 for the maximum_scalar, 0 for the other, 1/2 each where they are equal ----------------


def maximum_contract(a: Shape, b: Shape) -> CallSpec:
    """Take the larger of two numbers, with NumPy's broadcasting: a (...), b (...) -> y; NaN where either is.

    Raises ShapeError where the shapes do not broadcast.

    >>> import byhand as bh
    >>> bh.maximum([[1.0, 20.0]], [10.0, 2.0])
    array([[10., 20.]])
    """
    return broadcast_call(a, b)


def maximum_scalar(a, b):
    return a if a > b or a != a else b  # noqa: PLR0124  (NaN)


def maximum_grad_a(a, b, grad):
    return 0.0 if a < b else grad / 2.0 if a == b else grad


def maximum_grad_b(a, b, grad):
    return maximum_grad_a(b, a, grad)


def maximum_loops(a, b, y):
    apply_function(maximum_scalar, a, b, y)


def maximum_backward_loops(a, b, grad_y, grad_a, grad_b):
    apply_function_backward((maximum_grad_a, maximum_grad_b), a, b, grad_y, grad_a, grad_b)


def maximum_arrays(a, b, y):
    np.maximum(a, b, out=y)


def maximum_backward_arrays(a, b, grad_y, grad_a, grad_b):
    shared = np.where(a == b, grad_y / 2, grad_y)
    sum_gradients((lambda: np.where(a < b, 0, shared), lambda: np.where(b < a, 0, shared)), grad_a, grad_b)


MAXIMUM = binary_kernels(maximum_scalar, (maximum_grad_a, maximum_grad_b))


@compiled
def maximum_compiled(a, b, y):
    launch_binary(MAXIMUM.forward, a, b, y)


@compiled
def maximum_backward_compiled(a, b, grad_y, grad_a, grad_b):
    launch_binary_backward(MAXIMUM.backward, a, b, grad_y, grad_a, grad_b)


maximum = Op(
    "maximum",
    maximum_contract,
    loops=(maximum_loops, maximum_backward_loops),
    arrays=(maximum_arrays, maximum_backward_arrays),
    compiled=(maximum_compiled, maximum_backward_compiled),
    sample=broadcast_pair,
)


# minimum: y = min(a, b);  derivatives 1 for the smaller, 0 for the other, 1/2 each where they are equal ---------------


def minimum_contract(a: Shape, b: Shape) -> CallSpec:
    """Take the smaller of two numbers, with NumPy's broadcasting: a (...), b (...) -> y; NaN where either is.

    Raises ShapeError where the shapes do not broadcast.

    >>> import byhand as bh
    >>> bh.minimum([[1.0, 20.0]], [10.0, 2.0])
    array([[1., 2.]])
    """
    return broadcast_call(a, b)


def minimum_scalar(a, b):
    return a if a < b or a != a else b  # noqa: PLR0124  (NaN)


def minimum_loops(a, b, y):
    apply_function(minimum_scalar, a, b, y)


def minimum_backward_loops(a, b, grad_y, grad_a, grad_b):
    apply_function_backward((maximum_grad_b, maximum_grad_a), a, b, grad_y, grad_a, grad_b)


def minimum_arrays(a, b, y):
    np.minimum(a, b, out=y)


def minimum_backward_arrays(a, b, grad_y, grad_a, grad_b):
    maximum_backward_arrays(b, a, grad_y, grad_a, grad_b)


MINIMUM = binary_kernels(minimum_scalar)


@compiled
def minimum_compiled(a, b, y):
    launch_binary(MINIMUM.forward, a, b, y)


@compiled
def minimum_backward_compiled(a, b, grad_y, grad_a, grad_b):
    launch_binary_backward(MAXIMUM.backward[::-1], a, b, grad_y, grad_a, grad_b)


minimum = Op(
    "minimum",
    minimum_contract,
    loops=(minimum_loops, minimum_backward_loops),
    arrays=(minimum_arrays, minimum_backward_arrays),
    compiled=(minimum_compiled, minimum_backward_compiled),
    sample=broadcast_pair,
)
