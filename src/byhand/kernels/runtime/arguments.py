"""The arguments of a launch as 64-bit words, the form in which machine code finds them.

    array    its address, then its sizes:  a (3, 5) array is three words
    number   its value; a float as the bits of a float64
    None     no word: it is part of the kind
    tuple    the words of its members, one after the other; a NamedTuple alike

`kind_of` says what a kernel is compiled for, `pack` what it is run on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from byhand.kernels.runtime.types import Array


class TupleKind(NamedTuple):
    """The kind of a tuple: its class, the names of a NamedTuple's fields, and the kinds of its members."""

    cls: type
    fields: tuple[str, ...]
    members: tuple[Kind, ...]


Kind = str | TupleKind


def kind_of(argument: Any) -> Kind:
    """Return the kind of an argument: of an array its type and axes ("f4x2"), of a number its type."""
    if isinstance(argument, np.ndarray):
        return f"{argument.dtype.str[1:]}x{argument.ndim}"
    if isinstance(argument, tuple):
        return TupleKind(type(argument), getattr(argument, "_fields", ()), tuple(map(kind_of, argument)))
    if isinstance(argument, np.integer):
        return "int"
    return {type(None): "none", bool: "bool", int: "int"}.get(type(argument), "float")


def pack(arguments: tuple[Any, ...]) -> Array:
    """Return arguments as words."""
    return np.array([word for leaf in leaves(arguments) for word in words_of(leaf)], np.int64)


def leaves(argument: Any) -> Iterator[Any]:
    """Yield the arrays, numbers and Nones of an argument: tuples are laid open."""
    if isinstance(argument, tuple):
        for member in argument:
            yield from leaves(member)
    else:
        yield argument


def words_of(leaf: Any) -> tuple[int, ...]:
    """Return the words of an array, a number or None."""
    if isinstance(leaf, np.ndarray):
        return (leaf.ctypes.data, *leaf.shape)
    if leaf is None:
        return ()
    if isinstance(leaf, (bool, int, np.integer)):
        return (int(leaf),)
    return (int(np.float64(leaf).view(np.int64)),)


def address_words(arguments: tuple[Any, ...]) -> Iterator[int]:
    """Yield the places of those words that are addresses of arrays."""
    place = 0
    for leaf in leaves(arguments):
        if isinstance(leaf, np.ndarray):
            yield place
        place += len(words_of(leaf))


def leaf_kinds(kinds: tuple[Kind, ...]) -> Iterator[str]:
    """Yield the kinds of the leaves."""
    for kind in kinds:
        if isinstance(kind, TupleKind):
            yield from leaf_kinds(kind.members)
        else:
            yield kind


def main_dtype(kinds: tuple[Kind, ...]) -> str:
    """Return the floating-point type that plain numbers take, "f4" or "f8": that of the first array of one."""
    return next((kind[:2] for kind in leaf_kinds(kinds) if kind.startswith(("f4", "f8"))), "f8")
