"""Draws that several ops share: an array, positive numbers, a pair to broadcast, an image with a pooling window.

Each takes a `SampleSource` (op.py) and returns parts of a legal call; an op's own `sample` adds what is left.
"""

import numpy as np

from byhand.ops.op import Array, Attributes, Sample, SampleSource


def any_array(draw: SampleSource) -> Sample:
    """Draw the call of an elementwise op: ((x,), {}), x with 1 to 4 axes."""
    return (draw.array(*(draw.integer(1, 4) for _ in range(draw.integer(1, 4)))),), {}


def positive_array(draw: SampleSource) -> Sample:
    """Draw the call of an elementwise op whose x is 0.5 or more."""
    (x,), _ = any_array(draw)
    return (0.5 + np.abs(x),), {}


def broadcast_pair(draw: SampleSource) -> Sample:
    """Draw the call of a binary op: ((a, b), {}), one of them broadcast to the other."""
    shape = [draw.integer(1, 4) for _ in range(4)]
    thin = [draw.choice([1, size]) for size in shape][draw.integer(0, 3) :]
    pair = (draw.array(*shape), draw.array(*thin))
    return (pair if draw.choice([True, False]) else pair[::-1]), {}


def image_and_window(draw: SampleSource) -> tuple[Array, Attributes]:
    """Draw (x, attributes) of a pooling: images (N, H, W, C), kernel, stride, padding and ceil_mode."""
    kernel = (draw.integer(1, 3), draw.integer(1, 3))
    padding = draw.choice(["valid", tuple(k // 2 for k in kernel), (kernel[0] // 2, 0, 0, kernel[1] // 2)])
    x = draw.array(draw.integer(1, 2), *(k + draw.integer(0, 4) for k in kernel), draw.integer(1, 3))
    attributes = {"kernel": kernel, "stride": (draw.integer(1, 3), draw.integer(1, 3)), "padding": padding}
    return x, attributes | {"ceil_mode": draw.choice([True, False])}
