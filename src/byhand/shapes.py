"""Output sizes, paddings and receptive fields; no other module computes them.

A window of `kernel` positions, `dilation` pixels apart, moves by `stride` over an image of `size` pixels with `before` and
`after` pixels of padding:

    reach  = (kernel - 1) * dilation + 1                            pixels from the first position to the last
    output = floor((size + before + after - reach) / stride) + 1    (ceil_mode: ceil, if the last window starts inside)

A transposed convolution is the inverse: its input has one pixel per window, and its output is the image they lie on.

Source: Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from numbers import Real
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.errors import ArgumentError, ShapeError

Shape = tuple[int, ...]
Array = npt.NDArray[Any]  # of any element type; docstrings give its shape and dtype
Size2d = int | Sequence[int]  # pixels: a number for both, or (height, width)
Padding = int | str | Sequence[int]  # pixels: "valid", "same", a number, (height, width) or (top, bottom, left, right)


@dataclass(frozen=True)
class Window:
    """The sliding window of a convolution or a pooling.

    kernel, stride, dilation: (height, width), in pixels; padding: (top, bottom, left, right), in pixels;
    output: (height, width) of the result; transposed: the window moves over the output, which padding crops.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    output: tuple[int, int]
    transposed: bool = False


def window(
    size: Sequence[int],
    kernel: Any,
    stride: Any = 1,
    padding: Any = "valid",
    dilation: Any = 1,
    *,
    ceil_mode: bool = False,
) -> Window:
    """Return the window on an image of (height, width) pixels, with its padding and output size.

    padding is "valid" (none), "same" (the output has ceil(size / stride) pixels; an odd pixel goes below and to the right,
    as in TensorFlow), a number, (height, width) or (top, bottom, left, right).

    Raises ArgumentError for an invalid setting, ShapeError where the window is larger than the image.

    >>> window((28, 28), 3).output
    (26, 26)
    >>> window((28, 28), 3, stride=2, padding="same").padding
    (0, 1, 0, 1)
    """
    kernels, strides = pair("kernel", kernel), pair("stride", stride)
    dilations = pair("dilation", dilation)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernels, dilations))
    pads = _pads(padding, size, reach, strides)
    output = []
    for axis, name in enumerate(("height", "width")):
        before, after = pads[2 * axis : 2 * axis + 2]
        room = size[axis] + before + after - reach[axis]
        if size[axis] < 1 or room < 0:
            raise ShapeError(
                f"the window reaches over {reach[axis]} pixels but the image has a {name} of {size[axis]}"
                f"{f' (with padding, {size[axis] + before + after})' if before + after else ''}; "
                f"use a smaller kernel, or padding='same'"
            )
        count = room // strides[axis] + 1
        if ceil_mode and room % strides[axis] and count * strides[axis] < size[axis] + before:
            count += 1  # the last window extends beyond the padding, but starts on the image or before it
        output.append(count)
    return Window(kernels, strides, pads, dilations, (output[0], output[1]))


def transposed_window(
    size: Sequence[int], kernel: Any, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, dilation: Any = 1
) -> Window:
    """Return the window of a transposed convolution on an image of (height, width) pixels.

        output = (size - 1) * stride + reach - before - after + output_padding

    padding, cropped from the output: a number, (height, width) or (top, bottom, left, right); output_padding, extra rows at the
    bottom and columns at the right: a number or (height, width).

    Raises ArgumentError for an invalid setting, ShapeError where padding crops all of the output.

    >>> transposed_window((14, 14), 3, stride=2, padding=1, output_padding=1).output
    (28, 28)
    """
    kernels, strides, dilations = pair("kernel", kernel), pair("stride", stride), pair("dilation", dilation)
    pads, extra = frame(padding), pair("output_padding", output_padding, 0)
    output = []
    for axis, name in enumerate(("height", "width")):
        full = (size[axis] - 1) * strides[axis] + (kernels[axis] - 1) * dilations[axis] + 1 + extra[axis]
        crops = sum(pads[2 * axis : 2 * axis + 2])
        if crops >= full:
            raise ShapeError(f"padding crops {crops} pixels, but the output has a {name} of {full}; use a smaller one")
        output.append(full - crops)
    return Window(kernels, strides, pads, dilations, (output[0], output[1]), transposed=True)


