"""Untrusted text is printable, on one line, and bounded."""

from hypothesis import given
from hypothesis import strategies as st

from byhand.text import ERROR_MAX_LETTERS, one_line, printable, shorten


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_printable(text):
    assert printable(text).isprintable()
    assert printable(text, " ").isprintable()
    assert shorten(text).isprintable() and len(shorten(text)) <= 32
    assert one_line(ValueError(text)).isprintable() and len(one_line(ValueError(text))) <= ERROR_MAX_LETTERS


def test_printable_text_stays_as_it_is():
    for text in ("", "cat", "数字 $x$", "Straße, кошка"):
        assert printable(text) == shorten(text) == text


def test_bytes_of_file_names():
    assert printable(b"caf\xc3\xa9".decode("ascii", "surrogateescape")) == "café"  # UTF-8 under an ASCII locale
    assert printable(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\ufffd"
    assert printable("\ud800") == "?"


def test_long_text_keeps_both_ends():
    assert shorten("abcdefghij", 6) == "ab…hij"
