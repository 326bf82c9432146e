"""linear: a matrix product plus a bias, the fully connected layer.

    y = x @ weight + bias

From dy[n, k] = sum over d of dx[n, d] weight[d, k] + x[n, d] dweight[d, k], plus dbias[k]:

    grad_x = grad_y @ weight.T,   grad_weight = x.T @ grad_y,   grad_bias = sum over n of grad_y
"""

from math import prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import compiled, conv
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, axes


def contract(x: Shape, weight: Shape, bias: Shape | None = None) -> CallSpec:
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
    return CallSpec({"y": y}, flops=prod(y) * (2 * weight[0] - (bias is None)))


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


# compiled: a convolution whose window is one pixel, each row of x a pixel ---------------------------------------------


def matrix_shape(weight, rows, columns):
    """Return the product with a weight of this shape as a convolution: the rows of x are the pixels of one image."""
    depth, filters = weight
    return conv.ConvShape(
        image=(rows, columns),
        output=(rows, columns),
        kernel=(1, 1),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=1,
        depth=depth,
        filters_per_group=filters,
    )


def linear_algorithms(shapes, call, itemsize):
    """Return the algorithms that kernels choose for a call, by the array that each writes."""
    x, weight, *_ = shapes
    names = conv.names(matrix_shape(weight, prod(x[:-1]), 1), 1, itemsize, matrix=True)
    return {"y": names["forward"], "grad_x": names["backward_data"], "grad_weight": names["backward_weights"]}


def _image(matrix, height, width):
    """Return a matrix as one image, a row a pixel."""
    return matrix.reshape(1, height, width, matrix.shape[-1])


def forward(x, weight, bias, y, relu=False):
    """Launch y = x @ weight + bias, with `relu` max(0, that)."""
    rows = x.size // x.shape[-1]
    images, epilogue = (_image(x, rows, 1), weight[None, None], _image(y, rows, 1)), conv.epilogue(x, bias, relu=relu)
    conv.forward(*images, epilogue, matrix_shape(weight.shape, rows, 1), matrix=True)


@compiled
def linear_compiled(x, weight, bias, y):
    forward(x, weight, bias, y)


@compiled
def linear_backward_compiled(x, weight, grad_y, grad_x, grad_weight, grad_bias):
    rows = x.size // x.shape[-1]
    if grad_bias is not None:
        conv.backward_bias(grad_y, grad_bias)
    if grad_weight is not None:  # summed over n: a row of pixels is a segment
        images = _image(x, 1, rows), _image(grad_y, 1, rows), grad_weight[None, None]
        conv.backward_weights(*images, matrix_shape(weight.shape, 1, rows), matrix=True)
    if grad_x is not None:
        images = weight[None, None], _image(grad_y, rows, 1), _image(grad_x, rows, 1)
        conv.backward_data(*images, matrix_shape(weight.shape, rows, 1), matrix=True)


# the op ---------------------------------------------------------------------------------------------------------------


def sample(draw: SampleSource) -> Sample:
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
    algorithms=linear_algorithms,
)
