"""Hints: what to write in byhand for a name or a call of PyTorch, Keras, fastai or scikit-learn, and "did you mean" for a slip.

`attributes.py` and `arguments.py` are the tables. `unknown_attribute` makes the error of a module or an object that has no such
attribute, `Hinted` is a base class whose objects raise it; `hinted` makes the error of a call whose arguments do not fit,
`hinted_class` that of a dataclass.
"""

from __future__ import annotations

import opcode
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from byhand.errors import UnknownArgumentError, UnknownAttributeError, UnknownImportError, suggestion
from byhand.hints.arguments import CALL_KEYWORDS, KEYWORDS, POSITIONS, RENAMED
from byhand.hints.attributes import MODULE_NAMES, OBJECT_NAMES

__all__ = ["Hinted", "hinted", "hinted_class", "keyword_hint", "unknown_attribute", "unknown_keyword", "warn"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def unknown_attribute(
    owner: str, name: str, known: Iterable[str], hints: Mapping[str, str] = MODULE_NAMES
) -> AttributeError | ImportError:
    """Return the error for an attribute that `owner` does not have: `__getattr__` raises it.

    It is an ImportError where the caller's caller runs `from owner import name`, which hides the text of an AttributeError.
    """
    text = f"{owner} has no attribute '{name}'"
    if name.startswith("_"):  # Python asks for those, and expects a plain answer
        return AttributeError(text)
    hint = f"; {hints[name]}" if name in hints else suggestion(name, known)
    if not hint and owner.startswith("byhand") and hasattr(np, name):
        hint = f"; byhand works on NumPy arrays: np.{name}"
    frame = sys._getframe(2)
    if frame.f_code.co_code[frame.f_lasti] == opcode.opmap["IMPORT_FROM"]:
        return UnknownImportError(f"{text}{hint}")
    return UnknownAttributeError(f"{text}{hint}")


def warn(text: str) -> None:
    """Warn, with the line of the user's file that called byhand."""
    frame, level = sys._getframe(), 0
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "byhand":
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level + 1)


class Hinted:
    """Base class of objects whose unknown attributes raise a hint: of the table in `OBJECT_NAMES` under their class's name."""

    if not TYPE_CHECKING:  # else type checkers would take any name for one that is there

        def __getattr__(self, name):
            """Raise the error for an attribute that there is not."""
            known = [key for key in dir(self) if key[0] != "_"]
            table = next(
                (OBJECT_NAMES[kind.__name__] for kind in type(self).__mro__ if kind.__name__ in OBJECT_NAMES), {}
            )
            raise unknown_attribute(f"the {type(self).__name__}", name, known, table)


def hinted_class(kind: C) -> C:
    """Return a class whose construction with wrong arguments raises a hint: a decorator above `@dataclass`."""
    kind.__init__ = hinted(kind.__init__)  # type: ignore[misc]
    return kind


def hinted(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function, or a constructor, whose call with wrong arguments raises a hint.

    >>> @hinted
    ... def layer(filters, *, stride=1):
    ...     return filters
    >>> layer(8, strides=2)
    Traceback (most recent call last):
    byhand.errors.UnknownArgumentError: layer: there is no argument 'strides'; write stride=
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            problem = _call_problem(function, args, kwargs)
            if problem is None:  # raised within the call
                raise
        raise UnknownArgumentError(problem)

    return call


def _call_problem(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the arguments of a call, and what to write; None where they fit."""
    parameters = dict(signature(function).parameters)
    try:
        signature(function).bind(*args, **kwargs)
    except TypeError as error:
        wrong = str(error)
    else:
        return None
    name, open_ended = function.__name__, any(value.kind is Parameter.VAR_KEYWORD for value in parameters.values())
    example = POSITIONS.get(function.__qualname__.removesuffix(".__init__"), "")
    if next(iter(parameters), "") == "self":
        owner = type(args[0]).__name__
        name, args = owner if name == "__init__" else f"{owner}.{name}", args[1:]
        del parameters["self"]
    parameters = {key: value for key, value in parameters.items() if value.kind in NAMED}
    unknown = [keyword for keyword in kwargs if keyword not in parameters and not open_ended]
    places = [key for key, parameter in parameters.items() if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD]
    if unknown:
        return unknown_keyword(name, unknown[0], parameters)
    if len(args) > len(places):
        by_name = [key for key in parameters if key not in places]
        example = POSITIONS.get(name, example)
        hint = example or f"give others by name: {', '.join(f'{key}=' for key in by_name)}"
        taken = f"expected at most {len(places)} ({', '.join(places)})" if places else "expected none"
        values = f"{len(args)} value{'s' * (len(args) > 1)}"
        return f"{name}: got {values} by position; {taken}" + (f"; {hint}" if by_name or example else "")
    example = POSITIONS.get(name, example)
    return f"{name}: {wrong}{f'; {example}' if example else ''}"


def unknown_keyword(owner: str, keyword: str, known: Iterable[str]) -> str:
    """Return the message for a keyword that a call does not take."""
    known = [name for name in known if name != "model" or "." not in owner]
    hint = keyword_hint(owner, keyword, known)
    expected = f"; expected {', '.join(known)}" if known else "; it takes none"
    return f"{owner}: there is no argument '{keyword}'{hint or expected}"


def keyword_hint(owner: str, keyword: str, known: Iterable[str]) -> str:
    """Return what to write for a keyword that a call does not take, after a semicolon; "" where nothing is known.

    >>> keyword_hint("conv2d", "strides", ["stride", "padding"])
    '; write stride='
    """
    known = list(known)
    here = next((name for name in RENAMED.get(keyword, ()) if name in known), None)
    if here is not None:
        return f"; write {here}="
    sentence = CALL_KEYWORDS.get((owner.rsplit(".", maxsplit=1)[-1], keyword)) or KEYWORDS.get(keyword)
    return f"; {sentence}" if sentence else suggestion(keyword, known)
