"""Kernels over flat arrays that several ops launch: copy, copy rows, set to zero, negate, fill.

`copy`, `copy_rows`, `zero` and `negate` launch a kernel; `fill` is called by kernels.
"""

from byhand.kernels import cdiv, kernel, launch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.op import Array


def copy(x: Array, y: Array) -> None:
    """Launch a copy of x into y, an array of as many elements and any shape."""
    launch(copy_block, cdiv(x.size, BLOCK_ELEMENTS), x.reshape(-1), y.reshape(-1))


@kernel
def copy_block(x: Array, y: Array, block: int) -> None:
    source = x[block * BLOCK_ELEMENTS : (block + 1) * BLOCK_ELEMENTS]
    target = y[block * BLOCK_ELEMENTS : (block + 1) * BLOCK_ELEMENTS]
    for k in range(source.size):
        target[k] = source[k]


def copy_rows(x: Array, y: Array, count: int, step_x: int, step_y: int, width: int) -> None:
    """Launch a copy of `count` rows of `width` elements, which begin step_x apart in x and step_y apart in y; both flat."""
    rows = cdiv(BLOCK_ELEMENTS, width)
    launch(copy_rows_block, cdiv(count, rows), x, y, step_x, step_y, width, rows)


@kernel
def copy_rows_block(x: Array, y: Array, step_x: int, step_y: int, width: int, rows: int, block: int) -> None:
    for row in range(block * rows, min((block + 1) * rows, cdiv(x.size, step_x))):
        source, target = x[row * step_x :][:width], y[row * step_y :][:width]
        for k in range(width):
            target[k] = source[k]


def zero(x: Array) -> None:
    """Launch x = 0."""
    launch(zero_block, cdiv(x.size, BLOCK_ELEMENTS), x.reshape(-1))


@kernel
def zero_block(x: Array, block: int) -> None:
    fill(x[block * BLOCK_ELEMENTS : (block + 1) * BLOCK_ELEMENTS], 0.0)


def negate(x: Array) -> None:
    """Launch x = -x."""
    launch(negate_block, cdiv(x.size, BLOCK_ELEMENTS), x.reshape(-1))


@kernel
def negate_block(x: Array, block: int) -> None:
    part = x[block * BLOCK_ELEMENTS : (block + 1) * BLOCK_ELEMENTS]
    for k in range(part.size):
        part[k] = -part[k]


def fill(x: Array, value: float) -> None:
    """Set all elements of a flat array; for use inside kernels."""
    for k in range(x.size):
        x[k] = value
