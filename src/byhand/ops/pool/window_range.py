"""Index ranges of pooling windows along one axis: which window positions see the image, and which windows see a pixel.

Kernels call these to leave padding out of their inner loops. A window has `kernel` positions, `dilation` pixels apart;
window i begins at the padded pixel i * stride.
"""

from typing import NamedTuple


class PoolShape(NamedTuple):
    """The sizes and attributes of a pooling, as its kernels take them: image and output are (N, H, W, C)."""

    image: tuple[int, int, int, int]
    output: tuple[int, int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int] = (1, 1)


def visible_positions(first, dilation, kernel, size):
    """Return (first, count) of the window positions that lie on the image; first: the pixel of position 0."""
    begin = 0 if first >= 0 else (dilation - 1 - first) // dilation
    end = kernel if first + (kernel - 1) * dilation < size else (size - first + dilation - 1) // dilation
    return begin, max(0, end - begin)


def interior_windows(padding, stride, reach, size, windows):
    """Return (first, end) of the windows that lie wholly on the image; reach: pixels from a window's first to its last."""
    first = (padding + stride - 1) // stride
    return first, max(first, min(windows, (size - 1 - reach + padding) // stride + 1))


def windows_over(pixel, kernel, stride, dilation, windows, first, end):
    """Return (first, end) of the windows that span a padded pixel, given (first, end) of an earlier pixel."""
    while end < windows and end * stride <= pixel:
        end += 1
    while first < end and first * stride + (kernel - 1) * dilation < pixel:
        first += 1
    return first, end


def windows_on(first, end, pixel, stride, dilation, step):
    """Return (first, count) of the windows from `first` to `end` with a position on a pixel; such windows lie `step` apart."""
    if dilation == 1:
        return first, end - first
    while first < end and (pixel - first * stride) % dilation != 0:
        first += 1
    return first, max(0, end - first + step - 1) // step