def _pads(padding: Any, size: Sequence[int], reach: Sequence[int], stride: Sequence[int]) -> tuple[int, int, int, int]:
    if isinstance(padding, str) and padding == "valid":
        return (0, 0, 0, 0)
    if isinstance(padding, str) and padding == "same":
        pads = []
        for pixels, covers, step in zip(size, reach, stride):
            total = max(0, (ceil(pixels / step) - 1) * step + covers - pixels)
            pads += [total // 2, total - total // 2]
        return (pads[0], pads[1], pads[2], pads[3])
    if isinstance(padding, str):
        raise ArgumentError(f"padding is '{padding}'; expected 'valid', 'same', a number or (top, bottom, left, right)")
    return frame(padding)


def frame(padding: Any) -> tuple[int, int, int, int]:
    """Return padding as (top, bottom, left, right), given a number, (height, width) or all four.

    >>> frame((1, 2))
    (1, 1, 2, 2)
    """
    if isinstance(padding, (tuple, list)) and len(padding) == 4:
        top, bottom, left, right = (integer("padding", value, 0) for value in padding)
        return top, bottom, left, right
    if not hasattr(padding, "__index__") and not isinstance(padding, (tuple, list)):
        raise ArgumentError(f"padding is {padding!r}; expected a number, (height, width) or (top, bottom, left, right)")
    height, width = pair("padding", padding, 0)
    return height, height, width, width


# A receptive field: its size (height, width) and the product of the strides so far (height, width), in input pixels. Integers,
# or behind a transposed convolution fractions.
Field = tuple[tuple[Any, Any], tuple[Any, Any]]
PIXEL: Field = ((1, 1), (1, 1))


def widen(field: Field, window: Window) -> Field:
    """Return the receptive field of a window's output, given that of its input."""
    (height, width), (row_step, column_step) = field
    stride = window.stride
    if window.transposed:
        from fractions import Fraction  # noqa: PLC0415  (most networks need none)

        row_step, column_step, stride = Fraction(row_step, stride[0]), Fraction(column_step, stride[1]), (1, 1)
    reach = [(k - 1) * d for k, d in zip(window.kernel, window.dilation)]
    seen = (height + reach[0] * row_step, width + reach[1] * column_step)
    return seen, (row_step * stride[0], column_step * stride[1])


def receptive_field(windows: Sequence[Window]) -> tuple[int, int]:
    """Return the receptive field, (height, width) in input pixels, of an output pixel behind a chain of windows.

        field = 1 + sum over layers of (reach - 1) * (product of the strides before)

    The stride of a transposed convolution divides that product, from its own layer on; the sum, rounded down, is then an upper
    bound.

    Source: Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", Distill.

    >>> receptive_field([window((28, 28), 3), window((26, 26), 2, stride=2)])
    (4, 4)
    """
    field = PIXEL
    for layer in windows:
        field = widen(field, layer)
    return int(field[0][0]), int(field[0][1])


def broadcast(a: Shape, b: Shape) -> Shape:
    """Return the shape that two shapes broadcast to, by NumPy's rule: axes from the last, of equal size or 1.

    >>> broadcast((2, 1, 1, 8), (2, 5, 5, 8))
    (2, 5, 5, 8)
    """
    longest = max(len(a), len(b))
    sizes = []
    for left, right in zip((1,) * (longest - len(a)) + a, (1,) * (longest - len(b)) + b):
        if left != right and 1 not in (left, right):
            raise ShapeError(
                f"{a} and {b} do not fit together: {left} against {right}; each axis needs equal sizes or 1"
            )
        sizes.append(right if left == 1 else left)
    return tuple(sizes)


def infer_reshape(shape: Shape, target: Sequence[int]) -> Shape:
    """Return the shape after a reshape of all axes but the first; one target size may be -1, and is inferred.

    >>> infer_reshape((64, 13, 13, 8), (-1,))
    (64, 1352)
    """
    if not shape:
        raise ShapeError("x has the shape (); expected (N, ...)")
    if not isinstance(target, (tuple, list)):
        raise ArgumentError(f"shape is {target!r}; expected sizes in brackets, such as (-1,)")
    sizes = [integer("shape", value, -1) for value in target]
    size, known = prod(shape[1:]), prod(value for value in sizes if value != -1)
    if sizes.count(-1) > 1 or 0 in sizes:
        raise ArgumentError(f"shape is {tuple(target)}; expected sizes of 1 or more, at most one of them -1")
    if -1 in sizes and size % known == 0:
        sizes[sizes.index(-1)] = size // known
    if prod(sizes) != size:
        raise ShapeError(f"an example of shape {shape[1:]} holds {size} numbers, which {tuple(target)} can't hold")
    return (shape[0], *sizes)


def normal_axis(axis: Any, dimensions: int) -> int:
    """Return an axis as a non-negative int; raise an ArgumentError for one that is out of range."""
    whole = hasattr(axis, "__index__") and not isinstance(axis, bool)
    if not whole or not -dimensions <= axis < dimensions:
        raise ArgumentError(f"axis is {axis!r}; expected {-dimensions} to {dimensions - 1}")
    return int(axis) % dimensions


def integer(name: str, value: Any, low: int = 1) -> int:
    """Return `value` as an int, or raise an ArgumentError that names it."""
    try:
        whole = index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool) or whole < low:
        raise ArgumentError(f"{name} is {value!r}; expected a whole number, {low} or more")
    return whole


def number(name: str, value: Any, low: float = float("-inf"), below: float = float("inf")) -> float:
    """Return `value` as a float with low <= value < below, or raise an ArgumentError that names it."""
    try:
        result = float("nan") if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:
        result = float("nan")
    if not low <= result < below:
        ends = f"from {low:g} up to {below:g}" if below < float("inf") else f"{low:g} or more"
        raise ArgumentError(f"{name} is {value!r}; expected a number{'' if low == float('-inf') else ', ' + ends}")
    return result


def plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays, also within lists, tuples and dicts, as Python's numbers and tuples.

    >>> import numpy as np
    >>> plain({"kernel": np.int64(3), "padding": (np.int32(0), 1), "stride": np.array([1, 2])})
    {'kernel': 3, 'padding': (0, 1), 'stride': (1, 2)}
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.item() if value.ndim == 0 else tuple(value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def pair(name: str, value: Any, low: int = 1) -> tuple[int, int]:
    """Return (height, width) from one number or two."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ArgumentError(f"{name} is {tuple(value)}; expected a number or (height, width)")
        return integer(name, value[0], low), integer(name, value[1], low)
    both = integer(name, value, low)
    return both, both


def axes(name: str, shape: Shape, letters: str) -> None:
    """Raise a ShapeError unless `shape` has an axis, of size 1 or more, for each of the comma-separated letters."""
    if len(shape) != len(letters.split(",")) or 0 in shape:
        raise ShapeError(f"{name} has the shape {shape}; expected ({letters}), each 1 or more")
