"""A matrix product with few rows on the left: the weights are read once, row by row as they lie, which is all that it takes.

    y[n] = bias + sum over d of  x[n, d] * weight[d]

The register tile would read the weights in columns, a cache line here and a cache line a row further on. Each block sums up
some rows of the weights; the blocks' sums are added in a fixed order.
"""

from __future__ import annotations

from math import ceil

from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.types import Array

GEMV_MAX_ROWS = 4  # of x: with more, the register tile is faster
GEMV_MIN_BYTES = 1024 * 1024  # of weights: less of them stays in the caches
WEIGHT_BLOCKS = 16
ADD_BLOCK_ELEMENTS = 1024  # of a row of y


@kernel
def sum_rows(x, weight, parts, rows, block):
    """Write the sums over `rows` rows of the weights, four at a time."""
    first, last = block * rows, min((block + 1) * rows, x.shape[1])
    for n in range(x.shape[0]):
        into = parts[block, n]
        for k in range(into.size):
            into[k] = 0.0
    fours = first + (last - first) // 4 * 4
    for d in range(first, fours, 4):
        w0, w1, w2, w3 = weight[d], weight[d + 1], weight[d + 2], weight[d + 3]
        for n in range(x.shape[0]):
            into = parts[block, n]
            x0, x1, x2, x3 = x[n, d], x[n, d + 1], x[n, d + 2], x[n, d + 3]
            for k in range(into.size):
                into[k] += x0 * w0[k] + x1 * w1[k] + x2 * w2[k] + x3 * w3[k]
    for d in range(fours, last):
        row = weight[d]
        for n in range(x.shape[0]):
            into, factor = parts[block, n], x[n, d]
            for k in range(into.size):
                into[k] += factor * row[k]


@kernel
def add_blocks(parts, bias, y, relu, slices, block):
    """Write a slice of a row of y: the bias and all parts, the first first."""
    n, first = block // slices, block % slices * ADD_BLOCK_ELEMENTS
    out = y[n, first : first + ADD_BLOCK_ELEMENTS]
    for k in range(out.size):
        out[k] = bias[first + k] if bias.size > 0 else 0.0
    for p in range(parts.shape[0]):
        part = parts[p, n, first:]
        for k in range(out.size):
            out[k] += part[k]
    if relu:
        for k in range(out.size):
            out[k] = 0.0 if out[k] < 0.0 else out[k]


def product(x: Array, weight: Array, y: Array, bias: Array, relu: bool) -> None:
    """Launch y (N, K) = x (N, D) @ weight (D, K) + bias (K,), which may be empty; with `relu`, what is negative becomes 0."""
    rows = ceil(len(weight) / WEIGHT_BLOCKS)
    blocks, slices = cdiv(len(weight), rows), cdiv(y.shape[1], ADD_BLOCK_ELEMENTS)
    parts = scratch(blocks, *y.shape, dtype=y.dtype)
    launch(sum_rows, blocks, x, weight, parts, rows)
    launch(add_blocks, len(y) * slices, parts, bias, y, relu, slices)
