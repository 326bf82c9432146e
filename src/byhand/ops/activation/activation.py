"""relu, leaky_relu, relu6, sigmoid, silu, tanh, gelu: what a unit answers, element by element.

Each takes x of any shape and gives y of the same. By the chain rule grad_x = grad_y * dy/dx, and the derivative stands
beside each function.
"""

from math import erf, exp, pi, prod, sqrt
from math import tanh as scalar_tanh

import numpy as np

from byhand.kernels import elementwise
from byhand.ops.op import Call, Op
from byhand.shapes import number


def sample(draw):
    """Draw a legal call."""
    return (draw.array(*(draw.integer(1, 4) for _ in range(draw.integer(1, 4)))),), {}


# relu: y = max(x, 0);  dy/dx = 1 where x > 0, else 0 ------------------------------------------------------------------


def relu_contract(x):
    """Keep what is positive: y = max(x, 0), x of any shape.

    Source: Fukushima 1969; Nair & Hinton 2010.

    >>> import byhand as bh
    >>> bh.relu([-1.0, 2.0])
    array([0., 2.])
    """
    return Call({"y": x}, flops=prod(x))


def relu_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = 0 if x[i] < 0 else x[i]  # a NaN stays


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
    sample=sample,
    onnx="Relu",
)


# leaky_relu: y = x where x > 0, else slope * x;  dy/dx = 1 or slope ---------------------------------------------------


def leaky_relu_contract(x, *, slope=0.01):
    """Let a little of what is negative through: y = x where x > 0, else slope * x; x of any shape.

    Source: Maas, Hannun & Ng 2013.

    >>> import byhand as bh
    >>> bh.leaky_relu([-1.0, 2.0], slope=0.1)
    array([-0.1,  2. ])
    """
    return Call({"y": x}, {"slope": number("slope", slope)}, flops=prod(x))


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
    sample=lambda draw: (sample(draw)[0], {"slope": draw.choice([0.01, 0.2])}),
    onnx="LeakyRelu",
)


# relu6: y = min(max(x, 0), 6);  dy/dx = 1 where 0 < x < 6, else 0 -----------------------------------------------------


def relu6_contract(x):
    """Keep what is positive, up to 6: y = min(max(x, 0), 6), x of any shape.

    Source: Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10".

    >>> import byhand as bh
    >>> bh.relu6([-1.0, 2.0, 7.0])
    array([0., 2., 6.])
    """
    return Call({"y": x}, flops=2 * prod(x))


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
    sample=lambda draw: ((6 * sample(draw)[0][0],), {}),
    onnx="Clip",
)


# sigmoid: y = 1 / (1 + e^-x);  dy/dx = y (1 - y) ----------------------------------------------------------------------
# e^-|x| can't overflow: for x < 0 the same fraction is e^x / (1 + e^x).


def _sigmoid(x):
    power = exp(-abs(x))
    return (1.0 if x > 0 else power) / (1.0 + power)


def _sigmoids(x):
    power = np.exp(-np.abs(x))
    return np.where(x > 0, 1, power) / (1 + power)


def sigmoid_contract(x):
    """Squash to between 0 and 1: y = 1 / (1 + e^-x), x of any shape.

    Source: Rumelhart, Hinton & Williams 1986.

    >>> import byhand as bh
    >>> bh.sigmoid([0.0, 1000.0])
    array([0.5, 1. ])
    """
    return Call({"y": x}, flops=4 * prod(x))


def sigmoid_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = _sigmoid(x[i])


def sigmoid_backward_loops(y, grad_y, grad_x):
    for i in np.ndindex(y.shape):
        grad_x[i] = grad_y[i] * y[i] * (1.0 - y[i])


def sigmoid_arrays(x, y):
    y[...] = _sigmoids(x)


def sigmoid_backward_arrays(y, grad_y, grad_x):
    grad_x[...] = grad_y * y * (1 - y)


sigmoid_compiled, sigmoid_backward_compiled = elementwise(sigmoid_loops), elementwise(sigmoid_backward_loops)
sigmoid = Op(
    "sigmoid",
    sigmoid_contract,
    loops=(sigmoid_loops, sigmoid_backward_loops),
    arrays=(sigmoid_arrays, sigmoid_backward_arrays),
    compiled=(sigmoid_compiled, sigmoid_backward_compiled),
    sample=sample,
    onnx="Sigmoid",
)


