"""Reductions as map, combine, finalize: the machinery that the ops of reduce.py share.

A stage turns the elements along some axes into one:

    y = finalize(combine of map(x)),    grad_x = grad_y * derivative,   derivative = dy/dx

reduce.py says what the three functions and the derivative are for each op. The loops call them; `stage` and `backward_kernel`
compile them into kernels, which see x as (A, R, B) and reduce R.
"""

from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from byhand.kernels import cdiv, kernel, launch, scratch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.flat_kernels import copy
from byhand.ops.movement.transpose import launch_transpose
from byhand.ops.op import Array

# the functions of a sum, which are the defaults -----------------------------------------------------------------------


def identity(x, y):
    return x


def add(a, b):
    return a + b


def total_as_is(total, count, y):
    return total


class Stage(NamedTuple):
    """One reduction: its three functions, the value that combining starts from, and its kernels."""

    map: object
    combine: object
    initial: float
    finalize: object
    kernels: tuple[object, object]


def stage(map=identity, combine=add, initial=0.0, finalize=total_as_is):
    """Return a stage.

    map(x, y), combine(a, b), finalize(total, count, y); y is the result of the stage before.
    """
    kernels = _combine_kernel(map, combine, initial), _finalize_kernel(combine, initial, finalize)
    return Stage(map, combine, initial, finalize, kernels)


# loops ----------------------------------------------------------------------------------------------------------------


def index_groups(x, axes, keepdims):
    """Yield (index in y, the indices in x that reduce to it)."""
    for i in np.ndindex(*(1 if axis in axes else size for axis, size in enumerate(x.shape))):
        indices = list(product(*(range(size) if axis in axes else (i[axis],) for axis, size in enumerate(x.shape))))
        yield (i if keepdims else tuple(at for axis, at in enumerate(i) if axis not in axes)), indices


def reduce_values(stage, values, y):
    """Return the result of a stage for a list of numbers."""
    total = np.float64(stage.initial)  # NumPy's float: a division by 0 is infinite, as in the other hands
    for x in values:
        total = stage.combine(total, stage.map(x, y))
    return stage.finalize(total, float(len(values)), y)


# compiled -------------------------------------------------------------------------------------------------------------


class Pieces(NamedTuple):
    """How the reduced axis of x (A, R, B) is cut into pieces."""

    length: int  # elements of R in a piece
    number: int  # of them in R
    per_block: int


class Results(NamedTuple):
    """The operands of a derivative besides x, each (A, B)."""

    y: Array
    first: Array  # the results of the auxiliary stages; where there is none, any array
    second: Array


def _combine_kernel(map, combine, initial):
    @kernel(reassociate=True)
    def combine_pieces(x, y, parts, pieces, block):
        """Combine the elements of each piece: x (A, R, B) -> parts (A, pieces, B)."""
        (length, number, per_block), (rows, reduced, columns) = pieces, x.shape
        for unit in range(block * per_block, min((block + 1) * per_block, rows * number)):
            a, p = unit // number, unit % number
            first, end = p * length, min((p + 1) * length, reduced)
            if columns == 1:
                total, before = initial, y[a, 0]
                for r in range(first, end):
                    total = combine(total, map(x[a, r, 0], before))
                parts[a, p, 0] = total
            else:
                out = parts[a, p]
                for b in range(columns):
                    out[b] = initial
                for r in range(first, end):
                    row = x[a, r]
                    for b in range(columns):
                        out[b] = combine(out[b], map(row[b], y[a, b]))

    return combine_pieces


def _finalize_kernel(combine, initial, finalize):
    @kernel(reassociate=True)
    def finalize_rows(parts, y, count, rows, block):
        """Combine the pieces in a fixed order, and finalize: parts (A, pieces, B) -> y (A, B)."""
        for a in range(block * rows, min((block + 1) * rows, y.shape[0])):
            for b in range(y.shape[1]):
                total = initial
                for p in range(parts.shape[1]):
                    total = combine(total, parts[a, p, b])
                y[a, b] = finalize(total, count, y[a, b])

    return finalize_rows


