"""The arguments of a launch as 64-bit words, the form in which machine code reads them.

    array    its address, then its sizes:  a (3, 5) array is three words
    number   its value; a float as the bits of a float64
    None     no word: it is part of the kind
    tuple    the words of its members, one after the other; a NamedTuple alike

`kind_of` gives the types for which a kernel is compiled, `pack` the words with which it is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from byhand.kernels.runtime.types import Argument, Array

WORD_BYTES = 8

# A row of a launch table (thread_pool.py writes it, parallel_loop.py runs it): entry, address of the arguments, blocks.
LAUNCH_ROW_BYTES = 3 * WORD_BYTES


class TupleKind(NamedTuple):
    """The kind of a tuple: its class, the names of a NamedTuple's fields, and the kinds of its members."""

    cls: type
    fields: tuple[str, ...]
    members: tuple[Kind, ...]


Kind = str | TupleKind


def kind_of(argument: Argument) -> Kind:
    """Return the kind of an argument: of an array its type and axes ("f4x2"), of a number its type."""
    if isinstance(argument, np.ndarray):
        return f"{argument.dtype.str[1:]}x{argument.ndim}"
    if isinstance(argument, tuple):
        return TupleKind(type(argument), getattr(argument, "_fields", ()), tuple(map(kind_of, argument)))
    if isinstance(argument, np.integer):
        return "int"
    return {type(None): "none", bool: "bool", int: "int"}.get(type(argument), "float")


def pack(arguments: tuple[Argument, ...]) -> Array:
    """Return arguments as words."""
    words: list[int] = []
    _append(words, [], arguments)
    return np.array(words, np.int64)


def address_words(arguments: tuple[Argument, ...]) -> list[int]:
    """Return the indices of those words that are addresses of arrays."""
    addresses: list[int] = []
    _append([], addresses, arguments)
    return addresses


def _append(words: list[int], addresses: list[int], arguments: tuple[Argument, ...]) -> None:
    """Append the words of arguments, and the indices of those that are addresses."""
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            addresses.append(len(words))
            words += (argument.ctypes.data, *argument.shape)
        elif isinstance(argument, tuple):
            _append(words, addresses, argument)
        elif isinstance(argument, (bool, int, np.integer)):
            words.append(int(argument))
        elif argument is not None:
            words.append(int(np.float64(argument).view(np.int64)))


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
