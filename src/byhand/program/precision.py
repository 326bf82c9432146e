"""The precision in which a program multiplies: float32, or bf16 (bfloat16), which some CPUs multiply twice as fast.

Arrays, sums and weights are float32 in both: bf16 rounds the factors of each product (kernels/conv/bfloat16.py), in training
also those of the optimizer: the matrix products of Muon.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.errors import ArgumentError
from byhand.hints import warn
from byhand.hints.arguments import PRECISION_NAMES
from byhand.kernels.conv.problem import BF16, FLOAT32, PRECISIONS
from byhand.kernels.runtime.cpu import vector_unit

NO_BFLOAT16 = "this CPU has no instruction for bfloat16 (vdpbf16ps), so that precision bf16 is computed in float32"


def check_precision(precision: Any, hand: str, dtype: npt.DTypeLike) -> None:
    """Raise ArgumentError for a precision that there is not, or that a hand or a model of another type does not have.

    >>> check_precision("bfloat16", "compiled", np.float32)
    Traceback (most recent call last):
    byhand.errors.ArgumentError: there is no precision 'bfloat16'; write bf16
    """
    if precision not in PRECISIONS:
        name = str(getattr(precision, "__name__", precision)).lower()  # also of np.float32
        hint = f"write {name}" if name in PRECISIONS else PRECISION_NAMES.get(name)
        hint = hint or f"expected {' or '.join(PRECISIONS)}"
        raise ArgumentError(f"there is no precision {precision!r}; {hint}")
    if precision == FLOAT32:
        return
    if hand != "compiled":
        raise ArgumentError(
            f"precision {BF16} is for the compiled hand, and the hand is {hand}; leave out the one or the other"
        )
    if np.dtype(dtype) != np.float32:
        raise ArgumentError(f"precision {BF16} is for float32 models, and this one is {np.dtype(dtype)}; leave it out")


def available_precision(precision: str) -> str:
    """Return the precision that this CPU computes where one is asked for."""
    return precision if precision == FLOAT32 or vector_unit().bfloat16 else FLOAT32


def resolve_precision(precision: str, hand: str, dtype: npt.DTypeLike) -> str:
    """Return the precision that this CPU computes, checked; warn once a process where it is another than asked for."""
    check_precision(precision, hand, dtype)
    if available_precision(precision) != precision:
        _warn_once()
    return available_precision(precision)


@cache
def _warn_once() -> None:
    warn(NO_BFLOAT16)
