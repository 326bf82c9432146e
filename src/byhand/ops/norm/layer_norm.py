"""layer_norm: the features of each example normalized to mean 0 and variance 1, then scaled and shifted by parameters.

    xhat = (x - mean) * inv_std,   inv_std = 1 / sqrt(variance + eps),   y = gamma * xhat + beta

Mean and variance are those of one example over its features; the gradient is that of batch_norm, with
means over the features:

    g = grad_y * gamma,   grad_x = inv_std * (g - mean(g) - xhat * mean(g * xhat))
    grad_gamma = sum of grad_y * xhat,   grad_beta = sum of grad_y

Source: Ba, Kiros & Hinton 2016, arXiv 1607.06450.
"""

from math import prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.ops.flat_kernels import fill
from byhand.ops.norm.operands import Affine, AffineGradients, NormStats
from byhand.ops.norm.strips import NORM_BLOCK_ELEMENTS, write_row
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, number


def contract(x: Shape, gamma: Shape, beta: Shape, *, eps: float = 1e-5) -> CallSpec:
    """Normalize the last axes of each example: x (N, ..., D), gamma and beta (D,), or all the axes they have -> y like x.

    Raises ShapeError where shapes do not fit.

    >>> import byhand as bh, numpy as np
    >>> bh.layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), eps=0)
    array([[-1.,  1.]])
    """
    if not gamma or len(x) <= len(gamma) or x[-len(gamma) :] != gamma or 0 in x:
        raise ShapeError(f"gamma has the shape {gamma}; expected the last axes of x {x}, less than all of them")
    if beta != gamma:
        raise ShapeError(f"beta has the shape {beta}; expected that of gamma, {gamma}")
    examples = x[: -len(gamma)]
    return CallSpec({"y": x, "mean": examples, "inv_std": examples}, {"eps": number("eps", eps, 0)}, flops=7 * prod(x))


def layer_norm_loops(x, gamma, beta, y, mean, inv_std, *, eps):
    for n in np.ndindex(mean.shape):
        mean[n] = sum(x[*n, *d] for d in np.ndindex(gamma.shape)) / gamma.size
        variance = sum((x[*n, *d] - mean[n]) ** 2 for d in np.ndindex(gamma.shape)) / gamma.size
        inv_std[n] = 1 / np.sqrt(variance + eps)
        for d in np.ndindex(gamma.shape):
            y[*n, *d] = gamma[d] * (x[*n, *d] - mean[n]) * inv_std[n] + beta[d]


def layer_norm_backward_loops(x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps):
    for grad in (grad_gamma, grad_beta):
        if grad is not None:
            grad[...] = 0
    for n in np.ndindex(mean.shape):
        total, weighted = 0.0, 0.0
        for d in np.ndindex(gamma.shape):
            xhat = (x[*n, *d] - mean[n]) * inv_std[n]
            total += grad_y[*n, *d] * gamma[d]
            weighted += grad_y[*n, *d] * gamma[d] * xhat
            if grad_gamma is not None:
                grad_gamma[d] += grad_y[*n, *d] * xhat
            if grad_beta is not None:
                grad_beta[d] += grad_y[*n, *d]
        if grad_x is not None:
            for d in np.ndindex(gamma.shape):
                xhat = (x[*n, *d] - mean[n]) * inv_std[n]
                grad_x[*n, *d] = inv_std[n] * (grad_y[*n, *d] * gamma[d] - (total + xhat * weighted) / gamma.size)


def layer_norm_arrays(x, gamma, beta, y, mean, inv_std, *, eps):
    rows = x.reshape(*mean.shape, -1)
    rows.mean(-1, out=mean)
    inv_std[...] = 1 / np.sqrt(rows.var(-1) + eps)
    y[...] = ((rows - mean[..., None]) * inv_std[..., None] * gamma.ravel() + beta.ravel()).reshape(x.shape)


def layer_norm_backward_arrays(x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps):
    rows, scale = grad_y.reshape(mean.size, -1), inv_std.reshape(-1, 1)
    xhat = (x.reshape(rows.shape) - mean.reshape(-1, 1)) * scale
    if grad_gamma is not None:
        grad_gamma[...] = (rows * xhat).sum(0).reshape(gamma.shape)
    if grad_beta is not None:
        grad_beta[...] = rows.sum(0).reshape(gamma.shape)
    if grad_x is not None:
        g = rows * gamma.ravel()
        inner = g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True)
        grad_x[...] = (scale * inner).reshape(x.shape)


