"""Exponential linear units: elu, selu and celu.

Each takes x of any shape and returns y of the same shape: y is x (times gamma, for selu) where x > 0, and an exponential
that tends to a negative constant where x < 0. The derivative dy/dx stands beside each function; by the chain rule
grad_x = grad_y * dy/dx.
"""

from math import exp, expm1, prod

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import elementwise
from byhand.ops.op import CallSpec, Op
from byhand.ops.samples import any_array
from byhand.shapes import Shape, number

# elu: y = x where x > 0, else alpha (e^x - 1);  dy/dx = 1 or alpha e^x ------------------------------------------------


def elu_contract(x: Shape, *, alpha: float = 1.0) -> CallSpec:
    """Exponential linear unit, which tends to -alpha: y = x where x > 0, else alpha (e^x - 1); x of any shape.

    Source: Clevert, Unterthiner & Hochreiter 2015, arXiv 1511.07289.

    >>> import byhand as bh
    >>> bh.elu([-1000.0, 2.0], alpha=0.5)
    array([-0.5,  2. ])
    """
    return CallSpec({"y": x}, {"alpha": number("alpha", alpha)}, flops=4 * prod(x))


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
    sample=lambda draw: (any_array(draw)[0], draw.choice([{}, {"alpha": 0.25}])),
)

# selu: y = gamma x where x > 0, else gamma alpha (e^x - 1);  dy/dx = gamma or gamma alpha e^x -------------------------

# With these constants the outputs of a layer converge to mean 0 and variance 1.
SELU_ALPHA = 1.6732632423543772
SELU_GAMMA = 1.0507009873554805


def selu_contract(x: Shape, *, alpha: float = SELU_ALPHA, gamma: float = SELU_GAMMA) -> CallSpec:
    """Scaled ELU: y = gamma x where x > 0, else gamma alpha (e^x - 1); x of any shape.

    With the default constants, mean and variance stay near 0 and 1 from layer to layer.

    Source: Klambauer et al. 2017, arXiv 1706.02515.

    >>> import byhand as bh
    >>> bh.selu([-1000.0, 1.0])
    array([-1.75809934,  1.05070099])
    """
    return CallSpec({"y": x}, {"alpha": number("alpha", alpha), "gamma": number("gamma", gamma)}, flops=5 * prod(x))


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
    sample=lambda draw: (any_array(draw)[0], draw.choice([{}, {"alpha": 2.0, "gamma": 3.0}])),
)


# celu: y = x where x > 0, else alpha (e^(x / alpha) - 1);  dy/dx = 1 or e^(x / alpha) ---------------------------------


def celu_contract(x: Shape, *, alpha: float = 1.0) -> CallSpec:
    """ELU with a continuous derivative at 0: y = x where x > 0, else alpha (e^(x / alpha) - 1); x of any shape.

    Source: Barron 2017, arXiv 1704.07483.

    >>> import byhand as bh
    >>> bh.celu([-1000.0, 2.0], alpha=0.5)
    array([-0.5,  2. ])
    """
    if not number("alpha", alpha) > 0:
        raise ArgumentError(f"alpha is {alpha!r}; expected a number above 0")
    return CallSpec({"y": x}, {"alpha": float(alpha)}, flops=5 * prod(x))


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
    sample=lambda draw: (any_array(draw)[0], draw.choice([{}, {"alpha": 0.5}])),
)