# silu: y = x s with s = sigmoid(x);  dy/dx = s (1 + x (1 - s)) --------------------------------------------------------


def silu_contract(x):
    """Gate x by its own sigmoid: y = x sigmoid(x), x of any shape.

    Source: Elfwing, Uchibe & Doya 2017, arXiv 1702.03118; as "swish" Ramachandran et al. 2017, arXiv 1710.05941.

    >>> import byhand as bh
    >>> bh.silu([0.0, 1000.0])
    array([   0., 1000.])
    """
    return Call({"y": x}, flops=5 * prod(x))


def silu_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = x[i] * _sigmoid(x[i])


def silu_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        gate = _sigmoid(x[i])
        grad_x[i] = grad_y[i] * gate * (1.0 + x[i] * (1.0 - gate))


def silu_arrays(x, y):
    y[...] = x * _sigmoids(x)


def silu_backward_arrays(x, grad_y, grad_x):
    gate = _sigmoids(x)
    grad_x[...] = grad_y * gate * (1 + x * (1 - gate))


silu_compiled, silu_backward_compiled = elementwise(silu_loops), elementwise(silu_backward_loops)
silu = Op(
    "silu",
    silu_contract,
    loops=(silu_loops, silu_backward_loops),
    arrays=(silu_arrays, silu_backward_arrays),
    compiled=(silu_compiled, silu_backward_compiled),
    sample=sample,
)


# tanh: y = tanh(x);  dy/dx = 1 - y^2 ----------------------------------------------------------------------------------


def tanh_contract(x):
    """Squash to between -1 and 1: y = tanh(x), x of any shape.

    Source: LeCun et al. 1998, "Efficient BackProp".

    >>> import byhand as bh
    >>> bh.tanh([0.0, 1000.0])
    array([0., 1.])
    """
    return Call({"y": x}, flops=4 * prod(x))


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
    sample=sample,
    onnx="Tanh",
)


# gelu: y = x P with P = (1 + erf(x / sqrt 2)) / 2, the normal distribution;  dy/dx = P + x p, p = e^(-x^2 / 2) / sqrt(2 pi) ---

_erf = np.frompyfunc(erf, 1, 1)  # NumPy has none; a call an element is the price


def gelu_contract(x):
    """Gate x by the normal distribution: y = x (1 + erf(x / sqrt 2)) / 2, x of any shape.

    Source: Hendrycks & Gimpel 2016, arXiv 1606.08415.

    >>> import byhand as bh
    >>> bh.gelu([0.0, 100.0])
    array([  0., 100.])
    """
    return Call({"y": x}, flops=8 * prod(x))


def gelu_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = x[i] * (1.0 + erf(x[i] / sqrt(2.0))) / 2.0


def gelu_backward_loops(x, grad_y, grad_x):
    for i in np.ndindex(x.shape):
        density = exp(-x[i] * x[i] / 2.0) / sqrt(2.0 * pi)
        grad_x[i] = grad_y[i] * ((1.0 + erf(x[i] / sqrt(2.0))) / 2.0 + x[i] * density)


def gelu_arrays(x, y):
    y[...] = x * (1 + np.asarray(_erf(x / sqrt(2)), x.dtype)) / 2


def gelu_backward_arrays(x, grad_y, grad_x):
    density = np.exp(-x * x / 2) / sqrt(2 * pi)
    grad_x[...] = grad_y * ((1 + np.asarray(_erf(x / sqrt(2)), x.dtype)) / 2 + x * density)


gelu_compiled, gelu_backward_compiled = elementwise(gelu_loops), elementwise(gelu_backward_loops)
gelu = Op(
    "gelu",
    gelu_contract,
    loops=(gelu_loops, gelu_backward_loops),
    arrays=(gelu_arrays, gelu_backward_arrays),
    compiled=(gelu_compiled, gelu_backward_compiled),
    sample=sample,
    onnx="Gelu",
)
