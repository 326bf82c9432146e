"""reduce_sum, reduce_mean, reduce_max, reduce_min, reduce_prod, reduce_l1, reduce_l2, reduce_sum_square, reduce_log_sum and
reduce_log_sum_exp: the numbers along some axes become one.

All ten are the same three steps (reduction.py); what these are, and the slope dy/dx, stands beside each.

Source: ONNX, the operators ReduceSum, ReduceMean and their kin.
"""

from math import exp, inf, prod

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import compiled
from byhand.kernels.vector_math import greater
from byhand.ops.arithmetic.unary import LARGEST
from byhand.ops.op import Call, Op
from byhand.ops.reduce import map_reduce
from byhand.ops.reduce.map_reduce import fold, run, run_backward, slope_kernel, stage, windows
from byhand.shapes import normal_axis


def call(x, axes, keepdims):
    """Return the call of a reduction; axes: one, several, or None for all."""
    if axes is None:
        axes = tuple(range(len(x)))
    axes = [normal_axis(axis, len(x)) for axis in (axes if isinstance(axes, (tuple, list)) else (axes,))]
    if len(set(axes)) < len(axes):
        raise ArgumentError(f"axes are {tuple(axes)}; expected each axis once")
    y = tuple(1 if i in axes else size for i, size in enumerate(x) if keepdims or i not in axes)
    return Call({"y": y}, {"axes": tuple(sorted(axes)), "keepdims": bool(keepdims)}, flops=2 * prod(x))


def sample(draw):
    """Draw a legal call."""
    x = draw.array(*(draw.integer(1, 4) for _ in range(4)))
    axes = draw.choice([None, 0, -1, (), (1, 2), (0, 2), (3, 1), (0, 1, 2), (-4, -1)])
    return (x,), {"axes": axes, "keepdims": draw.choice([True, False])}


def positive(draw):
    """Draw a legal call with numbers that keep away from 0 and below."""
    (x,), attributes = sample(draw)
    return (0.5 + np.abs(x),), attributes


def reduction_op(name, onnx, words, *, stages, slope, arrays, arrays_slope, notes=(), linear=False, sample=sample):
    """Return the op `name`.

    stages: the last one gives y, each sees the y of the one before; slope(x, y, first, second, count): dy/dx, with what
    `notes`, stages too, make of x and y; linear: it needs neither x nor y; arrays(x, axes), arrays_slope(x, y, axes): the
    same in NumPy, with axes kept.
    """
    sent = slope_kernel(slope)

    def contract(x, *, axes=None, keepdims=False):
        return call(x, axes, keepdims)

    def loops(x, y, *, axes, keepdims):
        for at, places in windows(x, axes, keepdims):
            total = 0.0
            for one in stages:
                total = fold(one, [x[place] for place in places], total)
            y[at] = total

    def backward_loops(x, y, grad_y, grad_x, *, axes, keepdims):
        for at, places in windows(x, axes, keepdims):
            made = [fold(note, [x[place] for place in places], y[at]) for note in notes] + [0.0, 0.0]
            for place in places:
                grad_x[place] = grad_y[at] * slope(x[place], y[at], made[0], made[1], float(len(places)))

    def linear_loops(grad_y, grad_x, *, axes, keepdims):
        for at, places in windows(grad_x, axes, keepdims):
            for place in places:
                grad_x[place] = grad_y[at] * slope(0.0, 0.0, 0.0, 0.0, float(len(places)))

    def forward_arrays(x, y, *, axes, keepdims):
        with np.errstate(divide="ignore", invalid="ignore"):  # there may be no numbers: log 0, 0 / 0
            y[...] = arrays(x, axes).reshape(y.shape)

    def backward_arrays(x, y, grad_y, grad_x, *, axes, keepdims):
        kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        grad_x[...] = grad_y.reshape(kept) * arrays_slope(x, y.reshape(kept), axes)

    def linear_arrays(grad_y, grad_x, *, axes, keepdims):
        kept = [1 if axis in axes else size for axis, size in enumerate(grad_x.shape)]
        grad_x[...] = grad_y.reshape(kept) * arrays_slope(grad_x, None, axes)

    def forward_compiled(x, y, *, axes, keepdims):
        run(stages, x, y, axes)

    def backward_compiled(x, y, grad_y, grad_x, *, axes, keepdims):
        run_backward(sent, notes, x, y, grad_y, grad_x, axes)

    def linear_compiled(grad_y, grad_x, *, axes, keepdims):
        run_backward(sent, (), None, None, grad_y, grad_x, axes)

    contract.__doc__ = f"{words}\n\n    axes: one, several, by default all; keepdims: they stay, with a size of 1.\n"
    contract.__doc__ += EXAMPLE.format(name, *EXAMPLES[name])
    passes = (linear_loops, linear_arrays, linear_compiled) if linear else ()
    passes = passes or (backward_loops, backward_arrays, backward_compiled)
    hands = {"contract": contract, "loops": loops, "arrays": forward_arrays, "compiled": forward_compiled}
    hands |= dict(zip(("backward_loops", "backward_arrays", "backward_compiled"), passes))
    for key, hand in hands.items():
        hand.__name__ = hand.__qualname__ = f"{name}_{key}"
        hands[key] = compiled(hand) if "compiled" in key else hand
        globals()[hand.__name__] = hands[key]  # where programs import them from
    pairs = {key: (hands[key], hands[f"backward_{key}"]) for key in ("loops", "arrays", "compiled")}
    return Op(name, contract, **pairs, sample=sample, onnx=onnx)


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

