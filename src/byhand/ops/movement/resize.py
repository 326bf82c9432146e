"""resize: an image of another size, each pixel of which is mixed from those around its place in the old one.

    y[n, i, j, c] = sum over p, q of  down[i, p] * across[j, q] * x[n, p, q, c]

`resampling.py` says what `down` and `across` are: they depend on the sizes alone, and of each row of them few are not 0, the
taps. The gradient goes back along the same weights:

    grad_x[n, p, q, c] = sum over i, j of  down[i, p] * across[j, q] * grad_y[n, i, j, c]

A pixel without weight leaves no trace, not even where it is infinite.

Source: ONNX, operator Resize (opset 19), on the two axes of an image.
"""

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.kernels.runtime.launch_graph import workers
from byhand.ops.movement.resampling import COORDINATES, NEAREST, RADIUS, listed, taps, turned, width
from byhand.ops.op import Call, Op
from byhand.shapes import axes, number, pair

GRAIN = 16384  # elements of a block
SHORT = 8  # channels: a pixel with less is shorter than a vector
SCALES = (0.4375, 0.625, 0.75, 1.0, 1.375, 1.5, 2.0, 2.625)  # that `sample` draws from


def contract(
    x, *, size, mode="nearest", coordinates="half_pixel", nearest="round_prefer_floor", cubic_a=-0.75,
    exclude_outside=False, antialias=False, scales=None,
):  # fmt: skip
    """Resize images: x (N, H, W, C) -> y (N, H', W', C), of size (H', W').

    mode: "nearest", "linear" or "cubic"; coordinates: where a pixel lies in the old image, "half_pixel", "align_corners",
    "asymmetric", "pytorch_half_pixel" or "half_pixel_symmetric"; nearest: "round_prefer_floor", "round_prefer_ceil", "floor"
    or "ceil"; cubic_a: -0.75 or -0.5; exclude_outside: pixels beyond the edge do not count, instead of being those at the edge;
    antialias: where an image shrinks, all its pixels count; scales: (down, across), by default (H' / H, W' / W). Raises
    ArgumentError for a setting that does not fit.

    >>> import byhand as bh, numpy as np
    >>> bh.resize(np.array([[[[0.0], [4.0]]]]), size=(1, 4), mode="linear").ravel()
    array([0., 1., 3., 4.])
    """
    axes("x", x, "N, H, W, C")
    size = pair("size", size)
    one_of("mode", mode, ("nearest", *RADIUS))
    one_of("coordinates", coordinates, COORDINATES)
    one_of("nearest", nearest, NEAREST)
    if mode == "nearest" and (antialias or exclude_outside):
        what = "antialias" if antialias else "exclude_outside"
        raise ArgumentError(f"{what} is set, but the nearest pixel is one; take mode='linear' or 'cubic'")
    scales = tuple(new / old for new, old in zip(size, x[1:])) if scales is None else both_scales(scales, x, size)
    attributes = {"scales": scales, "mode": mode, "coordinates": coordinates, "nearest": nearest}
    attributes |= {"cubic_a": number("cubic_a", cubic_a), "exclude_outside": bool(exclude_outside)}
    attributes["antialias"] = bool(antialias)
    down, across = (width(scale, mode, antialias) for scale in scales)
    flops = 0 if mode == "nearest" else 2 * x[0] * size[0] * x[3] * (down * x[2] + across * size[1])
    return Call({"y": (x[0], *size, x[3])}, attributes, flops=flops)


def one_of(name, value, known):
    """Raise an ArgumentError that names an argument, unless its value is known."""
    if not isinstance(value, str) or value not in known:
        raise ArgumentError(f"{name} is {value!r}; expected one of {', '.join(known)}")


