"""Synchronized batch norm: mean and variance over the whole batch, of which each rank holds a shard.

For each channel a rank has M values, their mean m and the sum q of squared deviations. With sums over ranks, in float64:

    N = sum M,   mean = sum(M m) / N,   variance = sum(q + M m^2) / N - mean^2

Backward needs the two sums of `ops.norm.batch_norm`, sum(grad_y) and sum(grad_y xhat), over all ranks. A rank computes the
gradient of its own images' mean loss, which has the weight w in the loss of the batch. So the sums are weighted by w before the
all-reduce, and their mean is divided by w N = M. Each layer communicates once in forward and once in backward.

Sources: Ioffe & Szegedy 2015, arXiv 1502.03167; Peng et al. 2018, arXiv 1711.07240 ("cross-GPU batch normalization").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from byhand.kernels import compiled, launch, scratch
from byhand.ops.fused.batch_norm_relu import batch_norm_relu_sums
from byhand.ops.norm.batch_norm import (
    batch_norm_backward_apply,
    batch_norm_backward_merge,
    batch_norm_backward_sums,
    launch_statistics,
)
from byhand.ops.norm.operands import AffineGradients, NormStats, ReluGradient, RunningStats
from byhand.ops.norm.strips import rows_and_blocks
from byhand.ops.op import Array
from byhand.program.generated_file import Callee
from byhand.train.distributed.breakpoints import at_breakpoint
from byhand.train.distributed.mpi import Communicator

Function = Callable[..., None]


class BackwardArrays(NamedTuple):
    """The arrays of a backward of `batch_norm` or `batch_norm_relu`, in the order of the latter."""

    x: Array
    gamma: Array
    y: Array | None  # None: no ReLU
    mean: Array
    inv_std: Array
    grad_y: Array
    grad_x: Array | None
    grad_gamma: Array | None
    grad_beta: Array | None
    grad_shortcut: Array | None = None


class SyncBatchNorm:
    """The hands of batch norm that sum over ranks.

    weight: the weight of this rank's shard in the batch; has_images: whether the shard holds any.
    """

    def __init__(self, comm: Communicator, hand: str) -> None:
        self.comm, self.hand = comm, hand
        self.weight, self.has_images = 1.0, True

    def with_synchronized_batch_norm(self, callees: Mapping[str, Callee]) -> dict[str, Callee]:
        """Return the functions that a program calls, its batch norms replaced by those that sum over ranks."""
        found = dict(callees)
        for name in ("batch_norm", "batch_norm_relu"):
            if forward := callees.get(name):
                found[name] = forward._replace(function=self._forward(forward.function))
            if backward := callees.get(f"{name}_backward"):
                function = self._backward(backward.function, relu=name == "batch_norm_relu")
                found[f"{name}_backward"] = backward._replace(function=function)
        return found

    def _forward(self, original: Function) -> Function:
        """Return a forward that computes the statistics of all ranks; the original normalizes with them, as in inference."""
        statistics = statistics_compiled if self.hand == "compiled" else statistics_arrays

        def forward(x: Array, gamma: Array, beta: Array, *rest: Array, **settings: Any) -> None:
            if not settings["training"]:
                original(x, gamma, beta, *rest, **settings)
                return
            running_mean, running_var, *others = rest
            mean, variance = np.zeros_like(running_mean), np.zeros_like(running_var)
            statistics(x, mean, variance)
            own, running = RunningStats(mean, variance), RunningStats(running_mean, running_var)
            count = x.size // mean.size
            at_breakpoint(lambda: self._reduce_statistics(count, own, running, settings["momentum"]))
            original(x, gamma, beta, mean, variance, *others, **settings | {"training": False})

        return forward

    def _reduce_statistics(self, count: int, own: RunningStats, running: RunningStats, momentum: float) -> None:
        """Replace this rank's statistics by those of all ranks, and update the running ones."""
        mean, variance = own
        own_mean, channels = mean.astype(np.float64), mean.size
        sums = np.concatenate([own_mean, variance * ((count - 1) / count) + own_mean**2, [1.0]])
        sums *= count * self.has_images
        self.comm.all_reduce(sums)
        total = sums[-1]
        batch_mean = sums[:channels] / total
        batch_variance = np.maximum(sums[channels:-1] / total - batch_mean**2, 0)
        mean[...], variance[...] = batch_mean, batch_variance
        running.mean[...] = (1 - momentum) * running.mean + momentum * batch_mean
        running.var[...] = (1 - momentum) * running.var + momentum * batch_variance * total / (total - 1)

    def _backward(self, original: Function, relu: bool) -> Function:
        """Return a backward whose sums go over all ranks; relu: whether it is that of `batch_norm_relu`."""
        summed: Function = backward_compiled if self.hand == "compiled" else backward_arrays

        def backward(x: Array, *rest: Any, training: bool, **settings: Any) -> None:
            if not training:
                original(x, *rest, training=training, **settings)
                return
            gamma, *others = rest
            summed(BackwardArrays(x, gamma, *others if relu else (None, *others)), self._reduce_sums)

        return backward

    def _reduce_sums(self, sums: Array) -> None:
        sums[...] = self.comm.all_reduce(sums.astype(np.float64) * self.weight)


