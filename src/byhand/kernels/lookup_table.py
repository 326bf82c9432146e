"""Pixels looked up in a table: uint8 images as a network receives them."""

from __future__ import annotations

from typing import Any

from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import compiled, launch

SOME = 16384  # pixels of a block


@kernel
def look_up_rows(images, rows, table, out, some, block):
    """Look up some rows; table: a row a channel, or one row for all."""
    channels = table.shape[0]
    for i in range(block * some, min((block + 1) * some, rows.size)):
        source, into = images[rows[i]], out[i]
        if channels == 1:
            values = table[0]
            for k in range(source.size):
                into[k] = values[source[k]]
        else:
            for k in range(0, source.size, channels):
                for c in range(channels):
                    into[k + c] = table[c, source[k + c]]


@compiled
def look_up(images: Any, rows: Any, table: Any, out: Any) -> None:
    """Write table[channel, pixel] of those rows of images (N, ...) uint8 into out (rows, ...)."""
    pixels, several = images.reshape(len(images), -1), max(1, SOME // max(1, out[0].size))
    launch(look_up_rows, cdiv(len(rows), several), pixels, rows, table, out.reshape(len(rows), -1), several)
