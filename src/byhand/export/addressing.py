"""Memory addressing in a C program: strides of operands, copies of data movement, taps of resize."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from byhand.export.lowering import Step, StepValue
from byhand.kernels.indexing import element_strides
from byhand.ops.movement.interpolation import Interpolation, interpolation_weights
from byhand.ops.op import Array
from byhand.shapes import Shape


class Copy(NamedTuple):
    """A strided copy from a value to a step's output: element counts an axis, strides in elements, first elements."""

    source: StepValue
    sizes: list[int]
    source_strides: list[int]
    target_strides: list[int]
    source_start: int
    target_start: int


def binary_strides(step: Step) -> tuple[Shape, list[int], list[int]]:
    """Return the shape of a binary step's output, and the strides of its two operands."""
    y = step.call.shapes["y"]
    shapes = [(1, *a.shape) if isinstance(a, StepValue) else a.shape for a in step.arguments if a is not None]
    first, second = (element_strides(shape, y) for shape in shapes)
    return y, first, second


def copies_of(step: Step) -> list[Copy]:
    """Return the copies that a data movement step consists of."""
    x, attributes = step.values[0], step.call.attributes
    source, target = element_strides((1, *x.shape)), element_strides((1, *step.output.shape))
    sizes = [1, *step.output.shape]
    if step.op == "concat":
        axis, start, copies = attributes["axis"], 0, []
        for value in step.values:
            shape = [1, *value.shape]
            copies.append(Copy(value, shape, element_strides(shape), target, 0, start * target[axis]))
            start += shape[axis]
        return copies
    if step.op == "pad":
        top, _, left, _ = attributes["padding"]
        return [Copy(x, [1, *x.shape], source, target, 0, top * target[1] + left * target[2])]
    if step.op == "slice":
        first = sum(start * stride for start, stride in zip(attributes["starts"], source))
        strides = [step * stride for step, stride in zip(attributes["steps"], source)]
        return [Copy(x, sizes, strides, target, first, 0)]
    if step.op == "transpose":
        return [Copy(x, sizes, [source[axis] for axis in attributes["axes"]], target, 0, 0)]
    groups, channels = attributes["groups"], x.shape[-1]  # channel_shuffle
    channels_per_group = channels // groups
    sizes = [x.size // channels, channels_per_group, groups]
    return [Copy(x, sizes, [channels, 1, channels_per_group], [channels, groups, 1], 0, 0)]


def axis_taps(step: Step, axis: int) -> tuple[Array, Array]:
    """Return the input pixels that each output pixel of a resize mixes along an axis, and their weights."""
    settings = dict(step.call.attributes)
    scale = settings.pop("scales")[axis]
    size, new_size = step.values[0].shape[axis], step.output.shape[axis]
    return interpolation_weights(size, new_size, scale, Interpolation(**settings))  # type: ignore[no-any-return, no-untyped-call]


def offset(name: str, start: int) -> str:
    """Return the C expression for the address of an array's element `start`.

    >>> offset("x", 0), offset("x", 12)
    ('x', 'x + 12')
    """
    return f"{name} + {start}" if start else name


def output_axis_first(weight: Array) -> Array:
    """Return a weight with its last axis, the outputs, first: the terms of one sum are adjacent."""
    return np.ascontiguousarray(np.moveaxis(weight, -1, 0))
