"""Smooth activations: sigmoid, silu, tanh, gelu, softplus and softsign.

Each takes x of any shape and returns y of the same shape. The derivative dy/dx stands beside each function; by the chain
rule grad_x = grad_y * dy/dx.
"""

from math import erf, exp, log1p, pi, prod, sqrt
from math import tanh as scalar_tanh

import numpy as np

from byhand.kernels import elementwise
from byhand.ops.op import CallSpec, Op
from byhand.ops.samples import any_array
from byhand.ops.special import erf_array, sigmoid_array, sigmoid_scalar
from byhand.shapes import Shape

# sigmoid: y = 1 / (1 + e^-x);  dy/dx = y (1 - y) ----------------------------------------------------------------------


def sigmoid_contract(x: Shape) -> CallSpec:
    """Squash to between 0 and 1: y = 1 / (1 + e^-x), x of any shape.

    Source: Rumelhart, Hinton & Williams 1986.

    >>> import byhand as bh
    >>> bh.sigmoid([0.0, 1000.0])
    array([0.5, 1. ])
    """
    return CallSpec({"y": x}, flops=4 * prod(x))


def sigmoid_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = sigmoid_scalar(x[i])


def sigmoid_backward_loops(y, grad_y, grad_x):
    for i in np.ndindex(y.shape):
        grad_x[i] = grad_y[i] * y[i] * (1.0 - y[i])


def sigmoid_arrays(x, y):
    y[...] = sigmoid_array(x)


def sigmoid_backward_arrays(y, grad_y, grad_x):
    grad_x[...] = grad_y * y * (1 - y)


sigmoid_compiled, sigmoid_backward_compiled = elementwise(sigmoid_loops), elementwise(sigmoid_backward_loops)

sigmoid = Op(
    "sigmoid",
    sigmoid_contract,
    loops=(sigmoid_loops, sigmoid_backward_loops),
    arrays=(sigmoid_arrays, sigmoid_backward_arrays),
    compiled=(sigmoid_compiled, sigmoid_backward_compiled),
    sample=any_array,
)


# silu: y = x s with s = sigmoid(x);  dy/dx = s (1 + x (1 - s)) --------------------------------------------------------


def silu_contract(x: Shape) -> CallSpec:
    """Gate x by its own sigmoid: y = x sigmoid(x), x of any shape.

    Source: Elfwing, Uchibe & Doya 2017, arXiv 1702.03118; as "swish" Ramachandran et al. 2017, arXiv 1710.05941.

    >>> import byhand as bh
    >>> bh.silu([0.0, 1000.0])
    array([   0., 1000.])
    """
    return CallSpec({"y": x}, flops=5 * prod(x))


def silu_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = x[i] * sigmoid_scalar(x[i])


def silu_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        gate = sigmoid_scalar(x[i])
        grad_x[i] = grad_y[i] * gate * (1.0 + x[i] * (1.0 - gate))


def silu_arrays(x, y):
    y[...] = x * sigmoid_array(x)


def silu_backward_arrays(x, grad_y, grad_x):
    gate = sigmoid_array(x)
    grad_x[...] = grad_y * gate * (1 + x * (1 - gate))


silu_compiled, silu_backward_compiled = elementwise(silu_loops), elementwise(silu_backward_loops)

silu = Op(
    "silu",
    silu_contract,
    loops=(silu_loops, silu_backward_loops),
    arrays=(silu_arrays, silu_backward_arrays),
    compiled=(silu_compiled, silu_backward_compiled),
    sample=any_array,
)


# tanh: y = tanh(x);  dy/dx = 1 - y^2 ----------------------------------------------------------------------------------


def tanh_contract(x: Shape) -> CallSpec:
    """Squash to between -1 and 1: y = tanh(x), x of any shape.

    Source: LeCun et al. 1998, "Efficient BackProp".

    >>> import byhand as bh
    >>> bh.tanh([0.0, 1000.0])
    array([0., 1.])
    """
    return CallSpec({"y": x}, flops=4 * prod(x))


def tanh_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = scalar_tanh(x[i])


def tanh_backward_loops(y, grad_y, grad_x):
    for i in np.ndindex(y.shape):
        grad_x[i] = grad_y[i] * (1.0 - y[i] * y[i])


def tanh_arrays(x, y):
    np.tanh(x, out=y)


def tanh_backward_arrays(y, grad_y, grad_x):
    grad_x[...] = grad_y * (1 - y**2)


tanh_compiled, tanh_backward_compiled = elementwise(tanh_loops), elementwise(tanh_backward_loops)

tanh = Op(
    "tanh",
    tanh_contract,
    loops=(tanh_loops, tanh_backward_loops),
    arrays=(tanh_arrays, tanh_backward_arrays),
    compiled=(tanh_compiled, tanh_backward_compiled),
    sample=any_array,
)


