"""winograd: 3x3 convolutions with fewer multiplications, by transforms of small tiles.

Draft.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from byhand.kernels.conv.problem import Algorithm, ConvShape, Problem
from byhand.kernels.microkernel.bilinear_map import Grid, bilinear_map
from byhand.kernels.microkernel.microkernel import no_epilogue, tile
from byhand.kernels.microkernel.operands import ADD, BIAS, RELU, RESIDUAL, ZERO, A, B, C, Epilogue, Extent
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import scratch_workers
from byhand.kernels.runtime.types import Array, Indices

POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2")))
TAPS = 3


@cache
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


class Tiled(NamedTuple):
    """Images cut into tiles: each begins `step` pixels after the one before, the first at (top, left)."""

    array: Array
    height: int
    width: int
    channels: int
    top: int
    left: int
    step: int


class Tiling(NamedTuple):
    """The tiles of all images, and of a block of work."""

    tiles: int  # of all images
    down: int
    across: int
    block_tiles: int


class Planes(NamedTuple):
    """Transformed tiles: element (g, t, c) = array[g * plane + t * channels + c], for each worker."""

    array: Array
    plane: int
    channels: int
    rows: Indices


class Patches(NamedTuple):
    """Memory for a patch of each worker."""

    array: Array
    size: int


def make(outputs: int):
    size = outputs + 2
    planes = size * size
    unit = size + 1  # the plane of the points (1, 1): it adds to all pixels of a tile alike
    bt, g, at = matrices(outputs, TAPS)
    map_input, map_filter, map_output = bilinear_map(bt), bilinear_map(g), bilinear_map(at)
    _, g_weights, at_weights = matrices(TAPS, outputs)
    map_gradient, map_weights = bilinear_map(g_weights), bilinear_map(at_weights)

    @kernel
    def transform_filters(weight, u, channels, filters, columns, block):
        """Transform the filters of one channel: (3, 3, C, K) -> (planes, tiles of K, C, columns)."""
        tiles = cdiv(filters, columns)
        for t in range(tiles):
            map_filter(
                Grid(weight, block * filters + t * columns, TAPS * channels * filters, channels * filters),
                Grid(u, (t * channels + block) * columns, size * tiles * channels * columns, tiles * channels * columns),
                min(columns, filters - t * columns),
            )

    def transform_inputs(x, tiling, v, v0, patches, first, end, worker):
        for t in range(first, end):
            source = tile_of(x, tiling, t, size, patches, worker)
            map_input(source, Grid(v.array, v0 + (t - first) * v.channels, size * v.plane, v.plane), x.channels)

    @kernel
    def forward(x, y, u, columns, epilogue, tiling, v, products, patches, segments, block, worker):
        """Compute one block of tiles."""
        first = block * tiling.block_tiles
        end = min(first + tiling.block_tiles, tiling.tiles)
        v0, p0 = worker * planes * v.plane, worker * planes * products.plane
        transform_inputs(x, tiling, v, v0, patches, first, end, worker)
        tiles = cdiv(y.channels, columns)
        for plane in range(planes):
            for t in range(tiles):
                tile(
                    A(v.array, v0 + plane * v.plane, v.rows, segments, 1),
                    B(u, (plane * tiles + t) * x.channels * columns, segments, columns),
                    C(products.array, p0 + plane * products.plane + t * columns, products.rows, t * columns),
                    Extent(end - first, min(columns, y.channels - t * columns), 1, x.channels),
                    BIAS if plane == unit and epilogue.bias.size > 0 else ZERO,
                    only_bias(epilogue),
                )
        for t in range(first, end):
            source = Grid(products.array, p0 + (t - first) * y.channels, size * products.plane, products.plane)
            n, place = t // (tiling.down * tiling.across), t % (tiling.down * tiling.across)
            row, column = place // tiling.across * outputs, place % tiling.across * outputs
            rows, columns_in = min(outputs, y.height - row), min(outputs, y.width - column)
            line, begin = y.width * y.channels, ((n * y.height + row) * y.width + column) * y.channels
            if rows == outputs and columns_in == outputs:
                map_output(source, Grid(y.array, begin, line, y.channels), y.channels)
            else:
                patch = worker * patches.size
                map_output(source, Grid(patches.array, patch, outputs * y.channels, y.channels), y.channels)
                for i in range(rows):
                    start = patch + i * outputs * y.channels
                    copy(patches.array[start : start + columns_in * y.channels], y.array, begin + i * line)
            for i in range(rows):
                finish(y.array, begin + i * line, columns_in * y.channels, epilogue)

    @kernel
    def transform_chunk(x, grad, tiling, v, w, patches, chunk, block, worker):
        """Transform a block of a chunk's tiles, of the images and of the gradients."""
        begin = chunk * v.rows.size
        first = begin + block * tiling.block_tiles
        end = min(first + tiling.block_tiles, begin + v.rows.size, tiling.tiles)
        transform_inputs(x, tiling, v, (first - begin) * v.channels, patches, first, end, worker)
        for t in range(first, end):
            source = tile_of(grad, tiling, t, outputs, patches, worker)
            map_gradient(source, Grid(w.array, (t - begin) * w.channels, size * w.plane, w.plane), grad.channels)

    @kernel
    def sum_products(v, w, sums, rows, columns, parts, tiles, chunk, segments, block):
        """Add the products of a chunk, of one plane and one part of the channels: sums (planes, C, K)."""
        plane, part = block // parts, block % parts
        first, end = part * v.channels // parts, (part + 1) * v.channels // parts
        count = min(v.rows.size, tiles - chunk * v.rows.size)
        for k in range(0, w.channels, columns):
            tile(
                A(v.array, plane * v.plane + first, rows, segments, v.channels),
                B(w.array, plane * w.plane + k, segments, w.channels),
                C(sums.array, plane * sums.plane + first * w.channels + k, sums.rows, 0),
                Extent(end - first, min(columns, w.channels - k), 1, count),
                ADD if chunk else ZERO,
                no_epilogue(sums.array),
            )

    @kernel
    def finish_weights(sums, weight, channels, filters, block):
        """Transform the sums of one channel: (planes, C, K) -> (3, 3, C, K)."""
        map_weights(
            Grid(sums.array, block * filters, size * sums.plane, sums.plane),
            Grid(weight, block * filters, TAPS * channels * filters, channels * filters),
            filters,
        )

    return transform_filters, forward, transform_chunk, sum_products, finish_weights


