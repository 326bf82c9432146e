"""Bilinear maps: a small constant matrix on both sides of a grid of elements, once in Python and once as LLVM IR.

    y[i, j, k] = sum over p, q of  matrix[i, p] * x[p, q, k] * matrix[j, q]

Rows and columns of a grid lie a step apart; k counts neighboring elements, which run in vectors. The matrix is known as code is
generated: its zeros cost nothing, its ones no multiplication, and two rows that differ in signs alone share their sums. The
transforms of a Winograd convolution (conv/winograd.py) come in such pairs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.types import Array

if TYPE_CHECKING:
    from byhand.kernels.runtime.llvm import NumbaIntrinsic

Matrix = tuple[tuple[float, ...], ...]


class Grid(NamedTuple):
    """A grid of rows of elements: element k of (i, j) = array[start + i * row_step + j * column_step + k]."""

    array: Array
    start: int
    row_step: int
    column_step: int


def bilinear_map(matrix: Matrix) -> Intrinsic:
    """Return the intrinsic of a matrix: map(x: Grid, y: Grid, length)."""
    inputs, outputs = len(matrix[0]), len(matrix)
    terms = tuple(
        (i, j, p, q, matrix[i][p] * matrix[j][q])
        for i in range(outputs)
        for j in range(outputs)
        for p in range(inputs)
        for q in range(inputs)
        if matrix[i][p] * matrix[j][q]
    )

    def _map(x, y, length):
        for k in range(length):
            for i in range(outputs):
                for j in range(outputs):
                    y.array[y.start + i * y.row_step + j * y.column_step + k] = 0.0
            for i, j, p, q, factor in terms:
                at = y.start + i * y.row_step + j * y.column_step + k
                y.array[at] += factor * x.array[x.start + p * x.row_step + q * x.column_step + k]

    def emit(dtype: str) -> NumbaIntrinsic:
        from byhand.kernels.microkernel.bilinear_map_ir import bilinear_map_intrinsic  # noqa: PLC0415  (llvmlite)

        return bilinear_map_intrinsic(dtype, matrix)

    def version() -> object:
        files = ("bilinear_map_ir.py", "simd.py")
        return matrix, vector_unit(), [Path(__file__).with_name(name).read_bytes() for name in files]

    return Intrinsic(_map, emit, version)
