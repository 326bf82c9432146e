"""batch_norm: bring each channel to mean 0 and variance 1, then let the network scale and shift it.

    xhat = (x - mean) * inv_std,   inv_std = 1 / sqrt(variance + eps),   y = gamma * xhat + beta

Mean and variance are those of a channel over the batch and the image. They depend on x too; the derivative through them takes
two means away (over the same numbers as the mean):

    g = grad_y * gamma,   grad_x = inv_std * (g - mean(g) - xhat * mean(g * xhat))
    grad_gamma = sum of grad_y * xhat,   grad_beta = sum of grad_y

Source: Ioffe & Szegedy 2015, arXiv 1502.03167.
"""

from math import prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.ops.op import Call, Op
from byhand.shapes import number

GRAIN = 32768  # elements of a block: read from memory once, then from the cache
LINE = 256  # elements of a line, at least: whole rows of channels laid end to end, so that even 3 channels fill vectors


def batch_contract(x, gamma, beta, running_mean, running_var, *, eps=1e-5, momentum=0.1, training=False):
    """Normalise each channel over the batch: x (N, ..., C), all else (C,) -> y like x.

    In training the batch's own mean and variance count, and the running ones move towards them by `momentum`, in place (the
    variance as an unbiased estimate: times M / (M - 1) for M numbers). Otherwise the running ones count.
    Raises ShapeError where shapes do not fit, or where training has one number a channel, whose variance is unknown.

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
            f"x {x} has one number a channel, of unknown variance; take a batch size that leaves no image alone"
        )
    attributes = {
        "eps": number("eps", eps, 0), "momentum": number("momentum", momentum, 0), "training": bool(training),
    }  # fmt: skip
    return Call({"y": x, "mean": channels, "inv_std": channels}, attributes, flops=(7 if training else 2) * prod(x))


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


# The compiled hand goes over x in lines of several rows, each place of a line with a sum of its own. A block takes its mean
# and, around that, its sum of squares, both while it is in the cache; the blocks are put together by the formula of Chan,
# Golub & LeVeque 1979. Nothing large is ever taken from something large, so that float32 is enough whatever the mean.


@kernel
def batch_norm_sums(x, means, squares, lines, rows, block):
    """Write a block's mean of each channel, and the sum of squares around it."""
    part, channels, line = part_of(x, rows * means.shape[1], block), means.shape[1], lines.shape[2]
    mean, square, center, first, second = (
        means[block],
        squares[block],
        lines[block, 0],
        lines[block, 1],
        lines[block, 2],
    )
    count = part.size // channels
    fill(first, 0.0)
    for at in range(0, part.size, line):
        numbers = part[at : at + line]
        for k in range(numbers.size):
            first[k] += numbers[k]
    fold(first, mean)
    for c in range(channels):
        mean[c] /= count
    lay(mean, center)
    fill(first, 0.0)
    fill(second, 0.0)
    for at in range(0, part.size, line):
        numbers = part[at : at + line]
        for k in range(numbers.size):
            off = numbers[k] - center[k]
            first[k] += off
            second[k] += off * off
    fold(first, mean)
    fold(second, square)
    for c in range(channels):  # what rounding left of the mean
        off = mean[c] / count
        square[c] -= off * mean[c]
        mean[c] = center[c] + off if finite(off) else center[c]


def finite(number):
    return number - number == 0.0


def part_of(x, size, block):
    """Return a block of a flat array."""
    return x[block * size : (block + 1) * size]


def fill(x, value):
    for k in range(x.size):
        x[k] = value


def fold(line, total):
    """Add up the rows of a line."""
    fill(total, 0.0)
    for at in range(0, line.size, total.size):
        row = line[at : at + total.size]
        for c in range(total.size):
            total[c] += row[c]


def lay(row, line):
    """Repeat a row to the end of a line."""
    for at in range(0, line.size, row.size):
        part = line[at : at + row.size]
        for c in range(row.size):
            part[c] = row[c]


