"""conv2d_block: a convolution with all that follows it in a residual block, for inference.

    y = activation(batch_norm(conv2d(x)) + shortcut)

The norm, the shortcut and the activation are optional. With running statistics, mean mu and variance v of each filter's output,
a batch norm is a scale and a shift per filter:

    batch_norm(z) = s z + (beta - mu s),   s = gamma / sqrt(v + eps)

The compiled hand applies them in the epilogue of the convolution, while the sums are in registers; activations other than ReLU
and ReLU6 follow while the block of y is in the L1 cache. The weights stay unfolded. Backward recomputes the norm's input.

Sources: He et al. 2015, arXiv 1512.03385 (the block); Jacob et al. 2017, section 3.2, arXiv 1712.05877 (the scale).
"""

from math import prod

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.kernels import compiled, conv, kernel, launch, prepared, scratch
from byhand.ops.activation.piecewise import hard_sigmoid, hard_swish, relu, relu6
from byhand.ops.activation.smooth import gelu, sigmoid, silu
from byhand.ops.arithmetic.add_multiply import add
from byhand.ops.conv.conv2d import conv2d, conv2d_backward_compiled, conv2d_compiled, conv_shape
from byhand.ops.fused.composed import Part, composed
from byhand.ops.fused.relu_gradient import relu_gradient
from byhand.ops.norm.batch_norm import batch_norm, batch_norm_backward_compiled, batch_norm_running
from byhand.ops.norm.operands import Affine, NormStats, RunningStats
from byhand.ops.op import Array, CallSpec, Op, Sample, SampleSource
from byhand.shapes import Padding, Shape, Size2d


