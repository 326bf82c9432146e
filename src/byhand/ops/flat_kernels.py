"""Kernels over flat arrays that several ops launch: copy, copy rows, set to zero, negate, fill.

`copy`, `copy_rows`, `zero` and `negate` launch a kernel; `fill` is called by kernels.
"""

from byhand.kernels import cdiv, kernel, launch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS


def copy(x, y):
    """Launch a copy of x into y, an array of as many elements and any shape."""
    launch(copy_block, cdiv(x.size, BLOCK_ELEMENTS), x.reshape(-1), y.reshape(-1))


@kernel
def copy_block(x, y, block):
    source = x[block * BLOCK_ELEMENTS : (block + 1) * BLOCK_ELEMENTS]
    target = y[block * BLOCK_ELEMENTS : (block + 1) * BLOCK_ELEMENTS]
    for k in range(source.size):
        target[k] = source[k]


def copy_rows(x, y, count, step_x, step_y, width):
    """Launch a copy of `count` rows of `width` elements, which begin step_x apart in x and step_y apart in y; both flat."""
    rows = cdiv(BLOCK_ELEMENTS, width)
    launch(copy_rows_block, cdiv(count, rows), x, y, step_x, step_y, width, rows)


@kernel
def copy_rows_block(x, y, step_x, step_y, width, rows, block):
    for row in range(block * rows, min((block + 1) * rows, cdiv(x.size, step_x))):
        source, target = x[row * step_x :][:width], y[row * step_y :][:width]
        for k in range(width):
            target[k] = source[k]


def zero(x):
    """Launch x = 0."""
    launch(zero_block, cdiv(x.size, BLOCK_ELEMENTS), x.reshape(-1))


@kernel
def zero_block(x, block):
    fill(x[block * BLOCK_ELEMENTS : (block + 1) * BLOCK_ELEMENTS], 0.0)


def negate(x):
    """Launch x = -x."""
    launch(negate_block, cdiv(x.size, BLOCK_ELEMENTS), x.reshape(-1))


@kernel
def negate_block(x, block):
    part = x[block * BLOCK_ELEMENTS : (block + 1) * BLOCK_ELEMENTS]
    for k in range(part.size):
        part[k] = -part[k]


def fill(x, value):
    """Set all elements of a flat array; for use inside kernels."""
    for k in range(x.size):
        x[k] = value
