"""batch_norm: each channel normalized to mean 0 and variance 1 over the batch, then scaled and shifted by parameters.

    xhat = (x - mean) * inv_std,   inv_std = 1 / sqrt(variance + eps),   y = gamma * xhat + beta

Mean and variance are those of a channel over the batch and the image. They depend on x, which gives the gradient its two
mean terms (over the same elements):

    g = grad_y * gamma,   grad_x = inv_std * (g - mean(g) - xhat * mean(g * xhat))
    grad_gamma = sum of grad_y * xhat,   grad_beta = sum of grad_y

Source: Ioffe & Szegedy 2015, arXiv 1502.03167.
"""

from math import prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import compiled, kernel, launch, scratch
from byhand.ops.flat_kernels import fill
from byhand.ops.norm.operands import Affine, AffineGradients, BlockStats, NormStats, RunningStats
from byhand.ops.norm.strips import (
    block_of,
    finite,
    repeat_row,
    rows_and_blocks,
    sum_strip,
    write_row,
    write_scaled_row,
)
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, number


def contract(
    x: Shape,
    gamma: Shape,
    beta: Shape,
    running_mean: Shape,
    running_var: Shape,
    *,
    eps: float = 1e-5,
    momentum: float = 0.1,
    training: bool = False,
) -> CallSpec:
    """Normalize each channel over the batch: x (N, ..., C), all else (C,) -> y like x.

    In training, the statistics are the batch's own, and the running statistics move toward them by `momentum`, in place (the
    variance as an unbiased estimate: times M / (M - 1) for M elements). Otherwise the running statistics are used.
    Raises ShapeError where shapes do not fit, or where training has one element a channel, whose variance is undefined.

    >>> import byhand as bh, numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> bh.batch_norm(np.array([[1.0], [3.0]]), one, zero, zero.copy(), one.copy(), eps=0, training=True).ravel()
    array([-1.,  1.])
    """
    if len(x) < 2 or 0 in x:
        raise ShapeError(f"x has the shape {x}; expected (N, ..., C)")
    channels = x[-1:]
    for name, shape in (("gamma", gamma), ("beta", beta), ("running_mean", running_mean), ("running_var", running_var)):
        if shape != channels:
            raise ShapeError(f"{name} has the shape {shape}; expected {channels}, one number a channel of x {x}")
    if training and prod(x[:-1]) < 2:
        raise ShapeError(
            f"x {x} has one number a channel, and one number has no variance; train on batches of two images or more"
        )
    attributes = {"eps": number("eps", eps, 0), "momentum": number("momentum", momentum, 0), "training": bool(training)}
    return CallSpec({"y": x, "mean": channels, "inv_std": channels}, attributes, flops=(7 if training else 2) * prod(x))


def batch_norm_loops(x, gamma, beta, running_mean, running_var, y, mean, inv_std, *, eps, momentum, training):
    count = prod(x.shape[:-1])
    for c in range(x.shape[-1]):
        center, variance = running_mean[c], running_var[c]
        if training:
            center = sum(x[*n, c] for n in np.ndindex(x.shape[:-1])) / count
            variance = sum((x[*n, c] - center) ** 2 for n in np.ndindex(x.shape[:-1])) / count
            running_mean[c] = (1 - momentum) * running_mean[c] + momentum * center
            running_var[c] = (1 - momentum) * running_var[c] + momentum * variance * count / (count - 1)
        mean[c], inv_std[c] = center, 1 / np.sqrt(variance + eps)
        for n in np.ndindex(x.shape[:-1]):
            y[*n, c] = gamma[c] * (x[*n, c] - mean[c]) * inv_std[c] + beta[c]


