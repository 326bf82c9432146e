"""NumPy's broadcasting for the arithmetic ops: axes of size 1 repeat forward, and their gradient is summed backward.

    forward   y[i] = f(a[i], b[i]),   with index 0 on every axis where a or b has size 1
    backward  grad_a = sum of the gradient over the axes that a repeats,   and b alike

The loops use `broadcast_index`, the arrays hands `sum_to_shape`, the compiled hands `unbroadcast`.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from byhand.kernels import cdiv, kernel, launch, scratch
from byhand.kernels.indexing import element_strides, merge_axes, row_start
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.flat_kernels import copy
from byhand.ops.op import Array, CallSpec
from byhand.shapes import Shape, broadcast


def broadcast_call(a: Shape, b: Shape) -> CallSpec:
    """Return the call of an op of two arrays that does one operation per element of y."""
    y = broadcast(a, b)
    return CallSpec({"y": y}, flops=prod(y))


def broadcast_index(index, shape):
    """Return the index into an array of `shape` that broadcasts to `index` of y: 0 on every repeated axis."""
    return tuple(0 if size == 1 else i for i, size in zip(index[len(index) - len(shape) :], shape))


def sum_to_shape(grad, shape):
    """Return a gradient summed over the axes that broadcasting repeated, in the shape of the input."""
    grad = grad.sum(tuple(range(grad.ndim - len(shape))))
    return grad.sum(tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


# compiled -------------------------------------------------------------------------------------------------------------
# np.uintp(...) around an index: Numba tests a signed index for being negative, which keeps LLVM from vectorizing the loop.


class Rows(NamedTuple):
    """Rows of a flat array; a step of 0 repeats a row or an element."""

    array: Array
    row_step: int  # elements from one row to the next
    step: int  # elements from one element of a row to the next


class PairSteps(NamedTuple):
    """The axes of y, and the steps along them in the two inputs that are broadcast to it."""

    sizes: tuple[int, ...]
    a: tuple[int, ...]
    b: tuple[int, ...]


class SumSteps(NamedTuple):
    """The axes of grad_y, and the steps along them in the gradient that it is summed to, and in its factor."""

    sizes: tuple[int, ...]
    grad: tuple[int, ...]
    factor: tuple[int, ...]


def pair_steps(a, b, shape):
    """Return the steps in a and b, broadcast to a shape; axes that are adjacent in all arrays are merged."""
    return PairSteps(*merge_axes(shape, element_strides(a.shape, shape), element_strides(b.shape, shape)))


def unbroadcast(grad_y, factor, grad):
    """Launch grad = grad_y * factor, summed over the axes that grad's input repeats; factor None: 1; grad None: nothing.

    factor broadcasts to the shape of grad_y.
    """
    if grad is None:
        return
    if grad.size == grad_y.size:
        copy(grad_y, grad) if factor is None else launch_multiply(grad_y, factor, grad.reshape(grad_y.shape))
        return
    shape = grad_y.shape
    factor_steps = element_strides(shape) if factor is None else element_strides(factor.shape, shape)
    steps = SumSteps(*merge_axes(shape, element_strides(grad.shape, shape), factor_steps))
    flat_grad, flat_y = grad.reshape(1, -1), grad_y.reshape(-1)
    flat_factor = None if factor is None else factor.reshape(-1)
    if prod(steps.sizes[:-1]) == 1:  # every element goes into one sum
        blocks = cdiv(grad_y.size, BLOCK_ELEMENTS)
        partials = scratch(blocks, 1, dtype=grad.dtype)
        launch(sum_block, blocks, flat_y, flat_factor, steps.factor[-1], partials)
    else:
        axis = next(i for i, size in enumerate(steps.sizes) if size > 1)  # blocks are slices of this axis
        steps = SumSteps(*(swap_first(values, axis) for values in steps))
        slices = min(steps.sizes[0], cdiv(BLOCK_ELEMENTS, prod(steps.sizes[1:])))
        blocks = cdiv(steps.sizes[0], slices)
        partials = flat_grad if steps.grad[0] or blocks == 1 else scratch(blocks, grad.size, dtype=grad.dtype)
        launch(sum_rows_block, blocks, flat_y, flat_factor, partials, steps, slices)
    if partials is not flat_grad:
        launch(add_partials, cdiv(grad.size, BLOCK_ELEMENTS), partials, grad.reshape(-1))


def swap_first(values, i):
    """Return a tuple with its first and its i-th item swapped."""
    return (values[i], *values[1:i], values[0], *values[i + 1 :]) if i > 0 else values


@kernel(reassociate=True)
def sum_block(grad_y, factor, factor_step, partials, block):
    """Sum a block of grad_y * factor to one number."""
    grad, total = grad_y[block * BLOCK_ELEMENTS : (block + 1) * BLOCK_ELEMENTS], partials[block]
    total[0] = 0.0
    if factor is None:
        accumulate_rows(grad, Rows(total, 0, 0), 1)
    else:
        times = factor[block * BLOCK_ELEMENTS * factor_step :]
        accumulate_product_rows(grad, Rows(times, 0, factor_step), Rows(total, 0, 0), 1)


@kernel(reassociate=True)
def sum_rows_block(grad_y, factor, partials, steps, slices, block):
    """Sum grad_y * factor over the repeated axes: `slices` slices of the first axis a block.

    A block writes a part of its own: of `partials`, or of the gradient itself.
    """
    sizes, grad_steps, factor_steps = steps
    first, stop, size = block * slices, min((block + 1) * slices, sizes[0]), sizes[-1]
    offset = first * grad_steps[0]
    total = partials[block] if grad_steps[0] == 0 else partials[0, offset : stop * grad_steps[0]]
    for k in range(total.size):
        total[k] = 0.0
    inner = 1
    for i in range(1, len(sizes) - 1):
        inner *= sizes[i]
    row, end, along = first * inner, stop * inner, len(sizes) - 2 if inner > 1 else 0
    while row < end:
        count = min(end - row, sizes[-2] - row % sizes[-2]) if inner > 1 else end - row
        grad, target = grad_y[row * size : (row + count) * size], total[row_start(row, sizes, grad_steps) - offset :]
        sums = Rows(target, grad_steps[along], grad_steps[-1])
        if factor is None:
            accumulate_rows(grad, sums, count)
        else:
            times = factor[row_start(row, sizes, factor_steps) :]
            accumulate_product_rows(grad, Rows(times, factor_steps[along], factor_steps[-1]), sums, count)
        row += count


def accumulate_rows(grad, sums, count):
    """Add `count` rows of grad to the rows of sums."""
    (total, row_step, step), size = sums, grad.size // count
    for i in range(count):
        if step == 1:
            for k in range(size):
                total[np.uintp(i * row_step + k)] += grad[np.uintp(i * size + k)]
        else:
            part = 0.0
            for k in range(size):
                part += grad[np.uintp(i * size + k)]
            total[i * row_step] += part


def accumulate_product_rows(grad, factors, sums, count):
    """Add `count` rows of grad * factors to the rows of sums."""
    factor, factor_row_step, factor_step = factors
    (total, row_step, step), size = sums, grad.size // count
    for i in range(count):
        scale, part = factor[i * factor_row_step], 0.0
        if step == 1 and factor_step == 1:
            for k in range(size):
                p, q = grad[np.uintp(i * size + k)], factor[np.uintp(i * factor_row_step + k)]
                total[np.uintp(i * row_step + k)] += p * q
        elif step == 1:
            for k in range(size):
                total[np.uintp(i * row_step + k)] += grad[np.uintp(i * size + k)] * scale
        elif factor_step == 1:
            for k in range(size):
                part += grad[np.uintp(i * size + k)] * factor[np.uintp(i * factor_row_step + k)]
            total[i * row_step] += part
        else:
            for k in range(size):
                part += grad[np.uintp(i * size + k)]
            total[i * row_step] += part * scale


@kernel
def add_partials(partials, grad, block):
    """Add the sums of all blocks in a fixed order, so that the number of threads changes no bit."""
    part = slice(block * BLOCK_ELEMENTS, (block + 1) * BLOCK_ELEMENTS)
    total = grad[part]
    for k in range(total.size):
        total[k] = 0.0
    for b in range(partials.shape[0]):
        row = partials[b, part]
        for k in range(total.size):
            total[k] += row[k]


def launch_add(a, b, y):
    """Launch y = a + b, broadcast to the shape of y."""
    _launch_pair(a, b, y, False)


def launch_multiply(a, b, y):
    """Launch y = a * b, broadcast to the shape of y."""
    _launch_pair(a, b, y, True)


def _launch_pair(a, b, y, product):
    flat = a.reshape(-1), b.reshape(-1), y.reshape(-1)
    if a.size == b.size == y.size:
        launch(pair_block, cdiv(y.size, BLOCK_ELEMENTS), *flat, product)
        return
    steps = pair_steps(a, b, y.shape)
    size = steps.sizes[-1]
    rows = cdiv(BLOCK_ELEMENTS, size)
    launch(pair_rows_block, cdiv(y.size // size, rows), *flat, steps, product, rows)


@kernel
def pair_block(a, b, y, product, block):
    """Add or multiply two arrays of one size."""
    part = slice(block * BLOCK_ELEMENTS, (block + 1) * BLOCK_ELEMENTS)
    pair_rows(Rows(a[part], 0, 1), Rows(b[part], 0, 1), y[part], 1, product)


@kernel
def pair_rows_block(a, b, y, steps, product, rows, block):
    """Add or multiply, as many rows of y at once as are equally far apart in a and in b."""
    sizes, steps_a, steps_b = steps
    size, row, end = sizes[-1], block * rows, min((block + 1) * rows, y.size // sizes[-1])
    while row < end:
        count = min(end - row, sizes[-2] - row % sizes[-2])
        from_a, from_b = a[row_start(row, sizes, steps_a) :], b[row_start(row, sizes, steps_b) :]
        out = y[row * size : (row + count) * size]
        rows_a, rows_b = Rows(from_a, steps_a[-2], steps_a[-1]), Rows(from_b, steps_b[-2], steps_b[-1])
        pair_rows(rows_a, rows_b, out, count, product)
        row += count


def pair_rows(rows_a, rows_b, y, count, product):
    """Add or multiply `count` rows."""
    (a, row_step_a, step_a), (b, row_step_b, step_b) = rows_a, rows_b
    size = y.size // count
    for i in range(count):
        if step_a == 1 and step_b == 1:
            for k in range(size):
                p, q = a[np.uintp(i * row_step_a + k)], b[np.uintp(i * row_step_b + k)]
                y[np.uintp(i * size + k)] = p * q if product else p + q
        elif step_a == 1:
            q = b[i * row_step_b]
            for k in range(size):
                p = a[np.uintp(i * row_step_a + k)]
                y[np.uintp(i * size + k)] = p * q if product else p + q
        else:
            p = a[i * row_step_a]
            for k in range(size):
                q = b[np.uintp(i * row_step_b + k)]
                y[np.uintp(i * size + k)] = p * q if product else p + q