@kernel
def batch_norm_merge(means, squares, mean, inv_std, running_mean, running_var, count, rows, eps, momentum, block):
    """Put the blocks together in their order, and move the running statistics."""
    blocks, channels = means.shape
    for c in range(channels):
        mean[c], inv_std[c] = means[0, c], squares[0, c]
    for b in range(1, blocks):
        before, more = b * rows, min(rows, count - b * rows)
        part, both = more / (before + more), before * more / (before + more)
        for c in range(channels):
            off = means[b, c] - mean[c]
            mean[c] = mean[c] + off * part if finite(off) else mean[c] + means[b, c]
            inv_std[c] += squares[b, c] + off * off * both
    for c in range(channels):
        variance = inv_std[c] / count
        running_mean[c] = (1.0 - momentum) * running_mean[c] + momentum * mean[c]
        running_var[c] = (1.0 - momentum) * running_var[c] + momentum * variance * count / (count - 1)
        inv_std[c] = 1.0 / np.sqrt(variance + eps)


@kernel
def batch_norm_running(running_mean, running_var, mean, inv_std, eps, block):
    for c in range(mean.size):
        mean[c], inv_std[c] = running_mean[c], 1.0 / np.sqrt(running_var[c] + eps)


@kernel
def batch_norm_line(gamma, beta, mean, inv_std, lines, block):
    """Lay mean, factor and term of the channels end to end."""
    channels = mean.size
    for c in range(channels):
        lines[1, c] = gamma[c] * inv_std[c]
    lay(mean, lines[0])
    lay(lines[1, :channels], lines[1])
    lay(beta, lines[2])


@kernel
def batch_norm_apply(x, lines, y, size, block):
    ours, theirs, line = part_of(x, size, block), part_of(y, size, block), lines.shape[1]
    mean, factor, term = lines[0], lines[1], lines[2]
    for at in range(0, ours.size, line):
        numbers, out = ours[at : at + line], theirs[at : at + line]
        for k in range(numbers.size):
            out[k] = (numbers[k] - mean[k]) * factor[k] + term[k]


@kernel
def batch_norm_backward_sums(x, grad_y, mean, lines, sums, rows, block):
    """Write a block's sums of grad_y and of grad_y * (x - mean)."""
    ours, grads, line = part_of(x, rows * mean.size, block), part_of(grad_y, rows * mean.size, block), lines.shape[2]
    center, first, second = lines[block, 0], lines[block, 1], lines[block, 2]
    lay(mean, center)
    fill(first, 0.0)
    fill(second, 0.0)
    for at in range(0, ours.size, line):
        numbers, grad = ours[at : at + line], grads[at : at + line]
        for k in range(numbers.size):
            first[k] += grad[k]
            second[k] += grad[k] * (numbers[k] - center[k])
    fold(first, sums[block, 0])
    fold(second, sums[block, 1])


@kernel
def batch_norm_backward_merge(sums, gamma, mean, inv_std, grad_gamma, grad_beta, lines, count, training, block):
    """Add the blocks in their order, and lay what grad_x = a * (grad_y + b * (x - mean) + d) takes end to end."""
    blocks, channels, total, weighted = sums.shape[0], mean.size, sums[0, 0], sums[0, 1]
    for b in range(1, blocks):
        more, other = sums[b, 0], sums[b, 1]
        for c in range(channels):
            total[c] += more[c]
            weighted[c] += other[c]
    for c in range(channels):
        lines[0, c], lines[1, c], lines[2, c], lines[3, c] = mean[c], gamma[c] * inv_std[c], 0.0, 0.0
        if training:
            lines[2, c] = -weighted[c] * inv_std[c] * inv_std[c] / count
            lines[3, c] = -total[c] / count
        if grad_beta is not None:
            grad_beta[c] = total[c]
        if grad_gamma is not None:
            grad_gamma[c] = weighted[c] * inv_std[c]
    for i in range(4):
        lay(lines[i, :channels], lines[i])


