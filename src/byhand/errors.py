"""What can go wrong, in one tree. Catch `ByhandError` and you have caught all of it.

    ByhandError
    ├── ArgumentError (ValueError)     an argument that an op, a layer or a call can't use
    │   └── ShapeError                 ... because of its shape
    ├── UnknownNameError (LookupError) a model, op, data set or tensor of that name does not exist
    ├── FileError (ValueError)         a file that is missing, cut short, or not what it says it is
    │   └── UnsupportedError           ... or that asks for what byhand does not do
    └── DivergedError (ArithmeticError) training whose loss is no number any more

A message names the op or layer, the argument, what was got, what was expected and what to do, in one line. On the command
line it is printed as it stands, and the exit code is 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class ByhandError(Exception):
    """Any error that byhand raises on purpose."""


class ArgumentError(ByhandError, ValueError):
    """An argument that an op, a layer or a call can't use."""


class ShapeError(ArgumentError):
    """An array, or an image, whose shape does not fit."""


MOST_NAMES = 40  # that an error tells


class UnknownNameError(ByhandError, LookupError):
    """A name that nothing here has.

    >>> raise UnknownNameError("model", "lenet", ["article", "lenet5"])
    Traceback (most recent call last):
    byhand.errors.UnknownNameError: there is no model 'lenet'; did you mean 'lenet5'? (known: article, lenet5)
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        name, known = str(name), sorted(known)
        close = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        if len(known) > MOST_NAMES:  # those that look like it, of as many
            near = get_close_matches(name, known, MOST_NAMES, cutoff=0.3) or known[:MOST_NAMES]
            known = [*sorted(near), f"... {len(known)} in all"]
        super().__init__(f"there is no {what} '{name}'{hint} (known: {', '.join(known)})")


class FileError(ByhandError, ValueError):
    """A file that is missing, cut short, or not what it says it is."""


class UnsupportedError(FileError):
    """A file that asks for what byhand does not do."""


class DivergedError(ByhandError, ArithmeticError):
    """Training whose loss is no number any more."""
