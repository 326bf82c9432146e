"""The optimizers, and the update that one of them adds to a generated training program.

A new optimizer is one file, which ends with `register`, and one line in `catalog.py`.
"""

import typing as _typing
from collections.abc import Callable
from types import SimpleNamespace

from byhand.errors import ArgumentError
from byhand.hints import unknown_attribute as _unknown_attribute
from byhand.ops.op import Array
from byhand.program.spec import Update
from byhand.train.optim.catalog import *  # noqa: F403
from byhand.train.optim.clip import CLIP_GRAD_NORM, clip_line
from byhand.train.optim.hyperparameters import Scheduled
from byhand.train.optim.optimizer import OPTIMIZERS, Optimizer, choose

__all__ = ["CLIP_GRAD_NORM", "OPTIMIZERS", "Optimizer", "check_optimizer", "update", "update_function"]
__all__ += list(OPTIMIZERS)  # every optimizer


def check_optimizer(optimizer: object) -> None:
    """Raise ArgumentError for anything but an optimizer."""
    if not isinstance(optimizer, tuple(OPTIMIZERS.values())):
        names = {name.lower(): name for name in OPTIMIZERS}
        given = optimizer.__name__ if isinstance(optimizer, type) else str(optimizer)
        if given.lower() in names:
            raise ArgumentError(f"Trainer: optimizer is {optimizer!r}; write bh.{names[given.lower()]}(lr=...)")
        raise ArgumentError(
            f"Trainer: optimizer is {optimizer!r}; expected one of {', '.join(OPTIMIZERS)}, such as bh.SGD()"
        )


def update(optimizer: Optimizer, clip_norm: float | None, hand: str) -> Update:
    """Return the functions and the lines that an optimizer adds to the generated program, clipping first."""
    functions, lines = [optimizer.function(hand)], [optimizer.line()]
    if clip_norm is not None:
        functions.insert(0, choose(CLIP_GRAD_NORM, hand))
        lines.insert(0, clip_line(clip_norm))
    return Update(tuple(functions), tuple(lines))


def update_function(
    optimizer: Optimizer, clip_norm: float | None, hand: str, p: SimpleNamespace, buffers: SimpleNamespace
) -> Callable[[Array, Scheduled, Scheduled], None]:
    """Return the same update as a function of the gradient, the learning rate and the step number.

    The data-parallel step calls it after its all-reduce, outside the generated program.
    """

    def apply(g: Array, lr: Scheduled, t: Scheduled) -> None:
        if clip_norm is not None:
            choose(CLIP_GRAD_NORM, hand)(g, max_norm=clip_norm)
        optimizer.apply(p, g, buffers, lr=lr, t=t, hand=hand)

    return apply


if not _typing.TYPE_CHECKING:  # else type checkers would take any name for one that is there

    def __getattr__(name):
        """Raise the error for a name that there is not: it says what to write."""
        raise _unknown_attribute("byhand.train.optim", name, __all__)