# gelu: y = x P with P = (1 + erf(x / sqrt 2)) / 2, the normal distribution;  dy/dx = P + x p, p = e^(-x^2 / 2) / sqrt(2 pi) ---


def gelu_contract(x: Shape) -> CallSpec:
    """Weight x by the normal distribution function: y = x (1 + erf(x / sqrt 2)) / 2, x of any shape.

    Source: Hendrycks & Gimpel 2016, arXiv 1606.08415.

    >>> import byhand as bh
    >>> bh.gelu([0.0, 100.0])
    array([  0., 100.])
    """
    return CallSpec({"y": x}, flops=8 * prod(x))


def gelu_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = x[i] * (1.0 + erf(x[i] / sqrt(2.0))) / 2.0


def gelu_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        density = exp(-x[i] * x[i] / 2.0) / sqrt(2.0 * pi)
        grad_x[i] = grad_y[i] * ((1.0 + erf(x[i] / sqrt(2.0))) / 2.0 + x[i] * density)


def gelu_arrays(x, y):
    y[...] = x * (1 + np.asarray(erf_array(x / sqrt(2)), x.dtype)) / 2


def gelu_backward_arrays(x, grad_y, grad_x):
    density = np.exp(-x * x / 2) / sqrt(2 * pi)
    grad_x[...] = grad_y * ((1 + np.asarray(erf_array(x / sqrt(2)), x.dtype)) / 2 + x * density)


gelu_compiled, gelu_backward_compiled = elementwise(gelu_loops), elementwise(gelu_backward_loops)

gelu = Op(
    "gelu",
    gelu_contract,
    loops=(gelu_loops, gelu_backward_loops),
    arrays=(gelu_arrays, gelu_backward_arrays),
    compiled=(gelu_compiled, gelu_backward_compiled),
    sample=any_array,
)

# softplus: y = ln(1 + e^x);  dy/dx = 1 / (1 + e^-x) -------------------------------------------------------------------
# Computed as max(x, 0) + ln(1 + e^-|x|), which cannot overflow.


def softplus_contract(x: Shape) -> CallSpec:
    """Smooth approximation of a ReLU: y = ln(1 + e^x), x of any shape.

    Source: Dugas et al. 2001, "Incorporating second-order functional knowledge for better option pricing".

    >>> import byhand as bh
    >>> bh.softplus([-1000.0, 1000.0])
    array([   0., 1000.])
    """
    return CallSpec({"y": x}, flops=6 * prod(x))


def softplus_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = (0.0 if x[i] < 0.0 else x[i]) + log1p(exp(-abs(x[i])))


def softplus_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] * sigmoid_scalar(x[i])


def softplus_arrays(x, y):
    np.logaddexp(x, 0, out=y)


def softplus_backward_arrays(x, grad_y, grad_x):
    grad_x[...] = grad_y * sigmoid_array(x)


softplus_compiled, softplus_backward_compiled = elementwise(softplus_loops), elementwise(softplus_backward_loops)

softplus = Op(
    "softplus",
    softplus_contract,
    loops=(softplus_loops, softplus_backward_loops),
    arrays=(softplus_arrays, softplus_backward_arrays),
    compiled=(softplus_compiled, softplus_backward_compiled),
    sample=lambda draw: ((10 * any_array(draw)[0][0],), {}),
)


# softsign: y = x / (1 + |x|);  dy/dx = 1 / (1 + |x|)^2 ----------------------------------------------------------------


def softsign_contract(x: Shape) -> CallSpec:
    """Squash to between -1 and 1 without an exponential: y = x / (1 + |x|), x of any shape.

    Source: Bergstra et al. 2009, "Quadratic polynomials learn better image features".

    >>> import byhand as bh
    >>> bh.softsign([-1.0, 3.0])
    array([-0.5 ,  0.75])
    """
    return CallSpec({"y": x}, flops=3 * prod(x))


def softsign_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = x[i] / (1.0 + abs(x[i]))


def softsign_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        divisor = 1.0 + abs(x[i])
        grad_x[i] = grad_y[i] / (divisor * divisor)


def softsign_arrays(x, y):
    np.divide(x, 1 + np.abs(x), out=y)


def softsign_backward_arrays(x, grad_y, grad_x):
    grad_x[...] = grad_y / (1 + np.abs(x)) ** 2


softsign_compiled, softsign_backward_compiled = elementwise(softsign_loops), elementwise(softsign_backward_loops)

softsign = Op(
    "softsign",
    softsign_contract,
    loops=(softsign_loops, softsign_backward_loops),
    arrays=(softsign_arrays, softsign_backward_arrays),
    compiled=(softsign_compiled, softsign_backward_compiled),
    sample=any_array,
)
