"""Adam and AdamW: running means of the gradient and of its square, both freed from their start at zero."""

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.ops.op import Array
from byhand.train.optim.hyperparameters import GRAIN, Setting, check, setting


@dataclass(frozen=True)
class Adam:
    """Adam: steps of about lr, whatever the gradient's size.

    Source: Kingma & Ba 2014, arXiv 1412.6980. weight_decay is added to the gradient; `AdamW` keeps it apart. The same steps
    as `torch.optim.Adam`.

    >>> import byhand as bh
    >>> bh.Adam(lr=0.01).lr
    0.01
    """

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    function: ClassVar[str] = "adam"
    buffers: ClassVar[tuple[str, ...]] = ("mean", "square")
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self, lr=None, beta1=1.0, beta2=1.0, eps=None, weight_decay=None)

    @property
    def call(self) -> str:
        """The update as a line of the generated program."""
        return (
            f"adam(p.flat, g.flat, optimizer.mean, optimizer.square, t, lr=lr, beta1={self.beta1}, beta2={self.beta2}, "
            f"eps={self.eps}, weight_decay={self.weight_decay}, decoupled={self.decoupled})"
        )


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with the weight decay kept apart: p = p - lr decay p, then Adam's step.

    Source: Loshchilov & Hutter 2017, arXiv 1711.05101. The same steps as `torch.optim.AdamW`.

    >>> import byhand as bh
    >>> bh.AdamW().weight_decay
    0.01
    """

    weight_decay: float = 0.01

    decoupled: ClassVar[bool] = True


# hands ----------------------------------------------------------------------------------------------------------------


def adam_loops(
    p: Array, g: Array, mean: Array, square: Array, t: int, *, lr: float, beta1: float, beta2: float, eps: float,
    weight_decay: float, decoupled: bool,
) -> None:  # fmt: skip
    """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)."""
    for i in range(p.size):
        step = g[i]
        if decoupled:
            p[i] -= lr * weight_decay * p[i]
        else:
            step = step + weight_decay * p[i]
        mean[i] = beta1 * mean[i] + (1 - beta1) * step
        square[i] = beta2 * square[i] + (1 - beta2) * step * step
        p[i] -= lr * (mean[i] / (1 - beta1**t)) / (sqrt(square[i] / (1 - beta2**t)) + eps)


def adam_arrays(
    p: Array, g: Array, mean: Array, square: Array, t: int, *, lr: float, beta1: float, beta2: float, eps: float,
    weight_decay: float, decoupled: bool,
) -> None:  # fmt: skip
    """Do what `adam_loops` does."""
    step = g
    if decoupled:
        p -= lr * weight_decay * p
    elif weight_decay:
        step = g + weight_decay * p
    mean += (1 - beta1) * (step - mean)
    square += (1 - beta2) * (step * step - square)
    p -= lr * (mean / (1 - beta1**t)) / (np.sqrt(square / (1 - beta2**t)) + eps)


@kernel
def adam_factors(lr, t, beta1, beta2, decay, factors, block):  # type: ignore[no-untyped-def]
    """Work out what is the same for all parameters, in float64, as lr and t are."""
    factors[0] = lr[0] / (1.0 - beta1 ** t[0])
    factors[1] = 1.0 / (1.0 - beta2 ** t[0])
    factors[2] = 1.0 - lr[0] * decay


@kernel
def adam_block(p, g, mean, square, factors, beta1, beta2, rest1, rest2, eps, added, block):  # type: ignore[no-untyped-def]
    """Do what `adam_loops` does to a slice; with decay kept apart, added is 0, without it keep is 1."""
    part = slice(block * GRAIN, (block + 1) * GRAIN)
    p, g, mean, square = p[part], g[part], mean[part], square[part]
    rate, correction, keep = factors[0], factors[1], factors[2]
    for i in range(p.size):
        step = g[i] + added * p[i]
        mean[i] = beta1 * mean[i] + rest1 * step
        square[i] = beta2 * square[i] + rest2 * step * step
        p[i] = keep * p[i] - rate * mean[i] / (sqrt(correction * square[i]) + eps)


@compiled
def adam_compiled(
    p: Array, g: Array, mean: Array, square: Array, t: Setting, *, lr: Setting, beta1: float, beta2: float, eps: float,
    weight_decay: float, decoupled: bool,
) -> None:  # fmt: skip
    """Do what `adam_loops` does."""
    factors = scratch(3, dtype=p.dtype)
    apart, added = (weight_decay, 0.0) if decoupled else (0.0, weight_decay)
    launch(adam_factors, 1, setting(lr), setting(t), beta1, beta2, apart, factors)
    betas = beta1, beta2, 1.0 - beta1, 1.0 - beta2
    launch(adam_block, cdiv(p.size, GRAIN), p, g, mean, square, factors, *betas, eps, added)
