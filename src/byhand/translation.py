"""Translation of what byhand tells a person: the command line, the report and the doctor, in Chinese where the locale asks.

The code is in English; `messages/zh.po` holds the Chinese, in gettext's format. A msgid is a line as it stands in the source,
with a slot for each replacement: `f"{path} exists already"` is `{path} exists already`. `translate` finds the template that a
finished text was made from. It is called where text leaves for a person, and nowhere else: JSON, CSV, files that programs
read, and exceptions of the Python interface stay English. What has no entry stays English too.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable
from functools import cache, lru_cache, reduce
from pathlib import Path
from typing import NamedTuple

LANGUAGES = ("en", "zh")
VARIABLE = "BYHAND_LANGUAGE"
LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # POSIX: the first that is set decides
MAX_LETTERS = 2000  # of a text that is matched with the templates
MAX_COLONS = 24  # of a line that is translated
MAX_REPEATS = 40  # of a short word in a line that is translated
MIN_LETTERS = 5  # of a template that is looked for in whole lines, if it has a slot of any text
PLURAL = r"(\w{0,5}?)"  # the end of an English plural, is or are
START = "((?:(?!: ).)*?)"  # of a line, before a colon: a message may follow the name of a file
PREFIX = "byhand: "  # of an error line
WIDE = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")  # Chinese letters and punctuation
FULL_WIDTH = ("（", "，", "；", "：", "。")  # punctuation that no space goes beside
SLOT = re.compile(r"\{(\w+)(:[^{}]*)?\}")
USE = re.compile(r"\{(\w+)(!t)?\}")  # of a slot, in a translation; !t: a single word is translated too
WORD = re.compile("[A-Za-z]{2}")
ENGLISH = re.compile(r"[a-z]{2,} [a-z]{2,}")  # words that no entry translates
SHAPE = re.compile(r"\d+(?: [x×] \d+)*")
LIST = re.compile(r"[^\s,;]+(?:, [^\s,;]+)*(?:,| or| and) (?!more\b|less\b)[^\s,;]+")  # a, b or c
ABBREVIATED = re.compile(r"(.+) and ([\d,]+) more")
NUMBER = r"(?:[-+−]? *\d(?:[\d.,]*\d)?(?:e[-+]?\d+)?|nan|[-+]?inf)"


class Template(NamedTuple):
    """A message with slots. literal: its text between them, in order; is_vague: few letters, and a slot of any text;
    has_number: a slot takes a number only.
    """

    pattern: re.Pattern[str]
    literal: tuple[str, ...]
    slots: tuple[str, ...]
    translation: str
    is_vague: bool
    has_number: bool


def language() -> str:
    """Return the language of texts for people: `BYHAND_LANGUAGE`, else Chinese under a Chinese locale, else English.

    A console that has no Chinese letters gets English.
    """
    chosen = os.environ.get(VARIABLE) or next(filter(None, map(os.environ.get, LOCALE_VARIABLES)), None)
    if chosen is None and sys.platform == "win32":
        import locale  # noqa: PLC0415  (Windows sets no variable)

        chosen = {"Chinese": "zh"}.get((locale.getlocale()[0] or "").partition(" ")[0])
    return "zh" if chosen and chosen.lower().startswith("zh") and _shows_chinese() else "en"


def _shows_chinese() -> bool:
    try:
        "中文".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def unknown_language() -> str | None:
    """Return a line on a value of `BYHAND_LANGUAGE` that is no language of byhand's."""
    chosen = os.environ.get(VARIABLE, "")
    if not chosen or re.split(r"[-_.]", chosen.lower())[0] in LANGUAGES:
        return None
    return f"{VARIABLE} is {chosen!r}; byhand knows {' and '.join(LANGUAGES)}, and goes on in English"


def translate(text: str, *, part: bool = False) -> str:
    """Return text in the language of the person who reads it, each line by itself; in English as it is.

    part: the text is a part of a line (`_line`).
    """
    if language() == "en" or not text:
        return text
    return "\n".join(line if _is_hostile(line) else _line(line, part=part) for line in text.split("\n"))


def _is_hostile(line: str) -> bool:
    """Tell whether a line has more colons, or repeats of a word, than a message has: it would be taken apart for seconds."""
    if line.count(": ") > MAX_COLONS:
        return True
    words = line.split(" ")
    return any(words.count(word) > MAX_REPEATS for word in ("of", "and", "is", "in", "the"))


