"""gemv and transposed: algorithms for matrix products with few rows, which neither copy nor transpose the large weights.

gemv         y = x @ weight with at most 4 rows: the weights are read once, as they lie (../gemv.py)
transposed   grad_x.T = weight @ grad_y.T with at most 64 rows: grad_y and grad_x are transposed, not the weights
"""

from __future__ import annotations

from byhand.kernels.conv.direct import direct
from byhand.kernels.conv.packed import packed
from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.gemv import GEMV_MAX_ROWS, GEMV_MIN_BYTES
from byhand.kernels.gemv import gemv as launch_gemv
from byhand.kernels.microkernel.microkernel import epilogue
from byhand.kernels.microkernel.operands import RELU, Epilogue
from byhand.kernels.reductions import sum_transposed
from byhand.kernels.runtime.launch import scratch
from byhand.kernels.runtime.types import Array

TRANSPOSED_MAX_ROWS = 64  # of grad_y


def cost(problem: Problem) -> float:
    """Return the FLOPs: next to the weights, what is copied is small."""
    return problem.flops


# gemv -----------------------------------------------------------------------------------------------------------------


def gemv_applies(problem: Problem) -> bool:
    """Tell whether a problem is forward of a matrix product with few rows and large weights."""
    few_rows = problem.pixels <= GEMV_MAX_ROWS and problem.weight_bytes >= GEMV_MIN_BYTES
    return problem.matrix and problem.pass_name == "forward" and few_rows


def gemv_forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch y = x @ weight with the bias and the ReLU of the epilogue; a linear layer has no other steps."""
    rows = shape.image[0]
    matrices = x.reshape(rows, shape.depth), weight.reshape(shape.depth, -1), y.reshape(rows, -1)
    launch_gemv(*matrices, epilogue.bias, bool(epilogue.steps & RELU))


gemv = Algorithm("gemv", gemv_applies, cost, forward=gemv_forward)

# transposed -----------------------------------------------------------------------------------------------------------


def transposed_applies(problem: Problem) -> bool:
    """Tell whether a problem is backward_data of a matrix product with few rows."""
    return problem.matrix and problem.pass_name == "backward_data" and problem.pixels <= TRANSPOSED_MAX_ROWS


def transposed_backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape) -> None:
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


transposed = Algorithm("transposed", transposed_applies, cost, backward_data=transposed_backward_data)