def tile_of(x, tiling, t, size, patches, worker):
    """Return tile t of some images as a grid: where it lies, or a copy in which pixels beyond the edges are 0."""
    n, place = t // (tiling.down * tiling.across), t % (tiling.down * tiling.across)
    row, column = place // tiling.across * x.step + x.top, place % tiling.across * x.step + x.left
    line = size * x.channels
    if row >= 0 and row + size <= x.height and column >= 0 and column + size <= x.width:
        return Grid(x.array, ((n * x.height + row) * x.width + column) * x.channels, x.width * x.channels, x.channels)
    low, high = min(size, max(0, -column)), max(0, min(size, x.width - column))
    for i in range(size):
        start, p = worker * patches.size + i * line, row + i
        target = patches.array[start : start + line]
        if p < 0 or p >= x.height or low >= high:
            clear(target)
            continue
        begin = ((n * x.height + p) * x.width + column + low) * x.channels
        clear(target[: low * x.channels])
        copy(x.array[begin : begin + (high - low) * x.channels], target, low * x.channels)
        clear(target[high * x.channels :])
    return Grid(patches.array, worker * patches.size, line, x.channels)


def clear(target):
    for k in range(target.size):
        target[k] = 0.0


def copy(source, target, start):
    out = target[start : start + source.size]
    for k in range(source.size):
        out[k] = source[k]


def only_bias(epilogue):
    """Return the epilogue of the products: nothing, with the bias to start from."""
    return Epilogue(0, epilogue.bias, epilogue.bias, epilogue.bias)


def finish(y, begin, length, epilogue):
    """Add the residual and clip."""
    out = y[begin : begin + length]
    if epilogue.steps & RESIDUAL:
        residual = epilogue.residual[begin : begin + length]
        for k in range(length):
            out[k] += residual[k]
    if epilogue.steps & RELU:
        for k in range(length):
            out[k] = 0.0 if out[k] < 0.0 else out[k]


@kernel
def transpose_filters(weight, transposed, channels, filters, block):
    """Turn one tap of the filters by 180 degrees: (3, 3, C, K) -> (3, 3, K, C)."""
    for k in range(filters):
        row = (8 - block) * channels * filters + k * channels
        for c in range(channels):
            transposed[row + c] = weight[(block * channels + c) * filters + k]


KERNELS = {outputs: make(outputs) for outputs in (2, 4, 6)}


def applies(problem: Problem) -> bool:
    shape = problem.shape
    return (
        shape.kernel == (3, 3)
        and shape.stride == (1, 1) == shape.dilation
        and shape.groups == 1
        and not problem.matrix
    )


