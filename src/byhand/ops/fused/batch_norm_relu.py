"""batch_norm_relu: what a program makes of a batch norm and its neighbours.

    batch_norm_relu  y = relu(batch_norm(x) + shortcut): a block of a residual network ends so; shortcut may be missing

Each number is then read and written once, where three ops would do it three times. Backward needs y for the ReLU: with g the
gradient where y > 0 and else 0, grad_shortcut = g, and batch_norm goes on from g.

Source: He et al. 2015, arXiv 1512.03385.
"""

from math import prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import compiled, kernel, launch, scratch
from byhand.ops.norm.batch_norm import (
    batch_contract,
    batch_cut,
    batch_norm_arrays,
    batch_norm_backward_apply,
    batch_norm_backward_arrays,
    batch_norm_backward_loops,
    batch_norm_backward_merge,
    batch_norm_lines,
    batch_norm_loops,
    batch_sample,
    fill,
    fold,
    lay,
    part_of,
)
from byhand.ops.op import Call, Op

# batch_norm_relu ------------------------------------------------------------------------------------------------------


def contract(
    x, gamma, beta, running_mean, running_var, shortcut=None, *, eps=1e-5, momentum=0.1, training=False
):  # fmt: skip
    """Normalise each channel, add a shortcut, keep what is positive: x and shortcut (N, ..., C), all else (C,) -> y like x.

    >>> import byhand as bh, numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> bh.batch_norm_relu(np.array([[1.0], [3.0]]), one, zero, zero.copy(), one.copy(), eps=0, training=True).ravel()
    array([0., 1.])
    """
    call = batch_contract(x, gamma, beta, running_mean, running_var, eps=eps, momentum=momentum, training=training)
    if shortcut not in (None, x):
        raise ShapeError(f"shortcut has the shape {shortcut}; expected that of x, {x}")
    return Call(call.shapes, call.attributes, call.flops + (1 + (shortcut is not None)) * prod(x))


def _finish(y, shortcut):
    if shortcut is not None:
        y += shortcut
    y[...] = np.where(y < 0, 0, y)


def batch_norm_relu_loops(
    x, gamma, beta, running_mean, running_var, shortcut, y, mean, inv_std, *, eps, momentum, training
):  # fmt: skip
    batch_norm_loops(
        x, gamma, beta, running_mean, running_var, y, mean, inv_std, eps=eps, momentum=momentum, training=training
    )
    _finish(y, shortcut)


def batch_norm_relu_backward_loops(
    x, gamma, y, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, grad_shortcut, *, eps, momentum, training
):  # fmt: skip
    g = np.where(y <= 0, 0, grad_y)
    if grad_shortcut is not None:
        grad_shortcut[...] = g
    batch_norm_backward_loops(
        x, gamma, mean, inv_std, g, grad_x, grad_gamma, grad_beta, eps=eps, momentum=momentum, training=training
    )


def batch_norm_relu_arrays(
    x, gamma, beta, running_mean, running_var, shortcut, y, mean, inv_std, *, eps, momentum, training
):  # fmt: skip
    batch_norm_arrays(
        x, gamma, beta, running_mean, running_var, y, mean, inv_std, eps=eps, momentum=momentum, training=training
    )
    _finish(y, shortcut)


def batch_norm_relu_backward_arrays(
    x, gamma, y, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, grad_shortcut, *, eps, momentum, training
):  # fmt: skip
    g = np.where(y <= 0, 0, grad_y)
    if grad_shortcut is not None:
        grad_shortcut[...] = g
    batch_norm_backward_arrays(
        x, gamma, mean, inv_std, g, grad_x, grad_gamma, grad_beta, eps=eps, momentum=momentum, training=training
    )