# mean: total / count;  slope 1 / count -----------------------------------------------------------------------------------


def divided(total, count, y):
    return total / count


def mean_slope(x, y, first, second, count):
    return 1.0 / count


def count_of(x, axes):
    """Return how many numbers become one."""
    return prod(x.shape[axis] for axis in axes)


reduce_sum = reduction_op(
    "reduce_sum", "ReduceSum", "Add up along axes: x (...) -> y.",
    stages=(stage(),), slope=map_reduce.slope, linear=True,
    arrays=lambda x, axes: np.sum(x, axes, keepdims=True), arrays_slope=lambda x, y, axes: 1,
)  # fmt: skip
reduce_mean = reduction_op(
    "reduce_mean", "ReduceMean", "Average along axes: x (...) -> y.",
    stages=(stage(finish=divided),), slope=mean_slope, linear=True,
    arrays=lambda x, axes: np.sum(x, axes, keepdims=True) / x.dtype.type(count_of(x, axes)),
    arrays_slope=lambda x, y, axes: 1 / count_of(x, axes),
)  # fmt: skip

# max and min: all that equal it share the gradient ------------------------------------------------------------------------


def lesser(a, b):
    return -greater(-a, -b)


def equal(x, y):
    return 1.0 if x == y else 0.0


def extreme_slope(x, y, equals, second, count):
    return equal(x, y) / equals if equals > 0.0 else y - y  # nothing equals NaN


def equal_arrays(x, y, axes):
    """Return the slope of an extreme."""
    return (x == y) / np.sum(x == y, axes, keepdims=True, dtype=x.dtype)


reduce_max = reduction_op(
    "reduce_max", "ReduceMax", "Keep the largest along axes, NaN where there is one: x (...) -> y.",
    stages=(stage(combine=greater, start=-inf),), slope=extreme_slope, notes=(stage(equal),),
    arrays=lambda x, axes: np.max(x, axes, keepdims=True, initial=-inf), arrays_slope=equal_arrays,
)  # fmt: skip
reduce_min = reduction_op(
    "reduce_min", "ReduceMin", "Keep the smallest along axes, NaN where there is one: x (...) -> y.",
    stages=(stage(combine=lesser, start=inf),), slope=extreme_slope, notes=(stage(equal),),
    arrays=lambda x, axes: np.min(x, axes, keepdims=True, initial=inf), arrays_slope=equal_arrays,
)  # fmt: skip

# prod: the slope is the product of all others, y / x; where x is 0 and no other is, that of those ------------------------


def times(a, b):
    return a * b


def without_zeros(x, y):
    return 1.0 if x == 0.0 else x


def is_zero(x, y):
    return 1.0 if x == 0.0 else 0.0


def prod_slope(x, y, rest, zeros, count):
    return y / x if x != 0.0 else rest if zeros == 1.0 else 0.0


