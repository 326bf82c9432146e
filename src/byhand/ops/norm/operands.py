"""The operands of the normalization kernels: what batch_norm, batch_norm_relu and layer_norm hand to them.

C is the number of channels; layer_norm has a statistic for each of N examples instead, and its parameters are (D,).
"""

from __future__ import annotations

from typing import NamedTuple

from byhand.ops.op import Array


class Affine(NamedTuple):
    """The parameters of a normalization, (C,) each."""

    gamma: Array
    beta: Array


class AffineGradients(NamedTuple):
    """The gradients of the parameters, (C,) each; None: not wanted."""

    gamma: Array | None
    beta: Array | None


class NormStats(NamedTuple):
    """The statistics that x is normalized by, (C,) each."""

    mean: Array
    inv_std: Array


class RunningStats(NamedTuple):
    """The running statistics of a batch norm, (C,) each."""

    mean: Array
    var: Array


class BlockStats(NamedTuple):
    """The statistics of each block of rows, (blocks, C) each."""

    means: Array
    squares: Array  # sums of squares around the mean
    rows: int  # of a block


class ReluGradient(NamedTuple):
    """A ReLU backward, flat arrays: g = grad_y where y > 0, else 0."""

    y: Array
    grad_y: Array
    g: Array
