"""RMSprop: the gradient divided by the root of a moving average of its square.

v = alpha v + (1 - alpha) g^2
u = momentum u + g / (sqrt(v) + eps)
p = p - lr u
"""

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.train.optim.hyperparameters import BLOCK_PARAMETERS, as_array, check_ranges
from byhand.train.optim.optimizer import Optimizer, register


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop: steps of about lr, whatever the size of the gradient.

    alpha: the weight of the past in the average of the squares (Keras' rho); momentum: of the steps; weight_decay: added to the
    gradient as weight_decay p. The same steps as `torch.optim.RMSprop`.
    Source: Tieleman & Hinton 2012, "Lecture 6.5: rmsprop", Coursera: Neural networks for machine learning.

    >>> import byhand as bh
    >>> bh.RMSprop(lr=0.01).alpha
    0.99
    """

    lr: float = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, lr=None, alpha=1.0, eps=None, momentum=1.0, weight_decay=None)

    @property
    def buffers(self) -> tuple[str, ...]:
        """The average of the squares; with momentum, also the velocity."""
        return ("square_avg", "velocity") if self.momentum else ("square_avg",)


# hands ----------------------------------------------------------------------------------------------------------------


def rmsprop_loops(p, g, square_avg, velocity, *, lr, alpha, eps, momentum, weight_decay):
    """Update parameter by parameter."""
    for i in range(p.size):
        step = g[i] + weight_decay * p[i]
        square_avg[i] = alpha * square_avg[i] + (1 - alpha) * step * step
        step = step / (sqrt(square_avg[i]) + eps)
        if velocity is not None:
            velocity[i] = momentum * velocity[i] + step
            step = velocity[i]
        p[i] -= lr * step


def rmsprop_arrays(p, g, square_avg, velocity, *, lr, alpha, eps, momentum, weight_decay):
    """Update with NumPy."""
    step = g + weight_decay * p if weight_decay else g
    square_avg += (1 - alpha) * (step * step - square_avg)
    step = step / (np.sqrt(square_avg) + eps)
    if velocity is not None:
        velocity *= momentum
        velocity += step
        step = velocity
    p -= lr * step


class Settings(NamedTuple):
    """The hyperparameters of a step."""

    alpha: float
    new: float  # 1 - alpha
    eps: float
    momentum: float
    weight_decay: float


@kernel
def rmsprop_block(p, g, square_avg, velocity, lr, settings, block):
    """Update one block."""
    part = slice(block * BLOCK_PARAMETERS, (block + 1) * BLOCK_PARAMETERS)
    p, g, square_avg = p[part], g[part], square_avg[part]
    speed = None if velocity is None else velocity[part]
    kind = p.dtype.type
    rate, alpha, new, eps = kind(lr[0]), kind(settings.alpha), kind(settings.new), kind(settings.eps)
    momentum, weight_decay = kind(settings.momentum), kind(settings.weight_decay)
    for i in range(p.size):
        step = g[i] + weight_decay * p[i]
        square_avg[i] = alpha * square_avg[i] + new * step * step
        step = step / (sqrt(square_avg[i]) + eps)
        if speed is not None:
            speed[i] = momentum * speed[i] + step
            step = speed[i]
        p[i] -= rate * step


@compiled
def rmsprop_compiled(p, g, square_avg, velocity, *, lr, alpha, eps, momentum, weight_decay):
    """Update in parallel blocks."""
    settings = Settings(alpha, 1 - alpha, eps, momentum, weight_decay)
    launch(rmsprop_block, cdiv(p.size, BLOCK_PARAMETERS), p, g, square_avg, velocity, as_array(lr), settings)


register(RMSprop, loops=rmsprop_loops, arrays=rmsprop_arrays, compiled=rmsprop_compiled)
