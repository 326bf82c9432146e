"""Linear maps: a small constant matrix times rows of elements, once in Python and once as LLVM IR.

    y[i, k] = sum over j of  matrix[i, j] * x[j, k]

Rows lie a step apart; k counts neighboring elements, which run in vectors. The matrix is known as code is generated: its zeros
cost nothing, its ones no multiplication, and two rows that differ in signs alone share their sums. The transforms of a Winograd
convolution (conv/winograd.py) come in such pairs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic

if TYPE_CHECKING:
    from byhand.kernels.runtime.llvm import NumbaIntrinsic

Matrix = tuple[tuple[float, ...], ...]


def linear_map(matrix: Matrix) -> Intrinsic:
    """Return the intrinsic of a matrix: map(x, x_start, x_step, y, y_start, y_step, length)."""
    inputs, outputs = len(matrix[0]), len(matrix)
    terms = tuple((i, j, matrix[i][j]) for i in range(outputs) for j in range(inputs) if matrix[i][j])

    def _map(x, x_start, x_step, y, y_start, y_step, length):
        for k in range(length):
            for i in range(outputs):
                y[y_start + i * y_step + k] = 0.0
            for i, j, factor in terms:
                y[y_start + i * y_step + k] += factor * x[x_start + j * x_step + k]

    def emit(dtype: str) -> NumbaIntrinsic:
        from byhand.kernels.microkernel.linear_map_ir import linear_map_intrinsic  # noqa: PLC0415  (llvmlite)

        return linear_map_intrinsic(dtype, matrix)

    def version() -> object:
        files = ("linear_map_ir.py", "simd.py")
        return matrix, vector_unit(), [Path(__file__).with_name(name).read_bytes() for name in files]

    return Intrinsic(_map, emit, version)
