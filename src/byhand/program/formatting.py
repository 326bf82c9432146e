"""The format of a program: its import lines, its calls with their comments in a column, and its literals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from typing import NamedTuple

from byhand.errors import ArgumentError

COMMENT_COLUMN = 92  # where the shapes begin
MAX_COLUMNS = 120  # of a line without its comment


class Line(NamedTuple):
    """A statement in parts, each of which stays on one line of the file, and its comment."""

    parts: tuple[str, ...]
    comment: str = ""


def lay_out(lines: Iterable[Line]) -> Iterator[str]:
    """Yield the lines of a function, comments in a column; a call that is too long goes on below its first argument."""
    for (start, *parts), comment in lines:
        line, indent = f"    {start}".rstrip(), " " * (5 + start.find("("))
        for part in parts:
            if len(line) + 1 + len(part) > COMMENT_COLUMN:
                yield line
                line = indent + part
            else:
                line += f" {part}"
        yield f"{line:{COMMENT_COLUMN}}  # {comment}" if comment else line


def import_lines(functions: Mapping[str, Callable[..., None]]) -> Iterator[str]:
    """Yield the import statements of functions, given by the names that the program calls them by."""
    for module in sorted({function.__module__ for function in functions.values()}):
        names = [(alias, function.__name__) for alias, function in functions.items() if function.__module__ == module]
        by_alias = sorted(names)  # the same order for every hand
        words = [name if name == alias else f"{name} as {alias}" for alias, name in by_alias]
        line = f"from {module} import {', '.join(words)}"
        yield (line if len(line) <= MAX_COLUMNS else f"from {module} import (\n    {f',{chr(10)}    '.join(words)},\n)")


def in_rows(words: Iterable[str], width: int) -> list[str]:
    """Return words with commas between them, in rows of at most so many characters."""
    rows: list[str] = []
    for word in words:
        if rows and len(rows[-1]) + len(word) + 3 <= width:  # two commas and a space
            rows[-1] += f", {word}"
        else:
            rows.append(word)
    return rows


def literal(value: object) -> str:
    """Return an attribute as Python text that evaluates to it; anything but plain values is refused."""
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if type(value) is float and not isfinite(value):
        return f'float("{value}")'
    if value is None or type(value) in (bool, int, float, str):  # a NumPy number is a float, but is not written as one
        return repr(value)
    raise ArgumentError(f"an attribute holds a {type(value).__name__}; expected numbers, strings or tuples of them")
