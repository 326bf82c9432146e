"""Helpers of the normalization kernels: arrays of rows of channels, walked in strips of several whole rows.

A strip holds at least MIN_STRIP_ELEMENTS elements, so that a loop over it fills SIMD registers even where a row has 3 channels.
Every element of a strip has a partial sum of its own; `sum_strip` adds up its rows.
"""

from byhand.kernels import cdiv
from byhand.ops.flat_kernels import fill

# Elements of a block: read from memory once, then from the cache.
NORM_BLOCK_ELEMENTS = 32768
# Elements of a strip, at least.
MIN_STRIP_ELEMENTS = 256


def rows_and_blocks(x):
    """Return (rows of a block, number of blocks, elements of a strip) of x (N, ..., C)."""
    channels = x.shape[-1]
    rows_per_strip = cdiv(MIN_STRIP_ELEMENTS, channels)
    rows = cdiv(NORM_BLOCK_ELEMENTS, channels * rows_per_strip) * rows_per_strip
    return rows, cdiv(x.size // channels, rows), rows_per_strip * channels


def block_of(x, size, block):
    """Return one block of a flat array."""
    return x[block * size : (block + 1) * size]


def sum_strip(strip, total):
    """Write the sum over the rows of a strip."""
    fill(total, 0.0)
    for at in range(0, strip.size, total.size):
        row = strip[at : at + total.size]
        for c in range(total.size):
            total[c] += row[c]


def repeat_row(row, strip):
    """Fill a strip with copies of a row."""
    for at in range(0, strip.size, row.size):
        part = strip[at : at + row.size]
        for c in range(row.size):
            part[c] = row[c]


def write_row(row, out):
    """Copy a row; out None: it is not wanted."""
    if out is not None:
        for c in range(row.size):
            out[c] = row[c]


def write_scaled_row(row, scale, out):
    """Write row * scale; out None: it is not wanted."""
    if out is not None:
        for c in range(row.size):
            out[c] = row[c] * scale[c]


def finite(number):
    """Return whether a number is neither infinite nor NaN."""
    return number - number == 0.0
