"""The terms of the choice of a convolution algorithm: shape, problem and algorithm.

ConvShape   the sizes and attributes of a convolution
Pooling     the attributes of a max pooling that follows it
Problem     one pass of it over some images: forward, backward_data or backward_weights
Algorithm   a way to compute it: to which problems it applies, what it costs, how each pass runs
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np

from byhand.kernels.runtime.cpu import vector_unit

PASSES = ("forward", "backward_data", "backward_weights")
PRECISIONS = FLOAT32, BF16 = "float32", "bf16"


class ConvShape(NamedTuple):
    """A convolution's sizes and attributes."""

    image: tuple[int, int]
    output: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    depth: int  # channels that a filter sees
    filters_per_group: int

    @property
    def depthwise(self) -> bool:
        """Whether each channel has one filter of its own."""
        return self.depth == self.filters_per_group == 1 < self.groups

    @property
    def channels(self) -> int:
        """Channels of the image."""
        return self.depth * self.groups

    @property
    def filters(self) -> int:
        """Channels of the output."""
        return self.filters_per_group * self.groups

    @property
    def weights(self) -> int:
        """Elements of all filters."""
        return prod(self.kernel) * self.depth * self.filters

    @property
    def window(self) -> list[int]:
        """Rows and columns that one window spans."""
        return [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation)]

    @property
    def span(self) -> list[int]:
        """Rows and columns that all windows together span."""
        return [(out - 1) * s + w for out, s, w in zip(self.output, self.stride, self.window)]

    @property
    def padded(self) -> bool:
        """Whether windows reach beyond the image."""
        return any(self.padding[::2]) or any(n > size for n, size in zip(self.span, self.image))

    def flops(self, images: int) -> int:
        """Work of one pass."""
        return 2 * images * prod(self.output) * self.weights


class Pooling(NamedTuple):
    """The attributes of a max pooling."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]


class Problem(NamedTuple):
    """One pass of a convolution.

    matrix: it is a matrix product, with rows in place of pixels. pooling: the max pooling that follows the convolution, if any;
    its maxima alone have a gradient. precision: of PRECISIONS, that of the factors of each product. fixed_weights: the filters
    do not change, so that what is made of them is made once.
    """

    pass_name: str  # of PASSES
    shape: ConvShape
    images: int
    itemsize: int  # bytes of an element
    matrix: bool = False
    pooling: Pooling | None = None
    precision: str = FLOAT32
    fixed_weights: bool = False

    @property
    def flops(self) -> int:
        """The work in FLOPs."""
        return self.shape.flops(self.images)

    @property
    def tile_flops(self) -> int:
        """FLOPs that the register tile executes: with fewer pixels than it has rows, as many as with all rows."""
        return self.flops * max(self.pixels, vector_unit().tile_rows) // self.pixels

    @property
    def pixels(self) -> int:
        """Pixels of the output: rows of the matrix product that a convolution is."""
        return self.images * prod(self.shape.output)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all filters."""
        return self.shape.weights * self.itemsize

    @property
    def tile_columns(self) -> int:
        """Columns of the register tile."""
        return vector_unit().tile_columns(np.dtype(f"f{self.itemsize}"))

    def __str__(self) -> str:
        rows, columns = self.shape.kernel
        op = "linear" if self.matrix else "conv2d" if self.pooling is None else "conv2d_max_pool"
        size = f"{self.pixels:d} rows" if self.matrix else f"{rows}x{columns}, stride {self.shape.stride}"
        return f"{self.pass_name} of a {op} of {self.shape.channels} -> {self.shape.filters} channels, {size}"


class Algorithm(NamedTuple):
    """A way to compute a convolution.

    applies(problem)    whether it can: the pass is there, and the shape is one it knows
    cost(problem)       estimated time, in FLOPs that the register tile does meanwhile; infinite: only where it is forced
    forward(x, weight, y, epilogue, shape), backward_data(weight, grad_y, grad_x, shape),
    backward_weights(x, grad_y, grad_weight, shape): launch the kernels of a pass; None: it has no such pass
    max_pool_backward(x, weight, pooled, gradients, shape, pooling): launches backward_data and backward_weights at once of a
    convolution that is max-pooled, from the gradient of the pooled output; None: it takes that of the convolution's output
    error: a bound on the error of each element in float32, in parts of the largest sum of |x * weight| of any element, for sums
    of up to 2,304 products (3x3, 256 channels); of longer sums of equal numbers the error grows with their length
    """

    name: str
    applies: Callable[[Problem], bool]
    cost: Callable[[Problem], float]
    forward: Callable[..., None] | None = None
    backward_data: Callable[..., None] | None = None
    backward_weights: Callable[..., None] | None = None
    max_pool_backward: Callable[..., None] | None = None
    error: float = 1e-4

    def has_pass(self, problem: Problem) -> bool:
        """Tell whether it has the pass of a problem."""
        if self.launcher(problem.pass_name) is not None:
            return True
        return self.max_pool_backward is not None and problem.pooling is not None and problem.pass_name != "forward"

    def launcher(self, pass_name: str) -> Callable[..., None] | None:
        """Return the function that launches a pass, or None."""
        return dict(zip(PASSES, (self.forward, self.backward_data, self.backward_weights)))[pass_name]
