"""prelu: leaky ReLU whose slope is a parameter, one for all elements or one a channel.

    y = x  where x > 0, else slope * x;   grad_x = grad_y or slope * grad_y;   grad_slope = sum of x * grad_y where x <= 0

Source: He et al. 2015, "Delving deep into rectifiers", arXiv 1502.01852.
"""

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import compiled
from byhand.ops.arithmetic.broadcast import broadcast_call
from byhand.ops.arithmetic.scalar_function import (
    apply_function,
    apply_function_backward,
    binary_kernels,
    launch_binary,
    launch_binary_backward,
    sum_gradients,
)
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, broadcast


def prelu_contract(x: Shape, slope: Shape) -> CallSpec:
    """Leaky ReLU with a learned slope: x (...), slope, which broadcasts to x -> y like x.

    slope: one number, or one a channel (C,). Raises ShapeError where it does not broadcast to x.

    >>> import byhand as bh
    >>> bh.prelu([[-1.0, -1.0], [3.0, 4.0]], [0.1, 0.2])
    array([[-0.1, -0.2],
           [ 3. ,  4. ]])
    """
    if broadcast(x, slope) != x:
        raise ShapeError(f"slope has the shape {slope}; expected one that broadcasts to that of x, {x}")
    return broadcast_call(x, slope)


def leaky(x, slope):
    return x if x > 0.0 else slope * x


def prelu_grad_x(x, slope, grad):
    return grad if x > 0.0 else slope * grad


def prelu_grad_slope(x, slope, grad):
    return 0.0 if x > 0.0 else x * grad


def prelu_loops(x, slope, y):
    apply_function(leaky, x, slope, y)


def prelu_backward_loops(x, slope, grad_y, grad_x, grad_slope):
    apply_function_backward((prelu_grad_x, prelu_grad_slope), x, slope, grad_y, grad_x, grad_slope)


def prelu_arrays(x, slope, y):
    y[...] = np.where(x > 0, x, slope * x)


def prelu_backward_arrays(x, slope, grad_y, grad_x, grad_slope):
    def gradient_x():
        return np.where(x > 0, grad_y, slope * grad_y)

    def gradient_slope():
        return np.where(x > 0, 0, x * grad_y)

    sum_gradients((gradient_x, gradient_slope), grad_x, grad_slope)


PRELU = binary_kernels(leaky, (prelu_grad_x, prelu_grad_slope))


@compiled
def prelu_compiled(x, slope, y):
    launch_binary(PRELU.forward, x, slope, y)


@compiled
def prelu_backward_compiled(x, slope, grad_y, grad_x, grad_slope):
    launch_binary_backward(PRELU.backward, x, slope, grad_y, grad_x, grad_slope)


def prelu_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    shape = [draw.integer(1, 4) for _ in range(4)]
    slope = draw.choice([shape[-1:], [1], shape[1:], [1, 1, shape[-1]], shape])
    return (draw.array(*shape), draw.array(*slope)), {}


prelu = Op(
    "prelu",
    prelu_contract,
    loops=(prelu_loops, prelu_backward_loops),
    arrays=(prelu_arrays, prelu_backward_arrays),
    compiled=(prelu_compiled, prelu_backward_compiled),
    sample=prelu_sample,
)
