"""Sums over many rows or parts, in an order that depends on sizes alone."""

from __future__ import annotations

from math import ceil
from typing import Any

from byhand.kernels.kernel import compiled, kernel, launch, scratch, share

SLICE = 4096  # numbers that a block adds up
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
    launch(add_parts, share(total.size, SLICE), parts.reshape(len(parts), -1), total.reshape(-1), scale)


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
    blocks = share(len(rows), several)
    parts = total.reshape(1, -1) if blocks == 1 else scratch(blocks, total.size, dtype=rows.dtype)
    launch(add_rows, blocks, rows, parts, several)
    if blocks > 1:
        add_up(parts, total)


@kernel
def turn_slice(parts, total, block):
    """Write total[p, k], the sum over parts of parts[i, k, p], for a slice of p."""
    columns = total.shape[1]
    some = max(1, SLICE // columns)
    for p in range(block * some, min((block + 1) * some, total.shape[0])):
        row = total[p]
        for k in range(columns):
            value = parts[0, k, p]
            for i in range(1, parts.shape[0]):
                value += parts[i, k, p]
            row[k] = value


def turn(parts: Any, total: Any) -> None:
    """Write the sum of parts (P, K, M), turned round, into total (M, K)."""
    launch(turn_slice, share(len(total), max(1, SLICE // total.shape[1])), parts, total)
