"""Arithmetic and logic with sizes of 1 repeated: Add, Mul, Max, Sum, Equal, Where, MatMul, Gemm."""

from functools import reduce
from math import prod
from typing import Any

import numpy as np

from byhand.onnx.readers.table import operator
from byhand.onnx.values import Symbol, wrap
from byhand.ops import conv2d, linear


def _whole_quotient(a: Any, b: Any) -> Any:
    """Return a / b, of whole numbers towards 0."""
    if np.result_type(a, b).kind == "f":
        return a / b
    quotient = a // b
    return quotient + ((a % b != 0) & ((a < 0) != (b < 0)))


PAIRS = {
    "Add": ("add", np.add),
    "Sub": ("subtract", np.subtract),
    "Mul": ("multiply", np.multiply),
    "Div": ("divide", _whole_quotient),
    "Pow": ("power", np.power),
    "Max": ("maximum", np.maximum),
    "Min": ("minimum", np.minimum),
    "Sum": ("add", np.add),
    "Mean": ("add", np.add),
}
KNOWN: dict[str, Any] = {  # what is computed of arrays only
    "And": np.logical_and,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseNot": np.bitwise_not,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Equal": np.equal,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "IsNaN": np.isnan,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Round": np.round,
    "Sign": np.sign,
    "Sin": np.sin,
    "Xor": np.logical_xor,
}


@operator(*PAIRS)
def pairs(use: Any, *values: Any) -> Any:
    """Read arithmetic of two inputs, or of several from the first to the last."""
    kind = use.node.op_type
    op, whole = PAIRS[kind]
    if use.version < 7 and use.get("axis") is not None:  # the second's axes fit the first's from one on
        a, b = values
        values = a, use.reshaped(b, (*b.shape, *[1] * (a.ndim - use.get("axis") % a.ndim - b.ndim)))
    total = reduce(lambda a, b: pair(use, op, whole, a, b), values)
    if kind == "Mean":
        total = pair(use, "divide", np.divide, total, np.asarray([len(values)], getattr(total, "dtype", np.float32)))
        return (
            total.reshape(np.broadcast_shapes(*(v.shape for v in values))) if isinstance(total, np.ndarray) else total
        )
    return total


def pair(use: Any, op: str, whole: Any, a: Any, b: Any) -> Any:
    """Return what an op makes of two values; of whole numbers, what NumPy does."""
    if not isinstance(a, Symbol) and not isinstance(b, Symbol):
        floating = all(one.dtype.kind == "f" or one.dtype.name == "bfloat16" for one in (a, b))
        if not floating or a.dtype != b.dtype:
            use.broadcast(a, b)
            return np.asarray(whole(a, b)).astype(a.dtype)
        return use.apply(op, a, b)
    raws, order = use.together([a, b])
    gated = use.gated(*raws) if op == "multiply" else None
    return wrap(use.apply(op, *raws) if gated is None else gated, order)


@operator(*KNOWN)
def known(use: Any, *values: Any) -> Any:
    """Read an operator whose inputs are known."""
    use.broadcast(*(use.fixed(value, "input") for value in values))
    return np.asarray(KNOWN[use.node.op_type](*values))


@operator("Mod")
def modulo(use: Any, a: Any, b: Any) -> Any:
    """Read Mod: the remainder, with the sign of the divisor, or as C's fmod."""
    function = np.fmod if use.get("fmod", 0) else np.mod
    use.broadcast(use.fixed(a, "input"), use.fixed(b, "input"))
    return np.asarray(function(a, b))


@operator("Where")
def where(use: Any, condition: Any, a: Any, b: Any) -> Any:
    """Read Where; with a condition that is all one, the value that it picks."""
    condition = use.fixed(condition, "condition")
    if isinstance(a, Symbol) or isinstance(b, Symbol):
        for all_of, picked, other in ((True, a, b), (False, b, a)):
            if (condition == all_of).all() and np.broadcast_shapes(picked.shape, other.shape) == picked.shape:
                return picked
        raise use.refuse("it picks number by number between values that depend on the image")
    use.broadcast(condition, a, b)
    return np.where(condition, a, b)


