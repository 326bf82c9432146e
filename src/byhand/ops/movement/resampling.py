"""Which pixels a place of a resized axis is mixed from, and how much each of them counts: its taps.

A place i of the new axis lies at x on the old one; `coordinates` says where:

    half_pixel            x = (i + 1/2) / scale - 1/2               pixels are squares, and the edges of both images meet
    half_pixel_symmetric  ... so that the middles of both images meet, where length * scale is no whole number
    pytorch_half_pixel    ... but 0 where the new axis has one place
    align_corners         x = i (length - 1) / (length * scale - 1) the middles of the pixels at both ends meet
    asymmetric            x = i / scale
    tf_crop_and_resize    x runs from start to end, parts of the old axis

A pixel p then counts f(p - x): 1 for the nearest pixel; linear: f(d) = max(0, 1 - |d|); cubic: two cubics that meet at 1 and
end at 2. With antialias f is as much wider as the axis shrinks, so that all pixels count. Pixels beyond an end are those at
the end, or with exclude_outside left out.

Sources: ONNX, operator Resize (opset 19); Keys 1981, "Cubic convolution interpolation for digital image processing".
"""

from math import ceil

import numpy as np

NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
ROUNDING = 1e-12  # what is nearer to a whole pixel, or to no weight, is that
RADIUS = {"linear": 1, "cubic": 2}  # of a filter, in pixels
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")


def taps(
    length, out_length, scale, mode, *, coordinates="half_pixel", nearest="round_prefer_floor", cubic_a=-0.75,
    exclude_outside=False, antialias=False, start=0.0, end=1.0,
):  # fmt: skip
    """Return (indices, weights), each (out_length, K): y[i] = sum over k of weights[i, k] * x[indices[i, k]].

    The indices of a place follow each other and lie on the axis. A place outside of it, which only tf_crop_and_resize knows,
    has weights of 0 and no others.

    >>> indices, weights = taps(2, 4, 2.0, "linear")
    >>> weights
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.25, 0.75],
           [0.  , 1.  ]])
    """
    x = positions(length, out_length, scale, coordinates, start, end)
    count, whole = width(scale, mode, antialias), np.round(x)
    x = np.where(np.abs(x - whole) < ROUNDING, whole, x)
    near = np.clip(x, -count - 1, length + count)  # what lies further off is the same, and may be no integer
    if mode == "nearest":
        first, weights = rounded(near, nearest), np.ones((out_length, 1))
    else:
        first = np.ceil(near).astype(np.int64) - count // 2
        distances = first[:, None] + np.arange(count) - near[:, None]
        weights = tent(distances, scale, antialias) if mode == "linear" else cubic(distances, cubic_a, scale, antialias)
        if exclude_outside:
            places = first[:, None] + np.arange(count)
            weights[(places < 0) | (places >= length)] = 0
        if exclude_outside or antialias:
            total = weights.sum(1, keepdims=True)
            weights /= np.where(total == 0, 1, total)
    if coordinates == "tf_crop_and_resize":
        weights[(x < 0) | (x > length - 1)] = 0
    weights[np.abs(weights) < ROUNDING] = 0
    return folded(first, weights, length)


def positions(length, out_length, scale, coordinates, start, end):
    """Return where the places of the new axis lie on the old one."""
    i, new = np.arange(out_length, dtype=np.float64), length * scale
    if coordinates == "align_corners":
        return i * (length - 1) / (new - 1) if new != 1 else 0 * i
    if coordinates == "asymmetric":
        return i / scale
    if coordinates == "tf_crop_and_resize":
        if out_length == 1:
            return (start + end) * (length - 1) / 2 + i
        return start * (length - 1) + i * (end - start) * (length - 1) / (out_length - 1)
    if coordinates == "pytorch_half_pixel" and out_length == 1:
        return i
    middle = length / 2 * (1 - out_length / new) if coordinates == "half_pixel_symmetric" else 0
    return middle + (i + 0.5) / scale - 0.5


def width(scale, mode, antialias):
    """Return how many pixels a place is mixed from."""
    return 1 if mode == "nearest" else 2 * ceil(RADIUS[mode] / (min(scale, 1) if antialias else 1))


def rounded(x, nearest):
    """Return the nearest pixels."""
    below = np.floor(x)
    rest = x - below
    up = {
        "round_prefer_floor": rest > 0.5,
        "round_prefer_ceil": rest >= 0.5,
        "floor": False,
        "ceil": rest > 0,
    }[nearest]
    return (below + up).astype(np.int64)


def tent(distances, scale, antialias):
    """Return 1 - |d|, down to 0."""
    return np.maximum(0, 1 - np.abs(distances) * (min(scale, 1) if antialias else 1))


def cubic(distances, a, scale, antialias):
    """Return (a + 2) |d|^3 - (a + 3) d^2 + 1 up to |d| = 1, from there a (|d|^3 - 5 d^2 + 8 |d| - 4) up to 2."""
    d = np.abs(distances) * (min(scale, 1) if antialias else 1)
    inner, outer = ((a + 2) * d - (a + 3)) * d * d + 1, ((d - 5) * d + 8) * d - 4
    return np.where(d <= 1, inner, np.where(d < 2, a * outer, 0))


def folded(first, weights, length):
    """Return taps that lie on the axis: those beyond an end count for the pixel at the end."""
    out, count = weights.shape
    kept = min(count, length)
    begin = np.clip(first, 0, length - kept)[:, None]
    places = np.clip(first[:, None] + np.arange(count), 0, length - 1)
    sums = np.zeros((out, kept))
    np.add.at(sums, (np.arange(out)[:, None], places - begin), weights)
    return begin + np.arange(kept), sums


# taps as lists, of those that count: those of place i stand from starts[i] up to starts[i + 1] ----------------------------


def listed(indices, weights, dtype):
    """Return (starts, indices, weights) of all places."""
    counts = weights != 0
    return _starts(counts.sum(1)), indices[counts], weights[counts].astype(dtype)


def turned(indices, weights, length, dtype):
    """Return (starts, places, weights) of all pixels: the places that each of them counts in."""
    places, _ = counts = np.nonzero(weights)
    pixels = indices[counts]
    order = np.argsort(pixels, kind="stable")
    starts = _starts(np.bincount(pixels, minlength=length))
    return starts, places[order], weights[counts][order].astype(dtype)


def _starts(counts):
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