def prod_arrays_slope(x, y, axes):
    zeros = x == 0
    others = np.where(zeros, 1, x)
    alone = np.sum(zeros, axes, keepdims=True) == 1
    return np.where(zeros, np.where(alone, np.prod(others, axes, keepdims=True), 0), y / others)


reduce_prod = reduction_op(
    "reduce_prod", "ReduceProd", "Multiply along axes: x (...) -> y.",
    stages=(stage(combine=times, start=1.0),), slope=prod_slope,
    notes=(stage(without_zeros, times, 1.0), stage(is_zero)),
    arrays=lambda x, axes: np.prod(x, axes, keepdims=True), arrays_slope=prod_arrays_slope,
)  # fmt: skip

# sums of |x| and of x^2, the root of that, and logarithms of sums --------------------------------------------------------


def size(x, y):
    return np.abs(x)


def sign(x, y, first, second, count):
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else 0.0


def square(x, y):
    return x * x


def double(x, y, first, second, count):
    return 2.0 * x


def root(total, count, y):
    return np.sqrt(total)


def l2_slope(x, y, first, second, count):
    return 0.0 if y == 0.0 else x / y


reduce_l1 = reduction_op(
    "reduce_l1", "ReduceL1", "Add up the absolute values along axes: x (...) -> y.",
    stages=(stage(size),), slope=sign, arrays=lambda x, axes: np.sum(np.abs(x), axes, keepdims=True),
    arrays_slope=lambda x, y, axes: np.where(x > 0, 1, np.where(x < 0, -1, 0)),
)  # fmt: skip
reduce_l2 = reduction_op(
    "reduce_l2", "ReduceL2", "Take the length along axes, the root of the sum of squares: x (...) -> y.",
    stages=(stage(square, finish=root),), slope=l2_slope,
    arrays=lambda x, axes: np.sqrt(np.sum(x * x, axes, keepdims=True)),
    arrays_slope=lambda x, y, axes: np.where(y == 0, 0, x / np.where(y == 0, 1, y)),
)  # fmt: skip
reduce_sum_square = reduction_op(
    "reduce_sum_square", "ReduceSumSquare", "Add up the squares along axes: x (...) -> y.",
    stages=(stage(square),), slope=double, arrays=lambda x, axes: np.sum(x * x, axes, keepdims=True),
    arrays_slope=lambda x, y, axes: 2 * x,
)  # fmt: skip


def logarithm(total, count, y):
    return np.log(total)


def log_sum_slope(x, y, total, second, count):
    return 1.0 / total


def shift(y):
    """Return what is taken from each x before e^x, so that it stays in range: the largest; 0 where that is infinite."""
    return 0.0 if np.abs(y) == inf else y


def shifted(x, y):
    return inf if x - shift(y) > LARGEST else exp(x - shift(y))


def unshifted(total, count, y):
    return np.log(total) + shift(y)


def log_sum_exp_slope(x, y, first, second, count):
    return exp(x - y)


def log_sum_exp_arrays(x, axes):
    largest = np.max(x, axes, keepdims=True, initial=-inf)
    largest = np.where(np.isinf(largest), 0, largest)
    return np.log(np.sum(np.exp(x - largest), axes, keepdims=True)) + largest


reduce_log_sum = reduction_op(
    "reduce_log_sum", "ReduceLogSum", "Take the logarithm of the sum along axes: x (...) -> y.",
    stages=(stage(finish=logarithm),), slope=log_sum_slope, notes=(stage(),), sample=positive,
    arrays=lambda x, axes: np.log(np.sum(x, axes, keepdims=True)),
    arrays_slope=lambda x, y, axes: 1 / np.sum(x, axes, keepdims=True),
)  # fmt: skip
reduce_log_sum_exp = reduction_op(
    "reduce_log_sum_exp", "ReduceLogSumExp", "Take the logarithm of the sum of e^x along axes: x (...) -> y.",
    stages=(stage(combine=greater, start=-inf), stage(shifted, finish=unshifted)), slope=log_sum_exp_slope,
    arrays=log_sum_exp_arrays, arrays_slope=lambda x, y, axes: np.exp(x - y),
)  # fmt: skip
