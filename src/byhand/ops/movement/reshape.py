"""reshape and flatten: the same elements in the same order under another shape; the first axis, the examples, stays.

    y.flat[i] = x.flat[i];   grad_x.flat[i] = grad_y.flat[i]

Source: ONNX, operators Reshape and Flatten.
"""

from collections.abc import Sequence
from math import prod

from byhand.errors import ShapeError
from byhand.kernels import compiled
from byhand.ops.flat_kernels import copy
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, infer_reshape


def reshape_contract(x: Shape, *, shape: Sequence[int]) -> CallSpec:
    """Reshape each example: x (N, ...) -> y (N, *shape); one size may be -1.

    Raises ShapeError where the number of elements differs.

    >>> import byhand as bh, numpy as np
    >>> bh.reshape(np.zeros((2, 12)), shape=(3, -1)).shape
    (2, 3, 4)
    """
    y = infer_reshape(x, shape)
    return CallSpec({"y": y}, {"shape": y[1:]})


def flatten_contract(x: Shape) -> CallSpec:
    """Flatten each example into a vector: x (N, ...) -> y (N, D).

    >>> import byhand as bh, numpy as np
    >>> bh.flatten(np.zeros((2, 13, 13, 8))).shape
    (2, 1352)
    """
    if not x:
        raise ShapeError("x has the shape (); expected (N, ...)")
    return CallSpec({"y": (x[0], prod(x[1:]))})


def reshape_loops(x, y, *, shape):
    for i, value in enumerate(x.flat):
        y.flat[i] = value


def reshape_backward_loops(grad_y, grad_x, *, shape):
    for i, value in enumerate(grad_y.flat):
        grad_x.flat[i] = value


def flatten_loops(x, y):
    reshape_loops(x, y, shape=y.shape[1:])


def flatten_backward_loops(grad_y, grad_x):
    reshape_loops(grad_y, grad_x, shape=grad_x.shape[1:])


def reshape_arrays(x, y, *, shape):
    y[...] = x.reshape(y.shape)


def reshape_backward_arrays(grad_y, grad_x, *, shape):
    grad_x[...] = grad_y.reshape(grad_x.shape)


def flatten_arrays(x, y):
    y[...] = x.reshape(y.shape)


def flatten_backward_arrays(grad_y, grad_x):
    grad_x[...] = grad_y.reshape(grad_x.shape)


@compiled
def reshape_compiled(x, y, *, shape):
    copy(x, y)


@compiled
def reshape_backward_compiled(grad_y, grad_x, *, shape):
    copy(grad_y, grad_x)


@compiled
def flatten_compiled(x, y):
    copy(x, y)


@compiled
def flatten_backward_compiled(grad_y, grad_x):
    copy(grad_y, grad_x)


def flatten_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    return (draw.array(*(draw.integer(1, 4) for _ in range(4))),), {}


def reshape_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    (x,), _ = flatten_sample(draw)
    return (x,), {"shape": draw.choice([(-1,), (x.shape[1] * x.shape[2], x.shape[3]), (1, -1, x.shape[3])])}


reshape = Op(
    "reshape",
    reshape_contract,
    loops=(reshape_loops, reshape_backward_loops),
    arrays=(reshape_arrays, reshape_backward_arrays),
    compiled=(reshape_compiled, reshape_backward_compiled),
    sample=reshape_sample,
)
flatten = Op(
    "flatten",
    flatten_contract,
    loops=(flatten_loops, flatten_backward_loops),
    arrays=(flatten_arrays, flatten_backward_arrays),
    compiled=(flatten_compiled, flatten_backward_compiled),
    sample=flatten_sample,
)
