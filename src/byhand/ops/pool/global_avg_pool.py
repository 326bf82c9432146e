"""global_avg_pool: each channel's mean over the whole image.

    y[n, c] = mean over p, q of x[n, p, q, c];   grad_x[n, p, q, c] = grad_y[n, c] / (H * W)

Source: Lin, Chen & Yan 2013, "Network in network", arXiv 1312.4400.
"""

from math import prod

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.ops.pool.max_pool import POOL_BLOCK_ELEMENTS
from byhand.shapes import Shape, axes


def contract(x: Shape, *, keepdims: bool = False) -> CallSpec:
    """Average each channel over the image: x (N, H, W, C) -> y (N, C), or (N, 1, 1, C) with keepdims.

    >>> import byhand as bh, numpy as np
    >>> bh.global_avg_pool(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]])
    """
    axes("x", x, "N, H, W, C")
    return CallSpec(
        {"y": (x[0], 1, 1, x[3]) if keepdims else (x[0], x[3])}, {"keepdims": bool(keepdims)}, flops=prod(x)
    )


def global_avg_pool_loops(x, y, *, keepdims):
    images, height, width, channels = x.shape
    for n, c in np.ndindex(images, channels):
        total = 0.0
        for p, q in np.ndindex(height, width):
            total += x[n, p, q, c]
        y[(n, 0, 0, c) if keepdims else (n, c)] = total / (height * width)


def global_avg_pool_backward_loops(grad_y, grad_x, *, keepdims):
    _, height, width, _ = grad_x.shape
    for n, p, q, c in np.ndindex(grad_x.shape):
        grad_x[n, p, q, c] = grad_y[(n, 0, 0, c) if keepdims else (n, c)] / (height * width)


def global_avg_pool_arrays(x, y, *, keepdims):
    np.mean(x, (1, 2), keepdims=keepdims, out=y)


def global_avg_pool_backward_arrays(grad_y, grad_x, *, keepdims):
    grad_x[...] = (grad_y if keepdims else grad_y[:, None, None]) / prod(grad_x.shape[1:3])


@kernel
def global_avg_pool_images(x, y, scale, images, block):
    count, pixels, channels = x.shape
    for n in range(block * images, min((block + 1) * images, count)):
        for c in range(channels):
            y[n, c] = 0.0
        tail = pixels // 4 * 4
        for p in range(0, tail, 4):  # four pixels a time: y is read and written a fourth as often
            for c in range(channels):
                y[n, c] += (x[n, p, c] + x[n, p + 1, c]) + (x[n, p + 2, c] + x[n, p + 3, c])
        for p in range(tail, pixels):
            for c in range(channels):
                y[n, c] += x[n, p, c]
        for c in range(channels):
            y[n, c] *= scale


@kernel
def global_avg_pool_backward_images(grad_y, grad_x, scale, images, block):
    count, pixels, channels = grad_x.shape
    for n in range(block * images, min((block + 1) * images, count)):
        for p in range(pixels):
            for c in range(channels):
                grad_x[n, p, c] = grad_y[n, c] * scale


@compiled
def global_avg_pool_compiled(x, y, *, keepdims):
    images, height, width, channels = x.shape
    images_per_block = max(1, POOL_BLOCK_ELEMENTS // prod(x.shape[1:]))
    blocks, pixels = cdiv(images, images_per_block), height * width
    x, y = x.reshape(images, pixels, channels), y.reshape(images, channels)
    launch(global_avg_pool_images, blocks, x, y, 1.0 / pixels, images_per_block)


@compiled
def global_avg_pool_backward_compiled(grad_y, grad_x, *, keepdims):
    images, height, width, channels = grad_x.shape
    images_per_block = max(1, POOL_BLOCK_ELEMENTS // prod(grad_x.shape[1:]))
    blocks, pixels = cdiv(images, images_per_block), height * width
    grad_y, grad_x = grad_y.reshape(images, channels), grad_x.reshape(images, pixels, channels)
    launch(global_avg_pool_backward_images, blocks, grad_y, grad_x, 1.0 / pixels, images_per_block)


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    shape = (draw.integer(1, 3), draw.integer(1, 5), draw.integer(1, 5), draw.integer(1, 17))
    return (draw.array(*shape),), {"keepdims": draw.choice([True, False])}


global_avg_pool = Op(
    "global_avg_pool",
    contract,
    loops=(global_avg_pool_loops, global_avg_pool_backward_loops),
    arrays=(global_avg_pool_arrays, global_avg_pool_backward_arrays),
    compiled=(global_avg_pool_compiled, global_avg_pool_backward_compiled),
    sample=sample,
)