def both_scales(scales, x, size):
    """Return (down, across) from one number or two, which must lead to the size: rounded down, up, or to the nearest."""
    two = tuple(scales) if isinstance(scales, (tuple, list)) else (scales, scales)
    if len(two) != 2:
        raise ArgumentError(f"scales is {two}; expected a number or (down, across)")
    two = tuple(number("scales", scale) for scale in two)
    for scale, old, new in zip(two, x[1:], size):
        if abs(old * scale - new) >= 1 or old * scale < 0.5:
            raise ArgumentError(f"scales is {two}, by which {old} pixels become {old * scale:g}, but size says {new}")
    return two


def both(x, y, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias):
    """Return the taps of the rows of y, and those of its columns, on x."""
    rule = {"coordinates": coordinates, "nearest": nearest, "cubic_a": cubic_a}
    rule |= {"exclude_outside": exclude_outside, "antialias": antialias}
    return [taps(old, new, scale, mode, **rule) for old, new, scale in zip(x.shape[1:], y.shape[1:], scales)]


def counted(indices, weights, i):
    """Return (pixel, weight) of the taps of a place, but for those without weight."""
    return [(p, weight) for p, weight in zip(indices[i], weights[i]) if weight]


def resize_loops(x, y, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias):
    rows, columns = both(x, y, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    for n, i, j, c in np.ndindex(y.shape):
        total = 0.0
        for p, down in counted(*rows, i):
            for q, across in counted(*columns, j):
                total += down * across * x[n, p, q, c]
        y[n, i, j, c] = total


def resize_backward_loops(
    grad_y, grad_x, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias
):  # fmt: skip
    rows, columns = both(grad_x, grad_y, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    grad_x[...] = 0
    for n, i, j, c in np.ndindex(grad_y.shape):
        for p, down in counted(*rows, i):
            for q, across in counted(*columns, j):
                grad_x[n, p, q, c] += down * across * grad_y[n, i, j, c]


def resize_arrays(x, y, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias):
    rows, columns = both(x, y, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    y[...] = _mixed(_mixed(x, 1, *rows), 2, *columns)


def resize_backward_arrays(
    grad_y, grad_x, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias
):  # fmt: skip
    rows, columns = both(grad_x, grad_y, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    part = _dealt(grad_y, 2, *columns, grad_x.shape[2])
    grad_x[...] = _dealt(part, 1, *rows, grad_x.shape[1])


def _mixed(x, axis, indices, weights):
    """Return each place of a new axis: the sum of its taps."""
    x, total = np.moveaxis(x, axis, 0), 0.0
    for pixels, weight in zip(indices.T, weights.T[..., None, None, None]):
        total = total + _weighed(x[pixels], weight)
    return np.moveaxis(total, 0, axis)


def _dealt(grad, axis, indices, weights, length):
    """Return each pixel of the old axis: the sum of what the taps bring it."""
    grad = np.moveaxis(grad, axis, 0)
    total = np.zeros((length, *grad.shape[1:]))
    for pixels, weight in zip(indices.T, weights.T[..., None, None, None]):
        np.add.at(total, pixels, _weighed(grad, weight))
    return np.moveaxis(total, 0, axis)


def _weighed(x, weight):
    """Return x times a weight: 0 where that is 0, whatever x is."""
    return np.multiply(x, weight, out=np.zeros(x.shape), where=weight != 0)


@kernel
def resized_rows(
    x, flat, y, part, flat_part, height, below, row_starts, rows, downs, starts, columns, acrosses, lines, block, worker
):  # fmt: skip
    """Write rows of y: first mix rows of x, which are long and whose numbers lie side by side, then the pixels of that one."""
    for line in range(block * lines, min((block + 1) * lines, y.shape[0])):
        n, i = line // below, line % below
        first, end, row, source = row_starts[i], row_starts[i + 1], 0, part
        if end - first == 1 and downs[first] == 1.0:
            row, source = n * height + rows[first], x
        else:
            row = worker
            blend(flat, n * height, flat_part[row], rows, downs, first, end)
        pixels, out = source[row], y[line]
        if out.shape[1] < SHORT:
            blend_short(pixels, out, starts, columns, acrosses)
        else:
            for j in range(out.shape[0]):
                blend(pixels, 0, out[j], columns, acrosses, starts[j], starts[j + 1])


def blend_short(pixels, out, starts, columns, weights):
    """Write all pixels of a row, number by number: they are too few for vectors."""
    for j in range(out.shape[0]):
        for c in range(out.shape[1]):
            total = 0.0
            for t in range(starts[j], starts[j + 1]):
                total += weights[t] * pixels[columns[t], c]
            out[j, c] = total


def blend(x, at, out, places, weights, first, end):
    """Write the sum of some rows of x, the first of which is number `at`, each times its weight."""
    size, t = out.size, first + (end - first) % 2
    if end == first:
        for k in range(size):
            out[k] = 0.0
    elif t > first:
        row, weight = x[at + places[first]], weights[first]
        for k in range(size):
            out[k] = weight * row[k]
    else:
        row, other, weight, more = x[at + places[t]], x[at + places[t + 1]], weights[t], weights[t + 1]
        for k in range(size):
            out[k] = weight * row[k] + more * other[k]
        t += 2
    while t < end:  # two at a time: what is written is read and written again half as often
        row, other, weight, more = x[at + places[t]], x[at + places[t + 1]], weights[t], weights[t + 1]
        for k in range(size):
            out[k] += weight * row[k] + more * other[k]
        t += 2


def mix(x, y, rows, columns):
    """Launch y = x, mixed by lists of taps: those of the rows of y, and those of its columns."""
    images, height, across, channels = x.shape
    _, below, beside, _ = y.shape
    size, part = across * channels, scratch(workers(), across, channels, dtype=x.dtype)
    lines = max(1, GRAIN // (max(beside, across) * channels))
    launch(
        resized_rows, cdiv(images * below, lines), x.reshape(-1, across, channels), x.reshape(-1, size),
        y.reshape(-1, beside, channels), part, part.reshape(-1, size), height, below, *rows, *columns, lines,
    )  # fmt: skip


@compiled
def resize_compiled(x, y, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias):
    rows, columns = both(x, y, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    mix(x, y, listed(*rows, x.dtype), listed(*columns, x.dtype))


@compiled
def resize_backward_compiled(
    grad_y, grad_x, *, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias
):  # fmt: skip
    rows, columns = both(grad_x, grad_y, scales, mode, coordinates, nearest, cubic_a, exclude_outside, antialias)
    _, height, across, _ = grad_x.shape
    mix(grad_y, grad_x, turned(*rows, height, grad_x.dtype), turned(*columns, across, grad_x.dtype))


def sample(draw):
    """Draw a legal call."""
    x = draw.array(draw.integer(1, 2), draw.integer(1, 5), draw.integer(1, 5), draw.choice([1, 3, 9, 17]))
    mode = draw.choice(["nearest", "linear", "cubic"])
    size = (draw.integer(1, 7), draw.integer(1, 7))
    attributes = {"size": size, "mode": mode, "coordinates": draw.choice(COORDINATES)}
    if mode == "nearest":
        attributes["nearest"] = draw.choice(NEAREST)
    else:
        attributes |= {"antialias": draw.choice([True, False]), "exclude_outside": draw.choice([True, False])}
    if mode == "cubic":
        attributes["cubic_a"] = draw.choice([-0.75, -0.5])
    if draw.choice([True, False]):
        scales = tuple(draw.choice([one for one in SCALES if one * old >= 1]) for old in x.shape[1:3])
        attributes |= {"scales": scales, "size": tuple(int(scale * old) for scale, old in zip(scales, x.shape[1:3]))}
    return (x,), attributes


resize = Op(
    "resize",
    contract,
    loops=(resize_loops, resize_backward_loops),
    arrays=(resize_arrays, resize_backward_arrays),
    compiled=(resize_compiled, resize_backward_compiled),
    sample=sample,
    onnx="Resize",
)
