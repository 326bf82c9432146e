"""Elementwise functions of one array: neg, abs, sqrt, exp, log, erf, reciprocal and clip.

Each takes x of any shape and returns y of the same shape. The derivative dy/dx stands beside each function; by the chain
rule grad_x = grad_y * dy/dx.

Source: ONNX, the operators Neg, Abs, Sqrt, Exp, Log, Erf, Reciprocal and Clip.
"""

from math import erf as error_function
from math import exp as power_of_e
from math import inf, pi, prod

import numpy as np

from byhand.kernels import elementwise
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.ops.samples import any_array, positive_array
from byhand.ops.special import EXP_MAX, erf_array
from byhand.shapes import Shape, number

# neg: y = -x;  dy/dx = -1 ---------------------------------------------------------------------------------------------


def neg_contract(x: Shape) -> CallSpec:
    """Negate: y = -x, x of any shape.

    >>> import byhand as bh
    >>> bh.neg([-1.0, 2.0])
    array([ 1., -2.])
    """
    return CallSpec({"y": x}, flops=prod(x))


def neg_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = -x[i]


def neg_backward_loops(grad_y, grad_x):
    for i in np.ndindex(grad_y.shape):
        grad_x[i] = -grad_y[i]


def neg_arrays(x, y):
    np.negative(x, out=y)


def neg_backward_arrays(grad_y, grad_x):
    np.negative(grad_y, out=grad_x)


neg_compiled, neg_backward_compiled = elementwise(neg_loops), elementwise(neg_backward_loops)
neg = Op(
    "neg",
    neg_contract,
    loops=(neg_loops, neg_backward_loops),
    arrays=(neg_arrays, neg_backward_arrays),
    compiled=(neg_compiled, neg_backward_compiled),
    sample=any_array,
)


# abs: y = |x|;  dy/dx = 1 where x > 0, -1 where x < 0, else 0 ---------------------------------------------------------


def abs_contract(x: Shape) -> CallSpec:
    """Absolute value: y = |x|, x of any shape; the derivative at 0 is 0.

    >>> import byhand as bh
    >>> bh.abs([-1.0, 2.0])
    array([1., 2.])
    """
    return CallSpec({"y": x}, flops=prod(x))


def abs_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = np.abs(x[i])


def abs_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        sign = 1.0 if x[i] > 0.0 else -1.0 if x[i] < 0.0 else 0.0
        grad_x[i] = grad_y[i] * sign


def abs_arrays(x, y):
    np.abs(x, out=y)


def abs_backward_arrays(x, grad_y, grad_x):
    grad_x[...] = grad_y * np.where(x > 0, 1, np.where(x < 0, -1, 0))


abs_compiled, abs_backward_compiled = elementwise(abs_loops), elementwise(abs_backward_loops)
abs = Op(
    "abs",
    abs_contract,
    loops=(abs_loops, abs_backward_loops),
    arrays=(abs_arrays, abs_backward_arrays),
    compiled=(abs_compiled, abs_backward_compiled),
    sample=any_array,
)


# sqrt: y = sqrt(x);  dy/dx = 1 / (2 y) --------------------------------------------------------------------------------


def sqrt_contract(x: Shape) -> CallSpec:
    """Square root: y = sqrt(x), NaN where x < 0; x of any shape.

    >>> import byhand as bh
    >>> bh.sqrt([0.0, 9.0])
    array([0., 3.])
    """
    return CallSpec({"y": x}, flops=prod(x))


def sqrt_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = np.sqrt(x[i])


def sqrt_backward_loops(y, grad_y, grad_x):
    for i in np.ndindex(y.shape):
        grad_x[i] = grad_y[i] / (2.0 * y[i])


def sqrt_arrays(x, y):
    np.sqrt(x, out=y)


def sqrt_backward_arrays(y, grad_y, grad_x):
    grad_x[...] = grad_y / (2 * y)


sqrt_compiled, sqrt_backward_compiled = elementwise(sqrt_loops), elementwise(sqrt_backward_loops)
sqrt = Op(
    "sqrt",
    sqrt_contract,
    loops=(sqrt_loops, sqrt_backward_loops),
    arrays=(sqrt_arrays, sqrt_backward_arrays),
    compiled=(sqrt_compiled, sqrt_backward_compiled),
    sample=positive_array,
)


# exp: y = e^x;  dy/dx = y ---------------------------------------------------------------------------------------------


def exp_contract(x: Shape) -> CallSpec:
    """Exponential: y = e^x, x of any shape.

    >>> import byhand as bh
    >>> bh.exp([0.0, -1000.0])
    array([1., 0.])
    """
    return CallSpec({"y": x}, flops=2 * prod(x))


def exp_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = inf if x[i] > EXP_MAX else power_of_e(x[i])


def exp_backward_loops(y, grad_y, grad_x):
    for i in np.ndindex(y.shape):
        grad_x[i] = grad_y[i] * y[i]


def exp_arrays(x, y):
    np.exp(x, out=y)


def exp_backward_arrays(y, grad_y, grad_x):
    np.multiply(grad_y, y, out=grad_x)


exp_compiled, exp_backward_compiled = elementwise(exp_loops), elementwise(exp_backward_loops)
exp = Op(
    "exp",
    exp_contract,
    loops=(exp_loops, exp_backward_loops),
    arrays=(exp_arrays, exp_backward_arrays),
    compiled=(exp_compiled, exp_backward_compiled),
    sample=any_array,
)


# log: y = ln x;  dy/dx = 1 / x ----------------------------------------------------------------------------------------


