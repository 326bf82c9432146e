"""softplus, softsign, elu, selu, celu: what a unit answers, bent smoothly.

Each takes x of any shape and gives y of the same. By the chain rule grad_x = grad_y * dy/dx, and the derivative stands
beside each function.
"""

from math import exp, expm1, log1p, prod

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import elementwise
from byhand.ops.activation.activation import _sigmoid, _sigmoids, sample
from byhand.ops.op import Call, Op
from byhand.shapes import number

# softplus: y = ln(1 + e^x);  dy/dx = 1 / (1 + e^-x) -------------------------------------------------------------------
# ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), which can't overflow.


def softplus_contract(x):
    """Bend a ReLU smoothly: y = ln(1 + e^x), x of any shape.

    Source: Dugas et al. 2001, "Incorporating second-order functional knowledge for better option pricing".

    >>> import byhand as bh
    >>> bh.softplus([-1000.0, 1000.0])
    array([   0., 1000.])
    """
    return Call({"y": x}, flops=6 * prod(x))


def softplus_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = (0.0 if x[i] < 0.0 else x[i]) + log1p(exp(-abs(x[i])))


def softplus_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] * _sigmoid(x[i])


def softplus_arrays(x, y):
    np.logaddexp(x, 0, out=y)


def softplus_backward_arrays(x, grad_y, grad_x):
    grad_x[...] = grad_y * _sigmoids(x)


softplus_compiled, softplus_backward_compiled = elementwise(softplus_loops), elementwise(softplus_backward_loops)
softplus = Op(
    "softplus",
    softplus_contract,
    loops=(softplus_loops, softplus_backward_loops),
    arrays=(softplus_arrays, softplus_backward_arrays),
    compiled=(softplus_compiled, softplus_backward_compiled),
    sample=lambda draw: ((10 * sample(draw)[0][0],), {}),
    onnx="Softplus",
)


# softsign: y = x / (1 + |x|);  dy/dx = 1 / (1 + |x|)^2 ----------------------------------------------------------------


def softsign_contract(x):
    """Squash to between -1 and 1 without an exponential: y = x / (1 + |x|), x of any shape.

    Source: Bergstra et al. 2009, "Quadratic polynomials learn better image features".

    >>> import byhand as bh
    >>> bh.softsign([-1.0, 3.0])
    array([-0.5 ,  0.75])
    """
    return Call({"y": x}, flops=3 * prod(x))


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
    sample=sample,
    onnx="Softsign",
)


# elu: y = x where x > 0, else alpha (e^x - 1);  dy/dx = 1 or alpha e^x ------------------------------------------------
# selu: gamma times that;  celu: its slope made smooth at 0, alpha (e^(x / alpha) - 1), whose derivative is e^(x / alpha)


def elu_contract(x, *, alpha=1.0):
    """Let what is negative run into -alpha: y = x where x > 0, else alpha (e^x - 1); x of any shape.

    Source: Clevert, Unterthiner & Hochreiter 2015, arXiv 1511.07289.

    >>> import byhand as bh
    >>> bh.elu([-1000.0, 2.0], alpha=0.5)
    array([-0.5,  2. ])
    """
    return Call({"y": x}, {"alpha": number("alpha", alpha)}, flops=4 * prod(x))


def elu_loops(x, y, *, alpha):
    for i in np.ndindex(x.shape):
        y[i] = x[i] if x[i] > 0.0 else alpha * expm1(x[i])


def elu_backward_loops(x, grad_y, grad_x, *, alpha):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] if x[i] > 0.0 else grad_y[i] * alpha * exp(x[i])


def elu_arrays(x, y, *, alpha):
    y[...] = np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_backward_arrays(x, grad_y, grad_x, *, alpha):
    grad_x[...] = np.where(x > 0, grad_y, grad_y * alpha * np.exp(np.minimum(x, 0)))


