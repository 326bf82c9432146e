"""Operators on what is constant: Constant, Shape, Cast, Range, ArgMax, NonZero, and If with a constant condition."""

from typing import Any

import numpy as np
from onnx import GraphProto, TensorProto, helper, numpy_helper

from byhand.onnx.budget import MAX_DEPTH
from byhand.onnx.node_context import NodeContext
from byhand.onnx.registry import reader
from byhand.onnx.symbol import OnnxValue, Symbol
from byhand.onnx.tensor_data import array_of
from byhand.ops.op import Array

FLOATING_TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
# Casts to these types clip to their largest number, unless saturate=0.
SATURATING_TYPES = (
    TensorProto.FLOAT8E4M3FN,
    TensorProto.FLOAT8E4M3FNUZ,
    TensorProto.FLOAT8E5M2,
    TensorProto.FLOAT8E5M2FNUZ,
)


@reader("Constant")
def read_constant(node: NodeContext) -> OnnxValue:
    """Read Constant, whichever attribute holds its value."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings"):
        value = node.attribute(name)
        if value is None:
            continue
        if name == "value":
            return node.state.stored_array(value)
        if "string" in name:
            return np.array(value, object)
        return np.array(value, np.float32 if "float" in name else np.int64)
    raise node.unsupported("it holds no value that byhand reads; expected a tensor, numbers or text")


@reader("ConstantOfShape")
def read_constant_of_shape(node: NodeContext, shape: OnnxValue) -> OnnxValue:
    """Read ConstantOfShape: a broadcast view of one element."""
    value = node.attribute("value")
    element = np.zeros(1, np.float32) if value is None else array_of(value, node.state.folder)
    return np.broadcast_to(element.reshape(()), node.state.budget.reserve_view(node.integers(shape, "shape")))


@reader("Shape")
def read_shape(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read Shape; an image has the batch size that the file declares."""
    shape = (node.state.batch, *x.shape[1:]) if isinstance(x, Symbol) else x.shape
    start, end = node.attribute("start", 0), node.attribute("end")
    return np.array(shape[slice(start, end)], np.int64)


@reader("Size")
def read_size(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read Size: the number of elements."""
    return np.array(x.size, np.int64)


@reader("Identity")
def read_identity(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read Identity."""
    return x


@reader("Cast", "CastLike")
def read_cast(node: NodeContext, x: OnnxValue, like: Any = None) -> OnnxValue:
    """Read Cast; what depends on the image stays floating point."""
    if node.op_type == "Cast":
        to = node.attribute("to")
    else:
        to = TensorProto.FLOAT if isinstance(like, Symbol) else helper.np_dtype_to_tensor_dtype(like.dtype)
    if isinstance(x, Symbol):
        if to not in FLOATING_TYPES:
            raise node.unsupported("it makes integers of what depends on the image")
        return x
    if to == TensorProto.STRING:
        return np.array([_as_text(element) for element in node.check_looped(x).reshape(-1)], object).reshape(x.shape)
    dtype = helper.tensor_dtype_to_np_dtype(to)
    if dtype.kind == "c":
        raise node.unsupported("it makes complex numbers; byhand computes with real ones")
    node.reserve(*x.shape)
    if x.dtype.kind in "OUS":
        numbers = [_as_number(element) for element in node.check_looped(x).reshape(-1)]
        return np.array(numbers).reshape(x.shape).astype(dtype)
    saturate = bool(node.attribute("saturate", 1))
    if to == TensorProto.FLOAT8E8M0:
        return numpy_helper.to_float8e8m0(x, saturate, node.attribute("round_mode", "up")).astype(dtype)
    if to in SATURATING_TYPES and saturate:
        return numpy_helper.saturate_cast(x, dtype)
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def _as_text(element: Any) -> str:
    if isinstance(element, (bytes, str)):
        return element.decode() if isinstance(element, bytes) else element
    if isinstance(element, np.floating) and element.dtype != np.float64:
        return str(np.float32(element))
    return str(element)


def _as_number(element: Any) -> float:
    return float(element.decode() if isinstance(element, bytes) else element)


@reader("Range")
def read_range(node: NodeContext, start: OnnxValue, limit: OnnxValue, delta: OnnxValue) -> OnnxValue:
    """Read Range: start, start + delta, ... below limit."""
    first, end, step = (node.constant(value, "bounds").reshape(()) for value in (start, limit, delta))
    count = max(0, int(np.ceil((end.item() - first.item()) / step.item())))
    node.reserve(count)
    return (first + np.arange(count) * step).astype(first.dtype)


@reader("ArgMax", "ArgMin")
def read_arg_max(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read ArgMax and ArgMin; of equal elements, the first or the last."""
    array: Array = node.constant(x, "input")
    axis, keepdims = node.attribute("axis", 0), bool(node.attribute("keepdims", 1))
    node.reserve(*array.shape)
    arg = np.argmax if node.op_type == "ArgMax" else np.argmin
    if node.attribute("select_last_index", 0):
        indices = array.shape[axis] - 1 - arg(np.flip(array, axis), axis, keepdims=keepdims)
    else:
        indices = arg(array, axis, keepdims=keepdims)
    result: Array = indices.astype(np.int64)
    return result


@reader("If")
def read_if(node: NodeContext, condition: OnnxValue) -> list[OnnxValue]:
    """Read If, where its condition is constant."""
    name = "then_branch" if node.constant(condition, "condition").item() else "else_branch"
    graph = node.attribute(name)
    if not isinstance(graph, GraphProto):
        raise node.unsupported(f"it has no {name}")
    if node.state.depth >= MAX_DEPTH:
        raise node.unsupported(f"more than {MAX_DEPTH} branches and functions are nested")
    return list(node.run_branch(graph, node.scope).values())


@reader("NonZero")
def read_non_zero(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read NonZero: the indices of elements other than 0, a row an axis."""
    array: Array = node.constant(x, "input")
    node.reserve(*array.shape, max(1, array.ndim))
    return np.array(np.nonzero(array), np.int64)
