"""subtract, divide and power: y = a - b, y = a / b and y = a^b, with NumPy's broadcasting.

The derivatives with respect to a and b stand beside each op; times grad_y, and summed over the axes that an input repeats,
they are grad_a and grad_b (scalar_function.py).

Source: ONNX, operators Sub, Div and Pow.
"""

import numpy as np

from byhand.kernels import compiled
from byhand.ops.arithmetic.broadcast import broadcast_call, broadcast_index, unbroadcast
from byhand.ops.arithmetic.scalar_function import (
    apply_function,
    apply_function_backward,
    binary_kernels,
    launch_binary,
    launch_binary_backward,
    sum_gradients,
)
from byhand.ops.flat_kernels import negate
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.ops.samples import broadcast_pair
from byhand.shapes import Shape

# subtract: y = a - b;  derivatives 1, -1 ------------------------------------------------------------------------------


def subtract_contract(a: Shape, b: Shape) -> CallSpec:
    """Subtract, with NumPy's broadcasting: a (...), b (...) -> y. Raises ShapeError where the shapes do not broadcast.

    >>> import byhand as bh
    >>> bh.subtract([[1.0, 2.0]], [10.0, 20.0])
    array([[ -9., -18.]])
    """
    return broadcast_call(a, b)


def difference(a, b):
    return a - b


def subtract_loops(a, b, y):
    apply_function(difference, a, b, y)


def subtract_backward_loops(grad_y, grad_a, grad_b):
    for grad, sign in ((grad_a, 1.0), (grad_b, -1.0)):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                grad[broadcast_index(i, grad.shape)] += sign * grad_y[i]


def subtract_arrays(a, b, y):
    np.subtract(a, b, out=y)


def subtract_backward_arrays(grad_y, grad_a, grad_b):
    sum_gradients((lambda: grad_y, lambda: -grad_y), grad_a, grad_b)


SUBTRACT = binary_kernels(difference)


@compiled
def subtract_compiled(a, b, y):
    launch_binary(SUBTRACT.forward, a, b, y)


@compiled
def subtract_backward_compiled(grad_y, grad_a, grad_b):
    unbroadcast(grad_y, None, grad_a)
    unbroadcast(grad_y, None, grad_b)
    if grad_b is not None:
        negate(grad_b)


subtract = Op(
    "subtract",
    subtract_contract,
    loops=(subtract_loops, subtract_backward_loops),
    arrays=(subtract_arrays, subtract_backward_arrays),
    compiled=(subtract_compiled, subtract_backward_compiled),
    sample=broadcast_pair,
)


# divide: y = a / b;  derivatives 1 / b, -a / b^2 ----------------------------------------------------------------------


def divide_contract(a: Shape, b: Shape) -> CallSpec:
    """Divide, with NumPy's broadcasting: a (...), b (...) -> y. Raises ShapeError where the shapes do not broadcast.

    >>> import byhand as bh
    >>> bh.divide([[1.0, 2.0]], [10.0, 20.0])
    array([[0.1, 0.1]])
    """
    return broadcast_call(a, b)


def quotient(a, b):
    return a / b


def divide_grad_a(a, b, grad):
    return grad / b


def divide_grad_b(a, b, grad):
    return -grad * ((a / b) / b)


DIVIDE = binary_kernels(quotient, (divide_grad_a, divide_grad_b))


def divide_loops(a, b, y):
    apply_function(quotient, a, b, y)


def divide_backward_loops(a, b, grad_y, grad_a, grad_b):
    apply_function_backward((divide_grad_a, divide_grad_b), a, b, grad_y, grad_a, grad_b)


def divide_arrays(a, b, y):
    np.divide(a, b, out=y)


def divide_backward_arrays(a, b, grad_y, grad_a, grad_b):
    sum_gradients((lambda: grad_y / b, lambda: -grad_y * (a / b / b)), grad_a, grad_b)


@compiled
def divide_compiled(a, b, y):
    launch_binary(DIVIDE.forward, a, b, y)


@compiled
def divide_backward_compiled(a, b, grad_y, grad_a, grad_b):
    launch_binary_backward(DIVIDE.backward, a, b, grad_y, grad_a, grad_b)


def divide_sample(draw: SampleSource) -> Sample:
    """Draw a legal call whose divisor keeps away from 0."""
    (a, b), _ = broadcast_pair(draw)
    return (a, np.where(b < 0, b - 0.5, b + 0.5)), {}


divide = Op(
    "divide",
    divide_contract,
    loops=(divide_loops, divide_backward_loops),
    arrays=(divide_arrays, divide_backward_arrays),
    compiled=(divide_compiled, divide_backward_compiled),
    sample=divide_sample,
)


# power: y = a^b;  derivatives b a^(b - 1), a^b ln a; 0 where b = 0, and where a = 0 with b >= 0 -----------------------


def power_contract(a: Shape, b: Shape) -> CallSpec:
    """Raise to a power, with NumPy's broadcasting: a (...), b (...) -> y; NaN where a < 0 and b is no whole one.

    >>> import byhand as bh
    >>> bh.power([[3.0, 4.0]], [2.0, 0.5])
    array([[9., 2.]])
    """
    return broadcast_call(a, b)


def a_to_the_b(a, b):
    return a**b


def power_grad_a(a, b, grad):
    return 0.0 if b == 0.0 else grad * (b * a ** (b - 1.0))


def power_grad_b(a, b, grad):
    return 0.0 if a == 0.0 and b >= 0.0 else grad * (a**b * np.log(a))


POWER = binary_kernels(a_to_the_b, (power_grad_a, power_grad_b))


def power_loops(a, b, y):
    apply_function(a_to_the_b, a, b, y)


def power_backward_loops(a, b, grad_y, grad_a, grad_b):
    apply_function_backward((power_grad_a, power_grad_b), a, b, grad_y, grad_a, grad_b)


def power_arrays(a, b, y):
    y[...] = np.float_power(a, b)  # `**` takes a lone exponent of 0.5 for a square root, NaN of minus infinity


def power_backward_arrays(a, b, grad_y, grad_a, grad_b):
    def gradient_a():
        return np.where(b == 0, 0, grad_y * (b * np.float_power(a, b - 1)))

    def gradient_b():
        zero_slope = (a == 0) & (b >= 0)
        return np.where(zero_slope, 0, grad_y * (np.float_power(a, b) * np.log(np.where(zero_slope, 1, a))))

    sum_gradients((gradient_a, gradient_b), grad_a, grad_b)


@compiled
def power_compiled(a, b, y):
    launch_binary(POWER.forward, a, b, y)


@compiled
def power_backward_compiled(a, b, grad_y, grad_a, grad_b):
    launch_binary_backward(POWER.backward, a, b, grad_y, grad_a, grad_b)


def positive_sample(draw: SampleSource) -> Sample:
    """Draw a legal call whose numbers keep away from 0 and below."""
    (a, b), _ = broadcast_pair(draw)
    return (0.5 + np.abs(a), 0.5 + np.abs(b)), {}


power = Op(
    "power",
    power_contract,
    loops=(power_loops, power_backward_loops),
    arrays=(power_arrays, power_backward_arrays),
    compiled=(power_compiled, power_backward_compiled),
    sample=positive_sample,
)
