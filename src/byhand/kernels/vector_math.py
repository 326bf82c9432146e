"""exp, tanh, erf and the greater of two, written so that loops over them run in vectors: arithmetic without a branch.

Errors against the exact value, the largest over every float32: exp 1.02 ULP, tanh 1.34, erf 1.11, as
tests/kernels/test_vector_math.py measures. Infinity and NaN go where they go in C; a result below 1.2e-38 is 0, as everywhere
in the compiled hand.

The polynomials are minimax fits of these intervals, made for this file: their coefficients are rounded to float32 one by
one, each time fitting those left anew.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from byhand.kernels.runtime.intrinsic import Intrinsic

if TYPE_CHECKING:
    from byhand.kernels.runtime.llvm import (
        CodegenContext,
        IntrinsicBody,
        IRBuilder,
        NumbaIntrinsic,
        NumbaType,
        Signature,
        TypingContext,
        Value,
        Values,
    )

LOG2E = 1.4426950408889634
LN2_HIGH = 0.693359375  # log 2 = LN2_HIGH + LN2_LOW; n * LN2_HIGH is exact
LN2_LOW = -2.12194440e-4
ROUND = 12582912.0  # 1.5 * 2^23: in the bits of x + ROUND, the last ones are x, rounded to an integer
ROUND_BITS = 0x4B400000  # ROUND as an int32
EXP_MAX_FLOAT32 = 88.72283172607422  # for a larger x, e^x is infinity as a float32
EXP_MIN_FLOAT32 = -87.33654022216797  # for a smaller x, e^x is below 1.2e-38
INFINITY = math.inf


def exp(x):
    """e^x = 2^n e^r with x = n log 2 + r and |r| <= log(2) / 2; n is added to the exponent in the bits of e^r.

    Source: Cody & Waite 1980, "Software Manual for the Elementary Functions".
    """
    x = np.float32(x)
    n = np.int32(np.float32(x * LOG2E + ROUND).view(np.int32) - ROUND_BITS)
    whole = np.float32(n)
    r = x - whole * LN2_HIGH - whole * LN2_LOW
    tail = 0.49999994 + r * (0.16666521 + r * (0.04166828 + r * (0.0083686942 + r * 0.001381961)))
    power = np.float32(1.0 + (r + r * r * tail))
    scaled = np.int32(power.view(np.int32) + (n << 23)).view(np.float32)
    finite = INFINITY if x > EXP_MAX_FLOAT32 else scaled
    inside = 0.0 if x < EXP_MIN_FLOAT32 else finite
    return np.float32(x if x != x else inside)  # noqa: PLR0124  (NaN)


def tanh(x):
    """tanh x = 1 - 2 / (e^(2 x) + 1); near 0, where that loses digits, a polynomial: x + x^3 P(x^2)."""
    a = np.float32(abs(x))
    square = a * a
    tail = -0.053742774 + square * (0.020648062 + square * -0.0057140635)
    near = square * (-0.33333284 + square * (0.13331483 + square * tail))
    far = 1.0 - 2.0 / (exp(a + a) + 1.0)
    return math.copysign(a + a * near if a < 0.625 else far, np.float32(x))


def erf(x):
    """erf x = 1 - e^-q with q = -log(1 - erf x) as a polynomial; near 0, where that loses digits, x + x P(x^2)."""
    a = np.float32(abs(x))
    square = a * a
    tail = -0.02686235 + square * (0.0052072373 + square * (-0.0008202741 + square * 8.5883e-05))
    near = 0.12837917 + square * (-0.37612638 + square * (0.11283758 + square * tail))
    b = np.float32(4.0 if a > 4.0 else a)  # from here on it is 1
    tail = 0.10376247 + b * (-0.022144852 + b * (0.0030225075 + b * -0.00019381529))
    q = 0.00022274577 + b * (1.1275629 + b * (0.63737357 + b * tail))
    far = 1.0 - exp(-q)
    return math.copysign(a + a * near if a < 0.93 else far, np.float32(x))


def _greater(a, b):
    """Return the greater of two numbers, or NaN where one is: in any order the same, which lets a maximum run in vectors."""
    return b if b > a or b != b else a  # noqa: PLR0124  (NaN)


def _emit_greater(dtype: str) -> NumbaIntrinsic:
    from llvmlite import ir  # noqa: PLC0415
    from numba import types  # noqa: PLC0415
    from numba.extending import intrinsic  # noqa: PLC0415

    real = types.float32 if dtype == "f4" else types.float64

    @intrinsic
    def greater(typing: TypingContext, a: NumbaType, b: NumbaType) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
            kind = arguments[0].type
            maximum = builder.module.declare_intrinsic("llvm.maximum", [kind], ir.FunctionType(kind, [kind, kind]))
            return builder.call(maximum, arguments)

        return real(real, real), codegen

    return greater


greater = Intrinsic(_greater, _emit_greater, lambda: "llvm.maximum")