def cost(problem: Problem) -> float:
    return float("inf")


def tiled(x: Array, top: int, left: int, step: int) -> Tiled:
    return Tiled(x.reshape(-1), *x.shape[1:], -top, -left, step)


def run_forward(x, weight, y, epilogue, top, left, outputs=4, block_tiles=None):
    _, out_height, out_width, filters = y.shape
    channels, size, workers = x.shape[3], outputs + 2, scratch_workers()
    columns, rows = vector_unit().tile_columns(x.dtype), vector_unit().tile_rows
    down, across = ceil(out_height / outputs), ceil(out_width / outputs)
    tiles = len(x) * down * across
    if block_tiles is None:
        fit = cache_size(2) // 2 // (size * size * (channels + filters) * x.itemsize)
        block_tiles = max(1, min(max(1, fit // rows) * rows, ceil(tiles / 16 / rows) * rows))
    transform_filters, forward, *_ = KERNELS[outputs]
    u = scratch(size * size * ceil(filters / columns) * channels * columns, dtype=x.dtype)
    launch(transform_filters, channels, weight.reshape(-1), u, channels, filters, columns)
    line = 64 // x.itemsize

    def planes(channels):
        plane = block_tiles * channels + line
        return Planes(scratch(workers * size * size * plane, dtype=x.dtype), plane, channels, np.arange(block_tiles) * channels)

    patch = size * size * max(channels, filters)
    launch(
        forward, cdiv(tiles, block_tiles), tiled(x, top, left, outputs), tiled(y, 0, 0, outputs), u, columns, epilogue,
        Tiling(tiles, down, across, block_tiles), planes(channels), planes(filters),
        Patches(scratch(workers * patch, dtype=x.dtype), patch), np.zeros(1, np.int64),
    )


def run_backward_weights(x, grad_y, grad_weight, top, left, outputs=4, chunk_tiles=None):
    _, out_height, out_width, filters = grad_y.shape
    channels, size, workers = x.shape[3], outputs + 2, scratch_workers()
    columns, rows = vector_unit().tile_columns(x.dtype), vector_unit().tile_rows
    down, across = ceil(out_height / outputs), ceil(out_width / outputs)
    tiles = len(x) * down * across
    if chunk_tiles is None:
        chunk_tiles = max(128, 4 * 1024 * 1024 // (size * size * (channels + filters) * x.itemsize))
    chunk_tiles = min(chunk_tiles, tiles)
    _, _, transform_chunk, sum_products, finish_weights = KERNELS[outputs]
    line = 64 // x.itemsize
    tiling = Tiling(tiles, down, across, max(1, ceil(chunk_tiles / 16)))

    def planes(count, channels):
        plane = count * channels + line
        return Planes(scratch(size * size * plane, dtype=x.dtype), plane, channels, np.arange(count) * channels)

    v, w, sums = planes(chunk_tiles, channels), planes(chunk_tiles, filters), planes(channels, filters)
    patch = size * size * max(channels, filters)
    patches = Patches(scratch(workers * patch, dtype=x.dtype), patch)
    parts = max(1, channels // 64)
    for chunk in range(cdiv(tiles, chunk_tiles)):
        launch(transform_chunk, 16, tiled(x, top, left, outputs), tiled(grad_y, 0, 0, outputs), tiling, v, w, patches, chunk)
        launch(sum_products, size * size * parts, v, w, sums, np.arange(channels), columns, parts, tiles, chunk, np.zeros(1, np.int64))
    launch(finish_weights, channels, sums, grad_weight.reshape(-1), channels, filters)


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape) -> None:
    run_forward(x, weight, y, epilogue, shape.padding[0], shape.padding[2])


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape, outputs=4) -> None:
    transposed = scratch(weight.size, dtype=weight.dtype)
    launch(transpose_filters, 9, weight.reshape(-1), transposed, shape.depth, shape.filters)
    transposed = transposed.reshape(3, 3, shape.filters, shape.depth)
    nothing = no_epilogue(grad_x.reshape(-1)[:0])
    run_forward(grad_y, transposed, grad_x, nothing, 2 - shape.padding[0], 2 - shape.padding[2], outputs)


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape, outputs=4) -> None:
    run_backward_weights(x, grad_y, grad_weight, shape.padding[0], shape.padding[2], outputs)


winograd = Algorithm("winograd", applies, cost, forward=forward, backward_data=backward_data, backward_weights=backward_weights)
