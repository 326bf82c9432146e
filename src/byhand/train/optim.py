"""Optimisers: how a gradient becomes a step. Each is one loop over all parameters, in one flat buffer.

The settings are a frozen dataclass; the update is a function with hands, like an op, that the generated program calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from byhand.errors import ArgumentError, UnknownNameError
from byhand.kernels import compiled, kernel, launch, scratch, share
from byhand.ops.op import Array
from byhand.program.source import Update
from byhand.shapes import number

Setting = float | Array  # what may change from step to step: a number, or float64 (1,) that each launch reads anew
GRAIN = 16384  # parameters of a block
WIDE = 4 * GRAIN  # of a block that does little with each


def setting(value: Setting) -> Array:
    """Return a setting as an array."""
    return value if isinstance(value, np.ndarray) else np.array([value], np.float64)


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


@kernel
def sgd_block(p, g, velocity, lr, momentum, nesterov, weight_decay, block):  # type: ignore[no-untyped-def]
    """Hand `sgd_loops` a slice of all arrays."""
    part = slice(block * GRAIN, (block + 1) * GRAIN)
    speed = None if velocity is None else velocity[part]
    rate = p.dtype.type(lr[0])
    sgd_loops(p[part], g[part], speed, lr=rate, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


@compiled
def sgd_compiled(
    p: Array, g: Array, velocity: Array | None, *, lr: Setting, momentum: float, nesterov: bool, weight_decay: float
) -> None:
    """Do what `sgd_loops` does."""
    launch(sgd_block, share(p.size, GRAIN), p, g, velocity, setting(lr), momentum, nesterov, weight_decay)


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
    launch(adam_block, share(p.size, GRAIN), p, g, mean, square, factors, *betas, eps, added)


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
    blocks = share(g.size, WIDE)
    sums, factor = scratch(blocks, dtype=np.float64), scratch(1, dtype=g.dtype)
    launch(sum_squares, blocks, g, sums)
    launch(clip_factor, 1, sums, factor, norm)
    launch(scale_block, blocks, g, factor)


HANDS: dict[str, dict[str, Callable[..., None]]] = {
    "loops": {"sgd": sgd_loops, "adam": adam_loops, "clip": clip_loops},
    "arrays": {"sgd": sgd_arrays, "adam": adam_arrays, "clip": clip_arrays},
    "compiled": {"sgd": sgd_compiled, "adam": adam_compiled, "clip": clip_compiled},
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
