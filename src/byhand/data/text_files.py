"""Text files that other programs wrote: their encoding is recognized, their line ends become line feeds.

    a byte order mark                    what it announces: UTF-8, UTF-16, UTF-32
    zeros in every other byte            UTF-16 without a mark
    valid UTF-8                          UTF-8
    letters of GB 2312 alone, in words   GB 18030 (Chinese), with a note
    the rest                             Windows-1252, with a note

A text holds no null byte. Tables, files of class names, mappings and configurations are all read here.
"""

import codecs
import re
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from byhand.data.open_file import open_regular_file
from byhand.errors import FileError
from byhand.shapes import Array

CHUNK_BYTES = 1 << 20
MARKS = (  # a byte order mark, and the encoding that it announces; UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE_BYTES = 4096  # by which UTF-16 without a mark is recognized
# Fraction of the first bytes, all at even places or all at odd ones: line ends and digits among any script
UTF16_MIN_ZEROS = 1 / 16
# GB 2312's characters, all in pairs of bytes, and somewhere two together: accented letters seldom stand in such a row
CHINESE = re.compile(rb"(?:[\x00-\x7f]|[\xb0-\xf7][\xa1-\xfe])*")
CHINESE_WORD = re.compile(rb"(?:[\xb0-\xf7][\xa1-\xfe]){2}")
ASSUMED = {"gb18030": "GB 18030 (Chinese)", "cp1252": "Windows-1252"}


def text_encoding(path: Path, expected: str) -> tuple[str, str]:
    """Return a text file's encoding, and a note where it had to be assumed; the file may be larger than memory.

    expected: what the file should be, for messages. Raises FileError for a file that is no text.
    """
    with open_regular_file(path, expected) as file:
        return _checked_encoding(file, path, expected)


def read_text(path: Path, expected: str, max_bytes: int) -> tuple[str, str]:
    """Return the text of a file, and a note where its encoding had to be assumed.

    Raises FileError for a file that is no text, or larger than `max_bytes`.
    """
    with open_regular_file(path, expected) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise FileError(f"{path} has more than {max_bytes:,} bytes; expected {expected}, at most {max_bytes:,}")
    encoding, note = _checked_encoding(BytesIO(data), path, expected)
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n"), note


def _checked_encoding(file: BinaryIO, path: Path, expected: str) -> tuple[str, str]:
    try:
        encoding = _encoding(file)
    except UnicodeError as error:
        raise FileError(f"can't read {path}: it is no text ({error.args[0]}); expected {expected}, in UTF-8") from None
    if encoding not in ASSUMED:
        return encoding, ""
    return encoding, f"{path.name} is no UTF-8: read as {ASSUMED[encoding]}; where letters look wrong, save it as UTF-8"


def decode_bytes(data: bytes) -> str:
    """Return the text of a few bytes in UTF-8, GB 18030 or Windows-1252; what is none of them is replaced.

    >>> decode_bytes("猫咪".encode("gbk")), decode_bytes("für".encode("cp1252"))
    ('猫咪', 'für')
    """
    for encoding in ("utf-8", "gb18030" if _is_chinese(BytesIO(data)) else "cp1252"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("utf-8", "replace")


def decode_array(texts: Array) -> Array:
    """Return an array of bytes as one of text, each decoded as `decode_bytes` does.

    >>> decode_array(np.array([b"cat", b"d\\xe4g", b"cat"]))
    array(['cat', 'däg', 'cat'], dtype='<U3')
    """
    values, places = np.unique(texts, return_inverse=True)
    return np.array([decode_bytes(bytes(value)) for value in values])[places].reshape(texts.shape)


def _encoding(file: BinaryIO) -> str:
    """Return the encoding of a file that is open at its beginning; raises UnicodeError for what is no text."""
    head = file.read(SAMPLE_BYTES)
    for mark, encoding in MARKS:
        if head.startswith(mark):
            if not _decodes(file, encoding):
                raise UnicodeError(f"it is not {encoding.upper()}, as it begins")
            return encoding
    zeros = [head[start::2].count(0) for start in (0, 1)]
    candidates = ["utf-8"]
    if max(zeros) > UTF16_MIN_ZEROS * len(head) and min(zeros) == 0:
        candidates.insert(0, "utf-16-be" if zeros[0] else "utf-16-le")
    for encoding in candidates:
        if _decodes(file, encoding):
            return encoding
    encoding = "gb18030" if _is_chinese(file) else "cp1252"
    if not _decodes(file, encoding):
        raise UnicodeError("it is neither UTF-8 nor Windows-1252")
    return encoding


def _decodes(file: BinaryIO, encoding: str) -> bool:
    """Return whether a whole file is text in an encoding; raises UnicodeError where it holds a null byte."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while chunk := file.read(CHUNK_BYTES):
            text = decoder.decode(chunk)
            if "\0" in text:
                raise UnicodeError("it holds null bytes")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_chinese(file: BinaryIO) -> bool:
    """Return whether all letters beyond ASCII are GB 2312's, some of them side by side."""
    file.seek(0)
    has_words = False
    for line in file:
        if not CHINESE.fullmatch(line):
            return False
        has_words = has_words or CHINESE_WORD.search(line) is not None
    return has_words
