"""conv2d_block: a convolution with all that follows it in a block of a residual network, as inference has it.

    y = relu(batch_norm(conv2d(x)) + shortcut)

What is not given is left out: the norm, the shortcut, the ReLU. With running statistics a batch norm is a factor and a term for
each filter, with mean mu and variance v of what comes out of the filters:

    batch_norm(z) = s z + (beta - mu s),   s = gamma / sqrt(v + eps)

The compiled hand applies them, and all the rest, to the sums while they are in registers: y is written once, and no filter is
scaled. Backward, what the norm saw is computed anew.

Sources: He et al. 2015, arXiv 1512.03385 (the block); Jacob et al. 2017, section 3.2, arXiv 1712.05877 (the factor).
"""

from typing import NamedTuple

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.kernels import compiled, conv, kernel, launch, scratch
from byhand.ops.conv.conv2d import contract as conv2d_contract
from byhand.ops.conv.conv2d import (
    conv2d_algorithms,
    conv2d_arrays,
    conv2d_backward_arrays,
    conv2d_backward_compiled,
    conv2d_backward_loops,
    conv2d_compiled,
    conv2d_loops,
    conv_shape,
)
from byhand.ops.conv.conv2d import sample as conv2d_sample
from byhand.ops.fused.relu import masked
from byhand.ops.norm.batch_norm import (
    batch_contract,
    batch_norm_arrays,
    batch_norm_backward_arrays,
    batch_norm_backward_compiled,
    batch_norm_backward_loops,
    batch_norm_loops,
    batch_norm_running,
)
from byhand.ops.op import Array, Call, Op


