"""C syntax: valid identifiers, string literals for any compiler, and numbers that it reads back bit for bit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from byhand.ops.op import Array

LINE_COLUMNS = 118  # of a line of numbers
INDENT_COLUMNS = 4
MAX_STRING_BYTES = 1000  # C99 promises 4095
MAX_NAME_CHARACTERS = 60  # C99 promises 63
RESERVED_WORDS = """
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
"""  # keywords of C and C++, macros of their headers, functions that compilers know, and the program's own names
RESERVED = frozenset(RESERVED_WORDS.split())


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """Return a valid C identifier for a name, and none of those taken.

    >>> identifier("resnet-18.v2"), identifier("int"), identifier("2 heads")
    ('resnet_18_v2', 'int_', '_2_heads')
    """
    base = re.sub(r"[^0-9A-Za-z_]", "_", name)[:MAX_NAME_CHARACTERS] or "_"
    base = f"_{base}" if base[0].isdigit() else base
    candidate, count = base, 0
    while candidate in taken or candidate in RESERVED or candidate.isupper():
        count += 1
        candidate = f"{base.lower()}_" if count == 1 else f"{base.lower()}_{count}"
    return candidate


def string_literal(text: str) -> str:
    r"""Return a C string literal: other than ASCII as octal escapes, which end after three digits; no trigraphs.

    >>> print(string_literal('a "quote", what??!'), string_literal("caf\u00e9"), string_literal("two\nlines"))
    "a \"quote\", what\?\?!" "caf\303\251" "two\012lines"
    """
    return '"' + "".join(_escaped(byte) for byte in encode_utf8(text)) + '"'


def encode_utf8(text: str) -> bytes:
    """Return a string in UTF-8, cut between characters where it is longer than compilers must accept."""
    return text.encode("utf-8", "replace")[:MAX_STRING_BYTES].decode("utf-8", "ignore").encode()


def _escaped(byte: int) -> str:
    if chr(byte) in '\\"?':
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def literal(value: float) -> str:
    """Return a float32 literal, the shortest that is read back as the same number.

    >>> literal(0.1), literal(1e-30), literal(float("-inf"))
    ('0.1f', '1e-30f', '-INFINITY')
    """
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if not np.isfinite(single):
        return "-INFINITY" if single < 0 else "INFINITY"
    return f"{single!s}f"  # as NumPy writes it: format() would write a float64


def number_lines(values: Array) -> Iterator[str]:
    """Yield lines of numbers separated by commas."""
    if values.size and values.dtype == np.float32:
        words: Sequence[str] = [f"{word}f" for word in values.ravel().astype("U").tolist()]
    else:
        words = [str(word) for word in values.ravel().tolist()]
    line = ""
    for word in words:
        if line and len(line) + len(word) + 2 > LINE_COLUMNS - INDENT_COLUMNS:
            yield f"    {line},"
            line = word
        else:
            line = f"{line}, {word}" if line else word
    yield f"    {line}"


C_TYPES = {"float32": "float", "int8": "int8_t", "uint8": "unsigned char", "int32": "int32_t", "int16": "int16_t"}


def constant_lines(name: str, values: Array, note: str = "") -> Iterator[str]:
    """Yield the lines of a constant array."""
    comment = f" /* {note} */" if note else ""
    yield f"static const {C_TYPES[str(values.dtype)]} {name}[{values.size}] = {{{comment}"
    yield from number_lines(values)
    yield "};"


def shape_text(sizes: Sequence[int]) -> str:
    """Return a shape as comments show it.

    >>> shape_text((28, 28, 6)), shape_text(())
    ('28x28x6', '1')
    """
    return "x".join(map(str, sizes)) or "1"
