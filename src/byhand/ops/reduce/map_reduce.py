"""How the numbers along some axes become one: three steps that all such ops share, and what these are in each (reduce.py).

Each number is mapped, all are combined, the total is finished:

    y = finish(combine of mapped(x)),    grad_x = grad_y * slope,   slope = dy/dx
"""

from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from byhand.kernels import cdiv, kernel, launch, scratch
from byhand.ops.movement.movement import copy
from byhand.ops.movement.transpose import turn

GRAIN = 16384  # numbers of a block

# the steps, as they are for a sum: a kernel with others has their names in these places --------------------------------

START = 0.0


def mapped(x, y):
    return x


def combine(a, b):
    return a + b


def finish(total, count, y):
    return total


def slope(x, y, first, second, count):
    return 1.0


class Stage(NamedTuple):
    """One way from many numbers to one: the steps, and the kernels that take them."""

    mapped: object
    combine: object
    start: float
    finish: object
    kernels: tuple[object, object]


def stage(mapped=mapped, combine=combine, start=START, finish=finish):
    """Return a stage of these steps; `mapped` and `finish` also see y, as it was before."""
    made = gather_kernel(mapped, combine, start), finish_kernel(combine, start, finish)
    return Stage(mapped, combine, start, finish, made)


# loops ----------------------------------------------------------------------------------------------------------------


def windows(x, axes, keepdims):
    """Yield (place in y, the places in x that become it)."""
    for i in np.ndindex(*(1 if axis in axes else size for axis, size in enumerate(x.shape))):
        places = list(product(*(range(size) if axis in axes else (i[axis],) for axis, size in enumerate(x.shape))))
        yield (i if keepdims else tuple(at for axis, at in enumerate(i) if axis not in axes)), places


def fold(one, numbers, y):
    """Return what a stage makes of numbers."""
    total = np.float64(one.start)  # a division by 0 is infinite, as in the other hands
    for x in numbers:
        total = one.combine(total, one.mapped(x, y))
    return one.finish(total, float(len(numbers)), y)


# compiled: x as (A, R, B), of which R numbers become one; where its axes do not lie so, they are turned first ------------


def gather_kernel(mapped, combine, start):
    """Return the kernel that combines pieces of `length` numbers: x (A, R, B) -> parts (A, pieces, B)."""

    @kernel(reassociate=True)
    def gather_pieces(x, y, parts, length, some, block):
        numbers, columns, pieces = x.shape[1], x.shape[2], parts.shape[1]
        for unit in range(block * some, min((block + 1) * some, x.shape[0] * pieces)):
            a, p = unit // pieces, unit % pieces
            first, end = p * length, min((p + 1) * length, numbers)
            if columns == 1:
                total, before = start, y[a, 0]
                for r in range(first, end):
                    total = combine(total, mapped(x[a, r, 0], before))
                parts[a, p, 0] = total
            else:
                into = parts[a, p]
                for b in range(columns):
                    into[b] = start
                for r in range(first, end):
                    row = x[a, r]
                    for b in range(columns):
                        into[b] = combine(into[b], mapped(row[b], y[a, b]))

    return gather_pieces


def finish_kernel(combine, start, finish):
    """Return the kernel that combines the pieces, in their order, and finishes."""

    @kernel(reassociate=True)
    def finish_pieces(parts, y, count, some, block):
        for a in range(block * some, min((block + 1) * some, y.shape[0])):
            for b in range(y.shape[1]):
                total = start
                for p in range(parts.shape[1]):
                    total = combine(total, parts[a, p, b])
                y[a, b] = finish(total, count, y[a, b])

    return finish_pieces


class Notes(NamedTuple):
    """What the slope of a reduction takes: x (A, R, B), y (A, B), and what two further stages made of them, (A, B)."""

    x: object
    y: object
    first: object
    second: object


def slope_kernel(slope):
    """Return the kernel that writes grad_x (A, R, B) from grad_y (A, B)."""

    @kernel
    def send_back(notes, grad_y, grad_x, count, length, pieces, some, block):
        x, y, first, second = notes
        numbers, columns = grad_x.shape[1], grad_x.shape[2]
        for unit in range(block * some, min((block + 1) * some, grad_x.shape[0] * pieces)):
            a, p = unit // pieces, unit % pieces
            for r in range(p * length, min((p + 1) * length, numbers)):
                for b in range(columns):
                    grad_x[a, r, b] = grad_y[a, b] * slope(x[a, r, b], y[a, b], first[a, b], second[a, b], count)

    return send_back


def cut(shape):
    """Return how x (A, R, B) is cut: numbers in a piece, pieces of R, pieces in a block, blocks."""
    rows, numbers, columns = shape
    pieces = cdiv(numbers * columns, GRAIN)
    length = cdiv(numbers, pieces)
    pieces = cdiv(numbers, length)
    some = max(1, GRAIN // (length * columns))
    return length, pieces, some, cdiv(rows * pieces, some)


def gather(one, x, y):
    """Launch a stage: x (A, R, B) -> y (A, B)."""
    length, pieces, some, blocks = cut(x.shape)
    parts = scratch(x.shape[0], pieces, x.shape[2], dtype=x.dtype)
    launch(one.kernels[0], blocks, x, y, parts, length, some)
    some = max(1, GRAIN // (pieces * x.shape[2]))
    launch(one.kernels[1], cdiv(x.shape[0], some), parts, y, float(x.shape[1]), some)


def layout(shape, axes):
    """Return ((A, R, B), None), or where an axis that is kept lies between those that are not, the order that parts them."""
    real = [axis for axis, size in enumerate(shape) if size > 1]
    reduced = [axis for axis in real if axis in axes]
    first, last = (reduced[0], reduced[-1]) if reduced else (len(shape), len(shape) - 1)
    if all(axis in axes for axis in real if first <= axis <= last):
        return (prod(shape[:first]), prod(shape[first : last + 1]), prod(shape[last + 1 :])), None
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    many = prod(shape[axis] for axis in kept)
    return (many, prod(shape) // many, 1), kept + list(axes)


def arranged(x, sizes, order):
    """Return x as (A, R, B)."""
    if order is None:
        return x.reshape(sizes)
    turned = scratch(*(x.shape[axis] for axis in order), dtype=x.dtype)
    turn(x, turned, order)
    return turned.reshape(sizes)


def run(stages, x, y, axes):
    """Launch stages one after the other: each sees the y of the one before."""
    sizes, order = layout(x.shape, axes)
    x = arranged(x, sizes, order)
    for one in stages:
        gather(one, x, y.reshape(sizes[0], sizes[2]))


def run_backward(one, notes, x, y, grad_y, grad_x, axes):
    """Launch grad_x = grad_y * slope; notes: the stages whose results the slope also needs."""
    sizes, order = layout(grad_x.shape, axes)
    small = sizes[0], sizes[2]
    out = grad_x.reshape(sizes) if order is None else scratch(*sizes, dtype=grad_x.dtype)
    grad_y = grad_y.reshape(small)
    x, y = (out, grad_y) if x is None else (arranged(x, sizes, order), y.reshape(small))  # a sum's slope needs neither
    made = [y, y]
    for i, note in enumerate(notes):
        made[i] = scratch(*small, dtype=y.dtype)
        copy(y, made[i])
        gather(note, x, made[i])
    length, pieces, some, blocks = cut(sizes)
    launch(one, blocks, Notes(x, y, *made), grad_y, out, float(sizes[1]), length, pieces, some)
    if order is not None:
        shape = [grad_x.shape[axis] for axis in order]
        turn(out.reshape(shape), grad_x, [order.index(axis) for axis in range(grad_x.ndim)])
