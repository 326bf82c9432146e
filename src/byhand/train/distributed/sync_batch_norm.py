"""Batch norm over the whole batch where ranks share it: the mean and variance of all ranks' images, not of one's.

Each rank has of a channel M numbers, their mean m and the sum q of squares around it. With sums over ranks, in float64:

    N = sum M,   mean = sum(M m) / N,   variance = sum(q + M m^2) / N - mean^2

Backward has the two sums of `ops.norm`, over all ranks. A rank's gradient is that of its own images' mean loss, which counts
with its weight w in the whole; the sums are of w sum(grad_y) and w sum(grad_y xhat), and what they take from grad_x is
divided by w N, which is M. Forward and backward of each layer talk once.

Sources: Ioffe & Szegedy 2015, arXiv 1502.03167; Peng et al. 2018, arXiv 1711.07240 ("cross-GPU batch normalization").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from byhand.kernels import compiled, launch, scratch
from byhand.ops.fused.batch_norm_relu import batch_norm_relu_sums
from byhand.ops.norm.batch_norm import (
    batch_norm_backward_apply,
    batch_norm_backward_merge,
    batch_norm_backward_sums,
    batch_norm_merge,
    batch_norm_sums,
)
from byhand.ops.norm.lines import rows_and_blocks
from byhand.ops.op import Array
from byhand.train.distributed.breakpoints import pause
from byhand.train.distributed.mpi import Ranks


class SyncNorm:
    """The hands of batch norm that sum over ranks; weight: this rank's part of the batch; counts: whether it has any."""

    def __init__(self, ranks: Ranks, hand: str) -> None:
        self.ranks, self.hand = ranks, hand
        self.weight, self.counts = 1.0, True

    def hands(self, module: Any) -> dict[str, Callable[..., None]]:
        """Return what takes the place of a program's batch norms, by the names that it calls them by."""
        found: dict[str, Callable[..., None]] = {}
        for name in ("batch_norm", "batch_norm_relu"):
            for suffix, make in (("", self._forward), ("_backward", self._backward)):
                if hasattr(module, name + suffix):
                    found[name + suffix] = make(getattr(module, name + suffix), name.endswith("relu"))
        return found

    def _forward(self, original: Callable[..., None], relu: bool) -> Callable[..., None]:
        """Find the mean and variance of all ranks; then let the original hand use them as it would running ones."""
        statistics = compiled_statistics if self.hand == "compiled" else arrays_statistics

        def forward(x: Array, gamma: Array, beta: Array, running_mean: Array, running_var: Array, *rest: Array | None,
                    eps: float, momentum: float, training: bool) -> None:  # fmt: skip
            settings = {"eps": eps, "momentum": momentum, "training": False}
            if not training:
                original(x, gamma, beta, running_mean, running_var, *rest, **settings)
                return
            mean, variance = np.zeros_like(running_mean), np.zeros_like(running_var)
            statistics(x, mean, variance)
            pause(lambda: self._merge(x.size // mean.size, mean, variance, running_mean, running_var, momentum))
            original(x, gamma, beta, mean, variance, *rest, **settings)

        return forward

    def _merge(
        self, count: int, mean: Array, variance: Array, running_mean: Array, running_var: Array, momentum: float
    ) -> None:
        """Put all ranks' statistics in the place of this one's, and move the running ones towards them."""
        ours, channels = mean.astype(np.float64), mean.size
        sums = np.concatenate([ours, variance * ((count - 1) / count) + ours**2, [1.0]]) * (count * self.counts)
        self.ranks.all_reduce(sums)
        total = sums[-1]
        center = sums[:channels] / total
        spread = np.maximum(sums[channels:-1] / total - center**2, 0)
        mean[...], variance[...] = center, spread
        running_mean[...] = (1 - momentum) * running_mean + momentum * center
        running_var[...] = (1 - momentum) * running_var + momentum * spread * total / (total - 1)

    def _backward(self, original: Callable[..., None], relu: bool) -> Callable[..., None]:
        own: Callable[..., None] = compiled_backward if self.hand == "compiled" else arrays_backward

        def backward(x: Array, *rest: Any, training: bool, **settings: Any) -> None:
            if not training:
                original(x, *rest, training=training, **settings)
                return
            gamma, *others = rest if relu else (rest[0], None, *rest[1:], None)  # y, and what a shortcut gets
            own(x, gamma, *others, self._reduce)

        return backward

    def _reduce(self, sums: Array) -> None:
        whole = sums.astype(np.float64) * self.weight
        sums[...] = self.ranks.all_reduce(whole)


# arrays ---------------------------------------------------------------------------------------------------------------


def arrays_statistics(x: Array, mean: Array, variance: Array) -> None:
    """Write the mean of this rank's numbers, and their variance as an unbiased estimate."""
    rows = x.reshape(-1, mean.size)
    mean[...], variance[...] = rows.mean(0), rows.var(0, ddof=1)


def arrays_backward(
    x: Array, gamma: Array, y: Array | None, mean: Array, inv_std: Array, grad_y: Array, grad_x: Array | None,
    grad_gamma: Array | None, grad_beta: Array | None, grad_shortcut: Array | None, reduce: Callable[[Array], None],
) -> None:  # fmt: skip
    """Do what `batch_norm_backward_arrays` does, with sums over all ranks in grad_x."""
    g = grad_y if y is None else np.where(y <= 0, 0, grad_y)
    if grad_shortcut is not None:
        grad_shortcut[...] = g
    rows = g.reshape(-1, mean.size)
    xhat = (x.reshape(rows.shape) - mean) * inv_std
    sums = np.stack([rows.sum(0), (rows * xhat).sum(0)])
    for grad, values in ((grad_beta, sums[0]), (grad_gamma, sums[1])):
        if grad is not None:
            grad[...] = values
    if grad_x is not None:
        reduce(sums)
        inner = rows - (sums[0] + xhat * sums[1]) / len(rows)
        grad_x[...] = (gamma * inv_std * inner).reshape(x.shape)


# compiled -------------------------------------------------------------------------------------------------------------


@compiled
def compiled_statistics(x: Array, mean: Array, variance: Array) -> None:
    """Do what `arrays_statistics` does: the kernels of `batch_norm`, with running statistics that keep the new ones alone."""
    rows, blocks, line = rows_and_blocks(x)  # type: ignore[no-untyped-call]
    channels, count = mean.size, x.size // mean.size
    means, squares = scratch(blocks, channels, dtype=x.dtype), scratch(blocks, channels, dtype=x.dtype)
    launch(batch_norm_sums, blocks, x.reshape(-1), means, squares, scratch(blocks, 3, line, dtype=x.dtype), rows)
    center, inverse = scratch(channels, dtype=x.dtype), scratch(channels, dtype=x.dtype)
    launch(batch_norm_merge, 1, means, squares, center, inverse, mean, variance, count, rows, 0.0, 1.0)


@compiled
def compiled_backward(
    x: Array, gamma: Array, y: Array | None, mean: Array, inv_std: Array, grad_y: Array, grad_x: Array | None,
    grad_gamma: Array | None, grad_beta: Array | None, grad_shortcut: Array | None, reduce: Callable[[Array], None],
) -> None:  # fmt: skip
    """Do what `arrays_backward` does: the kernels of `batch_norm` and `batch_norm_relu`, the second half after a pause."""
    rows, blocks, line = rows_and_blocks(x)  # type: ignore[no-untyped-call]
    channels, flat, count = mean.size, x.reshape(-1), x.size // mean.size
    g = next((one for one in (grad_shortcut, grad_x) if one is not None), None) if y is not None else grad_y
    g = scratch(*x.shape, dtype=x.dtype) if g is None else g
    sums, lines = scratch(blocks, 2, channels, dtype=x.dtype), scratch(4, line, dtype=x.dtype)
    parts = scratch(blocks, 3, line, dtype=x.dtype)
    if y is None:
        launch(batch_norm_backward_sums, blocks, flat, grad_y.reshape(-1), mean, parts, sums, rows)
    else:
        arrays = flat, y.reshape(-1), grad_y.reshape(-1), g.reshape(-1)
        launch(batch_norm_relu_sums, blocks, *arrays, mean, parts, sums, rows)
    launch(batch_norm_backward_merge, 1, sums, gamma, mean, inv_std, grad_gamma, grad_beta, lines, count, True)
    if grad_x is not None:
        pause(lambda: reduce(sums[0]))
        launch(batch_norm_backward_merge, 1, sums[:1], gamma, mean, inv_std, None, None, lines, count, True)
        launch(batch_norm_backward_apply, blocks, flat, g.reshape(-1), lines, grad_x.reshape(-1), rows * channels, True)
