"""Names of classes: their order, and one spelling for the same letters."""

import os
import re
import unicodedata
from collections.abc import Iterable

from byhand.data.text_files import decode_bytes
from byhand.text import abbreviate, printable


def natural_key(text: str) -> tuple[object, ...]:
    """Return a key that sorts numbers in names by their value.

    >>> sorted(["10", "9", "cat", "b10", "b9"], key=natural_key)
    ['9', '10', 'b9', 'b10', 'cat']
    """
    parts = re.split(r"(\d{1,18})", text)
    return (*((part.lower(), 0) if i % 2 == 0 else ("", int(part)) for i, part in enumerate(parts)), (text, 0))


def class_name(text: str) -> str:
    """Return a class's name: the same letters are the same name, however a system spells them (NFC).

    A folder's name that is no UTF-8, from an archive that was packed elsewhere, is read as text files are.

    >>> class_name("cafe\\u0301"), class_name(os.fsdecode(b"caf\\xe9"))
    ('café', 'café')
    """
    if not text.isprintable():
        text = decode_bytes(os.fsencode(text)) if any("\udc80" <= letter <= "\udcff" for letter in text) else text
    return unicodedata.normalize("NFC", printable(text))


def case_twins_note(names: Iterable[str]) -> str | None:
    """Return a note on classes that differ only in upper and lower case, or None.

    >>> case_twins_note(["Cat", "cat", "dog"])
    'classes that differ only in upper and lower case stay apart: Cat = cat'
    """
    twins: dict[str, list[str]] = {}
    for name in sorted(set(names), key=natural_key):
        twins.setdefault(name.casefold(), []).append(name)
    several = [" = ".join(group) for group in twins.values() if len(group) > 1]
    return f"classes that differ only in upper and lower case stay apart: {abbreviate(several)}" if several else None
