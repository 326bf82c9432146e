"""conv2d_relu and linear_relu: ops that a program puts together, so that less travels to memory.

    conv2d_relu  y = relu(conv2d(x)),   linear_relu  y = relu(linear(x))

What lies between is not kept: backward needs y alone, as relu's derivative is 1 where y > 0 and else 0. Their loops are those
of their parts, one after the other.

Sources: those of conv2d, linear and relu.
"""

import numpy as np

from byhand.kernels import cdiv, compiled, conv, kernel, launch, scratch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.conv.conv2d import contract as conv2d_contract
from byhand.ops.conv.conv2d import (
    conv2d_algorithms,
    conv2d_arrays,
    conv2d_backward_arrays,
    conv2d_backward_compiled,
    conv2d_backward_loops,
    conv2d_loops,
    conv_shape,
)
from byhand.ops.conv.conv2d import sample as conv2d_sample
from byhand.ops.conv.linear import contract as linear_contract
from byhand.ops.conv.linear import forward as linear_forward
from byhand.ops.conv.linear import (
    linear_algorithms,
    linear_arrays,
    linear_backward_arrays,
    linear_backward_compiled,
    linear_backward_loops,
    linear_loops,
)
from byhand.ops.conv.linear import sample as linear_sample
from byhand.ops.op import Call, Op


def _before_relu(y, grad_y):
    """Return the gradient before a ReLU."""
    return np.where(y <= 0, 0, grad_y)


@kernel
def before_relu(y, grad_y, grad, relu, block):
    first, last = block * BLOCK_ELEMENTS, min((block + 1) * BLOCK_ELEMENTS, y.size)
    y, grad_y, grad = y[first:last], grad_y[first:last], grad[first:last]
    for i in range(y.size):
        grad[i] = 0.0 if relu and y[i] <= 0.0 else grad_y[i]


def masked(y, grad_y, into=None, relu=True):
    """Return the gradient before a ReLU, where there is one; in scratch memory, unless it is wanted elsewhere."""
    grad = scratch(*y.shape, dtype=y.dtype) if into is None else into
    launch(before_relu, cdiv(y.size, BLOCK_ELEMENTS), y.reshape(-1), grad_y.reshape(-1), grad.reshape(-1), relu)
    return grad


# conv2d_relu ----------------------------------------------------------------------------------------------------------


def conv2d_relu_contract(x, weight, bias=None, *, stride=1, padding="valid", dilation=1, groups=1):
    """Slide filters over an image and keep what is positive: as `conv2d`, then `relu`.

    >>> import byhand as bh, numpy as np
    >>> bh.conv2d_relu(np.array([0.0, 9, 9, 0]).reshape(1, 1, 4, 1), np.array([[-1.0, 1.0]]).reshape(1, 2, 1, 1)).ravel()
    array([9., 0., 0.])
    """
    call = conv2d_contract(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return Call(call.shapes, call.attributes, call.flops + int(np.prod(call.shapes["y"], dtype=object)), call.window)


def conv2d_relu_loops(x, weight, bias, y, *, stride, padding, dilation, groups):
    conv2d_loops(x, weight, bias, y, stride=stride, padding=padding, dilation=dilation, groups=groups)
    y[...] = np.where(y < 0, 0, y)


def conv2d_relu_backward_loops(
    x, weight, y, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups
):
    conv2d_backward_loops(
        x, weight, _before_relu(y, grad_y), grad_x, grad_weight, grad_bias,
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip


def conv2d_relu_arrays(x, weight, bias, y, *, stride, padding, dilation, groups):
    conv2d_arrays(x, weight, bias, y, stride=stride, padding=padding, dilation=dilation, groups=groups)
    np.maximum(y, 0, out=y)


def conv2d_relu_backward_arrays(
    x, weight, y, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups
):
    conv2d_backward_arrays(
        x, weight, _before_relu(y, grad_y), grad_x, grad_weight, grad_bias,
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip


@compiled
def conv2d_relu_compiled(x, weight, bias, y, *, stride, padding, dilation, groups):
    shape = conv_shape(x.shape, weight.shape, y.shape, stride, padding, dilation, groups)
    conv.forward(x, weight, y, conv.epilogue(x, bias, relu=True), shape)


@compiled
def conv2d_relu_backward_compiled(
    x, weight, y, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups
):
    conv2d_backward_compiled(
        x, weight, masked(y, grad_y), grad_x, grad_weight, grad_bias,
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip


conv2d_relu = Op(
    "conv2d_relu",
    conv2d_relu_contract,
    loops=(conv2d_relu_loops, conv2d_relu_backward_loops),
    arrays=(conv2d_relu_arrays, conv2d_relu_backward_arrays),
    compiled=(conv2d_relu_compiled, conv2d_relu_backward_compiled),
    sample=conv2d_sample,
    algorithms=conv2d_algorithms,
)


# linear_relu ----------------------------------------------------------------------------------------------------------


def linear_relu_contract(x, weight, bias=None):
    """Multiply by a matrix, add a bias, and keep what is positive: as `linear`, then `relu`.

    >>> import byhand as bh, numpy as np
    >>> bh.linear_relu(np.array([[1.0, -2.0]]), np.eye(2))
    array([[1., 0.]])
    """
    call = linear_contract(x, weight, bias)
    return Call(call.shapes, call.attributes, call.flops + int(np.prod(call.shapes["y"], dtype=object)))


def linear_relu_loops(x, weight, bias, y):
    linear_loops(x, weight, bias, y)
    y[...] = np.where(y < 0, 0, y)


def linear_relu_backward_loops(x, weight, y, grad_y, grad_x, grad_weight, grad_bias):
    linear_backward_loops(x, weight, _before_relu(y, grad_y), grad_x, grad_weight, grad_bias)


def linear_relu_arrays(x, weight, bias, y):
    linear_arrays(x, weight, bias, y)
    np.maximum(y, 0, out=y)


def linear_relu_backward_arrays(x, weight, y, grad_y, grad_x, grad_weight, grad_bias):
    linear_backward_arrays(x, weight, _before_relu(y, grad_y), grad_x, grad_weight, grad_bias)


@compiled
def linear_relu_compiled(x, weight, bias, y):
    linear_forward(x, weight, bias, y, relu=True)


@compiled
def linear_relu_backward_compiled(x, weight, y, grad_y, grad_x, grad_weight, grad_bias):
    linear_backward_compiled(x, weight, masked(y, grad_y), grad_x, grad_weight, grad_bias)


linear_relu = Op(
    "linear_relu",
    linear_relu_contract,
    loops=(linear_relu_loops, linear_relu_backward_loops),
    arrays=(linear_relu_arrays, linear_relu_backward_arrays),
    compiled=(linear_relu_compiled, linear_relu_backward_compiled),
    sample=linear_sample,
    algorithms=linear_algorithms,
)
