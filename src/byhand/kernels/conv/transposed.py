"""transposed: the algorithm for backward_data of a matrix product with at most 64 rows: it does not transpose the weights.

    grad_x.T = weight @ grad_y.T

grad_y and grad_x are transposed instead, which are small next to the weights.
"""

from __future__ import annotations

from byhand.kernels.conv.direct import direct
from byhand.kernels.conv.packed import packed
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.microkernel.microkernel import epilogue
from byhand.kernels.reductions import sum_transposed
from byhand.kernels.runtime.launch import scratch
from byhand.kernels.runtime.types import Array

# Rows of grad_y: with more, transposing them costs as much as transposing the weights.
TRANSPOSED_MAX_ROWS = 64


def applies(problem: Problem) -> bool:
    """Tell whether a problem is backward_data of a matrix product with few rows."""
    return problem.matrix and problem.pass_name == "backward_data" and problem.pixels <= TRANSPOSED_MAX_ROWS


def cost(problem: Problem) -> float:
    """Return the FLOPs: next to the weights, what is copied is small."""
    return problem.flops


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape) -> None:
    """Launch grad_x.T = weight @ grad_y.T."""
    rows, depth, units = shape.image[0], shape.depth, shape.filters
    grad_y_transposed = scratch(units, rows, dtype=grad_x.dtype)
    columns = grad_x if rows == 1 else scratch(depth, rows, dtype=grad_x.dtype)
    sum_transposed(grad_y.reshape(1, rows, units), grad_y_transposed)
    product_shape = shape._replace(image=(depth, 1), output=(depth, 1), depth=units, filters_per_group=rows)
    problem = Problem("forward", product_shape, 1, grad_x.itemsize)
    forward = min(direct, packed, key=lambda algorithm: algorithm.cost(problem)).forward
    assert forward is not None
    x, y = weight.reshape(1, depth, 1, units), columns.reshape(1, depth, 1, rows)
    forward(x, grad_y_transposed.reshape(1, 1, units, rows), y, epilogue(x), product_shape)
    if rows > 1:
        sum_transposed(columns.reshape(1, depth, rows), grad_x.reshape(rows, depth))


transposed = Algorithm("transposed", applies, cost, backward_data=backward_data)
