"""concat, pad, reshape, flatten: numbers moved, none computed anew.

What moves a number forward moves its gradient back along the same way.
"""

from math import prod

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.ops.op import Call, Op
from byhand.shapes import axes, frame, normal_axis, number, reshaped

GRAIN = 16384  # elements of a block


@kernel
def copied(x, y, block):
    ours, theirs = x[block * GRAIN : (block + 1) * GRAIN], y[block * GRAIN : (block + 1) * GRAIN]
    for k in range(ours.size):
        theirs[k] = ours[k]


@kernel
def copied_rows(x, y, step_x, step_y, width, rows, block):
    """Copy `width` numbers of each row, `step` apart."""
    for row in range(block * rows, min((block + 1) * rows, cdiv(x.size, step_x))):
        ours, theirs = x[row * step_x :][:width], y[row * step_y :][:width]
        for k in range(width):
            theirs[k] = ours[k]


def copy(x, y):
    """Launch a copy from an array into one of another shape."""
    launch(copied, cdiv(x.size, GRAIN), x.reshape(-1), y.reshape(-1))


# concat ---------------------------------------------------------------------------------------------------------------


def concat_contract(xs, *, axis=-1):
    """Put arrays one behind the other along an axis: xs, each of one shape but for that axis -> y.

    Raises ShapeError where they do not fit.

    >>> import byhand as bh
    >>> bh.concat([[[1.0]], [[2.0, 3.0]]])
    array([[1., 2., 3.]])
    """
    if not xs or not xs[0]:
        raise ArgumentError("xs is empty; expected one array or more, of one axis or more")
    axis = normal_axis(axis, len(xs[0]))
    for x in xs[1:]:
        if len(x) != len(xs[0]) or any(a != b for i, (a, b) in enumerate(zip(x, xs[0])) if i != axis):
            raise ShapeError(f"xs have the shapes {xs[0]} and {x}; expected equal sizes but for axis {axis}")
    y = (*xs[0][:axis], sum(x[axis] for x in xs), *xs[0][axis + 1 :])
    return Call({"y": y}, {"axis": axis})


def concat_loops(xs, y, *, axis):
    start = 0
    for x in xs:
        for i in np.ndindex(x.shape):
            y[*i[:axis], start + i[axis], *i[axis + 1 :]] = x[i]
        start += x.shape[axis]


def concat_backward_loops(grad_y, grad_xs, *, axis):
    start = 0
    for grad in grad_xs:
        for i in np.ndindex(grad.shape):
            grad[i] = grad_y[*i[:axis], start + i[axis], *i[axis + 1 :]]
        start += grad.shape[axis]


def concat_arrays(xs, y, *, axis):
    np.concatenate(xs, axis, out=y)


def concat_backward_arrays(grad_y, grad_xs, *, axis):
    ends = np.cumsum([grad.shape[axis] for grad in grad_xs])
    for grad, part in zip(grad_xs, np.split(grad_y, ends[:-1], axis)):
        grad[...] = part