def sentence_space() -> str:
    """Return what stands between two sentences: nothing in Chinese."""
    return " " if language() == "en" else ""


def list_of(names: Iterable[str]) -> str:
    """Return finished names as a list in a sentence."""
    return (", " if language() == "en" else "、").join(names)


def in_brackets(text: str) -> str:
    """Return a finished text as a remark in brackets after another."""
    return f" ({text})" if language() == "en" else f"（{text}）"


@lru_cache(maxsize=4096)
def _line(text: str, *, part: bool = False) -> str:
    """Return a line in Chinese: by its own entry, else by the most specific template, else part by part.

    part: the text is a part of a line; then templates of few letters count too, which would match many a line.
    """
    if text.startswith(PREFIX):
        return PREFIX + _line(text.removeprefix(PREFIX))
    bare = text.strip()
    if not bare:
        return text
    found = _entry(bare, part=part, clauses=True) or _after_colon(bare)
    found = found or _parts(bare, "; ", "；") or _parts(bare, ", ", "，") or _entry(bare, part=part)
    if found is not None:
        start, _, end = text.partition(bare)
        return start * (not found.startswith(FULL_WIDTH)) + found + end * (not found.endswith(FULL_WIDTH))
    start, colon, rest = text.partition(": ")
    if colon and (said := _line(rest)) != rest:
        return f"{start}：{said}"
    return _parts(text, "  ", "  ") or _parts(text, " and ", " 和 ") or text


def _after_colon(text: str) -> str | None:
    """Return a whole message in Chinese that follows the file or the layer that it is about.

    What follows an entry that ends in a colon may have none: the error of another library.
    """
    start, colon, rest = text.partition(": ")
    if not colon:
        return None
    head = _entry(f"{start}:", part=False)
    said = _entry(rest, part=False, clauses=True) or _after_colon(rest)
    if head is not None:
        return head + (said or _line(rest))
    return None if said is None else f"{start}：{said}"


def _parts(text: str, separator: str, joined: str) -> str | None:
    """Return a text in Chinese whose parts all have entries, by themselves or with the separator before them."""
    first, *others = parts = text.split(separator)
    if not others:
        return None
    translated = [_line(first, part=True)]
    for item in others:
        told = _line(item, part=True)
        clause = _entry(f"{separator}{item}", part=True) if told == item else None
        translated.append(told if clause is None else clause.removeprefix(joined))
    if any(a == b and a not in catalogue() and WORD.search(a) for a, b in zip(parts, translated)):
        return None
    return reduce(lambda left, right: _join(_join(left, joined), right), translated)


def _entry(text: str, *, part: bool, clauses: bool = False) -> str | None:
    """Return a text by its entry; clauses: by none whose slot would take several clauses, or items of a list."""
    exact = catalogue().get(text)
    if exact is not None or len(text) > MAX_LETTERS:
        return exact
    for template in _templates():
        if not part and template.is_vague:
            continue
        if not _may_match(template.literal, text) or not (match := template.pattern.fullmatch(text)):
            continue
        if clauses and any(_has_clauses(value, template) for value in match.groups()):
            continue
        if template.is_vague and not template.has_number and any(map(_is_sentence, match.groups())):
            continue
        if (filled := _filled(template, match.groups())) is not None:
            return filled
    return None


def _has_clauses(value: str, template: Template) -> bool:
    """Tell whether a slot's text consists of several clauses, where the template has one."""
    literal = "".join(template.literal)
    return any(sign in value and sign not in literal for sign in ("; ", ", ", ": ")) and not LIST.fullmatch(value)


def _is_sentence(value: str) -> bool:
    """Tell whether a slot's text has several words that have no entry: a vague template matches them by chance."""
    return " " in value.strip() and not SHAPE.fullmatch(value) and _slot(value, words=True) == value


def _filled(template: Template, values: tuple[str, ...]) -> str | None:
    """Return a translation with its slots filled; no space stands beside a translated one within Chinese text.

    None where words of a slot that is to be translated have no entry.
    """
    found = dict(zip(template.slots, values))
    parts = USE.split(template.translation)  # literal, name, !t or None, literal, ...
    text = parts[0]
    for name, words, literal in zip(parts[1::3], parts[2::3], parts[3::3]):
        value = _slot(found[name], words=words is not None)
        if words and value == found[name] and ENGLISH.search(value):
            return None
        text = text + value + literal if value == found[name] else _join(_join(text, value), literal)
    return text


