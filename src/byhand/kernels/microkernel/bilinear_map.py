"""Bilinear maps: a small constant matrix on both sides of a grid of elements, once in Python and once as LLVM IR.

    y[i, j, k] = sum over p, q of  matrix[i, p] * x[p, q, k] * matrix[j, q]

Rows and columns of a grid lie a step apart; k counts neighboring elements, which run in vectors. The matrix is known as code is
generated: its zeros cost nothing, its ones no multiplication, and two rows that differ in signs alone share their sums. The
transforms of a Winograd convolution (conv/winograd_kernels.py) are such maps.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from byhand.kernels.microkernel.activation import clipped
from byhand.kernels.microkernel.operands import RESIDUAL
from byhand.kernels.microkernel.rounding import half, pair, rounded
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.types import Array

if TYPE_CHECKING:
    from byhand.kernels.runtime.llvm import NumbaIntrinsic

Matrix = tuple[tuple[float, ...], ...]

# The forms of a map.
PLAIN, EPILOGUE, ROUNDED = "plain", "epilogue", "rounded"


class Grid(NamedTuple):
    """A grid of rows of elements: element k of (i, j) = array[start + i * row_step + j * column_step + k]."""

    array: Array
    start: int
    row_step: int
    column_step: int


@cache
def bilinear_map(matrix: Matrix) -> Intrinsic:
    """Return the map by a matrix: map(x: Grid, y: Grid, length)."""

    def _map(x, y, length):
        for i, j, k in np.ndindex(len(matrix), len(matrix), length):
            y.array[y.start + i * y.row_step + j * y.column_step + k] = element_of(matrix, x, i, j, k)

    return Intrinsic(_map, lambda dtype: _emit(dtype, matrix, PLAIN), lambda: _version(matrix))


@cache
def bilinear_map_rounded(matrix: Matrix) -> Intrinsic:
    """Return the map by a matrix to bfloat16: map(x: Grid, y: Grid, length).

    y counts numbers, of which each element of its array holds two (rounding.py).
    """

    def _map_rounded(x, y, length):
        for i, j, k in np.ndindex(len(matrix), len(matrix), length):
            at = y.start + i * y.row_step + j * y.column_step + k
            bits = [rounded(half(y.array[at // 2], high)) for high in range(2)]
            bits[at % 2] = rounded(element_of(matrix, x, i, j, k))
            y.array[at // 2] = pair(*bits)

    return Intrinsic(_map_rounded, lambda dtype: _emit(dtype, matrix, ROUNDED), lambda: _version(matrix))


@cache
def bilinear_map_with_epilogue(matrix: Matrix) -> Intrinsic:
    """Return the map by a matrix, then the residual and the ReLU of an epilogue: map(x: Grid, y: Grid, length, epilogue).

    The residual is laid out as y is.
    """

    def _map_with_epilogue(x, y, length, epilogue):
        for i, j, k in np.ndindex(len(matrix), len(matrix), length):
            at = y.start + i * y.row_step + j * y.column_step + k
            total = element_of(matrix, x, i, j, k)
            total = total + epilogue.residual[at] if epilogue.steps & RESIDUAL else total
            y.array[at] = clipped(epilogue.steps, total)

    return Intrinsic(_map_with_epilogue, lambda dtype: _emit(dtype, matrix, EPILOGUE), lambda: _version(matrix))


def element_of(matrix, x, i, j, k):
    """Return element k of (i, j) of the result."""
    total = 0.0
    for p, q in np.ndindex(len(matrix[0]), len(matrix[0])):
        total += matrix[i][p] * x.array[x.start + p * x.row_step + q * x.column_step + k] * matrix[j][q]
    return total


def _emit(dtype: str, matrix: Matrix, form: str) -> NumbaIntrinsic:
    from byhand.kernels.microkernel import bilinear_map_ir  # noqa: PLC0415  (llvmlite)

    if form == EPILOGUE:
        return bilinear_map_ir.bilinear_map_with_epilogue_intrinsic(dtype, matrix)
    return bilinear_map_ir.bilinear_map_intrinsic(dtype, matrix, rounded=form == ROUNDED)


def _version(matrix: Matrix) -> object:
    files = ("bilinear_map_ir.py", "operands.py", "rounding_ir.py", "simd.py")
    return matrix, vector_unit(), [Path(__file__).with_name(name).read_bytes() for name in files]
