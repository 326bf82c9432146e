"""resize: images resampled to another size, each pixel a weighted sum of the source pixels around its coordinate.

    y[n, i, j, c] = sum over p, q of  down[i, p] * across[j, q] * x[n, p, q, c]

`down` and `across` are the interpolation weights of the two axes (interpolation.py): they depend on the sizes alone, and few
of them are not 0. Backward uses the same weights, transposed:

    grad_x[n, p, q, c] = sum over i, j of  down[i, p] * across[j, q] * grad_y[n, i, j, c]

A pixel of weight 0 adds nothing, even where it is infinite or NaN.

Source: ONNX, operator Resize (opset 19), on the two axes of an image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.kernels.runtime.launch_graph import scratch_workers
from byhand.ops.movement.interpolation import (
    COORDINATE_MODES,
    FILTER_RADIUS,
    ROUNDING_MODES,
    Interpolation,
    filter_support,
    interpolation_weights,
    to_csr,
    to_transposed_csr,
)
from byhand.ops.op import Array, CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, Size2d, axes, number, pair

VECTOR_MIN_CHANNELS = 8  # a pixel of fewer channels is shorter than a SIMD register
SAMPLE_SCALES = (0.4375, 0.625, 0.75, 1.0, 1.375, 1.5, 2.0, 2.625)


def contract(
    x: Shape,
    *,
    size: Size2d,
    mode: str = "nearest",
    coordinates: str = "half_pixel",
    nearest: str = "round_prefer_floor",
    cubic_a: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    scales: float | Sequence[float] | None = None,
) -> CallSpec:
    """Resize images: x (N, H, W, C) -> y (N, H', W', C), of size (H', W').

    mode: "nearest", "linear" or "cubic"; coordinates: where a pixel lies in the old image, "half_pixel", "align_corners",
    "asymmetric", "pytorch_half_pixel" or "half_pixel_symmetric"; nearest: "round_prefer_floor", "round_prefer_ceil", "floor"
    or "ceil"; cubic_a: -0.75 or -0.5; exclude_outside: pixels beyond the edge do not count, instead of being those at the edge;
    antialias: where an image shrinks, all its pixels count; scales: (height, width), by default (H' / H, W' / W). Raises
    ArgumentError for a setting that does not fit.

    >>> import byhand as bh, numpy as np
    >>> bh.resize(np.array([[[[0.0], [4.0]]]]), size=(1, 4), mode="linear").ravel()
    array([0., 1., 3., 4.])
    """
    axes("x", x, "N, H, W, C")
    size = pair("size", size)
    check_choice("mode", mode, ("nearest", *FILTER_RADIUS))
    check_choice("coordinates", coordinates, COORDINATE_MODES)
    check_choice("nearest", nearest, ROUNDING_MODES)
    if mode == "nearest" and (antialias or exclude_outside):
        what = "antialias" if antialias else "exclude_outside"
        raise ArgumentError(f"{what} is set, but mode='nearest' uses one pixel; take mode='linear' or 'cubic'")
    scales = tuple(new / old for new, old in zip(size, x[1:])) if scales is None else checked_scales(scales, x, size)
    attributes = {"scales": scales, "mode": mode, "coordinates": coordinates, "nearest": nearest}
    attributes |= {"cubic_a": number("cubic_a", cubic_a), "exclude_outside": bool(exclude_outside)}
    attributes["antialias"] = bool(antialias)
    down, across = (filter_support(scale, mode, antialias) for scale in scales)
    flops = 0 if mode == "nearest" else 2 * x[0] * size[0] * x[3] * (down * x[2] + across * size[1])
    return CallSpec({"y": (x[0], *size, x[3])}, attributes, flops=flops)


def check_choice(name, value, known):
    """Raise an ArgumentError unless an argument has one of the known values."""
    if not isinstance(value, str) or value not in known:
        raise ArgumentError(f"{name} is {value!r}; expected one of {', '.join(known)}")


def checked_scales(scales, x, size):
    """Return (height, width) from one number or two; they must give `size` when rounded down, up or to the nearest."""
    both = tuple(scales) if isinstance(scales, (tuple, list)) else (scales, scales)
    if len(both) != 2:
        raise ArgumentError(f"scales is {both}; expected a number or (height, width)")
    both = tuple(number("scales", scale) for scale in both)
    for scale, old, new in zip(both, x[1:], size):
        if abs(old * scale - new) >= 1 or old * scale < 0.5:
            raise ArgumentError(
                f"scales is {both}, which makes {old * scale:g} of {old} pixels, but size asks for {new}"
            )
    return both


def axis_weights(x, y, scales, how):
    """Return (indices, weights) of the rows of y, and of its columns; how: an `Interpolation`."""
    sizes = zip(x.shape[1:3], y.shape[1:3], scales)
    return [interpolation_weights(old, new, scale, how) for old, new, scale in sizes]


def nonzero_weights(indices, weights, i):
    """Return (pixel, weight) of a new pixel's sources that have a weight."""
    return [(p, weight) for p, weight in zip(indices[i], weights[i]) if weight]


