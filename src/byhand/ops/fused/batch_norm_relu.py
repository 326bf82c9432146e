"""batch_norm_relu: batch norm, the sum with a shortcut, and ReLU in one pass, as at the end of a residual block.

    y = relu(batch_norm(x) + shortcut),   or relu(batch_norm(x)) without a shortcut

Each element is read and written once instead of three times. Backward needs y for the ReLU: with g = grad_y where y > 0, else
0, grad_shortcut = g, and g is the gradient that batch_norm receives.

Source: He et al. 2015, "Deep residual learning for image recognition", arXiv 1512.03385.
"""

from math import prod

from byhand.errors import ShapeError
from byhand.kernels import compiled, kernel, launch, scratch
from byhand.ops.activation.piecewise import relu
from byhand.ops.arithmetic.add_multiply import add
from byhand.ops.flat_kernels import fill
from byhand.ops.fused.composed import Part, composed
from byhand.ops.norm.batch_norm import (
    MEAN,
    SCALE,
    SHIFT,
    batch_norm,
    batch_norm_backward_apply,
    batch_norm_backward_merge,
    batch_norm_strips,
)
from byhand.ops.norm.operands import Affine, AffineGradients, NormStats, ReluGradient, RunningStats
from byhand.ops.norm.strips import block_of, repeat_row, rows_and_blocks, sum_strip
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape


def contract(
    x: Shape,
    gamma: Shape,
    beta: Shape,
    running_mean: Shape,
    running_var: Shape,
    shortcut: Shape | None = None,
    *,
    eps: float = 1e-5,
    momentum: float = 0.1,
    training: bool = False,
) -> CallSpec:
    """Batch norm, a residual sum and ReLU: x and shortcut (N, ..., C), all else (C,) -> y like x.

    >>> import byhand as bh, numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> bh.batch_norm_relu(np.array([[1.0], [3.0]]), one, zero, zero.copy(), one.copy(), eps=0, training=True).ravel()
    array([0., 1.])
    """
    call = batch_norm.contract(x, gamma, beta, running_mean, running_var, eps=eps, momentum=momentum, training=training)
    if shortcut not in (None, x):
        raise ShapeError(f"shortcut has the shape {shortcut}; expected that of x, {x}")
    return CallSpec(call.shapes, call.attributes, call.flops + (1 + (shortcut is not None)) * prod(x))


@kernel
def batch_norm_relu_apply(x, strips, shortcut, y, size, block):
    source, target, strip_size = block_of(x, size, block), block_of(y, size, block), strips.shape[1]
    mean, scale, shift = strips[MEAN], strips[SCALE], strips[SHIFT]
    for at in range(0, source.size, strip_size):
        values, out = source[at : at + strip_size], target[at : at + strip_size]
        if shortcut.size > 0:
            residual = block_of(shortcut, size, block)[at : at + strip_size]
            for k in range(values.size):
                value = (values[k] - mean[k]) * scale[k] + shift[k] + residual[k]
                out[k] = 0.0 if value < 0.0 else value
        else:
            for k in range(values.size):
                value = (values[k] - mean[k]) * scale[k] + shift[k]
                out[k] = 0.0 if value < 0.0 else value


@kernel
def batch_norm_relu_sums(x, relu, mean, strips, sums, rows, block):
    """Write g, and a block's sums of g and of g * (x - mean)."""
    size, strip_size = rows * mean.size, strips.shape[2]
    source, kept = block_of(x, size, block), block_of(relu.y, size, block)
    grads, target = block_of(relu.grad_y, size, block), block_of(relu.g, size, block)
    center, first, second = strips[block, 0], strips[block, 1], strips[block, 2]
    repeat_row(mean, center)
    fill(first, 0.0)
    fill(second, 0.0)
    for at in range(0, source.size, strip_size):
        values, alive = source[at : at + strip_size], kept[at : at + strip_size]
        grad, out = grads[at : at + strip_size], target[at : at + strip_size]
        for k in range(values.size):
            value = 0.0 if alive[k] <= 0.0 else grad[k]
            out[k] = value
            first[k] += value
            second[k] += value * (values[k] - center[k])
    sum_strip(first, sums[block, 0])
    sum_strip(second, sums[block, 1])


@compiled
def batch_norm_relu_compiled(
    x, gamma, beta, running_mean, running_var, shortcut, y, mean, inv_std, *, eps, momentum, training
):
    affine, running, stats = Affine(gamma, beta), RunningStats(running_mean, running_var), NormStats(mean, inv_std)
    strips = batch_norm_strips(x, affine, running, stats, eps=eps, momentum=momentum, training=training)
    (rows, blocks, _), flat = rows_and_blocks(x), x.reshape(-1)
    residual = flat[:0] if shortcut is None else shortcut.reshape(-1)
    launch(batch_norm_relu_apply, blocks, flat, strips, residual, y.reshape(-1), rows * mean.size)


@compiled
def batch_norm_relu_backward_compiled(
    x, gamma, y, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, grad_shortcut, *, eps, momentum, training
):
    rows, blocks, strip_size = rows_and_blocks(x)
    channels, flat = mean.size, x.reshape(-1)
    g = grad_x if grad_shortcut is None else grad_shortcut
    if g is None:
        g = scratch(*x.shape, dtype=x.dtype)
    sums, strips = scratch(blocks, 2, channels, dtype=x.dtype), scratch(4, strip_size, dtype=x.dtype)
    relu_gradient = ReluGradient(y.reshape(-1), grad_y.reshape(-1), g.reshape(-1))
    part_strips = scratch(blocks, 3, strip_size, dtype=x.dtype)
    launch(batch_norm_relu_sums, blocks, flat, relu_gradient, mean, part_strips, sums, rows)
    stats, grads = NormStats(mean, inv_std), AffineGradients(grad_gamma, grad_beta)
    launch(batch_norm_backward_merge, 1, sums, gamma, stats, grads, strips, x.size // channels)
    if grad_x is not None:
        size, grad = rows * channels, grad_x.reshape(-1)
        launch(batch_norm_backward_apply, blocks, flat, relu_gradient.g, strips, grad, size, training)


loops, arrays = composed(
    (Part(batch_norm), Part(add, names={"b": "shortcut"}, when="shortcut"), Part(relu)),
    like=(batch_norm_relu_compiled, batch_norm_relu_backward_compiled),
)
batch_norm_relu_loops, batch_norm_relu_backward_loops = loops
batch_norm_relu_arrays, batch_norm_relu_backward_arrays = arrays


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    inputs, attributes = batch_norm.sample(draw)
    x, gamma, beta, mean, var = inputs
    shortcut = draw.array(*x.shape) if draw.choice([True, False]) else None
    # Equal elements become beta, which must not be 0, the kink of the ReLU.
    return (x, gamma, abs(beta) + 0.25, mean, var, shortcut), attributes


batch_norm_relu = Op(
    "batch_norm_relu",
    contract,
    loops=loops,
    arrays=arrays,
    compiled=(batch_norm_relu_compiled, batch_norm_relu_backward_compiled),
    sample=sample,
    state=("running_mean", "running_var"),
)