def batch_norm_backward_loops(
    x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps, momentum, training
):
    count = prod(x.shape[:-1])
    for c in range(x.shape[-1]):
        total, weighted = 0.0, 0.0
        for n in np.ndindex(x.shape[:-1]):
            total += grad_y[*n, c]
            weighted += grad_y[*n, c] * (x[*n, c] - mean[c]) * inv_std[c]
        if grad_gamma is not None:
            grad_gamma[c] = weighted
        if grad_beta is not None:
            grad_beta[c] = total
        if grad_x is not None:
            for n in np.ndindex(x.shape[:-1]):
                value = grad_y[*n, c]
                if training:  # the running statistics do not depend on x
                    value -= (total + (x[*n, c] - mean[c]) * inv_std[c] * weighted) / count
                grad_x[*n, c] = gamma[c] * inv_std[c] * value


def batch_norm_arrays(x, gamma, beta, running_mean, running_var, y, mean, inv_std, *, eps, momentum, training):
    mean[...], variance = running_mean, running_var
    if training:
        rows = x.reshape(-1, x.shape[-1])
        rows.mean(0, out=mean)
        variance = rows.var(0)
        running_mean[...] = (1 - momentum) * running_mean + momentum * mean
        running_var[...] = (1 - momentum) * running_var + momentum * variance * len(rows) / (len(rows) - 1)
    inv_std[...] = 1 / np.sqrt(variance + eps)
    y[...] = (x - mean) * (gamma * inv_std) + beta


def batch_norm_backward_arrays(
    x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps, momentum, training
):
    rows = grad_y.reshape(-1, x.shape[-1])
    xhat = (x.reshape(rows.shape) - mean) * inv_std
    total, weighted = rows.sum(0), (rows * xhat).sum(0)
    if grad_gamma is not None:
        grad_gamma[...] = weighted
    if grad_beta is not None:
        grad_beta[...] = total
    if grad_x is not None:
        inner = rows - (total + xhat * weighted) / len(rows) if training else rows
        grad_x[...] = (gamma * inv_std * inner).reshape(x.shape)


# compiled -------------------------------------------------------------------------------------------------------------
# A block computes its mean and the sum of squares around it, in two passes while the block is in the cache. The blocks are
# merged by the formula of Chan, Golub & LeVeque 1979. No two large values are subtracted, so float32 is accurate whatever
# the mean is. strips.py says how a kernel walks over rows of channels.

# Strips of the forward pass: y = (x - mean) * scale + shift.
MEAN, SCALE, SHIFT = range(3)
# Strips of the backward pass, after mean and scale: grad_x = scale * (grad_y + slope * (x - mean) + offset).
SLOPE, OFFSET = 2, 3


@kernel
def batch_norm_sums(x, blocks, strips, block):
    """Write the mean of each channel over a block, and the sum of squares around it."""
    mean, square, strip_size = blocks.means[block], blocks.squares[block], strips.shape[2]
    center, first, second = strips[block, 0], strips[block, 1], strips[block, 2]
    channels = mean.size
    part = block_of(x, blocks.rows * channels, block)
    count = part.size // channels
    fill(first, 0.0)
    for at in range(0, part.size, strip_size):
        values = part[at : at + strip_size]
        for k in range(values.size):
            first[k] += values[k]
    sum_strip(first, mean)
    for c in range(channels):
        mean[c] /= count
    repeat_row(mean, center)
    fill(first, 0.0)
    fill(second, 0.0)
    for at in range(0, part.size, strip_size):
        values = part[at : at + strip_size]
        for k in range(values.size):
            off = values[k] - center[k]
            first[k] += off
            second[k] += off * off
    sum_strip(first, mean)
    sum_strip(second, square)
    for c in range(channels):  # correct the mean by its rounding error
        off = mean[c] / count
        square[c] -= off * mean[c]
        mean[c] = center[c] + off if finite(off) else center[c]


