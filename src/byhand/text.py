"""Untrusted text made safe to print: one line, no control characters, bounded length; commands and cells that can be pasted.

Names of files, classes and layers may come from files that someone else wrote. A terminal executes the control characters in
them, a page or a figure breaks on their line ends, and a spreadsheet takes some of them for formulas.
"""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from os import PathLike, fspath
from unicodedata import category, normalize

ERROR_MAX_LETTERS = 400  # of another library's message
ONE_NAME_MAX_LETTERS = 60  # of a class's name with a comma; a longer one is a list of synonyms
JOINERS = "\u200c\u200d"  # parts of words in Persian and Hindi, and of emoji; without effect elsewhere
WITHOUT_JOINERS = dict.fromkeys(map(ord, JOINERS))
# First letters that make a cell a formula to spreadsheets (OWASP, "CSV Injection").
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"


def printable(text: str, replacement: str = "?") -> str:
    """Return text with every character that is not printable replaced, bytes that are no UTF-8 included.

    Spaces of any width become plain spaces. The two joiners of Persian, Hindi and emoji stay.

    >>> printable("cat\\x1b[31m\\n")
    'cat?[31m?'
    """
    if text.isprintable():
        return text
    with suppress(UnicodeEncodeError):  # a lone surrogate; it is replaced below
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else _replaced(letter, replacement) for letter in text)


def _replaced(letter: str, replacement: str) -> str:
    if letter in JOINERS:
        return letter
    return " " if category(letter) == "Zs" else replacement


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


def class_labels(names: Sequence[str], max_letters: int = 32) -> list[str]:
    """Return the label by which tables, figures and reports show each class: its name, shortened to a line.

    Of synonyms the first stands for all. Labels that would look alike carry the class's index: a class is its index, and
    names may repeat, be empty, or differ in their middle only.

    >>> class_labels(["crane", "heron", "crane", ""])
    ['0: crane', 'heron', '2: crane', 'class 3']
    >>> class_labels(["crane", "crane", "0: crane"])
    ['0: crane', '1: crane', '2: 0: crane']
    """
    return _unique_labels(first_synonyms(names), max_letters)


def class_keys(names: Sequence[str]) -> list[str]:
    """Return each class's whole name as a key of a dictionary, with the class's index where names repeat.

    >>> class_keys(["crane", "tench, Tinca tinca", "crane"])
    ['0: crane', 'tench, Tinca tinca', '2: crane']
    """
    return _unique_labels(names, max((len(name) for name in names), default=1))


def _unique_labels(names: Sequence[str], max_letters: int) -> list[str]:
    names = [normalize("NFC", " ".join(shorten(name, max_letters).split())) for name in names]
    count = Counter(name.translate(WITHOUT_JOINERS) for name in names)
    labels = [
        f"class {index}" if not name else f"{index}: {name}" if count[name.translate(WITHOUT_JOINERS)] > 1 else name
        for index, name in enumerate(names)
    ]
    if len({label.translate(WITHOUT_JOINERS) for label in labels}) == len(labels):
        return labels
    return [
        f"{index}: {name}" if name else f"class {index}" for index, name in enumerate(names)
    ]  # a name begins so itself


def first_synonyms(names: Sequence[str]) -> list[str]:
    """Return the first of each class's comma-separated names, or the whole name where another class begins so too.

    Names are lists of synonyms, as ImageNet's, where one of them is too long for a line; else all stay whole.

    >>> long = "electric ray, crampfish, numbfish, torpedo, Torpediniformes, Torpedo marmorata"
    >>> first_synonyms([long, "tench, Tinca tinca", "black, matte", "black, glossy"])
    ['electric ray', 'tench', 'black, matte', 'black, glossy']
    >>> first_synonyms(["Doe, Jane", "Poe, Ed"])
    ['Doe, Jane', 'Poe, Ed']
    """
    if not any("," in name and len(name) > ONE_NAME_MAX_LETTERS for name in names):
        return list(names)
    firsts = [name.split(",", maxsplit=1)[0].strip() for name in names]
    count = Counter(firsts)
    return [first if first and count[first] == 1 else name for first, name in zip(firsts, names)]


# Text to paste --------------------------------------------------------------------------------------------------------


def command_line(*words: str | PathLike[str]) -> str:
    """Return a command line of byhand that a shell reads as these words.

    A path that begins with a dash gets a folder before it, so that it is no option. A word in capitals is a placeholder.

    >>> command_line("byhand", "predict", "runs/my photos", "IMAGE")
    "byhand predict 'runs/my photos' IMAGE"
    """
    return " ".join(map(quoted, words))


def quoted(word: str | PathLike[str]) -> str:
    """Return a word as a shell reads it: in quotes where it has to be."""
    text = fspath(word)
    if not isinstance(word, str) and text.startswith("-"):
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    # Bash's and zsh's quotes for characters that must not reach the terminal.
    octal = "".join(f"\\{byte:03o}" if byte < 32 or byte > 126 else chr(byte) for byte in _escaped(text))
    return f"$'{octal}'"


def _escaped(text: str) -> bytes:
    return re.sub(r"([\\'])", r"\\\1", text).encode("utf-8", "surrogateescape")


def csv_cell(value: object) -> object:
    """Return a cell of a CSV file that no spreadsheet takes for a formula: an apostrophe goes before text that begins so.

    A number stays a number. Source: OWASP, "CSV Injection".

    >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell(-2), csv_cell("cat")
    ("'=1+1", '-0.5', -2, 'cat')
    """
    if not isinstance(value, str) or not value.startswith(tuple(FORMULA_STARTS)):
        return value
    with suppress(ValueError):
        float(value)
        return value
    return f"'{value}"