@kernel
def batch_norm_relu_apply(x, lines, shortcut, y, size, block):
    ours, theirs, line = part_of(x, size, block), part_of(y, size, block), lines.shape[1]
    mean, factor, term = lines[0], lines[1], lines[2]
    for at in range(0, ours.size, line):
        numbers, out = ours[at : at + line], theirs[at : at + line]
        if shortcut.size > 0:
            more = part_of(shortcut, size, block)[at : at + line]
            for k in range(numbers.size):
                value = (numbers[k] - mean[k]) * factor[k] + term[k] + more[k]
                out[k] = 0.0 if value < 0.0 else value
        else:
            for k in range(numbers.size):
                value = (numbers[k] - mean[k]) * factor[k] + term[k]
                out[k] = 0.0 if value < 0.0 else value


@kernel
def batch_norm_relu_sums(x, y, grad_y, g, mean, lines, sums, rows, block):
    """Write g, and a block's sums of g and of g * (x - mean)."""
    size, line = rows * mean.size, lines.shape[2]
    ours, kept, grads, into = (
        part_of(x, size, block),
        part_of(y, size, block),
        part_of(grad_y, size, block),
        part_of(g, size, block),
    )
    center, first, second = lines[block, 0], lines[block, 1], lines[block, 2]
    lay(mean, center)
    fill(first, 0.0)
    fill(second, 0.0)
    for at in range(0, ours.size, line):
        numbers, alive, grad, out = (
            ours[at : at + line],
            kept[at : at + line],
            grads[at : at + line],
            into[at : at + line],
        )
        for k in range(numbers.size):
            value = 0.0 if alive[k] <= 0.0 else grad[k]
            out[k] = value
            first[k] += value
            second[k] += value * (numbers[k] - center[k])
    fold(first, sums[block, 0])
    fold(second, sums[block, 1])


@compiled
def batch_norm_relu_compiled(
    x, gamma, beta, running_mean, running_var, shortcut, y, mean, inv_std, *, eps, momentum, training
):  # fmt: skip
    lines = batch_norm_lines(x, gamma, beta, running_mean, running_var, mean, inv_std, eps, momentum, training)
    (rows, blocks, _), flat = batch_cut(x), x.reshape(-1)
    more = flat[:0] if shortcut is None else shortcut.reshape(-1)
    launch(batch_norm_relu_apply, blocks, flat, lines, more, y.reshape(-1), rows * mean.size)


@compiled
def batch_norm_relu_backward_compiled(
    x, gamma, y, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, grad_shortcut, *, eps, momentum, training
):  # fmt: skip
    rows, blocks, line = batch_cut(x)
    channels, flat = mean.size, x.reshape(-1)
    g = (
        grad_shortcut
        if grad_shortcut is not None
        else grad_x
        if grad_x is not None
        else scratch(*x.shape, dtype=x.dtype)
    )
    sums, lines = scratch(blocks, 2, channels, dtype=x.dtype), scratch(4, line, dtype=x.dtype)
    part_lines = scratch(blocks, 3, line, dtype=x.dtype)
    launch(
        batch_norm_relu_sums,
        blocks,
        flat,
        y.reshape(-1),
        grad_y.reshape(-1),
        g.reshape(-1),
        mean,
        part_lines,
        sums,
        rows,
    )
    count = x.size // channels
    launch(batch_norm_backward_merge, 1, sums, gamma, mean, inv_std, grad_gamma, grad_beta, lines, count, training)
    if grad_x is not None:
        launch(
            batch_norm_backward_apply, blocks, flat, g.reshape(-1), lines, grad_x.reshape(-1), rows * channels, training
        )


def sample(draw):
    """Draw a legal call."""
    inputs, attributes = batch_sample(draw)
    x, gamma, beta, mean, var = inputs
    inputs = x, gamma, abs(beta) + 0.25, mean, var  # numbers that are all alike become beta: not 0, where a ReLU bends
    shortcut = draw.array(*inputs[0].shape) if draw.choice([True, False]) else None
    return (*inputs, shortcut), attributes


batch_norm_relu = Op(
    "batch_norm_relu",
    contract,
    loops=(batch_norm_relu_loops, batch_norm_relu_backward_loops),
    arrays=(batch_norm_relu_arrays, batch_norm_relu_backward_arrays),
    compiled=(batch_norm_relu_compiled, batch_norm_relu_backward_compiled),
    sample=sample,
    state=("running_mean", "running_var"),
)
