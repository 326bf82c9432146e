"""concat, pad, transpose, reshape, flatten, channel_shuffle: numbers moved, none computed anew.

What moves a number forward moves its gradient back along the same way.
"""

from math import prod

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.ops.op import Call, Op
from byhand.shapes import axes, frame, integer, normal_axis, number, reshaped

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


def pad_sample(draw):
    """Draw a legal call."""
    x = draw.array(*(draw.integer(1, 3) for _ in range(4)))
    return (x,), {"padding": tuple(draw.integer(0, 3) for _ in range(4)), "value": draw.choice([0.0, -1.5])}


pad = Op(
    "pad",
    pad_contract,
    loops=(pad_loops, pad_backward_loops),
    arrays=(pad_arrays, pad_backward_arrays),
    sample=pad_sample,
    onnx="Pad",
)


# transpose: y's axis i is x's axis axes[i] ----------------------------------------------------------------------------


def transpose_contract(x, *, axes):
    """Reorder axes: x -> y, whose axis i is x's axis axes[i].

    >>> import byhand as bh
    >>> bh.transpose([[1.0, 2.0]], axes=(1, 0))
    array([[1.],
           [2.]])
    """
    if not isinstance(axes, (tuple, list)) or sorted(integer("axes", one, 0) for one in axes) != list(range(len(x))):
        raise ArgumentError(f"axes is {axes!r}; expected an order of 0 to {len(x) - 1}")
    return Call({"y": tuple(x[i] for i in axes)}, {"axes": tuple(map(int, axes))})


def transpose_loops(x, y, *, axes):
    for i in np.ndindex(y.shape):
        place = [0] * x.ndim
        for axis, at in zip(axes, i):
            place[axis] = at
        y[i] = x[*place]


def transpose_backward_loops(grad_y, grad_x, *, axes):
    for i in np.ndindex(grad_y.shape):
        place = [0] * grad_x.ndim
        for axis, at in zip(axes, i):
            place[axis] = at
        grad_x[*place] = grad_y[i]


def transpose_arrays(x, y, *, axes):
    y[...] = x.transpose(axes)


def transpose_backward_arrays(grad_y, grad_x, *, axes):
    grad_x[...] = grad_y.transpose(np.argsort(axes))


def transpose_sample(draw):
    """Draw a legal call."""
    x = draw.array(*(draw.integer(1, 4) for _ in range(4)))
    return (x,), {"axes": draw.choice([(0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1), (3, 1, 0, 2)])}


transpose = Op(
    "transpose",
    transpose_contract,
    loops=(transpose_loops, transpose_backward_loops),
    arrays=(transpose_arrays, transpose_backward_arrays),
    sample=transpose_sample,
    onnx="Transpose",
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
    sample=reshape_sample,
    onnx="Reshape",
)
flatten = Op(
    "flatten",
    flatten_contract,
    loops=(flatten_loops, flatten_backward_loops),
    arrays=(flatten_arrays, flatten_backward_arrays),
    sample=flatten_sample,
    onnx="Flatten",
)


# channel_shuffle: y[..., i * G + g] = x[..., g * C/G + i], so that the next group convolution sees every group --------


def channel_shuffle_contract(x, *, groups):
    """Deal the channels of `groups` groups out in turn: x (..., C) -> y (..., C).

    Source: Zhang et al. 2017 (ShuffleNet), arXiv 1707.01083. Raises ShapeError where the channels do not fall into groups.

    >>> import byhand as bh
    >>> bh.channel_shuffle([0.0, 1, 2, 3, 4, 5], groups=2)
    array([0., 3., 1., 4., 2., 5.])
    """
    groups = integer("groups", groups)
    if not x or 0 in x or x[-1] % groups:
        raise ShapeError(f"x has the shape {x}; expected (..., C), each 1 or more, C a multiple of groups, {groups}")
    return Call({"y": x}, {"groups": groups})


def channel_shuffle_loops(x, y, *, groups):
    share = x.shape[-1] // groups
    for place in np.ndindex(x.shape):
        *n, c = place
        y[*n, c % share * groups + c // share] = x[place]


def channel_shuffle_backward_loops(grad_y, grad_x, *, groups):
    share = grad_x.shape[-1] // groups
    for place in np.ndindex(grad_x.shape):
        *n, c = place
        grad_x[place] = grad_y[*n, c % share * groups + c // share]


def channel_shuffle_arrays(x, y, *, groups):
    y[...] = x.reshape(*x.shape[:-1], groups, -1).swapaxes(-1, -2).reshape(x.shape)


def channel_shuffle_backward_arrays(grad_y, grad_x, *, groups):
    grad_x[...] = grad_y.reshape(*grad_y.shape[:-1], -1, groups).swapaxes(-1, -2).reshape(grad_y.shape)


def channel_shuffle_sample(draw):
    """Draw a legal call."""
    groups = draw.integer(1, 4)
    return (draw.array(2, draw.integer(1, 3), groups * draw.integer(1, 4)),), {"groups": groups}


channel_shuffle = Op(
    "channel_shuffle",
    channel_shuffle_contract,
    loops=(channel_shuffle_loops, channel_shuffle_backward_loops),
    arrays=(channel_shuffle_arrays, channel_shuffle_backward_arrays),
    sample=channel_shuffle_sample,
)
