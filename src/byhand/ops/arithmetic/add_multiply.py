"""add and multiply: y = a + b and y = a * b, with sizes of 1 repeated as NumPy does.

    grad_a = grad_y         (add)        grad_a = grad_y * b       (multiply)        and b alike

A number that was repeated was used many times; its gradient is the sum over its uses.
"""

from math import prod

import numpy as np

from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.kernels.indexing import merged, row_start, steps_of
from byhand.ops.movement.movement import copy
from byhand.ops.op import Call, Op
from byhand.shapes import broadcast

GRAIN = 16384  # elements of a block


def add_contract(a, b):
    """Add, with sizes of 1 repeated as NumPy does: a (...), b (...) -> y. Raises ShapeError where they do not fit.

    >>> import byhand as bh
    >>> bh.add([[1.0, 2.0]], [10.0, 20.0])
    array([[11., 22.]])
    """
    y = broadcast(a, b)
    return Call({"y": y}, flops=prod(y))


def multiply_contract(a, b):
    """Multiply, with sizes of 1 repeated as NumPy does: a (...), b (...) -> y. Raises ShapeError where they do not fit.

    >>> import byhand as bh
    >>> bh.multiply([[1.0, 2.0]], [10.0, 20.0])
    array([[10., 40.]])
    """
    y = broadcast(a, b)
    return Call({"y": y}, flops=prod(y))


def _at(place, shape):
    """Return the place in an array of `shape` that broadcasting shows at `place`."""
    return tuple(0 if size == 1 else i for i, size in zip(place[len(place) - len(shape) :], shape))


