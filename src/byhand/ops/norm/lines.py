"""Helpers of the normalization kernels: arrays of rows of channels, walked in lines of several whole rows.

A line holds at least LINE_ELEMENTS elements, whole rows end to end, so that a loop over it fills SIMD registers even where a
row has 3 channels. Every element of a line has a partial sum of its own; `sum_line` adds up its rows.
"""

from byhand.kernels import cdiv
from byhand.ops.flat_kernels import fill

NORM_BLOCK_ELEMENTS = 32768  # of a block: read from memory once, then from the cache
LINE_ELEMENTS = 256  # at least


def rows_and_blocks(x):
    """Return (rows of a block, number of blocks, elements of a line) of x (N, ..., C)."""
    channels = x.shape[-1]
    rows_per_line = cdiv(LINE_ELEMENTS, channels)
    rows = cdiv(NORM_BLOCK_ELEMENTS, channels * rows_per_line) * rows_per_line
    return rows, cdiv(x.size // channels, rows), rows_per_line * channels


def block_of(x, size, block):
    """Return one block of a flat array."""
    return x[block * size : (block + 1) * size]


def sum_line(line, total):
    """Write the sum over the rows of a line."""
    fill(total, 0.0)
    for at in range(0, line.size, total.size):
        row = line[at : at + total.size]
        for c in range(total.size):
            total[c] += row[c]


def repeat_row(row, line):
    """Fill a line with copies of a row."""
    for at in range(0, line.size, row.size):
        part = line[at : at + row.size]
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
