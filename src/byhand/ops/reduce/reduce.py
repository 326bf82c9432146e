"""Reductions along axes: sum, mean, maximum, minimum, product, L1 and L2 norms, sum of squares, log-sum, log-sum-exp.

    y = finalize(combine of map(x)) over the elements along `axes`,   grad_x = grad_y * dy/dx

The ops: reduce_sum, reduce_mean, reduce_max, reduce_min, reduce_prod, reduce_l1, reduce_l2, reduce_sum_square, reduce_log_sum,
reduce_log_sum_exp. Each states these functions and its derivative dy/dx; `reduction_op` makes its hands (map_reduce.py).

Source: ONNX, operators ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2, ReduceSumSquare,
ReduceLogSum and ReduceLogSumExp.
"""

from collections.abc import Sequence
from math import exp, inf, prod

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import compiled
from byhand.kernels.vector_math import greater
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.ops.reduce.map_reduce import (
    backward_kernel,
    index_groups,
    launch_reduction_backward,
    launch_stages,
    reduce_values,
    stage,
)
from byhand.ops.special import EXP_MAX
from byhand.shapes import Shape, normal_axis


def call(x: Shape, axes: int | Sequence[int] | None, keepdims: bool) -> CallSpec:
    """Return the call of a reduction; axes: one axis, several, or None for all."""
    if axes is None:
        axes = tuple(range(len(x)))
    axes = [normal_axis(axis, len(x)) for axis in (axes if isinstance(axes, (tuple, list)) else (axes,))]
    if len(set(axes)) < len(axes):
        raise ArgumentError(f"axes are {tuple(axes)}; expected each axis once")
    y = tuple(1 if i in axes else size for i, size in enumerate(x) if keepdims or i not in axes)
    return CallSpec({"y": y}, {"axes": tuple(sorted(axes)), "keepdims": bool(keepdims)}, flops=2 * prod(x))


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    x = draw.array(*(draw.integer(1, 4) for _ in range(4)))
    axes = draw.choice([None, 0, -1, (), (1, 2), (0, 2), (3, 1), (0, 1, 2), (-4, -1)])
    return (x,), {"axes": axes, "keepdims": draw.choice([True, False])}


def positive_sample(draw: SampleSource) -> Sample:
    """Draw a legal call whose x is 0.5 or more."""
    (x,), attributes = sample(draw)
    return (0.5 + np.abs(x),), attributes


