"""winograd: 3x3 convolutions with fewer multiplications, on small tiles of the output.

Draft.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.microkernel.linear_map import linear_map
from byhand.kernels.microkernel.microkernel import no_epilogue, tile
from byhand.kernels.microkernel.operands import BIAS, RELU, RESIDUAL, SCALE, ZERO, A, B, C, Epilogue, Extent
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.kernels.runtime.kernel import Kernel, cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import scratch_workers
from byhand.kernels.runtime.types import Array, Indices

POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2")))


def matrices(outputs: int, taps: int):
    """Return (BT, G, AT) of F(outputs, taps), by Toom and Cook: polynomials through points, one of them at infinity."""
    size = outputs + taps - 1
    points = POINTS[: size - 1]

    def product(roots):
        coefficients = [Fraction(1)]
        for root in roots:
            shifted = [Fraction(0), *coefficients]
            coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)])]
        return coefficients

    bt, g = [], []
    for j, point in enumerate(points):
        others = [other for k, other in enumerate(points) if k != j]
        scale = prod(point - other for other in others)
        bt.append([*product(others), Fraction(0)])
        g.append([point**r / scale for r in range(taps)])
    bt.append(product(points))
    g.append([Fraction(int(r == taps - 1)) for r in range(taps)])
    at = [[point**i for point in points] + [Fraction(int(i == outputs - 1))] for i in range(outputs)]
    return tuple(tuple(tuple(map(float, row)) for row in matrix) for matrix in (bt, g, at))


class Tiling(NamedTuple):
    """How images are cut into tiles."""

    tiles: int  # of all images
    down: int
    across: int
    block_tiles: int
    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    filters: int
    top: int
    left: int
    columns: int


class Memory(NamedTuple):
    """Memory of the workers, flat."""

    v: Array
    products: Array
    half: Array
    patch: Array
    v_rows: Indices
    product_rows: Indices
    zero: Indices


def make(outputs: int):
    size = outputs + 2
    bt, g, at = matrices(outputs, 3)
    map_input, map_filter, map_output = linear_map(bt), linear_map(g), linear_map(at)
    planes = size * size
    one = size + 1  # the plane of the points (1, 1): it adds to all pixels of a tile alike

    @kernel
    def transform_filters(weight, u, half, channels, filters, columns, block, worker):
        """Transform the filters of one channel: (3, 3, C, K) -> (planes, tiles of K, C, columns)."""
        c = block
        tiles = cdiv(filters, columns)
        start = worker * size * 3 * filters
        for s in range(3):
            map_filter(weight, (s * channels + c) * filters, 3 * channels * filters, half, start + s * filters, 3 * filters, filters)
        for i in range(size):
            for t in range(tiles):
                map_filter(
                    half,
                    start + i * 3 * filters + t * columns,
                    filters,
                    u,
                    ((i * size * tiles + t) * channels + c) * columns,
                    tiles * channels * columns,
                    min(columns, filters - t * columns),
                )

    @kernel
    def sweep(x, y, u, epilogue, tiling, memory, block, worker):
        channels, filters, count = tiling.channels, tiling.filters, tiling.block_tiles
        first = block * count
        end = min(first + count, tiling.tiles)
        v0, p0 = worker * planes * count * channels, worker * planes * count * filters
        wide = max(channels, filters)
        h0, patch0 = worker * size * size * wide, worker * size * size * wide
        line = size * channels
        for at in range(first, end):
            n, place = at // (tiling.down * tiling.across), at % (tiling.down * tiling.across)
            row = place // tiling.across * outputs + tiling.top
            column = place % tiling.across * outputs + tiling.left
            if row >= 0 and row + size <= tiling.height and column >= 0 and column + size <= tiling.width:
                start = ((n * tiling.height + row) * tiling.width + column) * channels
                map_input(x, start, tiling.width * channels, memory.half, h0, line, line)
            else:
                low, high = max(0, -column), min(size, tiling.width - column)
                for i in range(size):
                    p = row + i
                    target = memory.patch[patch0 + i * line : patch0 + (i + 1) * line]
                    if p < 0 or p >= tiling.height or low >= high:
                        for k in range(target.size):
                            target[k] = 0.0
                        continue
                    begin = ((n * tiling.height + p) * tiling.width + column + low) * channels
                    source = x[begin : begin + (high - low) * channels]
                    before, inside, after = target[: low * channels], target[low * channels : high * channels], target[high * channels :]
                    for k in range(before.size):
                        before[k] = 0.0
                    for k in range(inside.size):
                        inside[k] = source[k]
                    for k in range(after.size):
                        after[k] = 0.0
                map_input(memory.patch, patch0, line, memory.half, h0, line, line)
            for i in range(size):
                map_input(
                    memory.half, h0 + i * line, channels, memory.v, v0 + (i * size * count + at - first) * channels, count * channels, channels
                )
        tiles = cdiv(filters, tiling.columns)
        nothing = no_epilogue(y)
        initial = BIAS if epilogue.bias.size > 0 else ZERO
        for g in range(planes):
            for t in range(tiles):
                k = t * tiling.columns
                tile(
                    A(memory.v, v0 + g * count * channels, memory.v_rows, memory.zero, 1),
                    B(u, (g * tiles + t) * channels * tiling.columns, memory.zero, tiling.columns),
                    C(memory.products, p0 + g * count * filters + k, memory.product_rows, k),
                    Extent(end - first, min(tiling.columns, filters - k), 1, channels),
                    initial if g == one else ZERO,
                    epilogue_of_bias(epilogue),
                )
        for at in range(first, end):
            n, place = at // (tiling.down * tiling.across), at % (tiling.down * tiling.across)
            row, column = place // tiling.across * outputs, place % tiling.across * outputs
            for j in range(size):
                map_output(
                    memory.products,
                    p0 + (j * count + at - first) * filters,
                    size * count * filters,
                    memory.half,
                    h0 + j * filters,
                    size * filters,
                    filters,
                )
            rows, columns = min(outputs, tiling.out_height - row), min(outputs, tiling.out_width - column)
            for i in range(rows):
                begin = ((n * tiling.out_height + row + i) * tiling.out_width + column) * filters
                if columns == outputs:
                    map_output(memory.half, h0 + i * size * filters, filters, y, begin, filters, filters)
                else:
                    map_output(memory.half, h0 + i * size * filters, filters, memory.patch, patch0, filters, filters)
                    out, source = y[begin : begin + columns * filters], memory.patch[patch0 : patch0 + columns * filters]
                    for k in range(out.size):
                        out[k] = source[k]
                finish(y, begin, columns * filters, epilogue)

    return transform_filters, sweep


def epilogue_of_bias(epilogue):
    """Return the epilogue of the products: nothing, with the bias to start from."""
    return Epilogue(0, epilogue.bias, epilogue.bias, epilogue.bias)


def finish(y, begin, length, epilogue):
    """Add the residual and clip."""
    if epilogue.steps & RESIDUAL:
        out, residual = y[begin : begin + length], epilogue.residual[begin : begin + length]
        for k in range(length):
            out[k] += residual[k]
    if epilogue.steps & RELU:
        out = y[begin : begin + length]
        for k in range(length):
            out[k] = 0.0 if out[k] < 0.0 else out[k]


KERNELS = {outputs: make(outputs) for outputs in (2, 4, 6)}


def applies(problem: Problem) -> bool:
    shape = problem.shape
    return (
        problem.pass_name in ("forward", "backward_data")
        and shape.kernel == (3, 3)
        and shape.stride == (1, 1) == shape.dilation
        and shape.groups == 1
        and not problem.matrix
    )


def cost(problem: Problem) -> float:
    return float("inf")


def run(x, weight, y, epilogue, top, left, outputs=4, block_tiles=None):
    n, height, width, channels = x.shape
    _, out_height, out_width, filters = y.shape
    size = outputs + 2
    columns = vector_unit().tile_columns(x.dtype)
    down, across = ceil(out_height / outputs), ceil(out_width / outputs)
    tiles = n * down * across
    rows = vector_unit().tile_rows
    if block_tiles is None:
        fit = cache_size(2) // (size * size * (channels + filters) * x.itemsize)
        block_tiles = max(1, min(max(2, fit // rows) * rows, ceil(tiles / 16 / rows) * rows))
    transform_filters, sweep = KERNELS[outputs]
    k_tiles, workers = ceil(filters / columns), scratch_workers()
    u = scratch(size * size * k_tiles * channels * columns, dtype=x.dtype)
    launch(transform_filters, channels, weight.reshape(-1), u, scratch(workers * size * 3 * filters, dtype=x.dtype), channels, filters, columns)
    tiling = Tiling(tiles, down, across, block_tiles, height, width, channels, out_height, out_width, filters, -top, -left, columns)
    wide = max(channels, filters)
    memory = Memory(
        scratch(workers * size * size * block_tiles * channels, dtype=x.dtype),
        scratch(workers * size * size * block_tiles * filters, dtype=x.dtype),
        scratch(workers * size * size * wide, dtype=x.dtype),
        scratch(workers * size * size * wide, dtype=x.dtype),
        np.arange(block_tiles) * channels,
        np.arange(block_tiles) * filters,
        np.zeros(1, np.int64),
    )
    launch(sweep, cdiv(tiles, block_tiles), x.reshape(-1), y.reshape(-1), u, epilogue, tiling, memory)


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    run(x, weight, y, epilogue, shape.padding[0], shape.padding[2])


winograd = Algorithm("winograd", applies, cost, forward=forward)