def rows_per_block(features):
    """Return how many examples a block does."""
    return cdiv(NORM_BLOCK_ELEMENTS, features)


@kernel(reassociate=True)
def layer_norm_rows(x, affine, y, stats, eps, block):
    (count, size), (gamma, beta), (mean, inv_std) = x.shape, affine, stats
    rows, length = rows_per_block(size), x.dtype.type(size)
    for n in range(block * rows, min((block + 1) * rows, count)):
        row, out = x[n], y[n]
        total = off = square = 0.0
        for d in range(size):
            total += row[d]
        center = total / length
        for d in range(size):
            off += row[d] - center
            square += (row[d] - center) * (row[d] - center)
        scale = 1.0 / np.sqrt((square - off * off / length) / length + eps)
        center += off / length
        mean[n], inv_std[n] = center, scale
        for d in range(size):
            out[d] = (row[d] - center) * scale * gamma[d] + beta[d]


@kernel(reassociate=True)
def layer_norm_backward_rows(x, gamma, stats, grad_y, grad_x, sums, block):
    """Write the rows of grad_x in a block, and the block's sums of grad_y and grad_y * xhat."""
    (count, size), (mean, inv_std) = x.shape, stats
    rows, length = rows_per_block(size), x.dtype.type(size)
    first, second = sums[block, 0], sums[block, 1]
    fill(first, 0.0)
    fill(second, 0.0)
    for n in range(block * rows, min((block + 1) * rows, count)):
        row, grad, center, scale, total, weighted = x[n], grad_y[n], mean[n], inv_std[n], 0.0, 0.0
        for d in range(size):
            xhat = (row[d] - center) * scale
            g = grad[d] * gamma[d]
            first[d] += grad[d]
            second[d] += grad[d] * xhat
            total += g
            weighted += g * xhat
        if grad_x is not None:
            out = grad_x[n]
            total, weighted = total / length, weighted / length
            for d in range(size):
                out[d] = scale * (grad[d] * gamma[d] - (total + (row[d] - center) * scale * weighted))


@kernel
def layer_norm_merge(sums, grads, block):
    blocks, _, size = sums.shape
    for b in range(1, blocks):
        for d in range(size):
            sums[0, 0, d] += sums[b, 0, d]
            sums[0, 1, d] += sums[b, 1, d]
    write_row(sums[0, 1], grads.gamma)
    write_row(sums[0, 0], grads.beta)


@compiled
def layer_norm_compiled(x, gamma, beta, y, mean, inv_std, *, eps):
    shape, blocks = (mean.size, gamma.size), cdiv(mean.size, rows_per_block(gamma.size))
    affine, stats = Affine(gamma.reshape(-1), beta.reshape(-1)), NormStats(mean.reshape(-1), inv_std.reshape(-1))
    launch(layer_norm_rows, blocks, x.reshape(shape), affine, y.reshape(shape), stats, eps)


@compiled
def layer_norm_backward_compiled(x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps):
    shape, blocks = (mean.size, gamma.size), cdiv(mean.size, rows_per_block(gamma.size))
    sums, stats = scratch(blocks, 2, gamma.size, dtype=x.dtype), NormStats(mean.reshape(-1), inv_std.reshape(-1))
    x, grad_y, out = x.reshape(shape), grad_y.reshape(shape), None if grad_x is None else grad_x.reshape(shape)
    launch(layer_norm_backward_rows, blocks, x, gamma.reshape(-1), stats, grad_y, out, sums)
    if grad_gamma is not None or grad_beta is not None:
        grads = (None if grad is None else grad.reshape(-1) for grad in (grad_gamma, grad_beta))
        launch(layer_norm_merge, 1, sums, AffineGradients(*grads))


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    features = tuple(draw.integer(1, 5) for _ in range(draw.integer(1, 2)))
    x = draw.array(draw.integer(1, 3), *(draw.integer(1, 3) for _ in range(draw.integer(0, 2))), *features)
    return (x, draw.array(*features), draw.array(*features)), {"eps": 0.1}


layer_norm = Op(
    "layer_norm",
    contract,
    loops=(layer_norm_loops, layer_norm_backward_loops),
    arrays=(layer_norm_arrays, layer_norm_backward_arrays),
    compiled=(layer_norm_compiled, layer_norm_backward_compiled),
    sample=sample,
)
