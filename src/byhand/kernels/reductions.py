"""Sums over rows of a matrix or over partial sums, in an order that depends on sizes alone, never on threads."""

from __future__ import annotations

from math import ceil

from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import compiled, launch, scratch
from byhand.kernels.runtime.types import Array

# Elements of the total that one block computes.
SUM_BLOCK_ELEMENTS = 4096

# Rows and columns of the square tiles of a transposition: a cache line of float32.
TRANSPOSE_TILE_ELEMENTS = 16

# Rows that one block of a column sum adds, at least.
MIN_BLOCK_ROWS = 256

# Blocks of a column sum, at most: each has a row of partial sums.
MAX_ROW_BLOCKS = 64


@kernel
def add_parts(parts, total, scale, block):
    """Sum a slice of the parts (P, size) in order, then scale it."""
    first, last = block * SUM_BLOCK_ELEMENTS, min((block + 1) * SUM_BLOCK_ELEMENTS, total.size)
    out = total[first:last]
    part = parts[0, first:last]
    for i in range(part.size):
        out[i] = part[i]
    for p in range(1, parts.shape[0]):
        part = parts[p, first:last]
        for i in range(part.size):
            out[i] += part[i]
    if scale != 1.0:
        for i in range(out.size):
            out[i] *= scale


@compiled
def add_up(parts: Array, total: Array, *, scale: float = 1.0) -> None:
    """Write the sum of parts (P, ...) times `scale` into total (...)."""
    launch(add_parts, cdiv(total.size, SUM_BLOCK_ELEMENTS), parts.reshape(len(parts), -1), total.reshape(-1), scale)


@kernel(reassociate=True)
def add_rows(rows, parts, rows_per_block, block):
    """Write the partial sum of some rows of (P, K)."""
    out = parts[block]
    for k in range(out.size):
        out[k] = 0.0
    for p in range(block * rows_per_block, min((block + 1) * rows_per_block, rows.shape[0])):
        row = rows[p]
        for k in range(row.size):
            out[k] += row[k]


def column_sums(rows: Array, total: Array) -> None:
    """Write the sum over all but the last axis of (..., K) into total (K,)."""
    rows = rows.reshape(-1, rows.shape[-1])
    rows_per_block = max(MIN_BLOCK_ROWS, ceil(len(rows) / MAX_ROW_BLOCKS))
    blocks = cdiv(len(rows), rows_per_block)
    parts = total.reshape(1, -1) if blocks == 1 else scratch(blocks, total.size, dtype=rows.dtype)
    launch(add_rows, blocks, rows, parts, rows_per_block)
    if blocks > 1:
        add_up(parts, total)


@kernel
def sum_transposed_rows(parts, total, rows_per_block, block):
    """Write total[p, k], the sum over i of parts[i, k, p], for some rows p, tile by tile: both sides stay in the cache."""
    columns, last = total.shape[1], min((block + 1) * rows_per_block, total.shape[0])
    for first in range(block * rows_per_block, last, TRANSPOSE_TILE_ELEMENTS):
        for left in range(0, columns, TRANSPOSE_TILE_ELEMENTS):
            for p in range(first, min(first + TRANSPOSE_TILE_ELEMENTS, last)):
                row = total[p]
                for k in range(left, min(left + TRANSPOSE_TILE_ELEMENTS, columns)):
                    value = parts[0, k, p]
                    for i in range(1, parts.shape[0]):
                        value += parts[i, k, p]
                    row[k] = value


def sum_transposed(parts: Array, total: Array) -> None:
    """Write the sum of parts (P, K, M), transposed, into total (M, K)."""
    rows_per_block = max(TRANSPOSE_TILE_ELEMENTS, SUM_BLOCK_ELEMENTS // total.shape[1])
    launch(sum_transposed_rows, cdiv(len(total), rows_per_block), parts, total, rows_per_block)
