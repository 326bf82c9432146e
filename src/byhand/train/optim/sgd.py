"""SGD: stochastic gradient descent, with momentum and weight decay.

v = momentum v + (g + weight_decay p)
p = p - lr v                                      with Nesterov: p - lr (g + weight_decay p + momentum v)
"""

from dataclasses import dataclass
from typing import NamedTuple

from byhand.errors import ArgumentError
from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.train.optim.hyperparameters import BLOCK_PARAMETERS, as_array, check_ranges
from byhand.train.optim.optimizer import Optimizer, register


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum v + g, p = p - lr v.

    lr: the learning rate; nesterov: take the gradient step from where the velocity leads; weight_decay: added to the
    gradient as weight_decay p. The same steps as `torch.optim.SGD`.
    Sources: Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013.

    >>> import byhand as bh
    >>> bh.SGD(lr=0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    lr: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, lr=None, momentum=1.0, weight_decay=None)
        if not isinstance(self.nesterov, bool):  # checkpoints are untrusted, and the value becomes text of the program
            raise ArgumentError(f"SGD: nesterov is {self.nesterov!r}; expected True or False")
        if self.nesterov and not self.momentum:
            raise ArgumentError("SGD: nesterov needs momentum; give momentum=0.9")

    @property
    def buffers(self) -> tuple[str, ...]:
        """The velocity; without momentum, nothing."""
        return ("velocity",) if self.momentum else ()


# hands ----------------------------------------------------------------------------------------------------------------


def sgd_loops(p, g, velocity, *, lr, momentum, nesterov, weight_decay):
    """Update parameter by parameter."""
    for i in range(p.size):
        step = g[i] + weight_decay * p[i]
        if velocity is not None:
            velocity[i] = momentum * velocity[i] + step
            step = step + momentum * velocity[i] if nesterov else velocity[i]
        p[i] -= lr * step


def sgd_arrays(p, g, velocity, *, lr, momentum, nesterov, weight_decay):
    """Update with NumPy."""
    step = g + weight_decay * p if weight_decay else g
    if velocity is not None:
        velocity *= momentum
        velocity += step
        step = step + momentum * velocity if nesterov else velocity
    p -= lr * step


class Momentum(NamedTuple):
    """How the velocity enters a step."""

    factor: float
    nesterov: bool


@kernel
def sgd_block(p, g, velocity, lr, momentum, weight_decay, block):
    """Run `sgd_loops` on one block of all arrays."""
    part = slice(block * BLOCK_PARAMETERS, (block + 1) * BLOCK_PARAMETERS)
    speed = None if velocity is None else velocity[part]
    rate = p.dtype.type(lr[0])
    factor, nesterov = momentum
    sgd_loops(p[part], g[part], speed, lr=rate, momentum=factor, nesterov=nesterov, weight_decay=weight_decay)


@compiled
def sgd_compiled(p, g, velocity, *, lr, momentum, nesterov, weight_decay):
    """Update in parallel blocks."""
    blocks = cdiv(p.size, BLOCK_PARAMETERS)
    launch(sgd_block, blocks, p, g, velocity, as_array(lr), Momentum(momentum, nesterov), weight_decay)


register(SGD, loops=sgd_loops, arrays=sgd_arrays, compiled=sgd_compiled)
