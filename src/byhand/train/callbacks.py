"""Callbacks: functions that a training calls with the row of each epoch."""

from collections.abc import Callable, Sequence

from byhand.errors import ArgumentError
from byhand.train.history import Row


def ends_training(callbacks: Sequence[Callable[[Row], object]], row: Row) -> bool:
    """Call all callbacks with an epoch's row; return whether one of them returned True.

    >>> seen = []
    >>> ends_training([seen.append, lambda row: row["loss"] < 0.1], {"epoch": 3, "loss": 0.05}), len(seen)
    (True, 1)
    """
    answers = [callback(row) for callback in callbacks]  # of all of them
    return any(answer is True for answer in answers)


def check_callbacks(callbacks: object) -> None:
    """Raise ArgumentError for anything but a sequence of functions."""
    if callable(callbacks) or not isinstance(callbacks, (list, tuple)):
        raise ArgumentError(f"fit: callbacks is {callbacks!r}; expected a list of functions of an epoch's row")
    for callback in callbacks:
        if not callable(callback):
            raise ArgumentError(
                f"fit: callbacks has a {type(callback).__name__}; expected functions of an epoch's row, such as "
                "lambda row: print(row['loss'])"
            )
