"""The operands of the register tile: arrays a, b and c with their tables of offsets, the counts, and the epilogue.

microkernel.py states the sum.
"""

from __future__ import annotations

from typing import NamedTuple

from byhand.kernels.runtime.types import Array, Indices

ZERO, ADD, BIAS = range(3)  # what a sum starts from: 0, what c holds, the bias of its column
RELU, SCALE, RESIDUAL = 1, 2, 4  # the steps of an epilogue: any of them together
CAP = 8  # with RELU: at most 6, a ReLU6
ACTIVATION_STEP = 16  # times 1, 2, ...: after these steps, one of the activations of activation.py


class A(NamedTuple):
    """The left operand: a[m, t, k] = array[start + rows[m] + segments[t] + k * step], the same for all columns.

    `tile_per_channel` adds n: there each column has an element of its own.
    """

    array: Array
    start: int
    rows: Indices
    segments: Indices
    step: int


class B(NamedTuple):
    """The right operand: b[t, k, n] = array[start + segments[t] + k * step + n].

    `tile_of_list` reads array[start + t * step] for all columns, one number per segment.
    """

    array: Array
    start: int
    segments: Indices
    step: int


class C(NamedTuple):
    """The result: c[m, n] = array[start + rows[m] + n]; column: where its bias and scale begin."""

    array: Array
    start: int
    rows: Indices
    column: int


class Extent(NamedTuple):
    """How many rows m and columns n a result has, and how many segments t of length k are summed over."""

    rows: int
    columns: int
    segments: int
    length: int


class Epilogue(NamedTuple):
    """The epilogue: steps, any of those above, and an activation; bias, scale (columns); residual, laid out as c is.

    Without SCALE the bias is no step: a sum may start from it. Arrays of steps that are not taken are empty.
    """

    steps: int
    bias: Array
    scale: Array
    residual: Array
