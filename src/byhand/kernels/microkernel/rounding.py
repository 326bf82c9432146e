"""Rounding of float32 numbers to bfloat16, in pairs: loops in Python, and one instruction of the CPU as LLVM IR.

bfloat16 is the upper half of a float32: the sign, 8 bits of exponent, 7 bits of fraction in place of 23. It has the range of
float32, and a precision of 2 to 3 digits: rounding changes a number by a factor within 1 +- 2**-8. Two of them, a *pair*, fit
in one float32 array element, a *word*: the first is its lower half. vdpbf16ps multiplies pairs (microkernel.py).

    element   1.0          pi                  the word that is their pair
    float32   3f80 0000    4049 0fdb
    bfloat16  3f80         4049                4049 3f80

>>> [hex(rounded(np.float32(value))) for value in (1.0, np.pi, np.inf, -0.0)]
['0x3f80', '0x4049', '0x7f80', '0x8000']
>>> words = np.zeros(2, np.float32)
>>> round_pairs(np.array([1.0, np.pi, 2.0], np.float32), 0, words, 0, 3)
>>> [float(half(word, high)) for word in words for high in range(2)]
[1.0, 3.140625, 2.0, 0.0]

Numbers are rounded to the nearest, ties to even. Infinity and NaN stay what they are; a number too
large becomes infinity. Denormal numbers, less than 1e-38, become 0, as vcvtneps2bf16 and vdpbf16ps have it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic

if TYPE_CHECKING:
    from byhand.kernels.runtime.llvm import NumbaIntrinsic

# The bits of a float32.
EXPONENT, FRACTION, SIGN = 0x7F800000, 0x007FFFFF, 0x80000000


def rounded(value):
    """Return the bits of the bfloat16 nearest to a float32."""
    bits = np.int64(np.float32(value).view(np.uint32))
    if bits & EXPONENT == 0:  # zero, or denormal
        return (bits & SIGN) >> 16
    if bits & EXPONENT == EXPONENT and bits & FRACTION:  # NaN, which a carry could make infinity
        return bits >> 16 | 64
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def pair(low, high):
    """Return the word of two bfloat16 numbers, given as bits."""
    return np.uint32(high << 16 | low).view(np.float32)


def half(word, high):
    """Return the first or, with `high`, the second number of a pair, as a float32."""
    bits = np.float32(word).view(np.uint32)
    return np.uint32(bits & np.uint32(0xFFFF0000) if high else bits << np.uint32(16)).view(np.float32)


def _round_pairs(source, start, words, at, count):
    """Write `count` neighbors from source[start] on as pairs, from words[at] on; the last of an odd count is paired with 0."""
    for i in range(0, count, 2):
        high = rounded(source[start + i + 1]) if i + 1 < count else 0
        words[at + i // 2] = pair(rounded(source[start + i]), high)


def _pair_rows(source, first, second, words, at, count):
    """Write words[at + i] = the pair of source[first + i] and source[second + i]; a row that begins below 0 is zeros."""
    for i in range(count):
        low = rounded(source[first + i]) if first >= 0 else 0
        words[at + i] = pair(low, rounded(source[second + i]) if second >= 0 else 0)


def _emit(name: str) -> Callable[[str], NumbaIntrinsic]:
    def emit(dtype: str) -> NumbaIntrinsic:
        from byhand.kernels.microkernel import rounding_ir  # noqa: PLC0415  (llvmlite)

        intrinsics: dict[str, NumbaIntrinsic] = {
            "round_pairs": rounding_ir.round_pairs,
            "pair_rows": rounding_ir.pair_rows,
        }
        return intrinsics[name]

    return emit


def _version() -> object:
    files = ("rounding.py", "rounding_ir.py", "simd.py")
    return vector_unit(), [Path(__file__).with_name(name).read_bytes() for name in files]


# round_pairs(source, start, words, at, count)
round_pairs = Intrinsic(_round_pairs, _emit("round_pairs"), _version)

# pair_rows(source, first, second, words, at, count)
pair_rows = Intrinsic(_pair_rows, _emit("pair_rows"), _version)