@kernel
def batch_norm_backward_apply(x, grad_y, lines, grad_x, size, training, block):
    ours, grads, theirs = part_of(x, size, block), part_of(grad_y, size, block), part_of(grad_x, size, block)
    line, mean, a, b, d = lines.shape[1], lines[0], lines[1], lines[2], lines[3]
    for at in range(0, ours.size, line):
        numbers, grad, out = ours[at : at + line], grads[at : at + line], theirs[at : at + line]
        if training:
            for k in range(numbers.size):
                out[k] = a[k] * (grad[k] + (b[k] * (numbers[k] - mean[k]) + d[k]))
        else:  # x, which may be infinite here, plays no part
            for k in range(numbers.size):
                out[k] = a[k] * grad[k]


def batch_cut(x):
    """Return (rows of a block, blocks, elements of a line)."""
    channels = x.shape[-1]
    line = cdiv(LINE, channels)
    rows = cdiv(GRAIN, channels * line) * line
    return rows, cdiv(x.size // channels, rows), line * channels


def batch_norm_lines(x, gamma, beta, running_mean, running_var, mean, inv_std, eps, momentum, training):
    """Write mean and inv_std; return the lines of mean, factor and term that make y of x."""
    rows, blocks, line = batch_cut(x)
    channels = mean.size
    if training:
        means, squares = scratch(blocks, channels, dtype=x.dtype), scratch(blocks, channels, dtype=x.dtype)
        launch(batch_norm_sums, blocks, x.reshape(-1), means, squares, scratch(blocks, 3, line, dtype=x.dtype), rows)
        count = x.size // channels
        launch(
            batch_norm_merge, 1, means, squares, mean, inv_std, running_mean, running_var, count, rows, eps, momentum
        )
    else:
        launch(batch_norm_running, 1, running_mean, running_var, mean, inv_std, eps)
    lines = scratch(3, line, dtype=x.dtype)
    launch(batch_norm_line, 1, gamma, beta, mean, inv_std, lines)
    return lines


@compiled
def batch_norm_compiled(x, gamma, beta, running_mean, running_var, y, mean, inv_std, *, eps, momentum, training):
    lines = batch_norm_lines(x, gamma, beta, running_mean, running_var, mean, inv_std, eps, momentum, training)
    rows, blocks, _ = batch_cut(x)
    launch(batch_norm_apply, blocks, x.reshape(-1), lines, y.reshape(-1), rows * mean.size)


@compiled
def batch_norm_backward_compiled(
    x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps, momentum, training
):
    rows, blocks, line = batch_cut(x)
    channels, flat, grad = mean.size, x.reshape(-1), grad_y.reshape(-1)
    sums, lines = scratch(blocks, 2, channels, dtype=x.dtype), scratch(4, line, dtype=x.dtype)
    launch(batch_norm_backward_sums, blocks, flat, grad, mean, scratch(blocks, 3, line, dtype=x.dtype), sums, rows)
    count = x.size // channels
    launch(batch_norm_backward_merge, 1, sums, gamma, mean, inv_std, grad_gamma, grad_beta, lines, count, training)
    if grad_x is not None:
        launch(batch_norm_backward_apply, blocks, flat, grad, lines, grad_x.reshape(-1), rows * channels, training)


def batch_sample(draw):
    """Draw a legal call."""
    channels = draw.integer(1, 17)
    x = draw.array(draw.integer(2, 4), *(draw.integer(1, 4) for _ in range(draw.choice([0, 2]))), channels)
    gamma, beta, mean, var = (draw.array(channels) for _ in range(4))
    return (x, gamma, beta, mean, abs(var) + 0.5), {"training": draw.choice([True, False]), "momentum": 0.3, "eps": 0.1}


batch_norm = Op(
    "batch_norm",
    batch_contract,
    loops=(batch_norm_loops, batch_norm_backward_loops),
    arrays=(batch_norm_arrays, batch_norm_backward_arrays),
    compiled=(batch_norm_compiled, batch_norm_backward_compiled),
    sample=batch_sample,
    onnx="BatchNormalization",
    state=("running_mean", "running_var"),
)
