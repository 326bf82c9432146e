"""Interpolation weights of one axis: which source pixels a resized pixel is the weighted sum of, and with which weights.

A pixel i of the new axis lies at the coordinate x of the old one:

    half_pixel            x = (i + 1/2) / scale - 1/2                pixels are squares; the edges of both images coincide
    half_pixel_symmetric  half_pixel, shifted so that the image centers coincide where length * scale is not whole
    pytorch_half_pixel    half_pixel, but 0 where the new axis has one pixel
    align_corners         x = i (length - 1) / (length * scale - 1)  the centers of the end pixels coincide
    asymmetric            x = i / scale
    tf_crop_and_resize    x runs from start to end, fractions of the old axis

The weight of a source pixel p is f(p - x): 1 for the nearest pixel; linear: f(d) = max(0, 1 - |d|); cubic: a piecewise cubic
that ends at |d| = 2. With antialias, f widens by the factor by which the axis shrinks. Pixels beyond an end repeat the one at
the end, or with exclude_outside have no weight.

Sources: ONNX, operator Resize (opset 19); Keys 1981, "Cubic convolution interpolation for digital image processing".
"""

from math import ceil
from typing import NamedTuple

import numpy as np

from byhand.ops.op import Array

COORDINATE_MODES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
ROUNDING_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
FILTER_RADIUS = {"linear": 1, "cubic": 2}  # pixels
# A coordinate this close to a whole pixel is that pixel, and a weight this small is 0: rounding errors of the division.
SNAP_TOLERANCE = 1e-12


class Interpolation(NamedTuple):
    """How an axis is resampled: `resize` says what each field means."""

    mode: str
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_a: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False


def interpolation_weights(length, out_length, scale, how, region=(0.0, 1.0)):
    """Return (indices, weights), each (out_length, K): y[i] = sum over k of weights[i, k] * x[indices[i, k]].

    how: an `Interpolation`; region: what tf_crop_and_resize resamples, from start to end, fractions of the axis.
    The indices of a new pixel are consecutive and lie on the axis. A new pixel outside of it, which only tf_crop_and_resize
    has, gets weights of 0.

    >>> indices, weights = interpolation_weights(2, 4, 2.0, Interpolation("linear"))
    >>> weights
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.25, 0.75],
           [0.  , 1.  ]])
    """
    mode, coordinates, nearest, cubic_a, exclude_outside, antialias = how
    x = source_coordinates(length, out_length, scale, coordinates, region)
    count, whole = filter_support(scale, mode, antialias), np.round(x)
    x = np.where(np.abs(x - whole) < SNAP_TOLERANCE, whole, x)
    near = np.clip(x, -count - 1, length + count)  # further out nothing changes, and an infinite x would not convert
    if mode == "nearest":
        first, weights = round_coordinates(near, nearest), np.ones((out_length, 1))
    else:
        first = np.ceil(near).astype(np.int64) - count // 2
        distances = first[:, None] + np.arange(count) - near[:, None]
        distances *= min(scale, 1) if antialias else 1
        weights = linear_filter(distances) if mode == "linear" else cubic_filter(distances, cubic_a)
        if exclude_outside:
            positions = first[:, None] + np.arange(count)
            weights[(positions < 0) | (positions >= length)] = 0
        if exclude_outside or antialias:
            total = weights.sum(1, keepdims=True)
            weights /= np.where(total == 0, 1, total)
    if coordinates == "tf_crop_and_resize":
        weights[(x < 0) | (x > length - 1)] = 0
    weights[np.abs(weights) < SNAP_TOLERANCE] = 0
    return clamp_to_edge(first, weights, length)


def source_coordinates(length, out_length, scale, coordinates, region):
    """Return the coordinates of the new axis on the old one."""
    i, new = np.arange(out_length, dtype=np.float64), length * scale
    if coordinates == "align_corners":
        return i * (length - 1) / (new - 1) if new != 1 else 0 * i
    if coordinates == "asymmetric":
        return i / scale
    if coordinates == "tf_crop_and_resize":
        start, end = region
        if out_length == 1:
            return (start + end) * (length - 1) / 2 + i
        return start * (length - 1) + i * (end - start) * (length - 1) / (out_length - 1)
    if coordinates == "pytorch_half_pixel" and out_length == 1:
        return i
    middle = length / 2 * (1 - out_length / new) if coordinates == "half_pixel_symmetric" else 0
    return middle + (i + 0.5) / scale - 0.5


def filter_support(scale, mode, antialias):
    """Return the number of source pixels per new pixel."""
    return 1 if mode == "nearest" else 2 * ceil(FILTER_RADIUS[mode] / (min(scale, 1) if antialias else 1))


def round_coordinates(x, nearest):
    """Return the nearest pixels by a rounding mode."""
    below = np.floor(x)
    rest = x - below
    up = {"round_prefer_floor": rest > 0.5, "round_prefer_ceil": rest >= 0.5, "floor": False, "ceil": rest > 0}[nearest]
    return (below + up).astype(np.int64)


def linear_filter(distances):
    """Return max(0, 1 - |d|)."""
    return np.maximum(0, 1 - np.abs(distances))


def cubic_filter(distances, a):
    """Return Keys' cubic: (a + 2) |d|^3 - (a + 3) d^2 + 1 for |d| <= 1, a (|d|^3 - 5 d^2 + 8 |d| - 4) for |d| < 2."""
    d = np.abs(distances)
    inner, outer = ((a + 2) * d - (a + 3)) * d * d + 1, ((d - 5) * d + 8) * d - 4
    return np.where(d <= 1, inner, np.where(d < 2, a * outer, 0))


def clamp_to_edge(first, weights, length):
    """Return (indices, weights) on the axis: weights beyond an end are added to the pixel at the end."""
    out, count = weights.shape
    kept = min(count, length)
    begin = np.clip(first, 0, length - kept)[:, None]
    positions = np.clip(first[:, None] + np.arange(count), 0, length - 1)
    sums = np.zeros((out, kept))
    np.add.at(sums, (np.arange(out)[:, None], positions - begin), weights)
    return begin + np.arange(kept), sums


# Weights as a sparse matrix (compressed sparse rows): row i has the entries starts[i] up to starts[i + 1] --------------


class AxisWeights(NamedTuple):
    """The weights of one axis as a sparse matrix, flat arrays."""

    starts: Array  # where each row begins, and the end of the last
    pixels: Array  # the pixel that each weight belongs to
    weights: Array


def to_csr(indices, weights, dtype):
    """Return `AxisWeights` for the forward pass: a row per new pixel, of source pixels."""
    counts = weights != 0
    return AxisWeights(_row_starts(counts.sum(1)), indices[counts], weights[counts].astype(dtype))


def to_transposed_csr(indices, weights, length, dtype):
    """Return `AxisWeights` for the backward pass: a row per source pixel, of new pixels."""
    positions, _ = counts = np.nonzero(weights)
    pixels = indices[counts]
    order = np.argsort(pixels, kind="stable")
    starts = _row_starts(np.bincount(pixels, minlength=length))
    return AxisWeights(starts, positions[order], weights[counts][order].astype(dtype))


def _row_starts(counts):
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
