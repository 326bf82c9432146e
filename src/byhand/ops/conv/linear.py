"""linear: a matrix product plus a bias, the fully connected layer.

    y = x @ weight + bias

From dy[n, k] = sum over d of dx[n, d] weight[d, k] + x[n, d] dweight[d, k], plus dbias[k]:

    grad_x = grad_y @ weight.T,   grad_weight = x.T @ grad_y,   grad_bias = sum over n of grad_y
"""

from math import prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import compiled, conv, scratch
from byhand.kernels.gemv import few, product
from byhand.kernels.reductions import turn
from byhand.ops.op import Call, Op
from byhand.shapes import axes

FEW = 64  # rows of x: with so few, turning them round is cheaper than turning the weights round


def contract(x, weight, bias=None):
    """Matrix product plus bias: x (..., D), weight (D, K), bias (K,) or None -> y (..., K).

    Raises ShapeError where shapes do not fit.

    >>> import byhand as bh, numpy as np
    >>> bh.linear(np.array([[1.0, 2.0]]), np.eye(2), np.array([10.0, 20.0]))
    array([[11., 22.]])
    """
    axes("weight", weight, "D, K")
    if len(x) < 2 or x[-1] != weight[0]:
        raise ShapeError(f"x has the shape {x}; expected (N, {weight[0]}), as weight {weight} has {weight[0]} rows")
    if bias not in (None, (weight[1],)):
        raise ShapeError(f"bias has the shape {bias}; expected {(weight[1],)}")
    y = (*x[:-1], weight[1])
    return Call({"y": y}, flops=prod(y) * (2 * weight[0] - (bias is None)))


# loops ----------------------------------------------------------------------------------------------------------------


def linear_loops(x, weight, bias, y):
    for index in np.ndindex(y.shape):
        *n, k = index
        total = 0.0 if bias is None else bias[k]
        for d in range(weight.shape[0]):
            total += x[*n, d] * weight[d, k]
        y[index] = total


def linear_backward_loops(x, weight, grad_y, grad_x, grad_weight, grad_bias):
    for grad in (grad_x, grad_weight, grad_bias):
        if grad is not None:
            grad[...] = 0
    for index in np.ndindex(grad_y.shape):
        *n, k = index
        if grad_bias is not None:
            grad_bias[k] += grad_y[index]
        for d in range(weight.shape[0]):
            if grad_weight is not None:
                grad_weight[d, k] += x[*n, d] * grad_y[index]
            if grad_x is not None:
                grad_x[*n, d] += weight[d, k] * grad_y[index]


# arrays ---------------------------------------------------------------------------------------------------------------


def linear_arrays(x, weight, bias, y):
    np.matmul(x, weight, out=y)
    if bias is not None:
        y += bias


def linear_backward_arrays(x, weight, grad_y, grad_x, grad_weight, grad_bias):
    rows = grad_y.reshape(-1, weight.shape[1])
    if grad_bias is not None:
        rows.sum(0, out=grad_bias)
    if grad_weight is not None:
        np.matmul(x.reshape(-1, weight.shape[0]).T, rows, out=grad_weight)
    if grad_x is not None:
        np.matmul(grad_y, weight.T, out=grad_x)


# compiled: a convolution whose window is one pixel ---------------------------------------------------------------------


def _view(weight, rows, columns):
    """Return the rows of x as pixels of one image, laid out in rows or columns of it."""
    size, one = (rows, columns), (1, 1)
    return conv.ConvShape(size, size, one, one, (0, 0, 0, 0), one, 1, *weight.shape)


def _image(a, rows, columns):
    return a.reshape(1, rows, columns, a.shape[-1])


def forward(x, weight, bias, y, relu=False):
    """Write y; with `relu`, what is negative becomes 0."""
    n = x.size // x.shape[-1]
    if few(x.reshape(n, -1), weight):
        product(x.reshape(n, -1), weight, bias, y.reshape(n, -1), relu)
        return
    conv.forward(_image(x, n, 1), weight[None, None], bias, _image(y, n, 1), _view(weight, n, 1), relu)


@compiled
def linear_compiled(x, weight, bias, y):
    forward(x, weight, bias, y)


@compiled
def linear_backward_compiled(x, weight, grad_y, grad_x, grad_weight, grad_bias):
    n = x.size // x.shape[-1]
    if grad_bias is not None:
        conv.backward_bias(grad_y, grad_bias)
    if grad_weight is not None:  # summed over n: a row of pixels is a segment
        conv.backward_weights(_image(x, 1, n), _image(grad_y, 1, n), grad_weight[None, None], _view(weight, 1, n))
    if grad_x is not None and n <= FEW:  # grad_x.T = weight @ grad_y.T: no need to turn the weights round
        turned, grad = scratch(grad_y.shape[-1], n, dtype=x.dtype), grad_x.reshape(n, -1)
        columns = grad.reshape(-1, 1) if n == 1 else scratch(len(weight), n, dtype=x.dtype)
        turn(grad_y.reshape(1, n, -1), turned)
        rows = len(weight)
        conv.forward(
            _image(weight, rows, 1), turned[None, None], None, _image(columns, rows, 1), _view(turned, rows, 1)
        )
        if n > 1:
            turn(columns[None], grad)
    elif grad_x is not None:
        conv.backward_data(weight[None, None], _image(grad_y, n, 1), _image(grad_x, n, 1), _view(weight, n, 1))


# the op ---------------------------------------------------------------------------------------------------------------


def sample(draw):
    """Draw a legal call."""
    width, units = draw.integer(1, 17), draw.integer(1, 5)
    x = draw.array(*(draw.integer(1, 3) for _ in range(draw.integer(1, 2))), width)
    return (x, draw.array(width, units), draw.array(units) if draw.choice([True, False]) else None), {}


linear = Op(
    "linear",
    contract,
    loops=(linear_loops, linear_backward_loops),
    arrays=(linear_arrays, linear_backward_arrays),
    compiled=(linear_compiled, linear_backward_compiled),
    sample=sample,
)