def reduction_op(
    name, summary, *, stages, derivative, arrays, arrays_derivative, auxiliary=(), linear=False, sample=sample
):
    """Return the op `name`.

    stages: the last one gives y, each sees the y of the one before; derivative(x, y, first, second, count): dy/dx, where
    first and second are the results of the `auxiliary` stages; linear: it reads neither x nor y; arrays(x, axes) and
    arrays_derivative(x, y, axes): the same in NumPy, with the reduced axes kept.
    """
    gradient = backward_kernel(derivative)

    def contract(x: Shape, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> CallSpec:
        return call(x, axes, keepdims)

    def loops(x, y, *, axes, keepdims):
        for at, indices in index_groups(x, axes, keepdims):
            total = 0.0
            for reduction in stages:
                total = reduce_values(reduction, [x[index] for index in indices], total)
            y[at] = total

    def backward_loops(x, y, grad_y, grad_x, *, axes, keepdims):
        for at, indices in index_groups(x, axes, keepdims):
            extra = [reduce_values(stage, [x[index] for index in indices], y[at]) for stage in auxiliary] + [0.0, 0.0]
            for index in indices:
                grad_x[index] = grad_y[at] * derivative(x[index], y[at], extra[0], extra[1], float(len(indices)))

    def linear_loops(grad_y, grad_x, *, axes, keepdims):
        for at, indices in index_groups(grad_x, axes, keepdims):
            for index in indices:
                grad_x[index] = grad_y[at] * derivative(0.0, 0.0, 0.0, 0.0, float(len(indices)))

    def forward_arrays(x, y, *, axes, keepdims):
        with np.errstate(divide="ignore", invalid="ignore"):  # a reduction of no elements: log 0, 0 / 0
            y[...] = arrays(x, axes).reshape(y.shape)

    def backward_arrays(x, y, grad_y, grad_x, *, axes, keepdims):
        kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        grad_x[...] = grad_y.reshape(kept) * arrays_derivative(x, y.reshape(kept), axes)

    def linear_arrays(grad_y, grad_x, *, axes, keepdims):
        kept = [1 if axis in axes else size for axis, size in enumerate(grad_x.shape)]
        grad_x[...] = grad_y.reshape(kept) * arrays_derivative(grad_x, None, axes)

    def forward_compiled(x, y, *, axes, keepdims):
        launch_stages(stages, x, y, axes)

    def backward_compiled(x, y, grad_y, grad_x, *, axes, keepdims):
        launch_reduction_backward(gradient, auxiliary, x, y, grad_y, grad_x, axes)

    def linear_compiled(grad_y, grad_x, *, axes, keepdims):
        launch_reduction_backward(gradient, (), None, None, grad_y, grad_x, axes)

    contract.__doc__ = (
        f"{summary}\n\n    axes: one axis or several, by default all; keepdims: they stay, with size 1.\n"
    )
    contract.__doc__ += EXAMPLE.format(name, *EXAMPLES[name])
    pairs = {
        "loops": (loops, linear_loops if linear else backward_loops),
        "arrays": (forward_arrays, linear_arrays if linear else backward_arrays),
        "compiled": (compiled(forward_compiled), compiled(linear_compiled if linear else backward_compiled)),
    }
    for hand, (forward, backward) in pairs.items():
        forward.__name__ = forward.__qualname__ = f"{name}_{hand}"
        backward.__name__ = backward.__qualname__ = f"{name}_backward_{hand}"
        # Names of the module, such as `reduce_sum_loops`: generated programs import hands by name.
        globals().update({forward.__name__: forward, backward.__name__: backward})
    return Op(name, contract, **pairs, sample=sample)


EXAMPLE = """
    >>> import byhand as bh
    >>> bh.{}([[1.0, 2.0], [3.0, 4.0]], axes={})
    {}
    """
EXAMPLES = {
    "reduce_sum": (0, "array([4., 6.])"),
    "reduce_mean": (0, "array([2., 3.])"),
    "reduce_max": (1, "array([2., 4.])"),
    "reduce_min": (1, "array([1., 3.])"),
    "reduce_prod": (0, "array([3., 8.])"),
    "reduce_l1": (1, "array([3., 7.])"),
    "reduce_l2": (1, "array([2.23606798, 5.        ])"),
    "reduce_sum_square": (1, "array([ 5., 25.])"),
    "reduce_log_sum": (0, "array([1.38629436, 1.79175947])"),
    "reduce_log_sum_exp": (0, "array([3.12692801, 4.12692801])"),
}

# sum: derivative 1;  mean: total / count, derivative 1 / count --------------------------------------------------------


def constant_one(x, y, first, second, count):
    return 1.0


def total_over_count(total, count, y):
    return total / count


def one_over_count(x, y, first, second, count):
    return 1.0 / count


def count_of(x, axes):
    """Return the number of elements per result."""
    return prod(x.shape[axis] for axis in axes)


reduce_sum = reduction_op(
    "reduce_sum",
    "Sum along axes: x (...) -> y.",
    stages=(stage(),),
    derivative=constant_one,
    linear=True,
    arrays=lambda x, axes: np.sum(x, axes, keepdims=True),
    arrays_derivative=lambda x, y, axes: 1,
)
reduce_mean = reduction_op(
    "reduce_mean",
    "Mean along axes: x (...) -> y.",
    stages=(stage(finalize=total_over_count),),
    derivative=one_over_count,
    linear=True,
    arrays=lambda x, axes: np.sum(x, axes, keepdims=True) / x.dtype.type(count_of(x, axes)),
    arrays_derivative=lambda x, y, axes: 1 / count_of(x, axes),
)

# max and min: the elements that equal it share the gradient -----------------------------------------------------------


def nan_minimum(a, b):
    return -greater(-a, -b)


def equal(x, y):
    return 1.0 if x == y else 0.0


def extremum_derivative(x, y, equals, second, count):
    return equal(x, y) / equals if equals > 0.0 else y - y  # y is NaN: nothing equals it


def extremum_derivative_arrays(x, y, axes):
    """Return the derivative of a maximum or minimum."""
    return (x == y) / np.sum(x == y, axes, keepdims=True, dtype=x.dtype)


reduce_max = reduction_op(
    "reduce_max",
    "Maximum along axes, NaN where one element is: x (...) -> y.",
    stages=(stage(combine=greater, initial=-inf),),
    derivative=extremum_derivative,
    auxiliary=(stage(equal),),
    arrays=lambda x, axes: np.max(x, axes, keepdims=True, initial=-inf),
    arrays_derivative=extremum_derivative_arrays,
)
reduce_min = reduction_op(
    "reduce_min",
    "Minimum along axes, NaN where one element is: x (...) -> y.",
    stages=(stage(combine=nan_minimum, initial=inf),),
    derivative=extremum_derivative,
    auxiliary=(stage(equal),),
    arrays=lambda x, axes: np.min(x, axes, keepdims=True, initial=inf),
    arrays_derivative=extremum_derivative_arrays,
)

# prod: the derivative is the product of all others, y / x; where x is the only 0, the product of the rest --------------


def mul(a, b):
    return a * b


def one_if_zero(x, y):
    return 1.0 if x == 0.0 else x


def is_zero(x, y):
    return 1.0 if x == 0.0 else 0.0


def prod_derivative(x, y, rest, zeros, count):
    return y / x if x != 0.0 else rest if zeros == 1.0 else 0.0


def prod_derivative_arrays(x, y, axes):
    zeros = x == 0
    others = np.where(zeros, 1, x)
    alone = np.sum(zeros, axes, keepdims=True) == 1
    return np.where(zeros, np.where(alone, np.prod(others, axes, keepdims=True), 0), y / others)


reduce_prod = reduction_op(
    "reduce_prod",
    "Product along axes: x (...) -> y.",
    stages=(stage(combine=mul, initial=1.0),),
    derivative=prod_derivative,
    auxiliary=(stage(one_if_zero, mul, 1.0), stage(is_zero)),
    arrays=lambda x, axes: np.prod(x, axes, keepdims=True),
    arrays_derivative=prod_derivative_arrays,
)

# sums of |x| and of x^2 and its root; logarithms of sums --------------------------------------------------------------


def magnitude(x, y):
    return np.abs(x)


def sign(x, y, first, second, count):
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else 0.0


def square(x, y):
    return x * x


def twice_x(x, y, first, second, count):
    return 2.0 * x


def square_root(total, count, y):
    return np.sqrt(total)


def l2_derivative(x, y, first, second, count):
    return 0.0 if y == 0.0 else x / y


reduce_l1 = reduction_op(
    "reduce_l1",
    "L1 norm along axes, the sum of absolute values: x (...) -> y.",
    stages=(stage(magnitude),),
    derivative=sign,
    arrays=lambda x, axes: np.sum(np.abs(x), axes, keepdims=True),
    arrays_derivative=lambda x, y, axes: np.where(x > 0, 1, np.where(x < 0, -1, 0)),
)
reduce_l2 = reduction_op(
    "reduce_l2",
    "L2 norm along axes, the square root of the sum of squares: x (...) -> y.",
    stages=(stage(square, finalize=square_root),),
    derivative=l2_derivative,
    arrays=lambda x, axes: np.sqrt(np.sum(x * x, axes, keepdims=True)),
    arrays_derivative=lambda x, y, axes: np.where(y == 0, 0, x / np.where(y == 0, 1, y)),
)
reduce_sum_square = reduction_op(
    "reduce_sum_square",
    "Sum of squares along axes: x (...) -> y.",
    stages=(stage(square),),
    derivative=twice_x,
    arrays=lambda x, axes: np.sum(x * x, axes, keepdims=True),
    arrays_derivative=lambda x, y, axes: 2 * x,
)


def logarithm(total, count, y):
    return np.log(total)


def log_sum_derivative(x, y, total, second, count):
    return 1.0 / total


def exponent_shift(y):
    """Return the number subtracted from x before e^x to avoid overflow: the largest x, or 0 where that is infinite."""
    return 0.0 if np.abs(y) == inf else y


def exp_shifted(x, y):
    return inf if x - exponent_shift(y) > EXP_MAX else exp(x - exponent_shift(y))


def log_unshifted(total, count, y):
    return np.log(total) + exponent_shift(y)


def log_sum_exp_derivative(x, y, first, second, count):
    return exp(x - y)


def log_sum_exp_arrays(x, axes):
    largest = np.max(x, axes, keepdims=True, initial=-inf)
    largest = np.where(np.isinf(largest), 0, largest)
    return np.log(np.sum(np.exp(x - largest), axes, keepdims=True)) + largest


reduce_log_sum = reduction_op(
    "reduce_log_sum",
    "Logarithm of the sum along axes: x (...) -> y.",
    stages=(stage(finalize=logarithm),),
    derivative=log_sum_derivative,
    auxiliary=(stage(),),
    sample=positive_sample,
    arrays=lambda x, axes: np.log(np.sum(x, axes, keepdims=True)),
    arrays_derivative=lambda x, y, axes: 1 / np.sum(x, axes, keepdims=True),
)
reduce_log_sum_exp = reduction_op(
    "reduce_log_sum_exp",
    "Logarithm of the sum of e^x along axes: x (...) -> y.",
    stages=(stage(combine=greater, initial=-inf), stage(exp_shifted, finalize=log_unshifted)),
    derivative=log_sum_exp_derivative,
    arrays=log_sum_exp_arrays,
    arrays_derivative=lambda x, y, axes: np.exp(x - y),
)