def contract(
    x: Shape,
    weight: Shape,
    bias: Shape | None = None,
    gamma: Shape | None = None,
    beta: Shape | None = None,
    running_mean: Shape | None = None,
    running_var: Shape | None = None,
    shortcut: Shape | None = None,
    *,
    stride: Size2d = 1,
    padding: Padding = "valid",
    dilation: Size2d = 1,
    groups: int = 1,
    eps: float = 1e-5,
    activation: str | None = None,
) -> CallSpec:
    """Convolution, batch norm, residual sum and activation: the four ops, one after the other.

    gamma, beta, running_mean, running_var: (K,), all of them or none; shortcut: like y; activation: "relu", "relu6", "silu",
    "gelu", "sigmoid", "hard_sigmoid" or "hard_swish". Raises ArgumentError where only some of the norm's are given or where
    the activation is another, ShapeError where shapes do not fit.

    >>> import byhand as bh, numpy as np
    >>> x, double = np.array([1.0, -2.0]).reshape(1, 1, 2, 1), np.array([2.0]).reshape(1, 1, 1, 1)
    >>> bh.conv2d_block(x, double, shortcut=x, activation="relu").ravel()
    array([3., 0.])
    """
    call = conv2d.contract(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    y, flops = call.shapes["y"], call.flops
    given = {"gamma": gamma, "beta": beta, "running_mean": running_mean, "running_var": running_var}
    if missing := [name for name, shape in given.items() if shape is None]:
        if len(missing) < len(given):
            raise ArgumentError(f"{missing[0]} is missing; a batch norm takes {', '.join(given)}")
    else:
        flops += batch_norm.contract(y, **given, eps=eps).flops
    if shortcut not in (None, y):
        raise ShapeError(f"shortcut has the shape {shortcut}; expected that of y, {y}")
    flops += (shortcut is not None) * prod(y)
    if activation is not None:
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ArgumentError(f"activation is {activation!r}; expected {', '.join(sorted(ACTIVATIONS))} or None")
        flops += ACTIVATIONS[activation].contract(y).flops
    return CallSpec(call.shapes, call.attributes | {"eps": float(eps), "activation": activation}, flops, call.window)


# By name, with their default attributes.
ACTIVATIONS = {op.name: op for op in (relu, relu6, silu, gelu, sigmoid, hard_sigmoid, hard_swish)}
HARD_SIGMOID = {"alpha": 1 / 6, "beta": 0.5}
FROZEN = {"momentum": 0.0, "training": False}  # a batch norm by its running statistics, which do not change


# compiled: an epilogue of the convolution, kernels/microkernel/microkernel.py -----------------------------------------


@kernel
def fold_batch_norm(affine, running, bias, scale, shift, eps, block):
    """Write the scale and the shift of a batch norm, the bias of the convolution included in the shift."""
    for k in range(scale.size):
        s = affine.gamma[k] / np.sqrt(running.var[k] + eps)
        conv_bias = bias[k] if bias is not None else 0.0
        scale[k], shift[k] = s, (conv_bias - running.mean[k]) * s + affine.beta[k]


def folded_batch_norm(affine, running, bias, eps):
    """Return the scale and the shift of a batch norm, (2, K); where the weights are fixed, made once."""

    def fill(folded):
        scale, shift = folded.reshape(2, -1)
        launch(fold_batch_norm, 1, affine, running, bias, scale, shift, eps)

    arrays = (*affine, *running, *([] if bias is None else [bias]))
    return prepared(("folded_batch_norm", eps), arrays, 2 * affine.gamma.size, fill).reshape(2, -1)


@compiled
def conv2d_block_compiled(
    x,
    weight,
    bias,
    gamma,
    beta,
    running_mean,
    running_var,
    shortcut,
    y,
    *,
    stride,
    padding,
    dilation,
    groups,
    eps,
    activation,
):
    shape = conv_shape(x.shape, weight.shape, y.shape, stride, padding, dilation, groups)
    scale, shift = None, bias
    if gamma is not None:
        scale, shift = folded_batch_norm(Affine(gamma, beta), RunningStats(running_mean, running_var), bias, eps)
    conv.forward(x, weight, y, conv.epilogue(x, shift, scale, shortcut, activation=activation), shape)


@compiled
def conv2d_block_backward_compiled(
    x,
    weight,
    bias,
    gamma,
    beta,
    running_mean,
    running_var,
    shortcut,
    y,
    grad_y,
    grad_x,
    grad_weight,
    grad_bias,
    grad_gamma,
    grad_beta,
    grad_shortcut,
    *,
    stride,
    padding,
    dilation,
    groups,
    eps,
    activation,
):
    view = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if activation in (None, "relu"):
        g = relu_gradient(y, grad_y, grad_shortcut, activation == "relu")
    else:
        activation_input, g = scratch(*y.shape, dtype=y.dtype), grad_shortcut
        g = scratch(*y.shape, dtype=y.dtype) if g is None else g
        inputs = x, weight, bias, gamma, beta, running_mean, running_var, shortcut
        conv2d_block_compiled(*inputs, activation_input, **view, eps=eps, activation=None)
        activation_backward(activation, activation_input, y, grad_y, g)
    if gamma is not None:
        norm_input, grad_norm_input = scratch(2, *y.shape, dtype=y.dtype)
        mean, inv_std = scratch(2, gamma.size, dtype=x.dtype)
        conv2d_compiled(x, weight, bias, norm_input, **view)
        launch(batch_norm_running, 1, RunningStats(running_mean, running_var), NormStats(mean, inv_std), eps)
        batch_norm_backward_compiled(
            norm_input, gamma, mean, inv_std, g, grad_norm_input, grad_gamma, grad_beta, eps=eps, **FROZEN
        )
        g = grad_norm_input
    conv2d_backward_compiled(x, weight, g, grad_x, grad_weight, grad_bias, **view)


def activation_backward(name, x, y, grad_y, grad_x):
    """Launch the gradient of an activation, whose backward takes x or y."""
    op, arrays = ACTIVATIONS[name], {"x": x, "y": y, "grad_y": grad_y, "grad_x": grad_x}
    attributes = HARD_SIGMOID if name == "hard_sigmoid" else {}
    op.hands["compiled"].backward(*(arrays[key] for key in op.backward_arguments), **attributes)


# the op ---------------------------------------------------------------------------------------------------------------

STATISTICS = {
    "mean": lambda arguments: arguments["running_mean"],
    "inv_std": lambda arguments: 1 / np.sqrt(arguments["running_var"] + arguments["eps"]),
}
PARTS = (
    Part(conv2d),
    Part(batch_norm, when="gamma", constants=FROZEN, saved=STATISTICS),
    Part(add, names={"b": "shortcut"}, when="shortcut"),
    *(Part(op, when="activation", equals=name, constants=HARD_SIGMOID) for name, op in ACTIVATIONS.items()),
)
loops, arrays = composed(PARTS, like=(conv2d_block_compiled, conv2d_block_backward_compiled))
conv2d_block_loops, conv2d_block_backward_loops = loops
conv2d_block_arrays, conv2d_block_backward_arrays = arrays


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    (x, weight, bias), attributes = conv2d.sample(draw)
    y = conv2d.contract(x.shape, weight.shape, **attributes).shapes["y"]
    statistics: list[Array | None] = [None] * 4
    if draw.choice([True, False]):
        gamma, beta, mean, var = (draw.array(y[-1]) for _ in range(4))
        # An element equal to the mean becomes beta, which must not be 0, the kink of the ReLU.
        statistics = [gamma, abs(beta) + 0.25, mean, abs(var) + 0.5]
    shortcut = draw.array(*y) if draw.choice([True, False]) else None
    return (x, weight, bias, *statistics, shortcut), attributes | {
        "eps": 0.1,
        "activation": draw.choice([None, *ACTIVATIONS]),
    }


conv2d_block = Op(
    "conv2d_block",
    contract,
    loops=loops,
    arrays=arrays,
    compiled=(conv2d_block_compiled, conv2d_block_backward_compiled),
    sample=sample,
    algorithms=conv2d.algorithms,
)
