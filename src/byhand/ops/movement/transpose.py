"""transpose and channel_shuffle: the axes, or the channels, in another order.

    transpose        y has x's axes in the order `axes`;   grad_x = grad_y with the inverse order
    channel_shuffle  y[..., i * G + g] = x[..., g * C/G + i];   grad_x[..., g * C/G + i] = grad_y[..., i * G + g]

Sources: ONNX, operator Transpose; Zhang et al. 2017 (ShuffleNet), arXiv 1707.01083.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.kernels import cdiv, compiled, kernel, launch
from byhand.kernels.indexing import element_strides, merge_axes, row_start
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, integer

TILE_ELEMENTS = 16  # elements of each axis in a tile: its cache lines, read across, stay in the cache

# transpose: y's axis i is x's axis axes[i] ----------------------------------------------------------------------------


def transpose_contract(x: Shape, *, axes: Sequence[int]) -> CallSpec:
    """Reorder axes: x -> y, whose axis i is x's axis axes[i].

    >>> import byhand as bh
    >>> bh.transpose([[1.0, 2.0]], axes=(1, 0))
    array([[1.],
           [2.]])
    """
    if not isinstance(axes, (tuple, list)) or sorted(integer("axes", axis, 0) for axis in axes) != list(range(len(x))):
        raise ArgumentError(f"axes is {axes!r}; expected an order of 0 to {len(x) - 1}")
    return CallSpec({"y": tuple(x[i] for i in axes)}, {"axes": tuple(map(int, axes))})


def transpose_loops(x, y, *, axes):
    for i in np.ndindex(y.shape):
        index = [0] * x.ndim
        for axis, at in zip(axes, i):
            index[axis] = at
        y[i] = x[*index]


def transpose_backward_loops(grad_y, grad_x, *, axes):
    for i in np.ndindex(grad_y.shape):
        index = [0] * grad_x.ndim
        for axis, at in zip(axes, i):
            index[axis] = at
        grad_x[*index] = grad_y[i]


def transpose_arrays(x, y, *, axes):
    y[...] = x.transpose(axes)


def transpose_backward_arrays(grad_y, grad_x, *, axes):
    grad_x[...] = grad_y.transpose(np.argsort(axes))


class Axes(NamedTuple):
    """The axes of y: their sizes, and the step along each in the memory of x and of y."""

    sizes: tuple[int, ...]
    x_steps: tuple[int, ...]
    y_steps: tuple[int, ...]


class Tiles(NamedTuple):
    """How y is cut into tiles along one axis, which is contiguous in x."""

    axis: int
    number: int  # of them along the axis
    per_block: int


@kernel
def transpose_tiles(x, y, axes, tiles, block):
    """Write y in tiles."""
    (sizes, x_steps, y_steps), (along, tiles_along, per_block) = axes, tiles
    size, x_step, y_step = sizes[-1], x_steps[-1], y_steps[along]
    end = y.size // size // sizes[along] * tiles_along
    for item in range(block * per_block, min((block + 1) * per_block, end)):
        rest, tile = item // tiles_along, item % tiles_along
        a, b = tile * TILE_ELEMENTS, tile * TILE_ELEMENTS * y_step
        for i in range(len(sizes) - 2, -1, -1):
            if i != along:
                a += rest % sizes[i] * x_steps[i]
                b += rest % sizes[i] * y_steps[i]
                rest //= sizes[i]
        count = min(TILE_ELEMENTS, sizes[along] - tile * TILE_ELEMENTS)
        if size < count:
            for k in range(size):
                source, out = x[a + k * x_step :], y[b + k :]
                for i in range(count):
                    out[np.uintp(i * y_step)] = source[i]  # unsigned: no test for a negative index
        else:
            for low in range(0, size, TILE_ELEMENTS):
                for i in range(count):
                    source, out = x[a + i + low * x_step :], y[b + i * y_step + low :]
                    for k in range(min(TILE_ELEMENTS, size - low)):
                        out[k] = source[np.uintp(k * x_step)]  # unsigned: no test for a negative index


def launch_transpose(x, y, axes):
    """Launch y = x.transpose(axes)."""
    x_strides = element_strides(x.shape)
    merged_axes = Axes(*merge_axes(y.shape, [x_strides[axis] for axis in axes], element_strides(y.shape)))
    sizes, steps, _ = merged_axes
    if steps[-1] <= 1:
        rows = cdiv(BLOCK_ELEMENTS, sizes[-1])
        launch(transpose_rows, cdiv(y.size // sizes[-1], rows), x.reshape(-1), y.reshape(-1), sizes, steps, rows)
        return
    along = max(i for i, step in enumerate(steps) if step == 1)
    tiles = Tiles(along, cdiv(sizes[along], TILE_ELEMENTS), cdiv(BLOCK_ELEMENTS, TILE_ELEMENTS * sizes[-1]))
    blocks = cdiv(y.size // sizes[-1] // sizes[along] * tiles.number, tiles.per_block)
    launch(transpose_tiles, blocks, x.reshape(-1), y.reshape(-1), merged_axes, tiles)


@kernel
def transpose_rows(x, y, sizes, steps, rows, block):
    """Write y row by row, each contiguous in x, as many rows at once as are equally far apart."""
    size, row, end = sizes[-1], block * rows, min((block + 1) * rows, y.size // sizes[-1])
    while row < end:
        at, count = row_start(row, sizes, steps), min(end - row, sizes[-2] - row % sizes[-2])
        for i in range(count):
            source, out = x[at + i * steps[-2] :], y[(row + i) * size : (row + i + 1) * size]
            for k in range(size):
                out[k] = source[k]
        row += count


@compiled
def transpose_compiled(x, y, *, axes):
    launch_transpose(x, y, axes)


@compiled
def transpose_backward_compiled(grad_y, grad_x, *, axes):
    launch_transpose(grad_y, grad_x, [axes.index(i) for i in range(len(axes))])


def transpose_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    x = draw.array(*(draw.integer(1, 4) for _ in range(4)))
    return (x,), {"axes": draw.choice([(0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1), (3, 1, 0, 2)])}


transpose = Op(
    "transpose",
    transpose_contract,
    loops=(transpose_loops, transpose_backward_loops),
    arrays=(transpose_arrays, transpose_backward_arrays),
    compiled=(transpose_compiled, transpose_backward_compiled),
    sample=transpose_sample,
)


# channel_shuffle: y[..., i * G + g] = x[..., g * C/G + i], which mixes the groups of a grouped convolution --------


def channel_shuffle_contract(x: Shape, *, groups: int) -> CallSpec:
    """Interleave the channels of `groups` groups: x (..., C) -> y (..., C).

    Source: Zhang et al. 2017 (ShuffleNet), arXiv 1707.01083. Raises ShapeError where the channels do not fall into groups.

    >>> import byhand as bh
    >>> bh.channel_shuffle([0.0, 1, 2, 3, 4, 5], groups=2)
    array([0., 3., 1., 4., 2., 5.])
    """
    groups = integer("groups", groups)
    if not x or 0 in x or x[-1] % groups:
        raise ShapeError(f"x has the shape {x}; expected (..., C), each 1 or more, C a multiple of groups, {groups}")
    return CallSpec({"y": x}, {"groups": groups})


def channel_shuffle_loops(x, y, *, groups):
    per_group = x.shape[-1] // groups
    for index in np.ndindex(x.shape):
        *n, c = index
        y[*n, c % per_group * groups + c // per_group] = x[index]


def channel_shuffle_backward_loops(grad_y, grad_x, *, groups):
    per_group = grad_x.shape[-1] // groups
    for index in np.ndindex(grad_x.shape):
        *n, c = index
        grad_x[index] = grad_y[*n, c % per_group * groups + c // per_group]


def channel_shuffle_arrays(x, y, *, groups):
    y[...] = x.reshape(*x.shape[:-1], groups, -1).swapaxes(-1, -2).reshape(x.shape)


def channel_shuffle_backward_arrays(grad_y, grad_x, *, groups):
    grad_x[...] = grad_y.reshape(*grad_y.shape[:-1], -1, groups).swapaxes(-1, -2).reshape(grad_y.shape)


@kernel
def interleave_halves(x, y, half, rows, block):
    """Interleave the two halves of each row: a loop of a fixed step, which runs in vectors."""
    for row in range(block * rows, min((block + 1) * rows, x.size // (2 * half))):
        start = row * 2 * half
        left, right, out = x[start : start + half], x[start + half : start + 2 * half], y[start : start + 2 * half]
        for i in range(half):
            out[np.uintp(2 * i)] = left[i]  # unsigned: no test for a negative index
            out[np.uintp(2 * i + 1)] = right[i]


@compiled
def channel_shuffle_compiled(x, y, *, groups):
    if groups == 2:
        rows = cdiv(BLOCK_ELEMENTS, x.shape[-1])
        blocks = cdiv(x.size // x.shape[-1], rows)
        launch(interleave_halves, blocks, x.reshape(-1), y.reshape(-1), x.shape[-1] // 2, rows)
        return
    launch_transpose(
        x.reshape(-1, groups, x.shape[-1] // groups), y.reshape(-1, x.shape[-1] // groups, groups), (0, 2, 1)
    )


@compiled
def channel_shuffle_backward_compiled(grad_y, grad_x, *, groups):
    channels = grad_x.shape[-1]
    launch_transpose(
        grad_y.reshape(-1, channels // groups, groups), grad_x.reshape(-1, groups, channels // groups), (0, 2, 1)
    )


def channel_shuffle_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    groups = draw.integer(1, 4)
    return (draw.array(2, draw.integer(1, 3), groups * draw.integer(1, 4)),), {"groups": groups}


channel_shuffle = Op(
    "channel_shuffle",
    channel_shuffle_contract,
    loops=(channel_shuffle_loops, channel_shuffle_backward_loops),
    arrays=(channel_shuffle_arrays, channel_shuffle_backward_arrays),
    compiled=(channel_shuffle_compiled, channel_shuffle_backward_compiled),
    sample=channel_shuffle_sample,
)