@kernel
def batch_norm_merge(parts, stats, running, count, eps, momentum, block):
    """Merge the blocks in a fixed order, and update the running statistics; count: values of a channel."""
    (means, squares, rows), (mean, inv_std), (running_mean, running_var) = parts, stats, running
    blocks, channels = means.shape
    for c in range(channels):
        mean[c], inv_std[c] = means[0, c], squares[0, c]
    for b in range(1, blocks):
        before, added = b * rows, min(rows, count - b * rows)
        ratio, weight = added / (before + added), before * added / (before + added)
        for c in range(channels):
            off = means[b, c] - mean[c]
            mean[c] = mean[c] + off * ratio if finite(off) else mean[c] + means[b, c]
            inv_std[c] += squares[b, c] + off * off * weight
    for c in range(channels):
        variance = inv_std[c] / count
        running_mean[c] = (1.0 - momentum) * running_mean[c] + momentum * mean[c]
        running_var[c] = (1.0 - momentum) * running_var[c] + momentum * variance * count / (count - 1)
        inv_std[c] = 1.0 / np.sqrt(variance + eps)


@kernel
def batch_norm_running(running, stats, eps, block):
    """Write the statistics of inference: the running ones."""
    for c in range(stats.mean.size):
        stats.mean[c], stats.inv_std[c] = running.mean[c], 1.0 / np.sqrt(running.var[c] + eps)


@kernel
def batch_norm_write_strips(affine, stats, strips, block):
    """Write a strip each of mean, scale and shift: y = (x - mean) * scale + shift."""
    channels = stats.mean.size
    for c in range(channels):
        strips[SCALE, c] = affine.gamma[c] * stats.inv_std[c]
    repeat_row(stats.mean, strips[MEAN])
    repeat_row(strips[SCALE, :channels], strips[SCALE])
    repeat_row(affine.beta, strips[SHIFT])


@kernel
def batch_norm_apply(x, strips, y, size, block):
    source, target, strip_size = block_of(x, size, block), block_of(y, size, block), strips.shape[1]
    mean, scale, shift = strips[MEAN], strips[SCALE], strips[SHIFT]
    for at in range(0, source.size, strip_size):
        values, out = source[at : at + strip_size], target[at : at + strip_size]
        for k in range(values.size):
            out[k] = (values[k] - mean[k]) * scale[k] + shift[k]


@kernel
def batch_norm_backward_sums(x, grad_y, mean, strips, sums, rows, block):
    """Write a block's sums of grad_y and of grad_y * (x - mean)."""
    size, strip_size = rows * mean.size, strips.shape[2]
    source, grads = block_of(x, size, block), block_of(grad_y, size, block)
    center, first, second = strips[block, 0], strips[block, 1], strips[block, 2]
    repeat_row(mean, center)
    fill(first, 0.0)
    fill(second, 0.0)
    for at in range(0, source.size, strip_size):
        values, grad = source[at : at + strip_size], grads[at : at + strip_size]
        for k in range(values.size):
            first[k] += grad[k]
            second[k] += grad[k] * (values[k] - center[k])
    sum_strip(first, sums[block, 0])
    sum_strip(second, sums[block, 1])


@kernel
def batch_norm_backward_merge(sums, gamma, stats, grads, strips, count, block):
    """Add the blocks in a fixed order; write the strips of the backward pass; count: values of a channel."""
    mean, inv_std = stats
    blocks, channels, total, weighted = sums.shape[0], mean.size, sums[0, 0], sums[0, 1]
    for b in range(1, blocks):
        block_total, block_weighted = sums[b, 0], sums[b, 1]
        for c in range(channels):
            total[c] += block_total[c]
            weighted[c] += block_weighted[c]
    for c in range(channels):
        strips[MEAN, c], strips[SCALE, c] = mean[c], gamma[c] * inv_std[c]
        strips[SLOPE, c] = -weighted[c] * inv_std[c] * inv_std[c] / count
        strips[OFFSET, c] = -total[c] / count
    write_row(total, grads.beta)
    write_scaled_row(weighted, inv_std, grads.gamma)
    for i in range(strips.shape[0]):
        repeat_row(strips[i, :channels], strips[i])


