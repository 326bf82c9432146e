"""maximum, minimum, prelu: of two numbers one, with sizes of 1 repeated as NumPy does; binary.py says what they share.

The one that was taken has grad_y; two equal ones have half of it each.

Sources: ONNX, the operators Max and Min; prelu: He et al. 2015, arXiv 1502.01852.
"""

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import compiled
from byhand.ops.arithmetic.add_multiply import pair_sample
from byhand.ops.arithmetic.binary import both, both_backward, kernels_of, planned, run, run_backward, sums
from byhand.ops.op import Op
from byhand.shapes import broadcast

# maximum: y = max(a, b);  slopes 1 of the larger, 0 of the other; 1/2 of equals ------------------------------------------


def maximum_contract(a, b):
    """Take the larger of two, with sizes of 1 repeated as NumPy does: a (...), b (...) -> y; NaN where one is.

    Raises ShapeError where they do not fit.

    >>> import byhand as bh
    >>> bh.maximum([[1.0, 20.0]], [10.0, 2.0])
    array([[10., 20.]])
    """
    return planned(a, b)


def larger(a, b):
    return a if a > b or a != a else b  # noqa: PLR0124  (NaN)


def maximum_slope_a(a, b, grad):
    return 0.0 if a < b else grad / 2.0 if a == b else grad


def maximum_slope_b(a, b, grad):
    return maximum_slope_a(b, a, grad)


def maximum_loops(a, b, y):
    both(larger, a, b, y)


def maximum_backward_loops(a, b, grad_y, grad_a, grad_b):
    both_backward((maximum_slope_a, maximum_slope_b), a, b, grad_y, grad_a, grad_b)


def maximum_arrays(a, b, y):
    np.maximum(a, b, out=y)


def maximum_backward_arrays(a, b, grad_y, grad_a, grad_b):
    shared = np.where(a == b, grad_y / 2, grad_y)
    sums((lambda: np.where(a < b, 0, shared), lambda: np.where(b < a, 0, shared)), grad_a, grad_b)


maximums, MAXIMUM = kernels_of(larger, (maximum_slope_a, maximum_slope_b))


@compiled
def maximum_compiled(a, b, y):
    run(maximums, a, b, y)


@compiled
def maximum_backward_compiled(a, b, grad_y, grad_a, grad_b):
    run_backward(MAXIMUM, a, b, grad_y, grad_a, grad_b)


maximum = Op(
    "maximum",
    maximum_contract,
    loops=(maximum_loops, maximum_backward_loops),
    arrays=(maximum_arrays, maximum_backward_arrays),
    compiled=(maximum_compiled, maximum_backward_compiled),
    sample=pair_sample,
    onnx="Max",
)


# minimum: y = min(a, b);  slopes: each has what the other has of the maximum ------------------------------------------


def minimum_contract(a, b):
    """Take the smaller of two, with sizes of 1 repeated as NumPy does: a (...), b (...) -> y; NaN where one is.

    Raises ShapeError where they do not fit.

    >>> import byhand as bh
    >>> bh.minimum([[1.0, 20.0]], [10.0, 2.0])
    array([[1., 2.]])
    """
    return planned(a, b)


def smaller(a, b):
    return a if a < b or a != a else b  # noqa: PLR0124  (NaN)


def minimum_loops(a, b, y):
    both(smaller, a, b, y)


def minimum_backward_loops(a, b, grad_y, grad_a, grad_b):
    both_backward((maximum_slope_b, maximum_slope_a), a, b, grad_y, grad_a, grad_b)


def minimum_arrays(a, b, y):
    np.minimum(a, b, out=y)


def minimum_backward_arrays(a, b, grad_y, grad_a, grad_b):
    maximum_backward_arrays(b, a, grad_y, grad_a, grad_b)


minimums, _ = kernels_of(smaller, ())


@compiled
def minimum_compiled(a, b, y):
    run(minimums, a, b, y)


@compiled
def minimum_backward_compiled(a, b, grad_y, grad_a, grad_b):
    run_backward(MAXIMUM[::-1], a, b, grad_y, grad_a, grad_b)


minimum = Op(
    "minimum",
    minimum_contract,
    loops=(minimum_loops, minimum_backward_loops),
    arrays=(minimum_arrays, minimum_backward_arrays),
    compiled=(minimum_compiled, minimum_backward_compiled),
    sample=pair_sample,
    onnx="Min",
)


# prelu: y = x where x > 0, else slope * x, a slope that is learnt;  slopes 1 or slope, and 0 or x ----------------------


def prelu_contract(x, slope):
    """Let some of what is negative through, as much as training finds best: x (...), slope repeated to it -> y like x.

    slope: one number, or one a channel (C,). Raises ShapeError where it does not fit.

    >>> import byhand as bh
    >>> bh.prelu([[-1.0, -1.0], [3.0, 4.0]], [0.1, 0.2])
    array([[-0.1, -0.2],
           [ 3. ,  4. ]])
    """
    if broadcast(x, slope) != x:
        raise ShapeError(f"slope has the shape {slope}; expected one that can be repeated to that of x, {x}")
    return planned(x, slope)


def leaked(x, slope):
    return x if x > 0.0 else slope * x


def prelu_slope_x(x, slope, grad):
    return grad if x > 0.0 else slope * grad


def prelu_slope_slope(x, slope, grad):
    return 0.0 if x > 0.0 else x * grad


def prelu_loops(x, slope, y):
    both(leaked, x, slope, y)


def prelu_backward_loops(x, slope, grad_y, grad_x, grad_slope):
    both_backward((prelu_slope_x, prelu_slope_slope), x, slope, grad_y, grad_x, grad_slope)


def prelu_arrays(x, slope, y):
    y[...] = np.where(x > 0, x, slope * x)


def prelu_backward_arrays(x, slope, grad_y, grad_x, grad_slope):
    of_x, of_slope = (lambda: np.where(x > 0, grad_y, slope * grad_y)), (lambda: np.where(x > 0, 0, x * grad_y))
    sums((of_x, of_slope), grad_x, grad_slope)


leaks, PRELU = kernels_of(leaked, (prelu_slope_x, prelu_slope_slope))


@compiled
def prelu_compiled(x, slope, y):
    run(leaks, x, slope, y)


@compiled
def prelu_backward_compiled(x, slope, grad_y, grad_x, grad_slope):
    run_backward(PRELU, x, slope, grad_y, grad_x, grad_slope)


def prelu_sample(draw):
    """Draw a legal call."""
    shape = [draw.integer(1, 4) for _ in range(4)]
    slope = draw.choice([shape[-1:], [1], shape[1:], [1, 1, shape[-1]], shape])
    return (draw.array(*shape), draw.array(*slope)), {}


prelu = Op(
    "prelu",
    prelu_contract,
    loops=(prelu_loops, prelu_backward_loops),
    arrays=(prelu_arrays, prelu_backward_arrays),
    compiled=(prelu_compiled, prelu_backward_compiled),
    sample=prelu_sample,
    onnx="PRelu",
)
