"""SGD: stochastic gradient descent, with momentum and weight decay. One loop over all parameters, in one flat buffer."""

from dataclasses import dataclass
from typing import ClassVar

from byhand.errors import ArgumentError
from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.ops.op import Array
from byhand.train.optim.hyperparameters import GRAIN, Setting, check, setting


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
        check(self, lr=None, momentum=1.0, weight_decay=None)
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


# hands ----------------------------------------------------------------------------------------------------------------


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
    launch(sgd_block, cdiv(p.size, GRAIN), p, g, velocity, setting(lr), momentum, nesterov, weight_decay)
