"""A matrix product with few rows on the left: the weights are read once, row by row as they lie, and that is all its time.

    y[n] = bias + sum over d of  x[n, d] * weight[d]

A tile would read them in columns, a cache line here and a cache line a row further on. Each block sums up some rows of the
weights; the blocks' sums are added in a fixed order.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch

MOST = 4  # rows of x: more of them are work for the tile
LEAST = 1024 * 1024  # bytes of weights: less of them stays in the caches
BLOCKS = 16  # of weights
SLICE = 1024  # numbers of y that a block adds up


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
    n, first = block // slices, block % slices * SLICE
    out = y[n, first : first + SLICE]
    for k in range(out.size):
        out[k] = bias[first + k] if bias.size > 0 else 0.0
    for p in range(parts.shape[0]):
        part = parts[p, n, first:]
        for k in range(out.size):
            out[k] += part[k]
    if relu:
        for k in range(out.size):
            out[k] = 0.0 if out[k] < 0.0 else out[k]


def few(x: Any, weight: Any) -> bool:
    """Tell whether x (N, D) @ weight (D, K) is better done here."""
    return len(x) <= MOST and bool(weight.nbytes >= LEAST)


def product(x: Any, weight: Any, bias: Any, y: Any, relu: bool) -> None:
    """Write y (N, K) = x (N, D) @ weight (D, K) + bias; with `relu`, what is negative becomes 0."""
    rows = ceil(len(weight) / BLOCKS)
    blocks, slices = cdiv(len(weight), rows), cdiv(y.shape[1], SLICE)
    parts = scratch(blocks, *y.shape, dtype=y.dtype)
    launch(sum_rows, blocks, x, weight, parts, rows)
    launch(add_blocks, len(y) * slices, parts, y[0, :0] if bias is None else bias, y, relu, slices)