def _summed(grad, shape):
    """Return a gradient summed over the axes that broadcasting repeated."""
    grad = grad.sum(tuple(range(grad.ndim - len(shape))))
    return grad.sum(tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


def add_loops(a, b, y):
    for i in np.ndindex(y.shape):
        y[i] = a[_at(i, a.shape)] + b[_at(i, b.shape)]


def add_backward_loops(grad_y, grad_a, grad_b):
    for grad in (grad_a, grad_b):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                grad[_at(i, grad.shape)] += grad_y[i]


def multiply_loops(a, b, y):
    for i in np.ndindex(y.shape):
        y[i] = a[_at(i, a.shape)] * b[_at(i, b.shape)]


def multiply_backward_loops(a, b, grad_y, grad_a, grad_b):
    for grad, other in ((grad_a, b), (grad_b, a)):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                grad[_at(i, grad.shape)] += grad_y[i] * other[_at(i, other.shape)]


def add_arrays(a, b, y):
    np.add(a, b, out=y)


def add_backward_arrays(grad_y, grad_a, grad_b):
    for grad in (grad_a, grad_b):
        if grad is not None:
            grad[...] = _summed(grad_y, grad.shape)


def multiply_arrays(a, b, y):
    np.multiply(a, b, out=y)


def multiply_backward_arrays(a, b, grad_y, grad_a, grad_b):
    for grad, other in ((grad_a, b), (grad_b, a)):
        if grad is not None:
            grad[...] = _summed(grad_y * other, grad.shape)


@kernel
def paired(a, b, y, product, block):
    """Add or multiply two arrays of one size."""
    part = slice(block * GRAIN, (block + 1) * GRAIN)
    pair_sheet(a[part], 0, 1, b[part], 0, 1, y[part], 1, product)


@kernel
def paired_rows(a, b, y, sizes, steps_a, steps_b, product, rows, block):
    """Add or multiply, as many rows of y at once as lie alike; a step of 0 repeats a number."""
    size, row, end = sizes[-1], block * rows, min((block + 1) * rows, y.size // sizes[-1])
    while row < end:
        count = min(end - row, sizes[-2] - row % sizes[-2])
        ours, theirs = a[row_start(row, sizes, steps_a) :], b[row_start(row, sizes, steps_b) :]
        out = y[row * size : (row + count) * size]
        pair_sheet(ours, steps_a[-2], steps_a[-1], theirs, steps_b[-2], steps_b[-1], out, count, product)
        row += count


def pair_sheet(a, down_a, step_a, b, down_b, step_b, y, count, product):
    """Add or multiply `count` rows."""
    size = y.size // count
    for i in range(count):
        if step_a == 1 and step_b == 1:
            for k in range(size):
                p, q = a[np.uintp(i * down_a + k)], b[np.uintp(i * down_b + k)]
                y[np.uintp(i * size + k)] = p * q if product else p + q
        elif step_a == 1:
            q = b[i * down_b]
            for k in range(size):
                p = a[np.uintp(i * down_a + k)]
                y[np.uintp(i * size + k)] = p * q if product else p + q
        else:
            p = a[i * down_a]
            for k in range(size):
                q = b[np.uintp(i * down_b + k)]
                y[np.uintp(i * size + k)] = p * q if product else p + q


@kernel(reassociate=True)
def summed_rows(grad_y, other, sums, sizes, steps, steps_other, some, block):
    """Sum grad_y, or grad_y * other, over the axes that were repeated: `some` of the first axis a block."""
    first, stop, size = block * some, min((block + 1) * some, sizes[0]), sizes[-1]
    mine = first * steps[0]  # a block writes a part of its own, of `sums` or of the gradient
    total = sums[block] if steps[0] == 0 else sums[0, mine : stop * steps[0]]
    for k in range(total.size):
        total[k] = 0.0
    inner = 1
    for i in range(1, len(sizes) - 1):
        inner *= sizes[i]
    row, end, along = first * inner, stop * inner, len(sizes) - 2 if inner > 1 else 0
    while row < end:
        count = min(end - row, sizes[-2] - row % sizes[-2]) if inner > 1 else end - row
        grad, ours = grad_y[row * size : (row + count) * size], total[row_start(row, sizes, steps) - mine :]
        if other is None:
            sum_sheet(grad, ours, steps[along], steps[-1], count)
        else:
            theirs = other[row_start(row, sizes, steps_other) :]
            multiply_sheet(grad, theirs, steps_other[along], steps_other[-1], ours, steps[along], steps[-1], count)
        row += count


@kernel(reassociate=True)
def summed(grad_y, other, step_other, sums, block):
    """Sum a block of grad_y, or of grad_y * other, to one number."""
    grad, total = grad_y[block * GRAIN : (block + 1) * GRAIN], sums[block]
    total[0] = 0.0
    if other is None:
        sum_sheet(grad, total, 0, 0, 1)
    else:
        multiply_sheet(grad, other[block * GRAIN * step_other :], 0, step_other, total, 0, 0, 1)


def sum_sheet(grad, total, down, step, count):
    """Add `count` rows of grad to where they belong."""
    size = grad.size // count
    for i in range(count):
        if step == 1:
            for k in range(size):
                total[np.uintp(i * down + k)] += grad[np.uintp(i * size + k)]
        else:
            part = 0.0
            for k in range(size):
                part += grad[np.uintp(i * size + k)]
            total[i * down] += part


def multiply_sheet(grad, other, down_other, step_other, total, down, step, count):
    """Add `count` rows of grad * other to where they belong."""
    size = grad.size // count
    for i in range(count):
        one, part = other[i * down_other], 0.0
        if step == 1 and step_other == 1:
            for k in range(size):
                p, q = grad[np.uintp(i * size + k)], other[np.uintp(i * down_other + k)]
                total[np.uintp(i * down + k)] += p * q
        elif step == 1:
            for k in range(size):
                total[np.uintp(i * down + k)] += grad[np.uintp(i * size + k)] * one
        elif step_other == 1:
            for k in range(size):
                part += grad[np.uintp(i * size + k)] * other[np.uintp(i * down_other + k)]
            total[i * down] += part
        else:
            for k in range(size):
                part += grad[np.uintp(i * size + k)]
            total[i * down] += part * one


@kernel
def added_blocks(sums, grad, block):
    """Add up the sums of all blocks, in their order."""
    part = slice(block * GRAIN, (block + 1) * GRAIN)
    total = grad[part]
    for k in range(total.size):
        total[k] = 0.0
    for b in range(sums.shape[0]):
        more = sums[b, part]
        for k in range(total.size):
            total[k] += more[k]


def pair(a, b, y, product):
    """Launch y = a + b or y = a * b."""
    flat = a.reshape(-1), b.reshape(-1), y.reshape(-1)
    if a.size == b.size == y.size:
        launch(paired, cdiv(y.size, GRAIN), *flat, product)
        return
    sizes, steps_a, steps_b = merged(y.shape, steps_of(a.shape, y.shape), steps_of(b.shape, y.shape))
    rows = cdiv(GRAIN, sizes[-1])
    launch(paired_rows, cdiv(y.size // sizes[-1], rows), *flat, sizes, steps_a, steps_b, product, rows)


def unpair(grad_y, other, grad):
    """Launch grad = grad_y * other, or grad_y alone where other is None, summed over the axes that were repeated."""
    if grad is None:
        return
    if grad.size == grad_y.size:
        copy(grad_y, grad) if other is None else pair(grad_y, other, grad.reshape(grad_y.shape), True)
        return
    shape = grad_y.shape
    others = steps_of(shape) if other is None else steps_of(other.shape, shape)
    sizes, steps, others = merged(shape, steps_of(grad.shape, shape), others)
    flat, ours, theirs = grad.reshape(1, -1), grad_y.reshape(-1), None if other is None else other.reshape(-1)
    if prod(sizes[:-1]) == 1:  # all of it is summed
        blocks = cdiv(grad_y.size, GRAIN)
        sums = scratch(blocks, 1, dtype=grad.dtype)
        launch(summed, blocks, ours, theirs, others[-1], sums)
    else:
        first = next(i for i, size in enumerate(sizes) if size > 1)  # the axis that blocks are cut from
        sizes, steps, others = (swapped(one, first) for one in (sizes, steps, others))
        some = min(sizes[0], cdiv(GRAIN, prod(sizes[1:])))
        blocks = cdiv(sizes[0], some)
        sums = flat if steps[0] or blocks == 1 else scratch(blocks, grad.size, dtype=grad.dtype)
        launch(summed_rows, blocks, ours, theirs, sums, sizes, steps, others, some)
    if sums is not flat:
        launch(added_blocks, cdiv(grad.size, GRAIN), sums, grad.reshape(-1))


def swapped(one, i):
    """Return a tuple with its first and its i-th item swapped."""
    return tuple(one[i if at == 0 else 0 if at == i else at] for at in range(len(one)))


@compiled
def add_compiled(a, b, y):
    pair(a, b, y, False)


@compiled
def add_backward_compiled(grad_y, grad_a, grad_b):
    unpair(grad_y, None, grad_a)
    unpair(grad_y, None, grad_b)


@compiled
def multiply_compiled(a, b, y):
    pair(a, b, y, True)


@compiled
def multiply_backward_compiled(a, b, grad_y, grad_a, grad_b):
    unpair(grad_y, b, grad_a)
    unpair(grad_y, a, grad_b)


def pair_sample(draw):
    """Draw a legal call."""
    shape = [draw.integer(1, 4) for _ in range(4)]
    thin = [draw.choice([1, size]) for size in shape][draw.integer(0, 3) :]
    pair = (draw.array(*shape), draw.array(*thin))
    return (pair if draw.choice([True, False]) else pair[::-1]), {}


add = Op(
    "add",
    add_contract,
    loops=(add_loops, add_backward_loops),
    arrays=(add_arrays, add_backward_arrays),
    compiled=(add_compiled, add_backward_compiled),
    sample=pair_sample,
    onnx="Add",
)
multiply = Op(
    "multiply",
    multiply_contract,
    loops=(multiply_loops, multiply_backward_loops),
    arrays=(multiply_arrays, multiply_backward_arrays),
    compiled=(multiply_compiled, multiply_backward_compiled),
    sample=pair_sample,
    onnx="Mul",
)
