"""The normalization that a graph itself begins with, and the pixels that it expects: 0 to 255, or 0 to 1.

    x / 255, x / 127.5 - 1, (x - 123.7) / 58.4, x - 104    pixels of 0 to 255 (Keras' Rescaling, Caffe's mean, mmdeploy)
    (x - 0.485) / 0.229, 2 x - 1                           pixels of 0 to 1
    batch normalization of the image                       either, by its statistics

Without it, an image that is normalized before the network would be normalized twice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx

from byhand.onnx.file_graph import FileGraph, attributes_of
from byhand.ops.op import Array

BYTES, UNIT = 255.0, 1.0  # the pixel value of white
# Of x -> factor * (x - mean): pixels of 0 to 255 have a mean above, or a factor below.
BYTES_MIN_MEAN, BYTES_MAX_FACTOR = 2.0, 0.05
UNIT_MAX_FACTOR = 32.0  # a larger one is no 1 / std of pixels from 0 to 1
ARITHMETIC = ("Add", "Sub", "Mul", "Div")
MAX_NODES = 16  # between the image and the first layer
VIEWS = ("Cast", "Identity", "Transpose", "Gather", "Slice", "Squeeze", "Unsqueeze", "Reshape", "Resize")


class InputScale(NamedTuple):
    """white: the pixel value of white that a graph expects; mean: that it subtracts, in pixel values, one or one a channel."""

    white: float
    mean: Array


def read_input_scale(graph: onnx.GraphProto, image: str) -> InputScale | None:
    """Return what a graph does to its image first; None where it scales nothing, or not as a normalization does."""
    file_graph, value = FileGraph(graph), image
    factor, offset, scales = np.ones(1), np.zeros(1), False
    for _ in range(MAX_NODES):
        readers = file_graph.readers.get(value, [])
        if len(readers) != 1 or not readers[0].output:
            break
        node = readers[0]
        if node.op_type not in VIEWS:
            step = _step(file_graph, node, value)
            if step is None:
                break
            if any(len({len(a), len(b), 1}) > 2 for a, b in ((factor, step[0]), (offset, step[1]))):
                return None
            factor, offset, scales = factor * step[0], offset * step[0] + step[1], True
        value = node.output[0]
    if not scales or not np.isfinite([*factor, *offset]).all() or not np.all(factor > 0):
        return None
    mean = -offset / factor
    if np.mean(mean) > BYTES_MIN_MEAN or np.mean(factor) < BYTES_MAX_FACTOR:
        return InputScale(BYTES, mean)
    is_unit = np.all((mean >= 0) & (mean <= 1)) and np.all((factor >= 1) & (factor <= UNIT_MAX_FACTOR))
    return InputScale(UNIT, mean) if is_unit and (np.any(mean > 0) or np.any(factor > 1)) else None


def comes_channels_last(graph: onnx.GraphProto, image: str) -> bool:
    """Tell whether a graph moves the last axis of its image to the second place: (N, H, W, C) becomes (N, C, H, W)."""
    file_graph, value = FileGraph(graph), image
    for _ in range(MAX_NODES):
        readers = file_graph.readers.get(value, [])
        if len(readers) != 1 or readers[0].op_type not in ("Cast", "Identity", "Transpose", *ARITHMETIC):
            return False
        if readers[0].op_type == "Transpose":
            return list(attributes_of(readers[0]).get("perm", ())) == [0, 3, 1, 2]
        value = readers[0].output[0]
    return False


def _step(graph: FileGraph, node: onnx.NodeProto, value: str) -> tuple[Array, Array] | None:
    """Return (factor, offset) of a node that makes factor * x + offset; None for another node."""
    if node.op_type == "BatchNormalization" and len(node.input) == 5 and node.input[0] == value:
        gamma, beta, mean, var = (_numbers(graph, name) for name in node.input[1:])
        if gamma is None or beta is None or mean is None or var is None:
            return None
        factor = gamma / np.sqrt(np.abs(var) + float(attributes_of(node).get("epsilon", 1e-5)))
        return factor, beta - mean * factor
    if node.op_type not in ARITHMETIC or len(node.input) != 2:
        return None
    other = _numbers(graph, node.input[1] if node.input[0] == value else node.input[0])
    if other is None or (node.op_type in ("Sub", "Div") and node.input[0] != value):
        return None
    one, zero = np.ones_like(other), np.zeros_like(other)
    with np.errstate(all="ignore"):
        steps = {"Add": (one, other), "Sub": (one, -other), "Mul": (other, zero), "Div": (1 / other, zero)}
    return steps[node.op_type]


def _numbers(graph: FileGraph, name: str) -> Array | None:
    """Return a constant of one number, or of one a channel, as a vector; None for another value."""
    array = graph.constant(name)
    if array is None or array.dtype.kind not in "fiu" or array.size not in (1, 3, 4):
        return None
    return array.astype(np.float64).reshape(-1)
