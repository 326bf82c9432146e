"""Untrusted text made safe to print: one line, no control characters, bounded length.

Names of files, classes and layers may come from files that someone else wrote. A terminal executes the control characters in
them, and a page or a figure breaks on their line ends.
"""

from collections.abc import Sequence
from contextlib import suppress

ERROR_MAX_LETTERS = 400  # of another library's message


def printable(text: str, replacement: str = "?") -> str:
    """Return text with every character that is not printable replaced, bytes that are no UTF-8 included.

    >>> printable("cat\\x1b[31m\\n")
    'cat?[31m?'
    """
    with suppress(UnicodeEncodeError):  # a lone surrogate; it is replaced below
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else replacement for letter in text)


def shorten(text: str, max_letters: int = 32) -> str:
    """Return text on one line, control characters as spaces, with an ellipsis in its middle where it is too long.

    >>> shorten("a_very_long_name_of_a_class", 12)
    'a_ver…_class'
    """
    text = printable(text, " ")
    return text if len(text) <= max_letters else f"{text[: max_letters // 2 - 1]}…{text[-max_letters // 2 :]}"


def one_line(error: Exception, max_letters: int = ERROR_MAX_LETTERS) -> str:
    """Return an exception's message on one line, printable and cut.

    >>> one_line(ValueError("expected\\n  4 bytes"))
    'expected 4 bytes'
    """
    return printable(" ".join(str(error).split())[:max_letters])


def abbreviate(names: Sequence[str], max_names: int = 5) -> str:
    """Return the first few names of a list, and how many more there are.

    >>> abbreviate(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - max_names:,} more" if len(names) > max_names else ""
    return ", ".join(names[:max_names]) + more