def _join(left: str, right: str) -> str:
    if right.startswith(" ") and WIDE.fullmatch(left[-1:]) and WIDE.fullmatch(right[1:2]):
        return left + right[1:]
    if left.endswith(" ") and WIDE.fullmatch(left[-2:-1]) and WIDE.fullmatch(right[:1]):
        return left[:-1] + right
    return left + right


def _slot(value: str, *, words: bool) -> str:
    """Return what stands in a slot: a text of several words is translated, a single word may be a name."""
    if LIST.fullmatch(value):
        return value.replace(", ", "、").replace(" or ", " 或 ").replace(" and ", " 和 ")
    if listed := ABBREVIATED.fullmatch(value):
        shown = "、".join(_line(item, part=True) for item in listed[1].split(", "))
        return _join(f"{shown} ", f"等，另有 {listed[2]} 个")
    if (own := catalogue().get(value.strip())) is not None and (words or " " in value.strip()):
        return own
    if value.startswith(("; ", ", ")) and (rest := _line(value[2:], part=True)) != value[2:]:
        return ("；" if value[0] == ";" else "，") + rest
    return _line(value, part=True) if words or " " in value.strip() else value


def _may_match(literal: tuple[str, ...], text: str) -> bool:
    """Tell whether the literal parts of a template stand in a text, in their order."""
    if not text.startswith(literal[0]) or not text.endswith(literal[-1]):
        return False
    position = 0
    for part in literal:
        position = text.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return True


# The catalogue --------------------------------------------------------------------------------------------------------


@cache
def catalogue() -> dict[str, str]:
    """Return the Chinese of each message."""
    return parse_po((Path(__file__).parent / "messages" / "zh.po").read_text(encoding="utf-8"))


@cache
def _templates() -> list[Template]:
    """Return the messages with slots, those with the most literal text first."""
    found = [template(text, translation) for text, translation in catalogue().items() if SLOT.search(text)]
    return sorted(found, key=lambda template: (-sum(map(len, template.literal)), template.pattern.pattern.count("*?)")))


def template(text: str, translation: str) -> Template:
    """Return a message's template.

    A slot of text ends where what follows, up to the next slot of text, stands for the first time: the groups are atomic, so
    that the time is linear in the length of a text.
    """
    parts = SLOT.split(text)  # literal, name, format, literal, ...
    names, formats, literal = parts[1::3], parts[2::3], parts[::3]
    groups = [re.escape(literal[0])]
    for name, spec, part in zip(names, formats, literal[1:]):
        if spec and spec[-1] in ",dfge%":
            percent = "%" * (spec[-1] == "%")
            groups[-1] += f"({NUMBER}{percent}){re.escape(part)}"
        else:
            is_first = len(groups) == 1 and not groups[0]
            text_slot = PLURAL if re.fullmatch(r"s\d?", name) else START if is_first else "(.*?)"
            groups.append(f"{text_slot}{re.escape(part)}")
    groups[-1] += r"\Z"
    pattern = "".join(f"(?>{group})" for group in groups)
    is_vague = ("(.*?)" in pattern or START in pattern) and sum(
        not letter.isspace() for letter in "".join(literal)
    ) < MIN_LETTERS
    has_number = NUMBER in pattern
    return Template(re.compile(pattern, re.DOTALL), tuple(literal), tuple(names), translation, is_vague, has_number)


def parse_po(text: str) -> dict[str, str]:
    """Return the translated entries of a catalogue in gettext's PO format.

    >>> parse_po('msgid "a "\\n"cat"\\nmsgstr "一只猫"\\n')
    {'a cat': '一只猫'}
    """
    entries: list[list[str]] = []
    for line in map(str.strip, text.split("\n")):
        if line.startswith("msgid "):
            entries.append(["", ""])
            field, line = 0, line.removeprefix("msgid ")
        elif line.startswith("msgstr "):
            field, line = 1, line.removeprefix("msgstr ")
        if line.startswith('"'):
            entries[-1][field] += ast.literal_eval(line)
    return {source: translation for source, translation in entries if source and translation}