# arrays ---------------------------------------------------------------------------------------------------------------


def statistics_arrays(x: Array, mean: Array, variance: Array) -> None:
    """Write the mean and the unbiased variance of this rank's values."""
    rows = x.reshape(-1, mean.size)
    mean[...], variance[...] = rows.mean(0), rows.var(0, ddof=1)


def backward_arrays(arrays: BackwardArrays, reduce: Callable[[Array], None]) -> None:
    """Compute what `batch_norm_backward_arrays` does, with sums over all ranks in grad_x."""
    x, gamma, y, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, grad_shortcut = arrays
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
def statistics_compiled(x: Array, mean: Array, variance: Array) -> None:
    """Launch the kernels of `batch_norm`, with momentum 1: its running statistics become those of this batch."""
    stats = NormStats(scratch(mean.size, dtype=x.dtype), scratch(mean.size, dtype=x.dtype))
    launch_statistics(x, stats, RunningStats(mean, variance), 0.0, 1.0)  # type: ignore[no-untyped-call]


@compiled
def backward_compiled(arrays: BackwardArrays, reduce: Callable[[Array], None]) -> None:
    """Launch the kernels of `batch_norm` and `batch_norm_relu`, with an all-reduce of the sums before grad_x."""
    x, gamma, y, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, grad_shortcut = arrays
    rows, blocks, line = rows_and_blocks(x)  # type: ignore[no-untyped-call]
    channels, flat, count = mean.size, x.reshape(-1), x.size // mean.size
    sums, lines = scratch(blocks, 2, channels, dtype=x.dtype), scratch(4, line, dtype=x.dtype)
    parts = scratch(blocks, 3, line, dtype=x.dtype)
    if y is None:
        g = grad_y.reshape(-1)
        launch(batch_norm_backward_sums, blocks, flat, g, mean, parts, sums, rows)
    else:
        before_relu = grad_x if grad_shortcut is None else grad_shortcut
        g = (scratch(*x.shape, dtype=x.dtype) if before_relu is None else before_relu).reshape(-1)
        relu = ReluGradient(y.reshape(-1), grad_y.reshape(-1), g)
        launch(batch_norm_relu_sums, blocks, flat, relu, mean, parts, sums, rows)
    stats, grads = NormStats(mean, inv_std), AffineGradients(grad_gamma, grad_beta)
    launch(batch_norm_backward_merge, 1, sums, gamma, stats, grads, lines, count)
    if grad_x is not None:
        at_breakpoint(lambda: reduce(sums[0]))
        launch(batch_norm_backward_merge, 1, sums[:1], gamma, stats, AffineGradients(None, None), lines, count)
        launch(batch_norm_backward_apply, blocks, flat, g, lines, grad_x.reshape(-1), rows * channels, True)
