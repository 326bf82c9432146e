"""The optimizer interface: a frozen dataclass of hyperparameters and one update, written by three hands.

The signature of the update is the contract, as the signature of an op is:

    update(p, g, exp_avg, exp_avg_sq, t, *, lr, beta1, beta2, ...)

    p, g         all parameters and all gradients, each in one flat buffer
    parameters   in place of p: the parameters by name, with `parameters.flat`, where a matrix is more than its elements
    t            the number of the step, from 1
    other arrays kept by the optimizer from step to step, as long as p, zero before the first step
    lr           the learning rate of the step
    other keywords   the hyperparameter of that name

From these names the generated program writes its call, the data-parallel step makes its own, and a checkpoint finds the arrays
to save.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

from byhand.errors import UnknownNameError
from byhand.hints import Hinted, hinted
from byhand.ops.op import Array, keywords, positional
from byhand.program.formatting import literal
from byhand.train.optim.hyperparameters import Scheduled

Hands = dict[str, Callable[..., None]]  # loops, arrays, compiled: the same update, written three times
OPTIMIZERS: dict[str, type[Optimizer]] = {}  # by class name; `register` fills it
# Arguments that every program has, as it names them.
GIVEN = {"p": "p.flat", "parameters": "p", "g": "g.flat", "t": "t"}


class Optimizer(Hinted):
    """Base class of all optimizers. A subclass is a frozen dataclass whose fields are its hyperparameters."""

    lr: float
    hands: ClassVar[Hands]

    @property
    def buffers(self) -> tuple[str, ...]:
        """The names of the arrays that the optimizer keeps from step to step, each as long as the parameters."""
        return tuple(name for name in positional(self.hands["arrays"]) if name not in GIVEN)

    def function(self, hand: str) -> Callable[..., None]:
        """Return the update of one hand."""
        return choose(self.hands, hand)

    def line(self) -> str:
        """Return the update as a line of the generated program.

        >>> from byhand.train import SGD
        >>> SGD(momentum=0.9).line()
        'sgd(p.flat, g.flat, optimizer.velocity, lr=lr, momentum=0.9, nesterov=False, weight_decay=0.0)'
        """
        kept = {name: f"optimizer.{name}" for name in self.buffers}
        arrays = [GIVEN.get(name) or kept.get(name, "None") for name in positional(self.hands["arrays"])]
        settings = [f"{name}={literal(value)}" for name, value in self._hyperparameters().items()]
        name = self.hands["arrays"].__name__.removesuffix("_arrays")
        return f"{name}({', '.join([*arrays, 'lr=lr', *settings])})"

    def apply(
        self, p: SimpleNamespace, g: Array, buffers: SimpleNamespace, *, lr: Scheduled, t: Scheduled, hand: str
    ) -> None:
        """Do one update outside a generated program: the same call as `line` says.

        p: the parameters by name, with `flat`; g: all gradients in one buffer; buffers: the optimizer's arrays by name.
        """
        arrays = {"p": p.flat, "parameters": p, "g": g, "t": t} | vars(buffers)
        names = positional(self.hands["arrays"])
        self.function(hand)(*(arrays.get(name) for name in names), lr=lr, **self._hyperparameters())

    def _hyperparameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in keywords(self.hands["arrays"]) if name != "lr"}


def register(
    *kinds: type[Optimizer], loops: Callable[..., None], arrays: Callable[..., None], compiled: Callable[..., None]
) -> None:
    """Make dataclasses optimizers: from here the command line, run files, checkpoints and tests know them by name.

    Every hyperparameter has a default. Raises TypeError where the hands differ in their arguments, or take a hyperparameter
    that a class does not have.
    """
    hands = {"loops": loops, "arrays": arrays, "compiled": compiled}
    contract = positional(arrays), keywords(arrays)
    for hand, function in hands.items():
        if (positional(function), keywords(function)) != contract:
            raise TypeError(f"{function.__name__}: the {hand} and arrays hands differ in their arguments")
    for kind in kinds:
        if missing := next((name for name in contract[1] if not hasattr(kind, name)), None):
            raise TypeError(f"{kind.__name__} has no {missing}, which {arrays.__name__} takes")
        kind.hands = hands
        kind.__init__ = hinted(kind.__init__)  # type: ignore[method-assign]
        OPTIMIZERS[kind.__name__] = kind


def choose(hands: Hands, hand: str) -> Callable[..., None]:
    """Return a hand by name; raise UnknownNameError for a name that is none."""
    if hand not in hands:
        raise UnknownNameError("hand", hand, hands)
    return hands[hand]
