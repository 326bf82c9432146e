"""Optimisers: how a gradient becomes a step. Each is one loop over all parameters, in one flat buffer.

The settings are a frozen dataclass; the update is a function with hands, like an op, that the generated program calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from byhand.errors import ArgumentError, UnknownNameError
from byhand.ops.op import Array
from byhand.program.source import Update
from byhand.shapes import number

# sgd ------------------------------------------------------------------------------------------------------------------


def sgd_loops(
    p: Array, g: Array, velocity: Array | None, *, lr: float, momentum: float, nesterov: bool, weight_decay: float
) -> None:
    """v = momentum v + (g + decay p);  p = p - lr v, or with Nesterov p - lr (g + decay p + momentum v)."""
    for i in range(p.size):
        step = g[i] + weight_decay * p[i]
        if velocity is not None:
            velocity[i] = momentum * velocity[i] + step
            step = step + momentum * velocity[i] if nesterov else velocity[i]
        p[i] -= lr * step


def sgd_arrays(
    p: Array, g: Array, velocity: Array | None, *, lr: float, momentum: float, nesterov: bool, weight_decay: float
) -> None:
    """Do what `sgd_loops` does."""
    step = g + weight_decay * p if weight_decay else g
    if velocity is not None:
        velocity *= momentum
        velocity += step
        step = step + momentum * velocity if nesterov else velocity
    p -= lr * step


# adam: running means of the gradient and of its square, both freed from their start at zero ---------------------------


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


# clip -----------------------------------------------------------------------------------------------------------------


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


HANDS: dict[str, dict[str, Callable[..., None]]] = {
    "loops": {"sgd": sgd_loops, "adam": adam_loops, "clip": clip_loops},
    "arrays": {"sgd": sgd_arrays, "adam": adam_arrays, "clip": clip_arrays},
}


# settings -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: v = momentum v + g, p = p - lr v.

    lr: the learning rate; nesterov: look ahead along the velocity; weight_decay: added to g as decay p.
    Sources: Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013. The same steps as `torch.optim.SGD`.

    >>> import byhand as bh
    >>> bh.SGD(lr=0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    lr: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    function: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        _check(self, lr=None, momentum=1.0, weight_decay=None)
        if not isinstance(self.nesterov, bool):  # a checkpoint's may be anything, and it becomes text of the program
            raise ArgumentError(f"SGD: nesterov is {self.nesterov!r}; expected True or False")
        if self.nesterov and not self.momentum:
            raise ArgumentError("SGD: nesterov needs momentum; give momentum=0.9")

    @property
    def buffers(self) -> tuple[str, ...]:
        """The arrays, like the parameters, that it keeps from step to step."""
        return ("velocity",) if self.momentum else ()

    @property
    def call(self) -> str:
        """The update as a line of the generated program."""
        velocity = "optimizer.velocity" if self.momentum else "None"
        return (
            f"sgd(p.flat, g.flat, {velocity}, lr=lr, momentum={self.momentum}, nesterov={self.nesterov}, "
            f"weight_decay={self.weight_decay})"
        )


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
        _check(self, lr=None, beta1=1.0, beta2=1.0, eps=None, weight_decay=None)

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


Optimizer = SGD | Adam | AdamW
OPTIMIZERS: dict[str, type[Any]] = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}


def update(optimizer: Optimizer, clip_norm: float | None, hand: str) -> Update:
    """Return what an optimiser adds to the generated program."""
    if hand not in HANDS:
        raise UnknownNameError("hand", hand, HANDS)
    functions: list[Callable[..., None]]
    functions, lines = [HANDS[hand][optimizer.function]], [optimizer.call]
    if clip_norm is not None:
        functions.insert(0, HANDS[hand]["clip"])
        lines.insert(0, f"clip(g.flat, norm={clip_norm})")
    return Update(tuple(functions), tuple(lines))


def _check(settings: Any, **limits: float | None) -> None:
    """Make every named setting a float, or raise an ArgumentError where it is no number from 0 up to its limit."""
    for name, limit in limits.items():
        what = f"{type(settings).__name__}: {name}"
        value = number(what, getattr(settings, name), 0, float("inf") if limit is None else limit)
        object.__setattr__(
            settings, name, value
        )  # a plain float, also for one of NumPy's: it goes into the program's text
