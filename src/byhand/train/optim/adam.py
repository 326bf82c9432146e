"""Adam and AdamW: exponential moving averages of the gradient and of its square, with bias correction.

m = beta1 m + (1 - beta1) g
v = beta2 v + (1 - beta2) g^2
p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
"""

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, NamedTuple

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.ops.op import Array
from byhand.train.optim.hyperparameters import BLOCK_PARAMETERS, as_array, check_ranges
from byhand.train.optim.optimizer import Optimizer, register


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: steps of about lr, whatever the size of the gradient.

    weight_decay: added to the gradient as weight_decay p; `AdamW` decouples it. The same steps as `torch.optim.Adam`.
    Source: Kingma & Ba 2014, arXiv 1412.6980.

    >>> import byhand as bh
    >>> bh.Adam(lr=0.01).lr
    0.01
    """

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self, lr=None, beta1=1.0, beta2=1.0, eps=None, weight_decay=None)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: p = p - lr weight_decay p, then Adam's step.

    The same steps as `torch.optim.AdamW`. Source: Loshchilov & Hutter 2017, arXiv 1711.05101.

    >>> import byhand as bh
    >>> bh.AdamW().weight_decay
    0.01
    """

    weight_decay: float = 0.01

    decoupled: ClassVar[bool] = True


# hands ----------------------------------------------------------------------------------------------------------------


def adam_loops(p, g, exp_avg, exp_avg_sq, t, *, lr, beta1, beta2, eps, weight_decay, decoupled):
    """Update parameter by parameter."""
    for i in range(p.size):
        step = g[i]
        if decoupled:
            p[i] -= lr * weight_decay * p[i]
        else:
            step = step + weight_decay * p[i]
        exp_avg[i] = beta1 * exp_avg[i] + (1 - beta1) * step
        exp_avg_sq[i] = beta2 * exp_avg_sq[i] + (1 - beta2) * step * step
        p[i] -= lr * (exp_avg[i] / (1 - beta1**t)) / (sqrt(exp_avg_sq[i] / (1 - beta2**t)) + eps)


def adam_arrays(p, g, exp_avg, exp_avg_sq, t, *, lr, beta1, beta2, eps, weight_decay, decoupled):
    """Update with NumPy."""
    step = g
    if decoupled:
        p -= lr * weight_decay * p
    elif weight_decay:
        step = g + weight_decay * p
    exp_avg += (1 - beta1) * (step - exp_avg)
    exp_avg_sq += (1 - beta2) * (step * step - exp_avg_sq)
    p -= lr * (exp_avg / (1 - beta1**t)) / (np.sqrt(exp_avg_sq / (1 - beta2**t)) + eps)


# Entries of `factors`, the scalars of a step.
RATE, CORRECTION, KEEP, BETA1, BETA2, NEW1, NEW2 = range(7)


class Moments(NamedTuple):
    """The exponential moving averages of the gradient and of its square, like the parameters."""

    exp_avg: Array
    exp_avg_sq: Array


@kernel
def adam_factors(lr, t, beta1, beta2, decoupled_decay, factors, block):
    """Compute in float64 what is the same for all parameters."""
    factors[RATE] = lr[0] / (1.0 - beta1 ** t[0])
    factors[CORRECTION] = 1.0 / (1.0 - beta2 ** t[0])
    factors[KEEP] = 1.0 - lr[0] * decoupled_decay
    factors[BETA1] = beta1
    factors[BETA2] = beta2
    factors[NEW1] = 1.0 - beta1
    factors[NEW2] = 1.0 - beta2


@kernel
def adam_block(p, g, moments, factors, eps, coupled_decay, block):
    """Update one block."""
    part = slice(block * BLOCK_PARAMETERS, (block + 1) * BLOCK_PARAMETERS)
    p, g, exp_avg, exp_avg_sq = p[part], g[part], moments.exp_avg[part], moments.exp_avg_sq[part]
    rate, correction, keep = factors[RATE], factors[CORRECTION], factors[KEEP]
    beta1, beta2, new1, new2 = factors[BETA1], factors[BETA2], factors[NEW1], factors[NEW2]
    for i in range(p.size):
        step = g[i] + coupled_decay * p[i]
        exp_avg[i] = beta1 * exp_avg[i] + new1 * step
        exp_avg_sq[i] = beta2 * exp_avg_sq[i] + new2 * step * step
        p[i] = keep * p[i] - rate * exp_avg[i] / (sqrt(correction * exp_avg_sq[i]) + eps)


@compiled
def adam_compiled(p, g, exp_avg, exp_avg_sq, t, *, lr, beta1, beta2, eps, weight_decay, decoupled):
    """Update in parallel blocks."""
    factors = scratch(7, dtype=p.dtype)
    decoupled_decay, coupled_decay = (weight_decay, 0.0) if decoupled else (0.0, weight_decay)
    launch(adam_factors, 1, as_array(lr), as_array(t), beta1, beta2, decoupled_decay, factors)
    blocks = cdiv(p.size, BLOCK_PARAMETERS)
    launch(adam_block, blocks, p, g, Moments(exp_avg, exp_avg_sq), factors, eps, coupled_decay)


register(Adam, AdamW, loops=adam_loops, arrays=adam_arrays, compiled=adam_compiled)
