"""Piecewise activations: relu, leaky_relu, relu6, hard_sigmoid and hard_swish.

Each takes x of any shape and returns y of the same shape. The derivative dy/dx stands beside each function; by the chain
rule grad_x = grad_y * dy/dx. hard_sigmoid and hard_swish approximate sigmoid and silu without an exponential, which makes
them cheap on phones.
"""

from math import prod

import numpy as np

from byhand.kernels import elementwise
from byhand.ops.op import CallSpec, Op
from byhand.ops.samples import any_array
from byhand.shapes import Shape, number

# relu: y = max(x, 0);  dy/dx = 1 where x > 0, else 0 ------------------------------------------------------------------


def relu_contract(x: Shape) -> CallSpec:
    """Rectified linear unit: y = max(x, 0), x of any shape.

    Source: Fukushima 1969; Nair & Hinton 2010.

    >>> import byhand as bh
    >>> bh.relu([-1.0, 2.0])
    array([0., 2.])
    """
    return CallSpec({"y": x}, flops=prod(x))


def relu_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = 0 if x[i] < 0 else x[i]  # NaN stays NaN


def relu_backward_loops(y, grad_y, grad_x):
    for i in np.ndindex(y.shape):
        grad_x[i] = 0 if y[i] <= 0 else grad_y[i]


def relu_arrays(x, y):
    np.maximum(x, 0, out=y)


def relu_backward_arrays(y, grad_y, grad_x):
    grad_x[...] = np.where(y <= 0, 0, grad_y)


relu_compiled, relu_backward_compiled = elementwise(relu_loops), elementwise(relu_backward_loops)

relu = Op(
    "relu",
    relu_contract,
    loops=(relu_loops, relu_backward_loops),
    arrays=(relu_arrays, relu_backward_arrays),
    compiled=(relu_compiled, relu_backward_compiled),
    sample=any_array,
)


# leaky_relu: y = x where x > 0, else slope * x;  dy/dx = 1 or slope ---------------------------------------------------


def leaky_relu_contract(x: Shape, *, slope: float = 0.01) -> CallSpec:
    """Leaky ReLU: y = x where x > 0, else slope * x; x of any shape.

    Source: Maas, Hannun & Ng 2013.

    >>> import byhand as bh
    >>> bh.leaky_relu([-1.0, 2.0], slope=0.1)
    array([-0.1,  2. ])
    """
    return CallSpec({"y": x}, {"slope": number("slope", slope)}, flops=prod(x))


def leaky_relu_loops(x, y, *, slope):
    for i in np.ndindex(x.shape):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


def leaky_relu_backward_loops(x, grad_y, grad_x, *, slope):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] if x[i] > 0 else slope * grad_y[i]


def leaky_relu_arrays(x, y, *, slope):
    y[...] = np.where(x > 0, x, slope * x)


def leaky_relu_backward_arrays(x, grad_y, grad_x, *, slope):
    grad_x[...] = np.where(x > 0, grad_y, slope * grad_y)


leaky_relu_compiled = elementwise(leaky_relu_loops)
leaky_relu_backward_compiled = elementwise(leaky_relu_backward_loops)
leaky_relu = Op(
    "leaky_relu",
    leaky_relu_contract,
    loops=(leaky_relu_loops, leaky_relu_backward_loops),
    arrays=(leaky_relu_arrays, leaky_relu_backward_arrays),
    compiled=(leaky_relu_compiled, leaky_relu_backward_compiled),
    sample=lambda draw: (any_array(draw)[0], {"slope": draw.choice([0.01, 0.2])}),
)


# relu6: y = min(max(x, 0), 6);  dy/dx = 1 where 0 < x < 6, else 0 -----------------------------------------------------


def relu6_contract(x: Shape) -> CallSpec:
    """ReLU capped at 6: y = min(max(x, 0), 6), x of any shape.

    Source: Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10".

    >>> import byhand as bh
    >>> bh.relu6([-1.0, 2.0, 7.0])
    array([0., 2., 6.])
    """
    return CallSpec({"y": x}, flops=2 * prod(x))


def relu6_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = 0 if x[i] < 0 else 6 if x[i] > 6 else x[i]


def relu6_backward_loops(y, grad_y, grad_x):
    for i in np.ndindex(y.shape):
        grad_x[i] = 0 if y[i] <= 0 or y[i] >= 6 else grad_y[i]


def relu6_arrays(x, y):
    np.clip(x, 0, 6, out=y)


def relu6_backward_arrays(y, grad_y, grad_x):
    grad_x[...] = np.where((y <= 0) | (y >= 6), 0, grad_y)


relu6_compiled, relu6_backward_compiled = elementwise(relu6_loops), elementwise(relu6_backward_loops)

relu6 = Op(
    "relu6",
    relu6_contract,
    loops=(relu6_loops, relu6_backward_loops),
    arrays=(relu6_arrays, relu6_backward_arrays),
    compiled=(relu6_compiled, relu6_backward_compiled),
    sample=lambda draw: ((6 * any_array(draw)[0][0],), {}),
)

# hard_sigmoid: y = min(max(alpha x + beta, 0), 1);  dy/dx = alpha where 0 < y < 1, else 0 -----------------------------


def hard_sigmoid_contract(x: Shape, *, alpha: float = 1 / 6, beta: float = 0.5) -> CallSpec:
    """Piecewise-linear sigmoid: y = min(max(alpha x + beta, 0), 1), x of any shape.

    Source: Courbariaux, Bengio & David 2015, arXiv 1511.00363; with 1/6 Howard et al. 2019 (MobileNetV3), arXiv 1905.02244.

    >>> import byhand as bh
    >>> bh.hard_sigmoid([-4.0, 0.0, 1.5, 4.0])
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    return CallSpec({"y": x}, {"alpha": number("alpha", alpha), "beta": number("beta", beta)}, flops=4 * prod(x))


def hard_sigmoid_loops(x, y, *, alpha, beta):
    for i in np.ndindex(x.shape):
        slope = alpha * x[i]  # compare before adding beta: a fused multiply-add is not exactly 0 where the line ends
        y[i] = 0.0 if slope <= -beta else 1.0 if slope >= 1.0 - beta else slope + beta  # NaN stays NaN


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
    sample=lambda draw: ((3 * any_array(draw)[0][0],), draw.choice([{}, {"alpha": 0.25, "beta": 0.25}])),
)


# hard_swish: y = x relu6(x + 3) / 6;  dy/dx = 0 below -3, 1 above 3, else (2 x + 3) / 6 -------------------------------


def hard_swish_contract(x: Shape) -> CallSpec:
    """Piecewise approximation of silu: y = x min(max(x + 3, 0), 6) / 6, x of any shape.

    Source: Howard et al. 2019 (MobileNetV3), arXiv 1905.02244.

    >>> import byhand as bh
    >>> bh.hard_swish([-4.0, 0.0, 1.5, 4.0])
    array([-0.   ,  0.   ,  1.125,  4.   ])
    """
    return CallSpec({"y": x}, flops=5 * prod(x))


def hard_swish_loops(x, y):
    for i in np.ndindex(x.shape):
        gate = 0.0 if x[i] < -3.0 else 6.0 if x[i] > 3.0 else x[i] + 3.0
        y[i] = x[i] * gate / 6.0


def hard_swish_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        grad = grad_y[i] if x[i] >= 3.0 else grad_y[i] * (2.0 * x[i] + 3.0) / 6.0
        grad_x[i] = 0.0 if x[i] <= -3.0 else grad  # never 0 * grad_y, which is NaN for an infinite grad_y


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
    sample=lambda draw: ((3 * any_array(draw)[0][0],), {}),
)
