"""Optimisers and schedules as JSON and back, so that a run can be repeated and resumed."""

from dataclasses import fields
from typing import Any

from byhand.errors import ArgumentError, UnknownNameError
from byhand.train.optim import OPTIMIZERS
from byhand.train.schedule import SCHEDULES

KINDS = OPTIMIZERS | SCHEDULES


def to_json(settings: Any) -> dict[str, Any]:
    """Return an optimiser or a schedule as plain values.

    >>> from byhand.train import Cosine, WarmUp
    >>> to_json(WarmUp(0.1, Cosine()))
    {'kind': 'WarmUp', 'part': 0.1, 'then': {'kind': 'Cosine', 'final': 0.0}}
    """
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return {"kind": type(settings).__name__} | {
        name: to_json(value) if type(value).__name__ in KINDS else value for name, value in values.items()
    }


def from_json(data: Any, deep: int = 0) -> Any:
    """Return the optimiser or schedule that `to_json` wrote.

    Raises UnknownNameError, ArgumentError or TypeError for anything else.
    """
    if deep > 10:
        raise ArgumentError("schedules stand within each other, more than ten deep")
    values = {
        name: from_json(value, deep + 1) if isinstance(value, dict) else value for name, value in dict(data).items()
    }
    kind = values.pop("kind", None)
    if kind not in KINDS:
        raise UnknownNameError("optimiser or schedule", str(kind), KINDS)
    return KINDS[kind](**values)