def log_contract(x: Shape) -> CallSpec:
    """Natural logarithm: y = ln x, minus infinity at 0, NaN below; x of any shape.

    >>> import byhand as bh
    >>> bh.log([1.0, 2.0])
    array([0.        , 0.69314718])
    """
    return CallSpec({"y": x}, flops=2 * prod(x))


def log_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = np.log(x[i])


def log_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] / x[i]


def log_arrays(x, y):
    np.log(x, out=y)


def log_backward_arrays(x, grad_y, grad_x):
    np.divide(grad_y, x, out=grad_x)


log_compiled, log_backward_compiled = elementwise(log_loops), elementwise(log_backward_loops)
log = Op(
    "log",
    log_contract,
    loops=(log_loops, log_backward_loops),
    arrays=(log_arrays, log_backward_arrays),
    compiled=(log_compiled, log_backward_compiled),
    sample=positive_array,
)


# erf: y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x;  dy/dx = 2 / sqrt(pi) e^(-x^2) ---------------------

ERF_SLOPE_AT_0 = 2 / pi**0.5


def erf_contract(x: Shape) -> CallSpec:
    """Error function: y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x; x of any shape.

    >>> import byhand as bh
    >>> bh.erf([0.0, 1.0])
    array([0.        , 0.84270079])
    """
    return CallSpec({"y": x}, flops=8 * prod(x))


def erf_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = error_function(x[i])


def erf_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] * (ERF_SLOPE_AT_0 * power_of_e(-x[i] * x[i]))


def erf_arrays(x, y):
    y[...] = erf_array(x)


def erf_backward_arrays(x, grad_y, grad_x):
    grad_x[...] = grad_y * (ERF_SLOPE_AT_0 * np.exp(-x * x))


erf_compiled, erf_backward_compiled = elementwise(erf_loops), elementwise(erf_backward_loops)
erf = Op(
    "erf",
    erf_contract,
    loops=(erf_loops, erf_backward_loops),
    arrays=(erf_arrays, erf_backward_arrays),
    compiled=(erf_compiled, erf_backward_compiled),
    sample=any_array,
)


# reciprocal: y = 1 / x;  dy/dx = -y^2 ---------------------------------------------------------------------------------


def reciprocal_contract(x: Shape) -> CallSpec:
    """Reciprocal: y = 1 / x, infinity at 0; x of any shape.

    >>> import byhand as bh
    >>> bh.reciprocal([-2.0, 4.0])
    array([-0.5 ,  0.25])
    """
    return CallSpec({"y": x}, flops=prod(x))


def reciprocal_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = 1.0 / x[i]


def reciprocal_backward_loops(y, grad_y, grad_x):
    for i in np.ndindex(y.shape):
        grad_x[i] = -grad_y[i] * (y[i] * y[i])


def reciprocal_arrays(x, y):
    np.divide(1, x, out=y)


def reciprocal_backward_arrays(y, grad_y, grad_x):
    grad_x[...] = -grad_y * (y * y)


def reciprocal_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    (x,), _ = any_array(draw)
    return (np.where(x < 0, x - 0.5, x + 0.5),), {}


reciprocal_compiled = elementwise(reciprocal_loops)
reciprocal_backward_compiled = elementwise(reciprocal_backward_loops)
reciprocal = Op(
    "reciprocal",
    reciprocal_contract,
    loops=(reciprocal_loops, reciprocal_backward_loops),
    arrays=(reciprocal_arrays, reciprocal_backward_arrays),
    compiled=(reciprocal_compiled, reciprocal_backward_compiled),
    sample=reciprocal_sample,
)


# clip: y = min(max(x, low), high);  dy/dx = 1 where low <= x <= high, else 0 ------------------------------------------


def clip_contract(x: Shape, *, low: float | None = None, high: float | None = None) -> CallSpec:
    """Limit to a range: y = min(max(x, low), high), x of any shape.

    low, high: the bounds; None means no bound. Where low > high, y is high.

    >>> import byhand as bh
    >>> bh.clip([-1.0, 2.0, 7.0], low=0, high=6)
    array([0., 2., 6.])
    """
    low, high = (
        default if value is None or (value == default and isinstance(value, float)) else number(name, value)
        for name, value, default in (("low", low, -inf), ("high", high, inf))
    )
    return CallSpec({"y": x}, {"low": low, "high": high}, flops=2 * prod(x))


def clip_loops(x, y, *, low, high):
    for i in np.ndindex(x.shape):
        raised = low if x[i] < low else x[i]  # NaN stays NaN
        y[i] = high if raised > high else raised


def clip_backward_loops(x, grad_y, grad_x, *, low, high):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] if low <= x[i] <= high else 0.0


def clip_arrays(x, y, *, low, high):
    np.clip(x, low, high, out=y)


def clip_backward_arrays(x, grad_y, grad_x, *, low, high):
    grad_x[...] = np.where((low <= x) & (x <= high), grad_y, 0)


def clip_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    bounds = draw.choice([{}, {"low": -1.0}, {"high": 0.0}, {"low": -1.0, "high": 1.0}, {"low": 1.0, "high": 0.0}])
    return (2 * any_array(draw)[0][0],), bounds


clip_compiled, clip_backward_compiled = elementwise(clip_loops), elementwise(clip_backward_loops)
clip = Op(
    "clip",
    clip_contract,
    loops=(clip_loops, clip_backward_loops),
    arrays=(clip_arrays, clip_backward_arrays),
    compiled=(clip_compiled, clip_backward_compiled),
    sample=clip_sample,
)