@compiled
def concat_compiled(xs, y, *, axis):
    start = 0
    for x in xs:
        width, wide = prod(x.shape[axis:]), prod(y.shape[axis:])
        rows = cdiv(GRAIN, width)
        launch(copied_rows, cdiv(x.size // width, rows), x.reshape(-1), y.reshape(-1)[start:], width, wide, width, rows)
        start += width


@compiled
def concat_backward_compiled(grad_y, grad_xs, *, axis):
    start = 0
    for grad in grad_xs:
        width, wide = prod(grad.shape[axis:]), prod(grad_y.shape[axis:])
        rows = cdiv(GRAIN, width)
        launch(
            copied_rows,
            cdiv(grad.size // width, rows),
            grad_y.reshape(-1)[start:],
            grad.reshape(-1),
            wide,
            width,
            width,
            rows,
        )
        start += width


def concat_sample(draw):
    """Draw a legal call."""
    shape, axis = [draw.integer(1, 3) for _ in range(4)], draw.integer(-4, 3)
    xs = []
    for _ in range(draw.integer(1, 3)):
        shape[axis] = draw.integer(1, 3)
        xs.append(draw.array(*shape))
    return (tuple(xs),), {"axis": axis}


concat = Op(
    "concat",
    concat_contract,
    loops=(concat_loops, concat_backward_loops),
    arrays=(concat_arrays, concat_backward_arrays),
    compiled=(concat_compiled, concat_backward_compiled),
    sample=concat_sample,
    onnx="Concat",
)


# pad: y is x in a frame -----------------------------------------------------------------------------------------------


def pad_contract(x, *, padding, value=0.0):
    """Put a frame of `value` around images: x (N, H, W, C) -> y.

    padding: a number, (down, across) or (top, bottom, left, right).

    >>> import byhand as bh, numpy as np
    >>> bh.pad(np.ones((1, 1, 1, 1)), padding=(0, 0, 1, 2)).ravel()
    array([0., 1., 0., 0.])
    """
    axes("x", x, "N, H, W, C")
    top, bottom, left, right = frame(padding)
    y = (x[0], x[1] + top + bottom, x[2] + left + right, x[3])
    return Call({"y": y}, {"padding": (top, bottom, left, right), "value": number("value", value)})


def pad_loops(x, y, *, padding, value):
    y[...] = value
    for n, i, j, c in np.ndindex(x.shape):
        y[n, padding[0] + i, padding[2] + j, c] = x[n, i, j, c]


def pad_backward_loops(grad_y, grad_x, *, padding, value):
    for n, i, j, c in np.ndindex(grad_x.shape):
        grad_x[n, i, j, c] = grad_y[n, padding[0] + i, padding[2] + j, c]


def pad_arrays(x, y, *, padding, value):
    y[...] = value
    y[:, padding[0] :, padding[2] :][:, : x.shape[1], : x.shape[2]] = x


def pad_backward_arrays(grad_y, grad_x, *, padding, value):
    grad_x[...] = grad_y[:, padding[0] :, padding[2] :][:, : grad_x.shape[1], : grad_x.shape[2]]


@kernel
def pad_rows(x, y, padding, value, rows, block):
    _, height, wide = x.shape
    images, tall, _ = y.shape
    for row in range(block * rows, min((block + 1) * rows, images * tall)):
        out, i = y[row // tall, row % tall], row % tall - padding[0]
        if 0 <= i < height:
            numbers = x[row // tall, i]
            fill(out[: padding[1]], value)
            inner = out[padding[1] :]
            for k in range(wide):
                inner[k] = numbers[k]
            fill(inner[wide:], value)
        else:
            fill(out, value)


def fill(x, value):
    for k in range(x.size):
        x[k] = value


@kernel
def pad_backward_rows(grad_y, grad_x, padding, rows, block):
    images, height, wide = grad_x.shape
    for row in range(block * rows, min((block + 1) * rows, images * height)):
        n, i = row // height, row % height
        out, numbers = grad_x[n, i], grad_y[n, i + padding[0]][padding[1] :]
        for k in range(wide):
            out[k] = numbers[k]


@compiled
def pad_compiled(x, y, *, padding, value):
    rows = cdiv(GRAIN, prod(y.shape[2:]))
    corner = (padding[0], padding[2] * x.shape[3])
    launch(pad_rows, cdiv(prod(y.shape[:2]), rows), in_rows(x), in_rows(y), corner, value, rows)


@compiled
def pad_backward_compiled(grad_y, grad_x, *, padding, value):
    rows = cdiv(GRAIN, prod(grad_x.shape[2:]))
    corner = (padding[0], padding[2] * grad_x.shape[3])
    launch(pad_backward_rows, cdiv(prod(grad_x.shape[:2]), rows), in_rows(grad_y), in_rows(grad_x), corner, rows)


def in_rows(x):
    """Return images (N, H, W, C) as (N, H, W * C)."""
    return x.reshape(*x.shape[:2], -1)


def pad_sample(draw):
    """Draw a legal call."""
    x = draw.array(*(draw.integer(1, 3) for _ in range(4)))
    return (x,), {"padding": tuple(draw.integer(0, 3) for _ in range(4)), "value": draw.choice([0.0, -1.5])}


pad = Op(
    "pad",
    pad_contract,
    loops=(pad_loops, pad_backward_loops),
    arrays=(pad_arrays, pad_backward_arrays),
    compiled=(pad_compiled, pad_backward_compiled),
    sample=pad_sample,
    onnx="Pad",
)


# reshape and flatten: the same numbers in the same order, the first axis (the examples) kept --------------------------


def reshape_contract(x, *, shape):
    """Lay each example out anew: x (N, ...) -> y (N, *shape); one size may be -1. Raises ShapeError where it can't be.

    >>> import byhand as bh, numpy as np
    >>> bh.reshape(np.zeros((2, 12)), shape=(3, -1)).shape
    (2, 3, 4)
    """
    y = reshaped(x, shape)
    return Call({"y": y}, {"shape": y[1:]})


def flatten_contract(x):
    """Lay each example out in one row: x (N, ...) -> y (N, D).

    >>> import byhand as bh, numpy as np
    >>> bh.flatten(np.zeros((2, 13, 13, 8))).shape
    (2, 1352)
    """
    if not x:
        raise ShapeError("x has the shape (); expected (N, ...)")
    return Call({"y": (x[0], prod(x[1:]))})


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


def flatten_sample(draw):
    """Draw a legal call."""
    return (draw.array(*(draw.integer(1, 4) for _ in range(4))),), {}


def reshape_sample(draw):
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
    onnx="Reshape",
)
flatten = Op(
    "flatten",
    flatten_contract,
    loops=(flatten_loops, flatten_backward_loops),
    arrays=(flatten_arrays, flatten_backward_arrays),
    compiled=(flatten_compiled, flatten_backward_compiled),
    sample=flatten_sample,
    onnx="Flatten",
)
