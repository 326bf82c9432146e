"""Pixels looked up in a table: uint8 images as a network receives them."""

from __future__ import annotations

from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import compiled, launch
from byhand.kernels.runtime.types import Array

LOOKUP_BLOCK_PIXELS = 16384


@kernel
def look_up_rows(images, rows, table, out, rows_per_block, block):
    """Look up some rows; table: a row a channel, or one row for all."""
    channels = table.shape[0]
    for i in range(block * rows_per_block, min((block + 1) * rows_per_block, rows.size)):
        source, out_row = images[rows[i]], out[i]
        if channels == 1:
            values = table[0]
            for k in range(source.size):
                out_row[k] = values[source[k]]
        else:
            for k in range(0, source.size, channels):
                for c in range(channels):
                    out_row[k + c] = table[c, source[k + c]]


@compiled
def look_up(images: Array, rows: Array, table: Array, out: Array) -> None:
    """Write table[channel, pixel] of those rows of images (N, ...) uint8 into out (rows, ...)."""
    pixels, rows_per_block = images.reshape(len(images), -1), max(1, LOOKUP_BLOCK_PIXELS // max(1, out[0].size))
    blocks = cdiv(len(rows), rows_per_block)
    launch(look_up_rows, blocks, pixels, rows, table, out.reshape(len(rows), -1), rows_per_block)
