"""What the arrays hands of convolution and pooling share: a window taken apart into its taps.

A tap is one place (r, s) of the window. Seen from there, over all outputs at once, the padded image is a plain strided
view, so that a loop over the few taps replaces the loop over the many outputs.
"""

import numpy as np


def framed(x, y, kernel, stride, padding, dilation, value=0):
    """Return a copy of x (N, H, W, C) inside a frame of `value`, large enough for every window of y (N, H', W', K)."""
    top, _, left, _ = padding
    height, width = (
        max((out - 1) * step + (places - 1) * apart + 1, before + size)
        for out, step, places, apart, before, size in zip(
            y.shape[1:3], stride, kernel, dilation, (top, left), x.shape[1:3]
        )
    )
    frame = np.full((x.shape[0], height, width, x.shape[3]), value, x.dtype)
    inside(frame, x, padding)[...] = x
    return frame


def inside(frame, x, padding):
    """Return the view of a frame where x lies."""
    top, _, left, _ = padding
    return frame[:, top : top + x.shape[1], left : left + x.shape[2]]


def taps(frame, y, kernel, stride, dilation):
    """Yield ((r, s), view): for every output of y, the pixel that the window's place (r, s) sees, (N, H', W', C)."""
    for r, s in np.ndindex(*kernel):
        rows, columns = (
            slice(place * apart, place * apart + (out - 1) * step + 1, step)
            for place, apart, out, step in zip((r, s), dilation, y.shape[1:3], stride)
        )
        yield (r, s), frame[:, rows, columns]


def visible(first, apart, places, size):
    """Return (first, count) of those of a window's places that lie on the image, along one axis."""
    begin = 0 if first >= 0 else (apart - 1 - first) // apart
    end = places if first + (places - 1) * apart < size else (size - first + apart - 1) // apart
    return begin, max(0, end - begin)


def clear(before, stride, reach, size, windows):
    """Return (first, end) of the windows that lie wholly on the image, along one axis."""
    first = (before + stride - 1) // stride
    return first, max(first, min(windows, (size - 1 - reach + before) // stride + 1))


def over(place, places, stride, apart, windows, first, end):
    """Return (first, end) of the windows that reach over a place, from those of a place before it."""
    while end < windows and end * stride <= place:
        end += 1
    while first < end and first * stride + (places - 1) * apart < place:
        first += 1
    return first, end


def every(first, end, place, stride, apart, step):
    """Return (first, count) of those windows from `first` to `end` that have one of their places there, `step` apart."""
    if apart == 1:
        return first, end - first
    while first < end and (place - first * stride) % apart != 0:
        first += 1
    return first, max(0, end - first + step - 1) // step