def contract(
    x, weight, bias=None, gamma=None, beta=None, running_mean=None, running_var=None, shortcut=None, *,
    stride=1, padding="valid", dilation=1, groups=1, eps=1e-5, relu=False,
):  # fmt: skip
    """Slide filters over an image, normalise, add a shortcut, keep what is positive: as those four ops, one after the other.

    gamma, beta, running_mean, running_var: (K,), all of them or none; shortcut: like y. Raises ArgumentError where some of the
    norm is missing, ShapeError where shapes do not fit.

    >>> import byhand as bh, numpy as np
    >>> x, double = np.array([1.0, -2.0]).reshape(1, 1, 2, 1), np.array([2.0]).reshape(1, 1, 1, 1)
    >>> bh.conv2d_block(x, double, shortcut=x, relu=True).ravel()
    array([3., 0.])
    """
    call = conv2d_contract(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    y, flops = call.shapes["y"], call.flops
    given = {"gamma": gamma, "beta": beta, "running_mean": running_mean, "running_var": running_var}
    if missing := [name for name, shape in given.items() if shape is None]:
        if len(missing) < len(given):
            raise ArgumentError(f"{missing[0]} is missing; a batch norm takes {', '.join(given)}")
    else:
        flops += batch_contract(y, **given, eps=eps).flops
    if shortcut not in (None, y):
        raise ShapeError(f"shortcut has the shape {shortcut}; expected that of y, {y}")
    flops += ((shortcut is not None) + bool(relu)) * int(np.prod(y, dtype=object))
    return Call(call.shapes, call.attributes | {"eps": float(eps), "relu": bool(relu)}, flops, call.window)


# loops and arrays: those of the parts ---------------------------------------------------------------------------------

STILL = {"momentum": 0.0, "training": False}  # a norm by running statistics, which stay as they are


def _norm(normalise, gamma, beta, running_mean, running_var, y, eps):
    """Normalise y in place."""
    spare = np.empty_like(gamma), np.empty_like(gamma)
    normalise(y.copy(), gamma, beta, running_mean, running_var, y, *spare, eps=eps, **STILL)


def _finish(shortcut, y, relu):
    if shortcut is not None:
        y += shortcut
    if relu:
        y[...] = np.where(y < 0, 0, y)


def _before_norm(back, seen, gamma, running_mean, running_var, g, grad_gamma, grad_beta, eps):
    """Return the gradient of what the norm saw."""
    grad, inv_std = np.empty_like(seen), 1 / np.sqrt(running_var + eps)
    back(seen, gamma, running_mean, inv_std, g, grad, grad_gamma, grad_beta, eps=eps, **STILL)
    return grad


def conv2d_block_loops(
    x, weight, bias, gamma, beta, running_mean, running_var, shortcut, y, *, stride, padding, dilation, groups, eps, relu,
):  # fmt: skip
    conv2d_loops(x, weight, bias, y, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if gamma is not None:
        _norm(batch_norm_loops, gamma, beta, running_mean, running_var, y, eps)
    _finish(shortcut, y, relu)


def conv2d_block_backward_loops(
    x, weight, bias, gamma, running_mean, running_var, y, grad_y, grad_x, grad_weight, grad_bias, grad_gamma, grad_beta,
    grad_shortcut, *, stride, padding, dilation, groups, eps, relu,
):  # fmt: skip
    view, g = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}, grad_y
    if relu:
        g = np.where(y <= 0, 0, grad_y)
    if grad_shortcut is not None:
        grad_shortcut[...] = g
    if gamma is not None:
        seen = np.empty_like(y)
        conv2d_loops(x, weight, bias, seen, **view)
        back = batch_norm_backward_loops
        g = _before_norm(back, seen, gamma, running_mean, running_var, g, grad_gamma, grad_beta, eps)
    conv2d_backward_loops(x, weight, g, grad_x, grad_weight, grad_bias, **view)


def conv2d_block_arrays(
    x, weight, bias, gamma, beta, running_mean, running_var, shortcut, y, *, stride, padding, dilation, groups, eps, relu,
):  # fmt: skip
    conv2d_arrays(x, weight, bias, y, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if gamma is not None:
        _norm(batch_norm_arrays, gamma, beta, running_mean, running_var, y, eps)
    _finish(shortcut, y, relu)


def conv2d_block_backward_arrays(
    x, weight, bias, gamma, running_mean, running_var, y, grad_y, grad_x, grad_weight, grad_bias, grad_gamma, grad_beta,
    grad_shortcut, *, stride, padding, dilation, groups, eps, relu,
):  # fmt: skip
    view, g = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}, grad_y
    if relu:
        g = np.where(y <= 0, 0, grad_y)
    if grad_shortcut is not None:
        grad_shortcut[...] = g
    if gamma is not None:
        seen = np.empty_like(y)
        conv2d_arrays(x, weight, bias, seen, **view)
        back = batch_norm_backward_arrays
        g = _before_norm(back, seen, gamma, running_mean, running_var, g, grad_gamma, grad_beta, eps)
    conv2d_backward_arrays(x, weight, g, grad_x, grad_weight, grad_bias, **view)


# compiled: the epilogue runs on sums in registers, kernels/microkernel/microkernel.py ----------------------------------


class Norm(NamedTuple):
    """A batch norm by running statistics, (K,) each."""

    gamma: Array
    beta: Array
    running_mean: Array
    running_var: Array


@kernel
def norm_factors(norm, bias, scale, term, eps, block):
    """Write what a batch norm multiplies by and what it adds, the bias before it counted in."""
    for k in range(scale.size):
        factor = norm.gamma[k] / np.sqrt(norm.running_var[k] + eps)
        given = bias[k] if bias is not None else 0.0
        scale[k], term[k] = factor, (given - norm.running_mean[k]) * factor + norm.beta[k]


@compiled
def conv2d_block_compiled(
    x, weight, bias, gamma, beta, running_mean, running_var, shortcut, y, *, stride, padding, dilation, groups, eps, relu,
):  # fmt: skip
    shape, scale, term = conv_shape(x.shape, weight.shape, y.shape, stride, padding, dilation, groups), None, bias
    if gamma is not None:
        scale, term = scratch(2, gamma.size, dtype=x.dtype)
        launch(norm_factors, 1, Norm(gamma, beta, running_mean, running_var), bias, scale, term, eps)
    conv.forward(x, weight, y, conv.epilogue(x, term, scale, shortcut, relu), shape)


@compiled
def conv2d_block_backward_compiled(
    x, weight, bias, gamma, running_mean, running_var, y, grad_y, grad_x, grad_weight, grad_bias, grad_gamma, grad_beta,
    grad_shortcut, *, stride, padding, dilation, groups, eps, relu,
):  # fmt: skip
    view = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    g = masked(y, grad_y, grad_shortcut, relu)
    if gamma is not None:
        (seen, before), after = scratch(2, *y.shape, dtype=y.dtype), g
        mean, inv_std = scratch(2, gamma.size, dtype=x.dtype)
        conv2d_compiled(x, weight, bias, seen, **view)
        launch(batch_norm_running, 1, running_mean, running_var, mean, inv_std, eps)
        batch_norm_backward_compiled(seen, gamma, mean, inv_std, after, before, grad_gamma, grad_beta, eps=eps, **STILL)
        g = before
    conv2d_backward_compiled(x, weight, g, grad_x, grad_weight, grad_bias, **view)


# one op ---------------------------------------------------------------------------------------------------------------


def sample(draw):
    """Draw a legal call."""
    (x, weight, bias), attributes = conv2d_sample(draw)
    y = conv2d_contract(x.shape, weight.shape, **attributes).shapes["y"]
    statistics = [None] * 4
    if draw.choice([True, False]):
        gamma, beta, mean, var = (draw.array(y[-1]) for _ in range(4))
        statistics = [
            gamma,
            abs(beta) + 0.25,
            mean,
            abs(var) + 0.5,
        ]  # what is the mean becomes beta: not 0, where a ReLU bends
    shortcut = draw.array(*y) if draw.choice([True, False]) else None
    return (x, weight, bias, *statistics, shortcut), attributes | {"eps": 0.1, "relu": draw.choice([True, False])}


conv2d_block = Op(
    "conv2d_block",
    contract,
    loops=(conv2d_block_loops, conv2d_block_backward_loops),
    arrays=(conv2d_block_arrays, conv2d_block_backward_arrays),
    compiled=(conv2d_block_compiled, conv2d_block_backward_compiled),
    sample=sample,
    algorithms=conv2d_algorithms,
)
