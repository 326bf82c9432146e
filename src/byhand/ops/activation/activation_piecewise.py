"""hard_sigmoid, hard_swish: sigmoid and silu with straight lines for curves, which cost a phone less.

Each takes x of any shape and gives y of the same. By the chain rule grad_x = grad_y * dy/dx, and the derivative stands
beside each function.
"""

from math import prod

import numpy as np

from byhand.kernels import elementwise
from byhand.ops.activation.activation import sample
from byhand.ops.op import Call, Op
from byhand.shapes import number

# hard_sigmoid: y = min(max(alpha x + beta, 0), 1);  dy/dx = alpha where 0 < y < 1, else 0 -----------------------------


def hard_sigmoid_contract(x, *, alpha=1 / 6, beta=0.5):
    """Squash to between 0 and 1 by a straight line: y = min(max(alpha x + beta, 0), 1), x of any shape.

    Source: Courbariaux, Bengio & David 2015, arXiv 1511.00363; with 1/6 Howard et al. 2019 (MobileNetV3), arXiv 1905.02244.

    >>> import byhand as bh
    >>> bh.hard_sigmoid([-4.0, 0.0, 1.5, 4.0])
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    return Call({"y": x}, {"alpha": number("alpha", alpha), "beta": number("beta", beta)}, flops=4 * prod(x))


def hard_sigmoid_loops(x, y, *, alpha, beta):
    for i in np.ndindex(x.shape):
        slope = alpha * x[i]  # compared before beta is added: a fused multiply-add is not quite 0 where the line ends
        y[i] = 0.0 if slope <= -beta else 1.0 if slope >= 1.0 - beta else slope + beta  # a NaN stays


def hard_sigmoid_backward_loops(y, grad_y, grad_x, *, alpha, beta):
    for i in np.ndindex(y.shape):
        grad_x[i] = alpha * grad_y[i] if 0.0 < y[i] < 1.0 else 0.0


def hard_sigmoid_arrays(x, y, *, alpha, beta):
    np.clip(alpha * x + beta, 0, 1, out=y)


def hard_sigmoid_backward_arrays(y, grad_y, grad_x, *, alpha, beta):
    grad_x[...] = np.where((y > 0) & (y < 1), alpha * grad_y, 0)


hard_sigmoid_compiled = elementwise(hard_sigmoid_loops)
hard_sigmoid_backward_compiled = elementwise(hard_sigmoid_backward_loops)
hard_sigmoid = Op(
    "hard_sigmoid",
    hard_sigmoid_contract,
    loops=(hard_sigmoid_loops, hard_sigmoid_backward_loops),
    arrays=(hard_sigmoid_arrays, hard_sigmoid_backward_arrays),
    compiled=(hard_sigmoid_compiled, hard_sigmoid_backward_compiled),
    sample=lambda draw: ((3 * sample(draw)[0][0],), draw.choice([{}, {"alpha": 0.25, "beta": 0.25}])),
    onnx="HardSigmoid",
)


# hard_swish: y = x relu6(x + 3) / 6;  dy/dx = 0 below -3, 1 above 3, else (2 x + 3) / 6 -------------------------------


def hard_swish_contract(x):
    """Gate x by a straight line: y = x min(max(x + 3, 0), 6) / 6, x of any shape.

    Source: Howard et al. 2019 (MobileNetV3), arXiv 1905.02244.

    >>> import byhand as bh
    >>> bh.hard_swish([-4.0, 0.0, 1.5, 4.0])
    array([-0.   ,  0.   ,  1.125,  4.   ])
    """
    return Call({"y": x}, flops=5 * prod(x))


def hard_swish_loops(x, y):
    for i in np.ndindex(x.shape):
        gate = 0.0 if x[i] < -3.0 else 6.0 if x[i] > 3.0 else x[i] + 3.0
        y[i] = x[i] * gate / 6.0


def hard_swish_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        grad = grad_y[i] if x[i] >= 3.0 else grad_y[i] * (2.0 * x[i] + 3.0) / 6.0
        grad_x[i] = 0.0 if x[i] <= -3.0 else grad  # not 0 times a gradient that may be infinite


def hard_swish_arrays(x, y):
    y[...] = x * np.clip(x + 3, 0, 6) / 6


def hard_swish_backward_arrays(x, grad_y, grad_x):
    grad_x[...] = np.where(x <= -3, 0, np.where(x >= 3, grad_y, grad_y * (2 * x + 3) / 6))


hard_swish_compiled = elementwise(hard_swish_loops)
hard_swish_backward_compiled = elementwise(hard_swish_backward_loops)
hard_swish = Op(
    "hard_swish",
    hard_swish_contract,
    loops=(hard_swish_loops, hard_swish_backward_loops),
    arrays=(hard_swish_arrays, hard_swish_backward_arrays),
    compiled=(hard_swish_compiled, hard_swish_backward_compiled),
    sample=lambda draw: ((3 * sample(draw)[0][0],), {}),
    onnx="HardSwish",
)
