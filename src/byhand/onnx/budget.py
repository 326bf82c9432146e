"""Limits on what a small ONNX file may cost: elements of an array, nodes, and the work of constant folding.

ONNX files are untrusted. A few bytes can ask for a huge array (ConstantOfShape), for endless nodes (functions that call
functions) or for hours of constant folding, so that every array is charged to a `Budget` before it is allocated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, prod
from typing import Any

from byhand.errors import FileError
from byhand.ops.op import CallSpec
from byhand.shapes import Shape

MAX_DEPTH = 20  # branches and functions inside one another
# Nodes that functions and branches add to those that the file lists.
MAX_EXPANDED_NODES = 2**14
# Elements of one computed array; a file that holds a larger array may compute arrays of that size.
MAX_ELEMENTS = 2**25
# Elements of a broadcast view. It takes no memory until a network stores it.
MAX_VIEW_ELEMENTS = 2**27
MAX_ALL_VIEW_ELEMENTS = 3 * 2**26
# FLOPs, or as much other work, for what does not depend on the image.
MAX_FOLDING_FLOPS = 2**31
# The overhead of one element, of one call and of one window position, as FLOPs that take as long.
ELEMENT_FLOPS = 64
CALL_FLOPS = 2**17
TAP_FLOPS = 2**14
# Folding passes over each element that the file stores, which its size pays for.
PASSES_PER_STORED_ELEMENT = 4


def check_shape(shape: Sequence[int], max_elements: int = MAX_ELEMENTS) -> Shape:
    """Return the shape of an array that may be allocated, or raise a FileError.

    >>> check_shape((2, 3))
    (2, 3)
    """
    count = 1
    for size in shape:
        if size < 0:
            raise FileError(f"the shape {tuple(shape)} has a size below 0; expected sizes of 0 or more")
        count *= max(size, 1)
    if count > max_elements:
        raise FileError(f"the shape {tuple(shape)} has {count:,} elements; byhand computes up to {max_elements:,}")
    return tuple(int(size) for size in shape)


class Budget:
    """Counts what reading one file has cost so far.

    bounded: limit the work too. A graph that is translated is bounded; one that a caller runs on arrays may take its time.
    """

    def __init__(self, bounded: bool) -> None:
        self.bounded = bounded
        self.max_elements = MAX_ELEMENTS
        self.max_flops = MAX_FOLDING_FLOPS if bounded else inf
        self.flops = self.view_elements = 0

    def allow(self, elements: int) -> None:
        """Let computed arrays be as large as one that the caller or the file provides."""
        self.max_elements = max(self.max_elements, elements)

    def allow_folding(self, elements: int) -> None:
        """Let stored elements be folded a few times."""
        self.max_flops += PASSES_PER_STORED_ELEMENT * ELEMENT_FLOPS * elements

    def reserve(self, shape: Sequence[int]) -> None:
        """Charge an array that is about to be allocated; raises FileError where it is too large."""
        self.charge(prod(check_shape(shape, self.max_elements)))

    def charge(self, elements: int) -> None:
        """Charge work on so many elements; raises FileError where no network needs as much."""
        self.flops += ELEMENT_FLOPS * elements
        if self.flops > self.max_flops:
            raise FileError("constant folding takes more work than any network needs; expected mostly stored weights")

    def charge_call(self, call: CallSpec, inputs: Mapping[str, Any]) -> None:
        """Charge a call of an op on arrays."""
        for shape in call.shapes.values():
            self.reserve(shape)
        window = call.window
        self.flops += call.flops + CALL_FLOPS
        if window is not None:
            (top, bottom, left, right), (n, height, width, channels) = window.padding, inputs["x"].shape
            if not window.transposed:
                check_shape((n, height + top + bottom, width + left + right, channels), self.max_elements)
            self.flops += TAP_FLOPS * prod(window.kernel)
        self.charge(0)

    def reserve_view(self, shape: Sequence[int]) -> Shape:
        """Return the shape of a broadcast view, or raise a FileError where it is too large."""
        self.view_elements += prod(check_shape(shape, max(self.max_elements, MAX_VIEW_ELEMENTS)))
        if self.bounded:
            check_shape((self.view_elements,), MAX_ALL_VIEW_ELEMENTS)
        return tuple(shape)