elu_compiled, elu_backward_compiled = elementwise(elu_loops), elementwise(elu_backward_loops)
elu = Op(
    "elu",
    elu_contract,
    loops=(elu_loops, elu_backward_loops),
    arrays=(elu_arrays, elu_backward_arrays),
    compiled=(elu_compiled, elu_backward_compiled),
    sample=lambda draw: (sample(draw)[0], draw.choice([{}, {"alpha": 0.25}])),
    onnx="Elu",
)

ALPHA, GAMMA = 1.6732632423543772, 1.0507009873554805  # with these a layer's outputs keep mean 0 and variance 1


def selu_contract(x, *, alpha=ALPHA, gamma=GAMMA):
    """Keep mean and variance from layer to layer: y = gamma x where x > 0, else gamma alpha (e^x - 1); x of any shape.

    Source: Klambauer et al. 2017, arXiv 1706.02515.

    >>> import byhand as bh
    >>> bh.selu([-1000.0, 1.0])
    array([-1.75809934,  1.05070099])
    """
    return Call({"y": x}, {"alpha": number("alpha", alpha), "gamma": number("gamma", gamma)}, flops=5 * prod(x))


def selu_loops(x, y, *, alpha, gamma):
    for i in np.ndindex(x.shape):
        y[i] = gamma * x[i] if x[i] > 0.0 else gamma * alpha * expm1(x[i])


def selu_backward_loops(x, grad_y, grad_x, *, alpha, gamma):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] * gamma if x[i] > 0.0 else grad_y[i] * gamma * alpha * exp(x[i])


def selu_arrays(x, y, *, alpha, gamma):
    y[...] = gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def selu_backward_arrays(x, grad_y, grad_x, *, alpha, gamma):
    grad_x[...] = grad_y * gamma * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


selu_compiled, selu_backward_compiled = elementwise(selu_loops), elementwise(selu_backward_loops)
selu = Op(
    "selu",
    selu_contract,
    loops=(selu_loops, selu_backward_loops),
    arrays=(selu_arrays, selu_backward_arrays),
    compiled=(selu_compiled, selu_backward_compiled),
    sample=lambda draw: (sample(draw)[0], draw.choice([{}, {"alpha": 2.0, "gamma": 3.0}])),
    onnx="Selu",
)


def celu_contract(x, *, alpha=1.0):
    """Let what is negative run into -alpha, smoothly: y = x where x > 0, else alpha (e^(x / alpha) - 1); x of any shape.

    Source: Barron 2017, arXiv 1704.07483.

    >>> import byhand as bh
    >>> bh.celu([-1000.0, 2.0], alpha=0.5)
    array([-0.5,  2. ])
    """
    if not number("alpha", alpha) > 0:
        raise ArgumentError(f"alpha is {alpha!r}; expected a number above 0")
    return Call({"y": x}, {"alpha": float(alpha)}, flops=5 * prod(x))


def celu_loops(x, y, *, alpha):
    for i in np.ndindex(x.shape):
        y[i] = x[i] if x[i] > 0.0 else alpha * expm1(x[i] / alpha)


def celu_backward_loops(x, grad_y, grad_x, *, alpha):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] if x[i] > 0.0 else grad_y[i] * exp(x[i] / alpha)


def celu_arrays(x, y, *, alpha):
    y[...] = np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def celu_backward_arrays(x, grad_y, grad_x, *, alpha):
    grad_x[...] = np.where(x > 0, grad_y, grad_y * np.exp(np.minimum(x, 0) / alpha))


celu_compiled, celu_backward_compiled = elementwise(celu_loops), elementwise(celu_backward_loops)
celu = Op(
    "celu",
    celu_contract,
    loops=(celu_loops, celu_backward_loops),
    arrays=(celu_arrays, celu_backward_arrays),
    compiled=(celu_compiled, celu_backward_compiled),
    sample=lambda draw: (sample(draw)[0], draw.choice([{}, {"alpha": 0.5}])),
    onnx="Celu",
)
