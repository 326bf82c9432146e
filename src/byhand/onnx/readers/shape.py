"""Operators that rearrange axes: Reshape, Flatten, Squeeze, Transpose, Concat, Expand, DepthToSpace, ..."""

from math import prod

import numpy as np

from byhand.onnx.node_context import NodeContext
from byhand.onnx.registry import reader
from byhand.onnx.symbol import OnnxValue, Symbol, from_layout, normalized_axis, transpose_symbol
from byhand.ops import concat


@reader("Reshape")
def read_reshape(node: NodeContext, x: OnnxValue, shape: OnnxValue) -> OnnxValue:
    """Read Reshape: a size of 0 is copied from x, one of -1 is what remains."""
    sizes = node.integers(shape, "shape")
    if not node.attribute("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    if isinstance(x, Symbol) and sizes and sizes[0] == node.state.batch:
        sizes[0] = 1
    if -1 in sizes:
        others = -prod(sizes)
        sizes[sizes.index(-1)] = x.size // others if others > 0 else 0
    return node.reshape(x, sizes)


@reader("Flatten")
def read_flatten(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read Flatten: the axes before `axis` become one, those from it on the other."""
    axis = node.attribute("axis", 1)
    axis = axis if axis == x.ndim else normalized_axis(axis, x.ndim)
    return node.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@reader("Squeeze")
def read_squeeze(node: NodeContext, x: OnnxValue, axes: OnnxValue | None = None) -> OnnxValue:
    """Read Squeeze: axes of size 1 are removed."""
    listed = node.attribute_or_input("axes", axes, since=13)
    if listed is None:
        listed = [i for i, size in enumerate(x.shape) if size == 1 and not (i == 0 and isinstance(x, Symbol))]
    removed = [normalized_axis(axis, x.ndim) for axis in listed]
    if any(x.shape[axis] != 1 for axis in removed):
        raise ValueError(f"x has the shape {x.shape}; expected a size of 1 at each of the axes {listed}")
    return node.reshape(x, [size for i, size in enumerate(x.shape) if i not in removed])


@reader("Unsqueeze")
def read_unsqueeze(node: NodeContext, x: OnnxValue, axes: OnnxValue | None = None) -> OnnxValue:
    """Read Unsqueeze: axes of size 1 are added."""
    listed = node.attribute_or_input("axes", axes, since=13)
    added = [normalized_axis(axis, x.ndim + len(listed)) for axis in listed]
    if len(set(added)) < len(added):
        raise ValueError(f"axes are {listed}; expected each of them once")
    sizes = iter(x.shape)
    return node.reshape(x, [1 if i in added else next(sizes) for i in range(x.ndim + len(added))])


@reader("Transpose")
def read_transpose(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read Transpose: another layout; data moves when an op needs it."""
    axes = node.attribute("perm", list(range(x.ndim))[::-1])
    if sorted(axes) != list(range(x.ndim)):
        raise ValueError(f"perm is {axes}; expected a permutation of 0 to {x.ndim - 1}")
    if not isinstance(x, Symbol):
        return x.transpose(axes)
    if axes[0] != 0:
        raise node.unsupported("it moves the batch from the first axis")
    return transpose_symbol(x, axes)


@reader("Concat")
def read_concat(node: NodeContext, *xs: OnnxValue) -> OnnxValue:
    """Read Concat."""
    axis = normalized_axis(node.attribute("axis", 1), xs[0].ndim)
    symbols = [x for x in xs if isinstance(x, Symbol)]
    arrays = [x for x in xs if not isinstance(x, Symbol)]
    if not symbols:
        if all(x.dtype.kind == "f" and x.size for x in arrays):
            return node.apply(concat, tuple(arrays), axis=axis)
        node.reserve(sum(x.size for x in arrays))
        return np.concatenate(arrays, axis)
    if axis == 0:
        raise node.unsupported("it concatenates the images of a batch")
    if arrays:
        raise node.unsupported("it concatenates a constant and what depends on the image")
    layout = max(symbols, key=lambda symbol: symbol.size).layout
    stored = tuple(node.in_layout(x, layout) for x in xs)
    return from_layout(node.apply(concat, stored, axis=layout.index(axis)), layout)


@reader("Expand")
def read_expand(node: NodeContext, x: OnnxValue, shape: OnnxValue) -> OnnxValue:
    """Read Expand: broadcast to a shape."""
    sizes = np.broadcast_shapes(x.shape, tuple(node.integers(shape, "shape")))
    if not isinstance(x, Symbol):
        return np.broadcast_to(x, node.state.budget.reserve_view(sizes))
    if sizes == x.shape:
        return x
    return node.binary("multiply", x, np.ones(sizes, np.float32))


@reader("DepthToSpace")
def read_depth_to_space(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read DepthToSpace: channels become blocks of pixels."""
    block, (n, c, h, w) = node.attribute("blocksize"), x.shape
    depth = c // block**2
    if node.attribute("mode", "DCR") == "DCR":
        shape, axes = (n, block, block, depth, h, w), (0, 3, 4, 1, 5, 2)
    else:
        shape, axes = (n, depth, block, block, h, w), (0, 1, 4, 2, 5, 3)
    blocks = node.reshape(x, shape)
    moved = transpose_symbol(blocks, axes) if isinstance(blocks, Symbol) else blocks.transpose(axes)
    return node.reshape(moved, (n, depth, h * block, w * block))


@reader("SpaceToDepth")
def read_space_to_depth(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read SpaceToDepth: blocks of pixels become channels."""
    block, (n, c, h, w) = node.attribute("blocksize"), x.shape
    axes = (0, 3, 5, 1, 2, 4) if node.attribute("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    blocks = node.reshape(x, (n, c, h // block, block, w // block, block))
    moved = transpose_symbol(blocks, axes) if isinstance(blocks, Symbol) else blocks.transpose(axes)
    return node.reshape(moved, (n, c * block**2, h // block, w // block))
