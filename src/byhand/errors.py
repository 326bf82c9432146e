"""The exceptions that byhand raises on purpose. `except ByhandError` catches all of them.

    ByhandError
    ├── ArgumentError (ValueError)      invalid argument of an op, a layer or a call
    │   ├── ShapeError                  array or image of the wrong shape
    │   └── UnknownArgumentError (TypeError)  call with an argument that there is not
    ├── UnknownNameError (LookupError)  no model, op, data set or tensor of that name
    ├── UnknownAttributeError (AttributeError)  attribute that a module or a model does not have
    ├── UnknownImportError (ImportError)  the same, where it is imported
    ├── FileError (ValueError)          file that is missing, truncated or invalid
    │   └── UnsupportedError            valid file that needs a feature byhand does not have
    ├── DivergedError (ArithmeticError) training loss that is NaN or infinite
    └── NotFiniteError (ArithmeticError) answer of a network that is NaN or infinite

A message is one line: the op or layer, the argument, what was wrong, what was expected and what to do. The command line
prints it and exits with code 2, of a NotFiniteError with code 1.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from byhand.text import printable


class ByhandError(Exception):
    """Base class of all exceptions that byhand raises.

    A message may quote names of files and classes from elsewhere: it is one line without control characters.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(" ".join(str(message).splitlines())))


class ArgumentError(ByhandError, ValueError):
    """Invalid argument of an op, a layer or a call."""


class ShapeError(ArgumentError):
    """Array or image of the wrong shape."""


class UnknownArgumentError(ArgumentError, TypeError):
    """Call with an argument that there is not; the message says what to write."""


class UnknownAttributeError(ByhandError, AttributeError):
    """Attribute that a module or a model does not have; the message says what to write."""


class UnknownImportError(ByhandError, ImportError):
    """Import of a name that a package does not have; the message says what to write."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean '...'?" with the closest known name, or nothing where none is close.

    >>> suggestion("strid", ["kernel", "stride"])
    "; did you mean 'stride'?"
    """
    close = get_close_matches(name, list(known), n=1)
    if not close:  # another spelling of capitals: relu for ReLU
        close = [other for other in known if other.lower() == name.lower()][:1]
    return f"; did you mean '{close[0]}'?" if close else ""


MAX_NAMES = 40  # listed in an error message
MAX_NAMES_BESIDE_SUGGESTION = 12  # with more known names, "did you mean" stands alone


class UnknownNameError(ByhandError, LookupError):
    """No model, op, data set or tensor of that name; the message suggests the closest one, and lists a few.

    listed_by: says where a long list of names is found; it then replaces the list.

    >>> raise UnknownNameError("model", "lenet", ["article", "lenet5"])
    Traceback (most recent call last):
    byhand.errors.UnknownNameError: there is no model 'lenet'; did you mean 'lenet5'? (known: article, lenet5)
    """

    def __init__(self, what: str, name: str, known: Iterable[str], listed_by: str = "") -> None:
        name, known = str(name), sorted(known)
        hint = suggestion(name, known)
        if len(known) > MAX_NAMES_BESIDE_SUGGESTION and (hint or listed_by):
            super().__init__(f"there is no {what} '{name}'{hint or f'; {listed_by}'}")
            return
        if len(known) > MAX_NAMES:  # too many to list: those similar to the name
            near = get_close_matches(name, known, MAX_NAMES, cutoff=0.3) or known[:MAX_NAMES]
            known = [*sorted(near), f"... {len(known)} in all"]
        super().__init__(f"there is no {what} '{name}'{hint} (known: {', '.join(known)})")


class FileError(ByhandError, ValueError):
    """File that is missing, truncated or invalid."""


class UnsupportedError(FileError):
    """Valid file that needs a feature byhand does not have."""


class DivergedError(ByhandError, ArithmeticError):
    """Training loss that is NaN or infinite."""


class NotFiniteError(ByhandError, ArithmeticError):
    """Answer of a network that is NaN or infinite."""
