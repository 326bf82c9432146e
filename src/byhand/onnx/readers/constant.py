"""What is known before there is an image: constants, shapes, types, indices; and branches whose condition is known."""

from typing import Any

import numpy as np
from onnx import GraphProto, TensorProto, helper, numpy_helper

from byhand.onnx.readers.table import operator
from byhand.onnx.values import MOST_DEPTH, Symbol, array_of

FLOATING = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)

SATURATED = (
    TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E5M2FNUZ,
)  # fmt: skip


@operator("Constant")
def constant(use: Any) -> Any:
    """Read Constant, in any of the forms that its number may have."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings"):
        value = use.get(name)
        if value is None:
            continue
        if name == "value":
            return use.reader.stored(value)
        if "string" in name:
            return np.array(value, object)
        return np.array(value, np.float32 if "float" in name else np.int64)
    raise use.refuse("it holds no number that byhand reads")


@operator("ConstantOfShape")
def constant_of_shape(use: Any, shape: Any) -> Any:
    """Read ConstantOfShape: one number, repeated without being copied."""
    value = use.get("value")
    one = np.zeros(1, np.float32) if value is None else array_of(value, use.reader.folder)
    return np.broadcast_to(one.reshape(()), use.reader.repeat(use.whole(shape, "shape")))


@operator("Shape")
def shape_of(use: Any, x: Any) -> Any:
    """Read Shape; of an image, with the batch as it was declared."""
    shape = (use.reader.batch, *x.shape[1:]) if isinstance(x, Symbol) else x.shape
    start, end = use.get("start", 0), use.get("end")
    return np.array(shape[slice(start, end)], np.int64)


@operator("Size")
def size_of(use: Any, x: Any) -> Any:
    """Read Size."""
    return np.array(x.size, np.int64)


@operator("Identity")
def identity(use: Any, x: Any) -> Any:
    """Read Identity."""
    return x


@operator("Cast", "CastLike")
def cast(use: Any, x: Any, like: Any = None) -> Any:
    """Read Cast; an image's numbers stay floating point."""
    if use.node.op_type == "Cast":
        to = use.get("to")
    else:
        to = helper.np_dtype_to_tensor_dtype(like.dtype) if not isinstance(like, Symbol) else TensorProto.FLOAT
    if isinstance(x, Symbol):
        if to not in FLOATING:
            raise use.refuse("it makes whole numbers of what depends on the image")
        return x
    if to == TensorProto.STRING:
        return np.array([_text(one) for one in use.few(x).reshape(-1)], object).reshape(x.shape)
    dtype = helper.tensor_dtype_to_np_dtype(to)
    if dtype.kind == "c":
        raise use.refuse("byhand computes with real numbers")
    use.room(*x.shape)
    if x.dtype.kind in "OUS":
        return np.array([_number(one) for one in use.few(x).reshape(-1)]).reshape(x.shape).astype(dtype)
    saturate = bool(use.get("saturate", 1))
    if to == TensorProto.FLOAT8E8M0:
        return numpy_helper.to_float8e8m0(x, saturate, use.get("round_mode", "up")).astype(dtype)
    if to in SATURATED and saturate:
        return numpy_helper.saturate_cast(x, dtype)
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def _text(one: Any) -> str:
    if isinstance(one, (bytes, str)):
        return one.decode() if isinstance(one, bytes) else one
    return str(np.float32(one)) if isinstance(one, np.floating) and one.dtype != np.float64 else str(one)


def _number(one: Any) -> float:
    return float(one.decode() if isinstance(one, bytes) else one)


@operator("Range")
def read_range(use: Any, start: Any, limit: Any, delta: Any) -> Any:
    """Read Range."""
    start, limit, delta = (use.fixed(one, "bounds").reshape(()) for one in (start, limit, delta))
    count = max(0, int(np.ceil((limit.item() - start.item()) / delta.item())))
    use.room(count)
    return (start + np.arange(count) * delta).astype(start.dtype)


@operator("ArgMax", "ArgMin")
def arg_max(use: Any, x: Any) -> Any:
    """Read ArgMax: the place of the largest number along an axis, the first of them or the last."""
    x, axis, kept = use.fixed(x, "input"), use.get("axis", 0), bool(use.get("keepdims", 1))
    use.room(*x.shape)
    find = np.argmax if use.node.op_type == "ArgMax" else np.argmin
    if use.get("select_last_index", 0):
        return (x.shape[axis] - 1 - find(np.flip(x, axis), axis, keepdims=kept)).astype(np.int64)
    return find(x, axis, keepdims=kept).astype(np.int64)


@operator("If")
def branch(use: Any, condition: Any) -> Any:
    """Read If, where its condition is known."""
    name = "then_branch" if use.fixed(condition, "condition").item() else "else_branch"
    graph = use.get(name)
    if not isinstance(graph, GraphProto):
        raise use.refuse(f"it has no {name}")
    reader = use.reader
    if reader.depth >= MOST_DEPTH:
        raise use.refuse(f"more than {MOST_DEPTH} branches and functions lie inside one another")
    reader.depth += 1
    try:
        return list(reader.run(graph, use.known).values())
    finally:
        reader.depth -= 1


@operator("NonZero")
def non_zero(use: Any, x: Any) -> Any:
    """Read NonZero."""
    use.room(*use.fixed(x, "input").shape, max(1, x.ndim))
    return np.array(np.nonzero(x), np.int64)
