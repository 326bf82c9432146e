"""subtract, divide, power: two numbers become one, with sizes of 1 repeated as NumPy does; what minmax.py shares with them.

Each has two slopes: what a small change of a, and of b, does to y, times grad_y. A number that was repeated was used many
times; its gradient is the sum over its uses, as in arithmetic.py.

Source: ONNX, the operators Sub, Div and Pow.
"""

from math import prod

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.kernels.indexing import merged, row_start, steps_of
from byhand.ops.arithmetic.add_multiply import _at, _summed, pair_sample, unpair
from byhand.ops.op import Call, Op
from byhand.shapes import broadcast

GRAIN = 16384  # elements of a block

# what all share -------------------------------------------------------------------------------------------------------


def both(function, a, b, y):
    """Write y = function(a, b), number by number."""
    for i in np.ndindex(y.shape):
        y[i] = function(a[_at(i, a.shape)], b[_at(i, b.shape)])


def both_backward(slopes, a, b, grad_y, grad_a, grad_b):
    """Add each place's slopes, (of a, of b), to the numbers it came from."""
    for grad, slope in zip((grad_a, grad_b), slopes):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                grad[_at(i, grad.shape)] += slope(a[_at(i, a.shape)], b[_at(i, b.shape)], grad_y[i])


def combine_kernel(function):
    """Return the kernel that writes y = function(a, b)."""

    @kernel
    def combine(a, b, y, sizes, steps_a, steps_b, rows, block):
        """Fill rows of y; a step of 0 repeats a number."""
        size, step_a, step_b = sizes[-1], steps_a[-1], steps_b[-1]
        for row in range(block * rows, min((block + 1) * rows, y.size // size)):
            ours, theirs = a[row_start(row, sizes, steps_a) :], b[row_start(row, sizes, steps_b) :]
            out = y[row * size : (row + 1) * size]
            if step_a == 1 and step_b == 1:
                for k in range(size):
                    out[k] = function(ours[k], theirs[k])
            elif step_a == 1:
                q = theirs[0]
                for k in range(size):
                    out[k] = function(ours[k], q)
            else:
                p = ours[0]
                for k in range(size):
                    out[k] = function(p, theirs[np.uintp(k * step_b)])

    return combine


def slope_kernel(slope):
    """Return the kernel that writes slope(a, b, grad_y) for each place of y."""

    @kernel
    def send_back(operands, part, sizes, steps_a, steps_b, rows, block):
        """Fill rows of part with what the places of y send back; operands: a, b and grad_y."""
        a, b, grad_y = operands
        size, step_a, step_b = sizes[-1], steps_a[-1], steps_b[-1]
        for row in range(block * rows, min((block + 1) * rows, part.size // size)):
            ours, theirs = a[row_start(row, sizes, steps_a) :], b[row_start(row, sizes, steps_b) :]
            grad, out = grad_y[row * size : (row + 1) * size], part[row * size : (row + 1) * size]
            if step_a == 1 and step_b == 1:
                for k in range(size):
                    out[k] = slope(ours[k], theirs[k], grad[k])
            elif step_a == 1:
                q = theirs[0]
                for k in range(size):
                    out[k] = slope(ours[k], q, grad[k])
            else:
                p = ours[0]
                for k in range(size):
                    out[k] = slope(p, theirs[np.uintp(k * step_b)], grad[k])

    return send_back


def kernels_of(function, slopes):
    """Return the kernels of a function and of its slopes."""
    return combine_kernel(function), tuple(map(slope_kernel, slopes))


def launch_rows(kernel, a, b, arrays, y):
    """Launch one of these kernels over arrays, a and b among them, that are read as rows of y."""
    sizes, steps_a, steps_b = merged(y.shape, steps_of(a.shape, y.shape), steps_of(b.shape, y.shape))
    rows = cdiv(GRAIN, sizes[-1])
    launch(kernel, cdiv(prod(sizes[:-1]), rows), *arrays, y.reshape(-1), sizes, steps_a, steps_b, rows)


def run(kernel, a, b, y):
    """Launch the kernel of a function."""
    launch_rows(kernel, a, b, (a.reshape(-1), b.reshape(-1)), y)


def run_backward(slopes, a, b, grad_y, grad_a, grad_b):
    """Launch the kernels of both slopes, and sum where a number was repeated."""
    operands = a.reshape(-1), b.reshape(-1), grad_y.reshape(-1)
    for one, grad in zip(slopes, (grad_a, grad_b)):
        if grad is None:
            continue
        if grad.size == grad_y.size:
            launch_rows(one, a, b, (operands,), grad.reshape(grad_y.shape))
        else:
            part = scratch(*grad_y.shape, dtype=grad_y.dtype)
            launch_rows(one, a, b, (operands,), part)
            unpair(part, None, grad)


def sums(parts, grad_a, grad_b):
    """Write what NumPy worked out for every place of y, each part as a function, summed to where it belongs."""
    for part, grad in zip(parts, (grad_a, grad_b)):
        if grad is not None:
            grad[...] = _summed(part(), grad.shape)


def planned(a, b):
    """Return the call of such an op."""
    y = broadcast(a, b)
    return Call({"y": y}, flops=prod(y))


# subtract: y = a - b;  slopes 1, -1 -----------------------------------------------------------------------------------


def subtract_contract(a, b):
    """Subtract, with sizes of 1 repeated as NumPy does: a (...), b (...) -> y. Raises ShapeError where they do not fit.

    >>> import byhand as bh
    >>> bh.subtract([[1.0, 2.0]], [10.0, 20.0])
    array([[ -9., -18.]])
    """
    return planned(a, b)


def difference(a, b):
    return a - b


def subtract_loops(a, b, y):
    both(difference, a, b, y)


def subtract_backward_loops(grad_y, grad_a, grad_b):
    for grad, sign in ((grad_a, 1.0), (grad_b, -1.0)):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                grad[_at(i, grad.shape)] += sign * grad_y[i]


def subtract_arrays(a, b, y):
    np.subtract(a, b, out=y)


def subtract_backward_arrays(grad_y, grad_a, grad_b):
    sums((lambda: grad_y, lambda: -grad_y), grad_a, grad_b)


differences, _ = kernels_of(difference, ())


@kernel
def negated(x, block):
    part = x[block * GRAIN : (block + 1) * GRAIN]
    for k in range(part.size):
        part[k] = -part[k]


@compiled
def subtract_compiled(a, b, y):
    run(differences, a, b, y)


@compiled
def subtract_backward_compiled(grad_y, grad_a, grad_b):
    unpair(grad_y, None, grad_a)
    unpair(grad_y, None, grad_b)
    if grad_b is not None:
        launch(negated, cdiv(grad_b.size, GRAIN), grad_b.reshape(-1))


subtract = Op(
    "subtract",
    subtract_contract,
    loops=(subtract_loops, subtract_backward_loops),
    arrays=(subtract_arrays, subtract_backward_arrays),
    compiled=(subtract_compiled, subtract_backward_compiled),
    sample=pair_sample,
    onnx="Sub",
)


# divide: y = a / b;  slopes 1 / b, -a / b^2 ---------------------------------------------------------------------------


def divide_contract(a, b):
    """Divide, with sizes of 1 repeated as NumPy does: a (...), b (...) -> y. Raises ShapeError where they do not fit.

    >>> import byhand as bh
    >>> bh.divide([[1.0, 2.0]], [10.0, 20.0])
    array([[0.1, 0.1]])
    """
    return planned(a, b)


def quotient(a, b):
    return a / b


def divide_slope_a(a, b, grad):
    return grad / b


def divide_slope_b(a, b, grad):
    return -grad * ((a / b) / b)


quotients, DIVIDE = kernels_of(quotient, (divide_slope_a, divide_slope_b))


def divide_loops(a, b, y):
    both(quotient, a, b, y)


def divide_backward_loops(a, b, grad_y, grad_a, grad_b):
    both_backward((divide_slope_a, divide_slope_b), a, b, grad_y, grad_a, grad_b)


def divide_arrays(a, b, y):
    np.divide(a, b, out=y)


def divide_backward_arrays(a, b, grad_y, grad_a, grad_b):
    sums((lambda: grad_y / b, lambda: -grad_y * (a / b / b)), grad_a, grad_b)


@compiled
def divide_compiled(a, b, y):
    run(quotients, a, b, y)


@compiled
def divide_backward_compiled(a, b, grad_y, grad_a, grad_b):
    run_backward(DIVIDE, a, b, grad_y, grad_a, grad_b)


def divide_sample(draw):
    """Draw a legal call whose divisor keeps away from 0."""
    (a, b), _ = pair_sample(draw)
    return (a, np.where(b < 0, b - 0.5, b + 0.5)), {}


divide = Op(
    "divide",
    divide_contract,
    loops=(divide_loops, divide_backward_loops),
    arrays=(divide_arrays, divide_backward_arrays),
    compiled=(divide_compiled, divide_backward_compiled),
    sample=divide_sample,
    onnx="Div",
)


# power: y = a^b;  slopes b a^(b - 1), a^b ln a; 0 where b = 0, and where a = 0 with b >= 0 ----------------------------


def power_contract(a, b):
    """Raise to a power, with sizes of 1 repeated as NumPy does: a (...), b (...) -> y; NaN where a < 0 and b is no whole one.

    >>> import byhand as bh
    >>> bh.power([[3.0, 4.0]], [2.0, 0.5])
    array([[9., 2.]])
    """
    return planned(a, b)


def raised(a, b):
    return a**b


def power_slope_a(a, b, grad):
    return 0.0 if b == 0.0 else grad * (b * a ** (b - 1.0))


def power_slope_b(a, b, grad):
    return 0.0 if a == 0.0 and b >= 0.0 else grad * (a**b * np.log(a))


powers, POWER = kernels_of(raised, (power_slope_a, power_slope_b))


def power_loops(a, b, y):
    both(raised, a, b, y)


def power_backward_loops(a, b, grad_y, grad_a, grad_b):
    both_backward((power_slope_a, power_slope_b), a, b, grad_y, grad_a, grad_b)


def power_arrays(a, b, y):
    y[...] = np.float_power(a, b)  # `**` takes a lone exponent of 0.5 for a square root, NaN of minus infinity


def power_backward_arrays(a, b, grad_y, grad_a, grad_b):
    flat = (a == 0) & (b >= 0)
    of_a = lambda: np.where(b == 0, 0, grad_y * (b * np.float_power(a, b - 1)))  # noqa: E731
    of_b = lambda: np.where(flat, 0, grad_y * (np.float_power(a, b) * np.log(np.where(flat, 1, a))))  # noqa: E731
    sums((of_a, of_b), grad_a, grad_b)


@compiled
def power_compiled(a, b, y):
    run(powers, a, b, y)


@compiled
def power_backward_compiled(a, b, grad_y, grad_a, grad_b):
    run_backward(POWER, a, b, grad_y, grad_a, grad_b)


def positive_sample(draw):
    """Draw a legal call whose numbers keep away from 0 and below."""
    (a, b), _ = pair_sample(draw)
    return (0.5 + np.abs(a), 0.5 + np.abs(b)), {}


power = Op(
    "power",
    power_contract,
    loops=(power_loops, power_backward_loops),
    arrays=(power_arrays, power_backward_arrays),
    compiled=(power_compiled, power_backward_compiled),
    sample=positive_sample,
    onnx="Pow",
)
