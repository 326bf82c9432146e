"""Index ranges of pooling windows along one axis: which taps see the image, and which windows see a pixel.

Kernels call these to leave padding out of their inner loops. A window has `kernel` taps, `dilation` pixels apart;
window i begins at the padded pixel i * stride. The last two functions say how many windows of a row vectors can write.
"""

from typing import NamedTuple

from byhand.kernels.pool_rows import tail_pixels


class PoolShape(NamedTuple):
    """The sizes and attributes of a pooling, as its kernels take them: image and output are (N, H, W, C)."""

    image: tuple[int, int, int, int]
    output: tuple[int, int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int] = (1, 1)


def visible_taps(first, dilation, kernel, size):
    """Return (first, count) of the taps that lie on the image; first: the pixel of tap 0."""
    begin = 0 if first >= 0 else (dilation - 1 - first) // dilation
    end = kernel if first + (kernel - 1) * dilation < size else (size - first + dilation - 1) // dilation
    return begin, max(0, end - begin)


def interior_windows(padding, stride, reach, size, windows):
    """Return (first, end) of the windows that lie wholly on the image; reach: pixels from a window's first to its last."""
    first = (padding + stride - 1) // stride
    return first, max(first, min(windows, (size - 1 - reach + padding) // stride + 1))


def disjoint_windows(padding, stride, kernel, dilation, size, windows):
    """Return (first, count) of the interior windows that lie side by side, pixel to pixel; count 0 where windows do not."""
    if stride != kernel or dilation != 1:
        return 0, 0
    first, end = interior_windows(padding, stride, kernel - 1, size, windows)
    return first, end - first


def windows_over(pixel, kernel, stride, dilation, windows, first, end):
    """Return (first, end) of the windows that span a padded pixel, given (first, end) of an earlier pixel."""
    while end < windows and end * stride <= pixel:
        end += 1
    while first < end and first * stride + (kernel - 1) * dilation < pixel:
        first += 1
    return first, end


def windows_on(first, end, pixel, stride, dilation, step):
    """Return (first, count) of the windows from `first` to `end` with a tap on a pixel; such windows lie `step` apart."""
    if dilation == 1:
        return first, end - first
    while first < end and (pixel - first * stride) % dilation != 0:
        first += 1
    return first, max(0, end - first + step - 1) // step


def tail_windows(row, taps, size, itemsize, end_element):
    """Return how many windows at the end of a row are left to scalar code: a vector would reach beyond the arrays.

    size, itemsize: of the array that is read; end_element: where the elements that may be written end.
    """
    last_read = row.start + (row.windows - 1) * row.step
    last_read += max(0, taps.rows - 1) * taps.row_stride + max(0, taps.columns - 1) * taps.column_stride
    last_written = row.out_start + (row.windows - 1) * row.channels
    return min(row.windows, tail_pixels(size, last_read, last_written, end_element, itemsize, row.channels))


def vectorizable_windows(row, columns, size, itemsize, end_element):
    """Return how many of the disjoint windows of a row, each `columns` pixels wide, vectors can write, as in tail_windows."""
    last_read = row.start + (row.windows - 1) * row.channels
    last_written = row.out_start + (row.windows * columns - 1) * row.channels
    return max(0, row.windows - tail_pixels(size, last_read, last_written, end_element, itemsize, row.channels))