@operator("Gemm")
def gemm(use: Any, a: Any, b: Any, c: Any = None) -> Any:
    """Read Gemm: alpha A B + beta C."""
    alpha, beta = use.get("alpha", 1.0), use.get("beta", 1.0)
    if use.get("transA", 0):
        if isinstance(a, Symbol):
            raise use.refuse("it turns the batch")
        a = a.T
    b = use.fixed(b, "matrix B")
    b = b.T if use.get("transB", 0) else b
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"A has the shape {a.shape} and B {b.shape}; expected two matrices")
    b = scaled(use, b, alpha)
    if c is not None:
        c = scaled(use, use.fixed(c, "bias C"), beta)
    if not isinstance(a, Symbol):
        use.room(a.shape[0], b.shape[1])
        if a.dtype.kind in "iu":
            use.reader.spend(a.shape[0] * b.size)
            return (a @ b + (0 if c is None else c)).astype(a.dtype)
        y = use.apply(linear, a, b)
        return y if c is None else use.apply("add", y, np.broadcast_to(c, y.shape))
    if c is not None and c.ndim == 2 and c.shape[0] != 1:
        raise use.refuse(f"its C has the shape {c.shape}, a row an image; expected one row")
    bias = (
        None
        if c is None
        else np.broadcast_to(c, (1, b.shape[1])).reshape(-1)
        if c.size != b.shape[1]
        else c.reshape(-1)
    )
    return wrap(use.apply(linear, use.plain(a), b, bias), (0, 1))


def scaled(use: Any, x: Any, factor: float) -> Any:
    """Return an array times a number, in its own type."""
    if factor == 1:
        return x
    use.room(*x.shape)
    return (x * np.asarray(factor, x.dtype)).astype(x.dtype)


@operator("MatMul")
def matmul(use: Any, a: Any, b: Any) -> Any:
    """Read MatMul: of an image's features with a known matrix, or of arrays."""
    if not isinstance(a, Symbol) and not isinstance(b, Symbol):
        return arrays_matmul(use, a, b)
    b = use.fixed(b, "second matrix")
    if b.ndim != 2 or not isinstance(a, Symbol) or a.ndim < 2:
        raise use.refuse("byhand multiplies an image's features by a known matrix")
    if a.ndim == 2:
        return wrap(use.apply(linear, use.plain(a), b), (0, 1))
    *front, depth = a.shape
    rows = use.apply("reshape", use.plain(a), shape=(1, a.size // depth, depth))
    y = use.apply(conv2d, rows, b.reshape(1, 1, *b.shape))
    y = use.apply("reshape", y, shape=(*front[1:], b.shape[1]))
    return wrap(y, range(a.ndim))


def arrays_matmul(use: Any, a: Any, b: Any) -> Any:
    """Return a product of stacks of matrices, by NumPy's rules."""
    if a.ndim < 2 or b.ndim < 2:
        left, right = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
        y = arrays_matmul(use, left, right)
        y = y[..., 0] if b.ndim == 1 else y
        return y[..., 0, :] if a.ndim == 1 and b.ndim > 1 else y[..., 0] if a.ndim == 1 else y
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = use.room(*stack, a.shape[-2], b.shape[-1])
    if a.dtype.kind in "iu":
        use.reader.spend(prod(shape) * a.shape[-1])
        return np.matmul(a, b)
    y = np.empty(shape, np.result_type(a, b))
    if 0 in y.shape or 0 in a.shape:
        y[...] = 0
        return y
    a, b = np.broadcast_to(a, (*stack, *a.shape[-2:])), np.broadcast_to(b, (*stack, *b.shape[-2:]))
    for i in np.ndindex(stack):
        y[i] = use.apply(linear, a[i], b[i])
    return y