def backward_kernel(derivative):
    """Return the kernel that writes grad_x (A, R, B) = grad_y (A, B) * derivative(x, y, first, second, count)."""

    @kernel
    def reduction_backward(x, results, grad_y, grad_x, elements, pieces, block):
        (y, first, second), (length, number, per_block) = results, pieces
        rows, reduced, columns = grad_x.shape
        for unit in range(block * per_block, min((block + 1) * per_block, rows * number)):
            a, p = unit // number, unit % number
            for r in range(p * length, min((p + 1) * length, reduced)):
                for b in range(columns):
                    slope = derivative(x[a, r, b], y[a, b], first[a, b], second[a, b], elements)
                    grad_x[a, r, b] = grad_y[a, b] * slope

    return reduction_backward


def split_into_pieces(shape):
    """Return how x (A, R, B) is cut into pieces, and the number of blocks."""
    rows, reduced, columns = shape
    length = cdiv(reduced, cdiv(reduced * columns, BLOCK_ELEMENTS))
    pieces = Pieces(length, cdiv(reduced, length), max(1, BLOCK_ELEMENTS // (length * columns)))
    return pieces, cdiv(rows * pieces.number, pieces.per_block)


def launch_stage(stage, x, y):
    """Launch a stage: x (A, R, B) -> y (A, B)."""
    pieces, blocks = split_into_pieces(x.shape)
    parts = scratch(x.shape[0], pieces.number, x.shape[2], dtype=x.dtype)
    combine_pieces, finalize_rows = stage.kernels
    launch(combine_pieces, blocks, x, y, parts, pieces)
    rows = max(1, BLOCK_ELEMENTS // (pieces.number * x.shape[2]))
    launch(finalize_rows, cdiv(x.shape[0], rows), parts, y, float(x.shape[1]), rows)


def layout(shape, axes):
    """Return ((A, R, B), None) where the reduced axes are adjacent, else ((A, R, 1), the order of axes that makes them so)."""
    real = [axis for axis, size in enumerate(shape) if size > 1]
    reduced = [axis for axis in real if axis in axes]
    first, last = (reduced[0], reduced[-1]) if reduced else (len(shape), len(shape) - 1)
    if all(axis in axes for axis in real if first <= axis <= last):
        return (prod(shape[:first]), prod(shape[first : last + 1]), prod(shape[last + 1 :])), None
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    results = prod(shape[axis] for axis in kept)
    return (results, prod(shape) // results, 1), kept + list(axes)


def arrange_axes(x, sizes, order):
    """Return x as (A, R, B), transposed where `layout` found an order."""
    if order is None:
        return x.reshape(sizes)
    transposed = scratch(*(x.shape[axis] for axis in order), dtype=x.dtype)
    launch_transpose(x, transposed, order)
    return transposed.reshape(sizes)


def launch_stages(stages, x, y, axes):
    """Launch stages one after the other: each sees the y of the one before."""
    sizes, order = layout(x.shape, axes)
    x = arrange_axes(x, sizes, order)
    for stage in stages:
        launch_stage(stage, x, y.reshape(sizes[0], sizes[2]))


def launch_reduction_backward(gradient, auxiliary, x, y, grad_y, grad_x, axes):
    """Launch grad_x = grad_y * derivative; auxiliary: the stages whose results the derivative also needs."""
    sizes, order = layout(grad_x.shape, axes)
    reduced_shape = sizes[0], sizes[2]
    out = grad_x.reshape(sizes) if order is None else scratch(*sizes, dtype=grad_x.dtype)
    grad_y = grad_y.reshape(reduced_shape)
    # A linear reduction has x None: its derivative reads neither x nor y, and any arrays of their shapes will do.
    x, y = (out, grad_y) if x is None else (arrange_axes(x, sizes, order), y.reshape(reduced_shape))
    extra = [y, y]
    for i, stage in enumerate(auxiliary):
        extra[i] = scratch(*reduced_shape, dtype=y.dtype)
        copy(y, extra[i])
        launch_stage(stage, x, extra[i])
    pieces, blocks = split_into_pieces(sizes)
    launch(gradient, blocks, x, Results(y, *extra), grad_y, out, float(sizes[1]), pieces)
    if order is not None:
        shape = [grad_x.shape[axis] for axis in order]
        launch_transpose(out.reshape(shape), grad_x, [order.index(axis) for axis in range(grad_x.ndim)])
