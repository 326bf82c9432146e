"""lrn: local response normalization; each element over a power of the sum of squares of the channels around it.

    s[c] = bias + alpha / size * sum of x[c']^2 over the `size` channels from c - floor((size - 1) / 2) on
    y[c] = x[c] / s[c]^beta

x[c] is part of s of its own channel and of the channels around it, so with r[c] = grad_y[c] * x[c] / s[c]^(beta + 1)

    grad_x[c] = grad_y[c] / s[c]^beta - 2 alpha beta / size * x[c] * sum of r[c'] over the channels c' whose s includes x[c]

Source: Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks", whose alpha
is alpha / size here, as in ONNX and PyTorch. For an even size the window has one channel more above c, as in ONNX; in PyTorch
it has one more below.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.kernels.runtime.launch_graph import scratch_workers
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, integer, number


def contract(x: Shape, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> CallSpec:
    """Normalize over `size` neighboring channels: x (N, ..., C) -> y like x; s is kept for backward, as `scale`.

    >>> import byhand as bh
    >>> bh.lrn([[3.0, 0.0, 4.0]], size=3, alpha=3, beta=0.5, bias=0)
    array([[1., 0., 1.]])
    """
    if len(x) < 2 or 0 in x:
        raise ShapeError(f"x has the shape {x}; expected (N, ..., C), each 1 or more")
    attributes = {"size": integer("size", size), "alpha": number("alpha", alpha), "beta": number("beta", beta)}
    attributes["bias"] = number("bias", bias)
    return CallSpec({"y": x, "scale": x}, attributes, flops=prod(x) * (2 * min(size, x[-1]) + 4))


def channels_in_window(c, size, channels):
    """Return the channels whose squares s[c] sums."""
    first = c - (size - 1) // 2
    return range(max(0, first), min(channels, first + size))


def lrn_loops(x, y, scale, *, size, alpha, beta, bias):
    for *n, c in np.ndindex(x.shape):
        total = sum(x[*n, k] ** 2 for k in channels_in_window(c, size, x.shape[-1]))
        scale[*n, c] = bias + alpha / size * total
        y[*n, c] = x[*n, c] / scale[*n, c] ** beta


def lrn_backward_loops(x, scale, grad_y, grad_x, *, size, alpha, beta, bias):
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] / scale[i] ** beta
    for *n, c in np.ndindex(x.shape):
        term = 2 * alpha * beta / size * grad_y[*n, c] * x[*n, c] / scale[*n, c] ** (beta + 1)
        for k in channels_in_window(c, size, x.shape[-1]):
            grad_x[*n, k] -= term * x[*n, k]


def channel_sums_array(x, before, after):
    """Return the sums over each channel, `before` channels before it and `after` channels after it."""
    before, after = (min(count, x.shape[-1] - 1) for count in (before, after))
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)])
    return np.lib.stride_tricks.sliding_window_view(padded, before + 1 + after, -1).sum(-1)


def lrn_arrays(x, y, scale, *, size, alpha, beta, bias):
    before = (size - 1) // 2
    scale[...] = bias + alpha / size * channel_sums_array(x * x, before, size - 1 - before)
    y[...] = x / scale**beta


def lrn_backward_arrays(x, scale, grad_y, grad_x, *, size, alpha, beta, bias):
    after = (size - 1) // 2  # backward, the window is mirrored
    sums = channel_sums_array(grad_y * x / scale ** (beta + 1), size - 1 - after, after)
    grad_x[...] = grad_y / scale**beta - 2 * alpha * beta / size * x * sums


# compiled -------------------------------------------------------------------------------------------------------------


class Response(NamedTuple):
    """A window of channels, and what becomes of its sum: s = bias + factor * sum, raised to beta."""

    before: int  # channels of the window below the one in question
    after: int  # and above it
    factor: float
    beta: float
    bias: float


def rows_per_block(channels):
    """Return how many rows of channels a block does."""
    return cdiv(BLOCK_ELEMENTS, channels)


@kernel
def lrn_rows(x, y, scale, response, block):
    (count, channels), (before, after, factor, beta, bias) = x.shape, response
    rows = rows_per_block(channels)
    for n in range(block * rows, min((block + 1) * rows, count)):
        row, out, total = x[n], y[n], scale[n]
        for c in range(channels):
            out[c] = row[c] * row[c]
        channel_sums(out, total, before, after)
        for c in range(channels):
            total[c] = bias + factor * total[c]
        raise_to_beta(total, out, beta)
        for c in range(channels):
            out[c] = row[c] / out[c]


@kernel
def lrn_backward_rows(x, scale, grad_y, grad_x, parts, response, block, worker):
    (count, channels), (before, after, factor, beta, _) = x.shape, response
    rows = rows_per_block(channels)
    part, total = parts[worker, 0], parts[worker, 1]
    for n in range(block * rows, min((block + 1) * rows, count)):
        row, base, grad, out = x[n], scale[n], grad_y[n], grad_x[n]
        raise_to_beta(base, out, beta)
        for c in range(channels):
            out[c] = grad[c] / out[c]
            part[c] = out[c] * row[c] / base[c]
        channel_sums(part, total, before, after)
        for c in range(channels):
            out[c] -= factor * row[c] * total[c]


def channel_sums(x, total, before, after):
    """Write the sums over each channel and its neighbors; a running sum would accumulate rounding errors."""
    channels = x.size
    for c in range(channels):
        total[c] = x[c]
    for away in range(1, min(before, channels - 1) + 1):
        later = total[away:]
        for c in range(channels - away):
            later[c] += x[c]
    for away in range(1, min(after, channels - 1) + 1):
        ahead = x[away:]
        for c in range(channels - away):
            total[c] += ahead[c]


def raise_to_beta(x, out, beta):
    """Write x^beta; 3/4, the usual value, and 1/2 use square roots, which SIMD has."""
    if beta == 0.75:
        for c in range(x.size):
            root = np.sqrt(x[c])
            out[c] = root * np.sqrt(root)
    elif beta == 0.5:
        for c in range(x.size):
            out[c] = np.sqrt(x[c])
    else:
        for c in range(x.size):
            out[c] = x[c] ** beta


@compiled
def lrn_compiled(x, y, scale, *, size, alpha, beta, bias):
    x, before = x.reshape(-1, x.shape[-1]), (size - 1) // 2
    response = Response(before, size - 1 - before, alpha / size, beta, bias)
    launch(lrn_rows, cdiv(len(x), rows_per_block(x.shape[1])), x, y.reshape(x.shape), scale.reshape(x.shape), response)


@compiled
def lrn_backward_compiled(x, scale, grad_y, grad_x, *, size, alpha, beta, bias):
    after, x = (size - 1) // 2, x.reshape(-1, x.shape[-1])  # backward, the window is mirrored
    response = Response(size - 1 - after, after, 2 * alpha * beta / size, beta, bias)
    scale, grad_y, grad_x = (array.reshape(x.shape) for array in (scale, grad_y, grad_x))
    parts, blocks = scratch(scratch_workers(), 2, x.shape[1], dtype=x.dtype), cdiv(len(x), rows_per_block(x.shape[1]))
    launch(lrn_backward_rows, blocks, x, scale, grad_y, grad_x, parts, response)


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    x = draw.array(draw.integer(1, 3), *(draw.integer(1, 3) for _ in range(draw.integer(0, 2))), draw.integer(1, 17))
    attributes = {"size": draw.integer(1, 7), "alpha": draw.choice([1e-4, 0.5, 2.0])}
    return (x,), attributes | {"beta": draw.choice([0.75, 0.5, 1.0, 0.3]), "bias": draw.choice([1.0, 2.0])}


lrn = Op(
    "lrn",
    contract,
    loops=(lrn_loops, lrn_backward_loops),
    arrays=(lrn_arrays, lrn_backward_arrays),
    compiled=(lrn_compiled, lrn_backward_compiled),
    sample=sample,
)
