"""gemv: the algorithm for a matrix product of at most four rows with large weights, bound by reading the weights once.

    y[n] = bias + sum over d of  x[n, d] * weight[d]

The weights are read row by row, as they lie in memory: one stream. The register tile would read them in blocks of columns,
one or two cache lines of each row. Each block of work sums over some rows d of the weights; the partial sums of the blocks
are added in a fixed order, so that the bits do not depend on the number of threads.
"""

from __future__ import annotations

from math import ceil

from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.microkernel.operands import RELU, Epilogue
from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.types import Array

# Rows of x: with more, the register tile is faster.
GEMV_MAX_ROWS = 4

# Bytes of the weights: with fewer, they stay in the caches, and the register tile is faster.
GEMV_MIN_BYTES = 1024 * 1024

# Blocks into which the rows of the weights are divided.
WEIGHT_BLOCKS = 16

# Elements of a row of y whose partial sums one block adds.
ADD_BLOCK_ELEMENTS = 1024


def applies(problem: Problem) -> bool:
    """Tell whether a problem is forward of a matrix product with few rows and large weights."""
    few_rows = problem.pixels <= GEMV_MAX_ROWS and problem.weight_bytes >= GEMV_MIN_BYTES
    return problem.matrix and problem.pass_name == "forward" and few_rows


def cost(problem: Problem) -> float:
    """Return the FLOPs: next to the weights, what is copied is small."""
    return problem.flops


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    """Launch y = x @ weight with the bias and the ReLU of the epilogue; a linear layer has no other steps."""
    rows = shape.image[0]
    matrices = x.reshape(rows, shape.depth), weight.reshape(shape.depth, -1), y.reshape(rows, -1)
    launch_gemv(*matrices, epilogue.bias, bool(epilogue.steps & RELU))


def launch_gemv(x: Array, weight: Array, y: Array, bias: Array, relu: bool) -> None:
    """Launch y (N, K) = x (N, D) @ weight (D, K) + bias (K,), which may be empty; then, with `relu`, a ReLU."""
    rows = ceil(len(weight) / WEIGHT_BLOCKS)
    blocks, slices = cdiv(len(weight), rows), cdiv(y.shape[1], ADD_BLOCK_ELEMENTS)
    partials = scratch(blocks, *y.shape, dtype=y.dtype)
    launch(sum_rows, blocks, x, weight, partials, rows)
    launch(add_partials, len(y) * slices, partials, bias, y, relu, slices)


gemv = Algorithm("gemv", applies, cost, forward=forward)


@kernel
def sum_rows(x, weight, partials, rows, block):
    """Write the partial sums over `rows` rows of the weights, four rows at a time."""
    first, last = block * rows, min((block + 1) * rows, x.shape[1])
    for n in range(x.shape[0]):
        out = partials[block, n]
        for k in range(out.size):
            out[k] = 0.0
    fours = first + (last - first) // 4 * 4
    for d in range(first, fours, 4):
        w0, w1, w2, w3 = weight[d], weight[d + 1], weight[d + 2], weight[d + 3]
        for n in range(x.shape[0]):
            out = partials[block, n]
            x0, x1, x2, x3 = x[n, d], x[n, d + 1], x[n, d + 2], x[n, d + 3]
            for k in range(out.size):
                out[k] += x0 * w0[k] + x1 * w1[k] + x2 * w2[k] + x3 * w3[k]
    for d in range(fours, last):
        row = weight[d]
        for n in range(x.shape[0]):
            out, factor = partials[block, n], x[n, d]
            for k in range(out.size):
                out[k] += factor * row[k]


@kernel
def add_partials(partials, bias, y, relu, slices, block):
    """Write a slice of a row of y: the bias plus all partial sums, in order."""
    n, first = block // slices, block % slices * ADD_BLOCK_ELEMENTS
    out = y[n, first : first + ADD_BLOCK_ELEMENTS]
    for k in range(out.size):
        out[k] = bias[first + k] if bias.size > 0 else 0.0
    for p in range(partials.shape[0]):
        part = partials[p, n, first:]
        for k in range(out.size):
            out[k] += part[k]
    if relu:
        for k in range(out.size):
            out[k] = 0.0 if out[k] < 0.0 else out[k]
