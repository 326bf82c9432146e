"""Clipping: a gradient that is too long is shortened."""

from math import sqrt

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.ops.op import Array
from byhand.train.optim.hyperparameters import WIDE


def clip_loops(g: Array, *, norm: float) -> None:
    """g = g min(1, norm / |g|): a gradient longer than `norm` is shortened to it (Pascanu et al. 2013, arXiv 1211.5063)."""
    total = 0.0
    for i in range(g.size):
        total += g[i] * g[i]
    if sqrt(total) > norm:
        for i in range(g.size):
            g[i] *= norm / sqrt(total)


def clip_arrays(g: Array, *, norm: float) -> None:
    """Do what `clip_loops` does."""
    length = np.linalg.norm(g)
    if length > norm:
        g *= norm / length


@kernel(reassociate=True)
def sum_squares(g, sums, block):  # type: ignore[no-untyped-def]
    """Add up the squares of a slice in float64."""
    part = g[block * WIDE : (block + 1) * WIDE]
    total = np.float64(0)
    for i in range(part.size):
        total += np.float64(part[i]) * np.float64(part[i])
    sums[block] = total


@kernel
def clip_factor(sums, factor, norm, block):  # type: ignore[no-untyped-def]
    """Add the slices' sums up in a fixed order."""
    total = 0.0
    for i in range(sums.size):
        total += sums[i]
    factor[0] = norm / sqrt(total) if sqrt(total) > norm else 1.0


@kernel
def scale_block(g, factor, block):  # type: ignore[no-untyped-def]
    """Shorten a slice."""
    part = g[block * WIDE : (block + 1) * WIDE]
    shrink = factor[0]
    if shrink != 1.0:
        for i in range(part.size):
            part[i] *= shrink


@compiled
def clip_compiled(g: Array, *, norm: float) -> None:
    """Do what `clip_loops` does."""
    blocks = cdiv(g.size, WIDE)
    sums, factor = scratch(blocks, dtype=np.float64), scratch(1, dtype=g.dtype)
    launch(sum_squares, blocks, g, sums)
    launch(clip_factor, 1, sums, factor, norm)
    launch(scale_block, blocks, g, factor)
