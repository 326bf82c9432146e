"""The registry of the training doctor: a decorator makes a function one of its checks.

    @check("dead ReLUs", stage="gradients")
    def dead_relus(inputs: DiagnosisInput) -> Finding | str | None:
        ...

A check returns a `Finding`; None where it finds nothing; or a string, the reason why it could not run. Its docstring states the
criterion and the source of its threshold. The name stands in the report, in the list of the checks that passed.
"""

from collections.abc import Callable
from typing import NamedTuple

from byhand.errors import ArgumentError
from byhand.report.diagnosis_input import DiagnosisInput, Finding

STAGES = (  # causes before effects; findings of one severity are listed in this order
    "input",  # preprocessing
    "gradients",  # activations and gradients inside the network
    "optimization",  # the training loss
    "data",  # images, labels, classes
    "generalization",  # training beside held-out images
    "evaluation",  # how well the result is known
)
CheckFunction = Callable[[DiagnosisInput], Finding | str | None]


class Check(NamedTuple):
    """A check of the training doctor."""

    name: str
    stage: str
    run: CheckFunction

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.run.__doc__ or "").strip().split("\n", maxsplit=1)[0]


_CHECKS: dict[str, Check] = {}


def check(name: str, *, stage: str) -> Callable[[CheckFunction], CheckFunction]:
    """Return a decorator that registers a check."""
    if stage not in STAGES:
        raise ArgumentError(f"check: stage is {stage!r}; expected one of {', '.join(STAGES)}")

    def register(function: CheckFunction) -> CheckFunction:
        if name in _CHECKS:
            raise ArgumentError(f"check: the name {name!r} is taken")
        if not function.__doc__:
            raise ArgumentError(
                f"check: {name!r} has no docstring; expected its criterion and the source of its threshold"
            )
        _CHECKS[name] = Check(name, stage, function)
        return function

    return register


def registered_checks() -> list[Check]:
    """Return all checks, by stage; within a stage in the order of their registration."""
    return sorted(_CHECKS.values(), key=lambda check: STAGES.index(check.stage))