@kernel
def batch_norm_backward_apply(x, grad_y, strips, grad_x, size, training, block):
    source, grads, target = block_of(x, size, block), block_of(grad_y, size, block), block_of(grad_x, size, block)
    mean, scale, slope, offset = strips[MEAN], strips[SCALE], strips[SLOPE], strips[OFFSET]
    strip_size = mean.size
    for at in range(0, source.size, strip_size):
        values, grad, out = source[at : at + strip_size], grads[at : at + strip_size], target[at : at + strip_size]
        if training:
            for k in range(values.size):
                out[k] = scale[k] * (grad[k] + (slope[k] * (values[k] - mean[k]) + offset[k]))
        else:  # the running statistics do not depend on x, which may be infinite here
            for k in range(values.size):
                out[k] = scale[k] * grad[k]


def launch_statistics(x, stats, running, eps, momentum):
    """Launch the statistics of x over the batch; running statistics move toward them by `momentum`."""
    rows, blocks, strip_size = rows_and_blocks(x)
    channels = stats.mean.size
    means, squares = scratch(blocks, channels, dtype=x.dtype), scratch(blocks, channels, dtype=x.dtype)
    parts = BlockStats(means, squares, rows)
    launch(batch_norm_sums, blocks, x.reshape(-1), parts, scratch(blocks, 3, strip_size, dtype=x.dtype))
    launch(batch_norm_merge, 1, parts, stats, running, x.size // channels, eps, momentum)


def batch_norm_strips(x, affine, running, stats, *, eps, momentum, training):
    """Write the statistics; return strips of mean, scale and shift: y = (x - mean) * scale + shift."""
    if training:
        launch_statistics(x, stats, running, eps, momentum)
    else:
        launch(batch_norm_running, 1, running, stats, eps)
    strips = scratch(3, rows_and_blocks(x)[2], dtype=x.dtype)
    launch(batch_norm_write_strips, 1, affine, stats, strips)
    return strips


@compiled
def batch_norm_compiled(x, gamma, beta, running_mean, running_var, y, mean, inv_std, *, eps, momentum, training):
    affine, running, stats = Affine(gamma, beta), RunningStats(running_mean, running_var), NormStats(mean, inv_std)
    strips = batch_norm_strips(x, affine, running, stats, eps=eps, momentum=momentum, training=training)
    rows, blocks, _ = rows_and_blocks(x)
    launch(batch_norm_apply, blocks, x.reshape(-1), strips, y.reshape(-1), rows * mean.size)


@compiled
def batch_norm_backward_compiled(
    x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps, momentum, training
):
    rows, blocks, strip_size = rows_and_blocks(x)
    channels, flat, grad = mean.size, x.reshape(-1), grad_y.reshape(-1)
    sums, strips = scratch(blocks, 2, channels, dtype=x.dtype), scratch(4, strip_size, dtype=x.dtype)
    part_strips = scratch(blocks, 3, strip_size, dtype=x.dtype)
    launch(batch_norm_backward_sums, blocks, flat, grad, mean, part_strips, sums, rows)
    stats, grads = NormStats(mean, inv_std), AffineGradients(grad_gamma, grad_beta)
    launch(batch_norm_backward_merge, 1, sums, gamma, stats, grads, strips, x.size // channels)
    if grad_x is not None:
        launch(batch_norm_backward_apply, blocks, flat, grad, strips, grad_x.reshape(-1), rows * channels, training)


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    channels = draw.integer(1, 17)
    x = draw.array(draw.integer(2, 4), *(draw.integer(1, 4) for _ in range(draw.choice([0, 2]))), channels)
    gamma, beta, mean, var = (draw.array(channels) for _ in range(4))
    return (x, gamma, beta, mean, abs(var) + 0.5), {"training": draw.choice([True, False]), "momentum": 0.3, "eps": 0.1}


batch_norm = Op(
    "batch_norm",
    contract,
    loops=(batch_norm_loops, batch_norm_backward_loops),
    arrays=(batch_norm_arrays, batch_norm_backward_arrays),
    compiled=(batch_norm_compiled, batch_norm_backward_compiled),
    sample=sample,
    state=("running_mean", "running_var"),
)
