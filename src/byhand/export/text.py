"""Pieces of C: names that C can use, strings that survive any compiler, and numbers that it reads back bit for bit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from byhand.ops.op import Array

WIDTH = 118  # columns of a line of numbers
LONGEST = 1000  # bytes of a string; C99 promises 4095
WORDS = """
alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char class compl complex concept
const constexpr continue decltype default define delete do double else enum errno explicit export extern false
float for friend goto if imaginary inline int int8_t int16_t int32_t int64_t linux unix long main mutable
namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast
requires restrict return short signed sizeof static struct switch template this throw true try typedef typeid
typename typeof uint8_t uint16_t uint32_t uint64_t union unsigned using virtual void volatile wchar_t while xor
xor_eq i386 arm vax sun acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2
expm1 fabs fdim floor fma fmax fmin fmod frexp hypot ilogb isfinite isinf isnan isnormal j0 j1 jn ldexp lgamma
log log10 log1p log2 logb modf nan nearbyint nextafter pow remainder remquo rint round scalbn signbit sin sinh
sqrt tan tanh tgamma trunc y0 y1 yn abs div exit free index malloc memcpy memset printf puts read strlen write
arena image probabilities output
"""  # of C and C++, macros of their headers, functions that compilers know
TAKEN = frozenset(WORDS.split())


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """Return a name that C can use, and that is none of those taken.

    >>> identifier("resnet-18.v2"), identifier("int"), identifier("2 heads")
    ('resnet_18_v2', 'int_', '_2_heads')
    """
    made = re.sub(r"[^0-9A-Za-z_]", "_", name)[:60] or "_"
    made = f"_{made}" if made[0].isdigit() else made
    first = made
    count = 0
    while made in taken or made in TAKEN or made.isupper():
        count += 1
        made = f"{first.lower()}_" if count == 1 else f"{first.lower()}_{count}"
    return made


def string(text: str) -> str:
    r"""Return a string as C writes it: what is not plain ASCII in octal, which swallows nothing after it; no trigraph.

    >>> print(string('a "quote", what??!'), string("caf\u00e9"), string("two\nlines"))
    "a \"quote\", what\?\?!" "caf\303\251" "two\012lines"
    """
    return '"' + "".join(_letter(byte) for byte in encoded(text)) + '"'


def encoded(text: str) -> bytes:
    """Return the bytes of a string, no more than any compiler takes, and no half of a letter."""
    return text.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore").encode()


def _letter(byte: int) -> str:
    if chr(byte) in '\\"?':
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def literal(value: float) -> str:
    """Return a float32 as C writes it, with as few digits as tell it apart from every other.

    >>> literal(0.1), literal(1e-30), literal(float("-inf"))
    ('0.1f', '1e-30f', '-INFINITY')
    """
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if not np.isfinite(single):
        return "-INFINITY" if single < 0 else "INFINITY"
    return f"{single!s}f"  # as NumPy writes it: format() would write a float64


def numbers(values: Array) -> Iterator[str]:
    """Yield lines of numbers with commas between them."""
    if values.size and values.dtype == np.float32:
        words: Sequence[str] = [f"{word}f" for word in values.ravel().astype("U").tolist()]
    else:
        words = [str(word) for word in values.ravel().tolist()]
    line = ""
    for word in words:
        if line and len(line) + len(word) + 2 > WIDTH - 4:
            yield f"    {line},"
            line = word
        else:
            line = f"{line}, {word}" if line else word
    yield f"    {line}"


KINDS = {"float32": "float", "int8": "int8_t", "uint8": "unsigned char", "int32": "int32_t", "int16": "int16_t"}


def constant(name: str, values: Array, note: str = "") -> Iterator[str]:
    """Yield the lines of an array that lies in flash."""
    comment = f" /* {note} */" if note else ""
    yield f"static const {KINDS[str(values.dtype)]} {name}[{values.size}] = {{{comment}"
    yield from numbers(values)
    yield "};"


def shape(sizes: Sequence[Any]) -> str:
    """Return a shape as a comment tells it.

    >>> shape((28, 28, 6)), shape(())
    ('28x28x6', '1')
    """
    return "x".join(map(str, sizes)) or "1"