def resize_loops(x, y, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias):
    how = Interpolation(mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    rows, columns = axis_weights(x, y, scales, how)
    for n, i, j, c in np.ndindex(y.shape):
        total = 0.0
        for p, down in nonzero_weights(*rows, i):
            for q, across in nonzero_weights(*columns, j):
                total += down * across * x[n, p, q, c]
        y[n, i, j, c] = total


def resize_backward_loops(grad_y, grad_x, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias):
    how = Interpolation(mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    rows, columns = axis_weights(grad_x, grad_y, scales, how)
    grad_x[...] = 0
    for n, i, j, c in np.ndindex(grad_y.shape):
        for p, down in nonzero_weights(*rows, i):
            for q, across in nonzero_weights(*columns, j):
                grad_x[n, p, q, c] += down * across * grad_y[n, i, j, c]


def resize_arrays(x, y, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias):
    how = Interpolation(mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    rows, columns = axis_weights(x, y, scales, how)
    y[...] = _interpolate_axis(_interpolate_axis(x, 1, *rows), 2, *columns)


def resize_backward_arrays(grad_y, grad_x, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias):
    how = Interpolation(mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    rows, columns = axis_weights(grad_x, grad_y, scales, how)
    part = _interpolate_axis_backward(grad_y, 2, *columns, grad_x.shape[2])
    grad_x[...] = _interpolate_axis_backward(part, 1, *rows, grad_x.shape[1])


def _interpolate_axis(x, axis, indices, weights):
    """Return x with one axis resampled."""
    x, total = np.moveaxis(x, axis, 0), 0.0
    for pixels, weight in zip(indices.T, weights.T[..., None, None, None]):
        total = total + _scaled(x[pixels], weight)
    return np.moveaxis(total, 0, axis)


def _interpolate_axis_backward(grad, axis, indices, weights, length):
    """Return the gradient on the source axis: the transposed weights times grad."""
    grad = np.moveaxis(grad, axis, 0)
    total = np.zeros((length, *grad.shape[1:]))
    for pixels, weight in zip(indices.T, weights.T[..., None, None, None]):
        np.add.at(total, pixels, _scaled(grad, weight))
    return np.moveaxis(total, 0, axis)


def _scaled(x, weight):
    """Return x times a weight, and 0 where the weight is 0, even for an infinite x."""
    return np.multiply(x, weight, out=np.zeros(x.shape), where=weight != 0)


# compiled -------------------------------------------------------------------------------------------------------------


class ImageRows(NamedTuple):
    """Images (N, H, W, C) as rows of pixels and as flat rows, two views of the same memory."""

    pixels: Array  # (N * H, W, C)
    flat: Array  # (N * H, W * C)
    height: int


def image_rows(images):
    """Return the rows of images."""
    _, height, width, channels = images.shape
    return ImageRows(images.reshape(-1, width, channels), images.reshape(-1, width * channels), height)


@kernel
def resize_rows(x, y, combined, row_weights, column_weights, rows_per_block, block, worker):
    """Write rows of y: combine source rows first, which are long and contiguous, then the pixels of the combined row.

    combined: `ImageRows` of scratch memory, a row for each worker.
    """
    (row_starts, rows, down), (column_starts, columns, across) = row_weights, column_weights
    for out_row in range(block * rows_per_block, min((block + 1) * rows_per_block, y.pixels.shape[0])):
        n, i = out_row // y.height, out_row % y.height
        first, end = row_starts[i], row_starts[i + 1]
        if end - first == 1 and down[first] == 1.0:
            pixels = x.pixels[n * x.height + rows[first]]
        else:
            combine_rows(x.flat, n * x.height, combined.flat[worker], rows, down, first, end)
            pixels = combined.pixels[worker]
        out = y.pixels[out_row]
        if out.shape[1] < VECTOR_MIN_CHANNELS:
            combine_short_pixels(pixels, out, column_weights)
        else:
            for j in range(out.shape[0]):
                combine_rows(pixels, 0, out[j], columns, across, column_starts[j], column_starts[j + 1])


def combine_short_pixels(x, out, axis):
    """Write the pixels of a row element by element: they are too short for SIMD."""
    starts, pixels, weights = axis
    for j in range(out.shape[0]):
        for c in range(out.shape[1]):
            total = 0.0
            for t in range(starts[j], starts[j + 1]):
                total += weights[t] * x[pixels[t], c]
            out[j, c] = total


def combine_rows(x, at, out, pixels, weights, first, end):
    """Write the sum of the rows `pixels` of x, by the weights from `first` to `end`; row numbers count from `at`."""
    size, t = out.size, first + (end - first) % 2
    if end == first:
        for k in range(size):
            out[k] = 0.0
    elif t > first:
        row, weight = x[at + pixels[first]], weights[first]
        for k in range(size):
            out[k] = weight * row[k]
    else:
        row, other, weight, other_weight = x[at + pixels[t]], x[at + pixels[t + 1]], weights[t], weights[t + 1]
        for k in range(size):
            out[k] = weight * row[k] + other_weight * other[k]
        t += 2
    while t < end:  # two rows per pass halve the reads and writes of `out`
        row, other, weight, other_weight = x[at + pixels[t]], x[at + pixels[t + 1]], weights[t], weights[t + 1]
        for k in range(size):
            out[k] += weight * row[k] + other_weight * other[k]
        t += 2


def launch_resize(x, y, row_weights, column_weights):
    """Launch y = x resampled, by the `AxisWeights` of its rows and of its columns."""
    images, _, width, channels = x.shape
    _, out_height, out_width, _ = y.shape
    combined = image_rows(scratch(scratch_workers(), 1, width, channels, dtype=x.dtype))
    rows_per_block = max(1, BLOCK_ELEMENTS // (max(out_width, width) * channels))
    blocks = cdiv(images * out_height, rows_per_block)
    launch(resize_rows, blocks, image_rows(x), image_rows(y), combined, row_weights, column_weights, rows_per_block)


@compiled
def resize_compiled(x, y, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias):
    how = Interpolation(mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    rows, columns = axis_weights(x, y, scales, how)
    launch_resize(x, y, to_csr(*rows, x.dtype), to_csr(*columns, x.dtype))


@compiled
def resize_backward_compiled(
    grad_y, grad_x, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias
):
    how = Interpolation(mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    rows, columns = axis_weights(grad_x, grad_y, scales, how)
    _, height, width, _ = grad_x.shape
    row_weights = to_transposed_csr(*rows, height, grad_x.dtype)
    launch_resize(grad_y, grad_x, row_weights, to_transposed_csr(*columns, width, grad_x.dtype))


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    x = draw.array(draw.integer(1, 2), draw.integer(1, 5), draw.integer(1, 5), draw.choice([1, 3, 9, 17]))
    mode = draw.choice(["nearest", "linear", "cubic"])
    size = (draw.integer(1, 7), draw.integer(1, 7))
    attributes = {"size": size, "mode": mode, "coordinates": draw.choice(COORDINATE_MODES)}
    if mode == "nearest":
        attributes["nearest"] = draw.choice(ROUNDING_MODES)
    else:
        attributes |= {"antialias": draw.choice([True, False]), "exclude_outside": draw.choice([True, False])}
    if mode == "cubic":
        attributes["cubic_a"] = draw.choice([-0.75, -0.5])
    if draw.choice([True, False]):
        scales = tuple(draw.choice([scale for scale in SAMPLE_SCALES if scale * old >= 1]) for old in x.shape[1:3])
        attributes |= {"scales": scales, "size": tuple(int(scale * old) for scale, old in zip(scales, x.shape[1:3]))}
    return (x,), attributes


resize = Op(
    "resize",
    contract,
    loops=(resize_loops, resize_backward_loops),
    arrays=(resize_arrays, resize_backward_arrays),
    compiled=(resize_compiled, resize_backward_compiled),
    sample=sample,
)
