"""Optimizers and schedules as JSON and back: for checkpoints and run files."""

from dataclasses import fields
from typing import Any

from byhand.errors import ArgumentError, UnknownNameError
from byhand.train.optim import OPTIMIZERS
from byhand.train.schedule import SCHEDULES

FUNCTION = {"kind": "function"}  # a schedule or a loss that no file can hold
MAX_NESTING = 10  # schedules within schedules


def to_json(value: object) -> dict[str, Any]:
    """Return an optimizer or a schedule as an object of plain values; of a function of the user's, that it is one.

    >>> from byhand.train import Cosine, Warmup
    >>> to_json(Warmup(0.1, Cosine()))
    {'kind': 'Warmup', 'fraction': 0.1, 'then': {'kind': 'Cosine', 'final': 0.0}}
    """
    if type(value).__name__ not in registered_types():
        return FUNCTION
    values = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
    return {"kind": type(value).__name__} | {
        name: to_json(field) if type(field).__name__ in registered_types() else field for name, field in values.items()
    }


def from_json(data: Any, nesting: int = 0) -> Any:
    """Return the optimizer or schedule that `to_json` wrote.

    Raises UnknownNameError, ArgumentError or TypeError for anything else.
    """
    if nesting > MAX_NESTING:
        raise ArgumentError(f"schedules are nested more than {MAX_NESTING} deep")
    values = {
        name: from_json(value, nesting + 1) if isinstance(value, dict) else value for name, value in dict(data).items()
    }
    kind = values.pop("kind", None)
    if kind not in registered_types():
        raise UnknownNameError("optimizer or schedule", str(kind), registered_types())
    return registered_types()[kind](**values)


def registered_types() -> dict[str, type[Any]]:
    """Return all optimizers and schedules by name."""
    return {**OPTIMIZERS, **SCHEDULES}
