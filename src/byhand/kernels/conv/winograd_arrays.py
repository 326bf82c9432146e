"""Winograd's convolution as arrays: where its matrices come from, and all three passes as sums (einsum).

A filter of r taps that slides over m + r - 1 inputs gives m outputs, with m * r multiplications. This is the transpose of a
product of two polynomials, of m and of r coefficients. A polynomial of n coefficients is known by its values at n points, and
the values of a product are products of values, so that n = m + r - 1 multiplications are enough: evaluate both polynomials at n
points, multiply point by point, interpolate. The transposed algorithm F(m, r) needs as many, with three matrices of exact
fractions:

    y = A^T [ (G weight) * (B^T x) ]                             one dimension, n products for m * r
    Y = A^T [ (G W G^T) * (B^T X B) ] A                          two dimensions, n^2 products for m^2 * r^2

F(4x4, 3x3) needs 36 products for 144. Sums over channels, and over pixels in backward_weights, are taken between the
transforms, so that these are done once for each tile, not once for each pair of channels.

The points are infinity and the first n - 1 of 0, 1, -1, 2, -2, 1/2, -1/2: small numbers of both signs, so that the rows of a
and -a share their sums, and entries stay small. Entries are powers of the points, and rounding errors grow with them: of 6x6
tiles they are some ten times those of a direct sum.

Sources: Toom 1963 and Cook 1966 (the evaluation and interpolation); Winograd 1980, "Arithmetic complexity of computations";
Lavin & Gray 2015, arXiv 1509.09308 (in networks); Barabasz et al. 2018, arXiv 1803.10986 (points and errors).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import ceil, prod
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from byhand.kernels.microkernel.bilinear_map import Matrix
from byhand.kernels.runtime.types import Array

POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2")))
TAPS = 3


class Matrices(NamedTuple):
    """The matrices of F(m, r), n = m + r - 1: B^T (n, n) of the input, G (n, r) of the filter, A^T (m, n) of the output."""

    input: Matrix
    filter: Matrix
    output: Matrix


@cache
def matrices(outputs: int, taps: int) -> Matrices:
    """Return the matrices of F(outputs, taps); the last point is infinity, where a polynomial's value is its last coefficient.

    >>> bt, g, at = matrices(2, 3)
    >>> for row in bt:
    ...     print(*row)
    -1.0 0.0 1.0 0.0
    0.0 1.0 1.0 0.0
    0.0 -1.0 1.0 0.0
    0.0 -1.0 0.0 1.0
    >>> for row in g:
    ...     print(*row)
    -1.0 0.0 0.0
    0.5 0.5 0.5
    0.5 -0.5 0.5
    0.0 0.0 1.0
    >>> for row in at:
    ...     print(*row)
    1.0 1.0 1.0 0.0
    0.0 1.0 -1.0 1.0
    """
    points = POINTS[: outputs + taps - 2]
    input_rows, filter_rows = [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = prod(
            point - other for other in others
        )  # the denominator of Lagrange's formula: G has it, B^T needs none
        input_rows.append([*_polynomial(others), Fraction(0)])
        filter_rows.append([point**r / scale for r in range(taps)])
    input_rows.append(_polynomial(points))
    filter_rows.append([Fraction(int(r == taps - 1)) for r in range(taps)])
    output_rows = [[*(point**i for point in points), Fraction(int(i == outputs - 1))] for i in range(outputs)]
    return Matrices(*(tuple(tuple(map(float, row)) for row in m) for m in (input_rows, filter_rows, output_rows)))


def _polynomial(roots: list[Fraction] | tuple[Fraction, ...]) -> list[Fraction]:
    """Return the coefficients of the product of (t - root), the lowest power first."""
    coefficients = [Fraction(1)]
    for root in roots:
        coefficients = [a - root * b for a, b in zip([Fraction(0), *coefficients], [*coefficients, Fraction(0)])]
    return coefficients


# arrays ---------------------------------------------------------------------------------------------------------------


def forward_arrays(x: Array, weight: Array, padding: tuple[int, int, int, int], outputs: int = 4) -> Array:
    """Return x (N, H, W, C) convolved with weight (3, 3, C, K), stride 1; padding: (top, bottom, left, right)."""
    bt, g, at = (np.array(matrix, x.dtype) for matrix in matrices(outputs, TAPS))
    height, width = x.shape[1] + sum(padding[:2]) - TAPS + 1, x.shape[2] + sum(padding[2:]) - TAPS + 1
    v = np.einsum("ap,nijcpq,bq->abnijc", bt, _tiles(x, padding[::2], height, width, outputs, TAPS - 1), bt)
    u = np.einsum("ar,rsck,bs->abck", g, weight, g)
    products = np.einsum("abnijc,abck->abnijk", v, u)
    y = np.einsum("ua,abnijk,vb->niujvk", at, products, at)  # u, v: rows and columns of a tile
    whole: Array = y.reshape(len(x), outputs * y.shape[1], outputs * y.shape[3], -1)
    return whole[:, :height, :width]


def backward_data_arrays(grad_y: Array, weight: Array, padding: tuple[int, int, int, int], outputs: int = 4) -> Array:
    """Return the gradient of x: grad_y convolved with the filters turned by 180 degrees, inputs and outputs exchanged."""
    turned = weight[::-1, ::-1].swapaxes(2, 3)
    top, bottom, left, right = (TAPS - 1 - size for size in padding)
    return forward_arrays(grad_y, turned, (top, bottom, left, right), outputs)


def backward_weights_arrays(x: Array, grad_y: Array, padding: tuple[int, int, int, int], outputs: int = 4) -> Array:
    """Return the gradient of the filters: grad_y's tiles are filters of m x m taps, which give 3 x 3 outputs: F(3, m)."""
    bt, g, at = (np.array(matrix, x.dtype) for matrix in matrices(TAPS, outputs))
    height, width = grad_y.shape[1:3]
    v = np.einsum("ap,nijcpq,bq->abnijc", bt, _tiles(x, padding[::2], height, width, outputs, TAPS - 1), bt)
    w = np.einsum("ap,nijkpq,bq->abnijk", g, _tiles(grad_y, (0, 0), height, width, outputs, 0), g)
    sums = np.einsum("abnijc,abnijk->abck", v, w)
    result: Array = np.einsum("ra,abck,sb->rsck", at, sums, at)
    return result


def _tiles(x: Array, begin: tuple[int, ...], height: int, width: int, outputs: int, overlap: int) -> Array:
    """Return a view of tiles that begin `outputs` pixels apart and overlap: (N, rows, columns, C, size, size).

    begin: padding (top, left); height, width: of the outputs; pixels beyond the image are 0.
    """
    down, across = ceil(height / outputs), ceil(width / outputs)
    size = outputs * down + overlap, outputs * across + overlap
    padded = np.zeros((len(x), *size, x.shape[3]), x.dtype)
    top, left = begin
    part = x[:, max(0, -top) : size[0] - top, max(0, -left) : size[1] - left]
    padded[:, max(0, top) : max(0, top) + part.shape[1], max(0, left) : max(0, left) + part.shape[2]] = part
    windows = sliding_window_view(padded, (outputs + overlap,) * 2, (1, 2))
    return windows[:, ::outputs, ::outputs]
