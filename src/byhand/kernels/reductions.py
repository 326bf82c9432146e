"""Sums over many rows or parts, in an order that depends on sizes alone."""

from __future__ import annotations

from math import ceil
from typing import Any

from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import compiled, launch, scratch

SLICE = 4096  # numbers that a block adds up
SQUARE = 16  # numbers: a cache line of float32
ROWS, MOST = 256, 64  # of a block of rows at least; blocks at most


@kernel
def add_parts(parts, total, scale, block):
    """Add a slice of the parts (P, size) up, the first first."""
    first, last = block * SLICE, min((block + 1) * SLICE, total.size)
    into = total[first:last]
    part = parts[0, first:last]
    for i in range(part.size):
        into[i] = part[i]
    for p in range(1, parts.shape[0]):
        part = parts[p, first:last]
        for i in range(part.size):
            into[i] += part[i]
    if scale != 1.0:
        for i in range(into.size):
            into[i] *= scale


@compiled
def add_up(parts: Any, total: Any, *, scale: float = 1.0) -> None:
    """Write the sum of parts (P, ...) times `scale` into total (...)."""
    launch(add_parts, cdiv(total.size, SLICE), parts.reshape(len(parts), -1), total.reshape(-1), scale)


@kernel(reassociate=True)
def add_rows(rows, parts, several, block):
    """Add up `several` rows of (P, K) from row block * several on."""
    into = parts[block]
    for k in range(into.size):
        into[k] = 0.0
    for p in range(block * several, min((block + 1) * several, rows.shape[0])):
        row = rows[p]
        for k in range(row.size):
            into[k] += row[k]


def column_sums(rows: Any, total: Any) -> None:
    """Write the sum over the rows of (P, K) into total (K,)."""
    several = max(ROWS, ceil(len(rows) / MOST))
    blocks = cdiv(len(rows), several)
    parts = total.reshape(1, -1) if blocks == 1 else scratch(blocks, total.size, dtype=rows.dtype)
    launch(add_rows, blocks, rows, parts, several)
    if blocks > 1:
        add_up(parts, total)


@kernel
def turn_slice(parts, total, some, block):
    """Write total[p, k], the sum over parts of parts[i, k, p], for a slice of p, square by square: both sides stay near."""
    columns, last = total.shape[1], min((block + 1) * some, total.shape[0])
    for first in range(block * some, last, SQUARE):
        for left in range(0, columns, SQUARE):
            for p in range(first, min(first + SQUARE, last)):
                row = total[p]
                for k in range(left, min(left + SQUARE, columns)):
                    value = parts[0, k, p]
                    for i in range(1, parts.shape[0]):
                        value += parts[i, k, p]
                    row[k] = value


def turn(parts: Any, total: Any) -> None:
    """Write the sum of parts (P, K, M), turned round, into total (M, K)."""
    some = max(SQUARE, SLICE // total.shape[1])
    launch(turn_slice, cdiv(len(total), some), parts, total, some)
