"""Gradient clipping by norm: g = g min(1, max_norm / |g|), where |g| is the norm of all gradients together.

Source: Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063.
"""

from math import sqrt

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.program.formatting import literal
from byhand.train.optim.hyperparameters import REDUCTION_BLOCK_PARAMETERS
from byhand.train.optim.optimizer import Hands


def clip_grad_norm_loops(g, *, max_norm):
    """Scale a gradient that is longer than `max_norm`."""
    total = 0.0
    for i in range(g.size):
        total += g[i] * g[i]
    if sqrt(total) > max_norm:
        for i in range(g.size):
            g[i] *= max_norm / sqrt(total)


def clip_grad_norm_arrays(g, *, max_norm):
    """Scale with NumPy."""
    norm = np.linalg.norm(g)
    if norm > max_norm:
        g *= max_norm / norm


@kernel(reassociate=True)
def sum_squares(g, sums, block):
    """Sum the squares of one block in float64."""
    part = g[block * REDUCTION_BLOCK_PARAMETERS : (block + 1) * REDUCTION_BLOCK_PARAMETERS]
    total = np.float64(0)
    for i in range(part.size):
        total += np.float64(part[i]) * np.float64(part[i])
    sums[block] = total


@kernel
def clip_factor(sums, factor, max_norm, block):
    """Add the sums of the blocks in a fixed order; write the factor that the gradient is scaled by."""
    total = 0.0
    for i in range(sums.size):
        total += sums[i]
    factor[0] = max_norm / sqrt(total) if sqrt(total) > max_norm else 1.0


@kernel
def scale_block(g, factor, block):
    """Scale one block in place."""
    part = g[block * REDUCTION_BLOCK_PARAMETERS : (block + 1) * REDUCTION_BLOCK_PARAMETERS]
    scale = factor[0]
    if scale != 1.0:
        for i in range(part.size):
            part[i] *= scale


@compiled
def clip_grad_norm_compiled(g, *, max_norm):
    """Scale in parallel blocks."""
    blocks = cdiv(g.size, REDUCTION_BLOCK_PARAMETERS)
    sums, factor = scratch(blocks, dtype=np.float64), scratch(1, dtype=g.dtype)
    launch(sum_squares, blocks, g, sums)
    launch(clip_factor, 1, sums, factor, max_norm)
    launch(scale_block, blocks, g, factor)


CLIP_GRAD_NORM: Hands = {
    "loops": clip_grad_norm_loops,
    "arrays": clip_grad_norm_arrays,
    "compiled": clip_grad_norm_compiled,
}


def clip_line(max_norm: float) -> str:
    """Return the clipping as a line of the generated program.

    >>> clip_line(1.0)
    'clip_grad_norm(g.flat, max_norm=1.0)'
    """
    return f"clip_grad_norm(g.flat, max_norm={literal(max_norm)})"
