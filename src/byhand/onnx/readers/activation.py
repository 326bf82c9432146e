"""The operators that take each number for itself: Relu, Sigmoid, Clip, Sqrt, ... and Softmax, which takes a row."""

from math import inf, prod
from typing import Any

import numpy as np

from byhand.onnx.readers.shape import normal
from byhand.onnx.readers.table import operator
from byhand.onnx.values import Symbol, own_order, wrap
from byhand.ops import gelu, reduce_log_sum_exp, relu, relu6, softmax

Attribute = tuple[str, str, float]
NAMES: dict[str, tuple[str, list[Attribute]]] = {  # the op, and of each attribute ONNX's name, ours and the default
    "Abs": ("abs", []),
    "Celu": ("celu", [("alpha", "alpha", 1.0)]),
    "Elu": ("elu", [("alpha", "alpha", 1.0)]),
    "Erf": ("erf", []),
    "Exp": ("exp", []),
    "HardSigmoid": ("hard_sigmoid", [("alpha", "alpha", 0.2), ("beta", "beta", 0.5)]),
    "HardSwish": ("hard_swish", []),
    "LeakyRelu": ("leaky_relu", [("alpha", "slope", 0.01)]),
    "Log": ("log", []),
    "Neg": ("neg", []),
    "Reciprocal": ("reciprocal", []),
    "Relu": ("relu", []),
    "Selu": ("selu", [("alpha", "alpha", 1.67326319217681884765625), ("gamma", "gamma", 1.05070102214813232421875)]),
    "Sigmoid": ("sigmoid", []),
    "Softplus": ("softplus", []),
    "Softsign": ("softsign", []),
    "Sqrt": ("sqrt", []),
    "Tanh": ("tanh", []),
}
WHOLE: dict[str, Any] = {"Abs": np.abs, "Neg": np.negative, "Relu": lambda x: np.maximum(x, 0)}  # of whole numbers


@operator(*NAMES)
def simple(use: Any, x: Any) -> Any:
    """Read an operator of one input that an op of ours does as it is."""
    kind = use.node.op_type
    op, attributes = NAMES[kind]
    if kind in WHOLE and not isinstance(x, Symbol) and x.dtype.kind in "iu":
        return WHOLE[kind](x.reshape(use.room(*x.shape))).astype(x.dtype)
    return use.elementwise(op, x, **{ours: float(use.get(name, default)) for name, ours, default in attributes})


@operator("Gelu")
def read_gelu(use: Any, x: Any) -> Any:
    """Read Gelu; by its approximation, x * sigmoid(1.5957691 (x + 0.044715 x^3))."""
    if use.get("approximate", "none") != "tanh":
        return use.elementwise(gelu, x)
    raw = x.tensor if isinstance(x, Symbol) else x
    cube = use.apply("multiply", use.apply("multiply", raw, raw), raw)
    inner = use.apply("add", raw, use.apply("multiply", cube, like(raw, 0.044715)))
    gate = use.apply("sigmoid", use.apply("multiply", inner, like(raw, (8 / np.pi) ** 0.5)))
    return wrap(use.apply("multiply", raw, gate), own_order(x))


@operator("Swish")
def read_swish(use: Any, x: Any) -> Any:
    """Read Swish: x * sigmoid(alpha x)."""
    alpha = use.get("alpha", 1.0)
    if alpha == 1:
        return use.elementwise("silu", x)
    raw = x.tensor if isinstance(x, Symbol) else x
    gate = use.apply("sigmoid", use.apply("multiply", raw, like(raw, alpha)))
    return wrap(use.apply("multiply", raw, gate), own_order(x))


@operator("Mish")
def read_mish(use: Any, x: Any) -> Any:
    """Read Mish: x * tanh(softplus(x))."""
    raw = x.tensor if isinstance(x, Symbol) else x
    return wrap(use.apply("multiply", raw, use.apply("tanh", use.apply("softplus", raw))), own_order(x))


@operator("Clip")
def clip(use: Any, x: Any, low: Any = None, high: Any = None) -> Any:
    """Read Clip; its bounds were attributes up to opset 10."""
    if use.version < 11:
        low, high = use.get("min"), use.get("max")
    low, high = (None if bound is None else np.asarray(use.fixed(bound, "bound")).reshape(()) for bound in (low, high))
    if not isinstance(x, Symbol) and x.dtype.kind in "iu":
        return (
            np.clip(x.reshape(use.room(*x.shape)), low, high).astype(x.dtype)
            if low is not None or high is not None
            else x
        )
    low, high = -inf if low is None else float(low), inf if high is None else float(high)
    if (low, high) == (0, inf):
        return use.elementwise(relu, x)
    if (low, high) == (0, 6):
        return use.elementwise(relu6, x)
    return use.elementwise("clip", x, low=min(low, high), high=high)  # where they cross, the upper one wins


@operator("PRelu")
def prelu(use: Any, x: Any, slope: Any) -> Any:
    """Read PRelu: its slopes, one a number, a channel or all, are repeated as arithmetic repeats."""
    if not isinstance(x, Symbol) and x.dtype.kind != "f":
        use.broadcast(x, slope)
        return np.where(x < 0, x * slope, x).astype(x.dtype)
    slope = use.fixed(slope, "slope")
    if use.version < 7 and slope.ndim == 1:
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))
    raws, order = use.together([x, slope])
    return wrap(use.apply("prelu", *raws), order)


@operator("Softmax", "LogSoftmax")
def read_softmax(use: Any, x: Any) -> Any:
    """Read Softmax along an axis; up to opset 12, over all axes from one on."""
    axis = use.get("axis", -1 if use.version >= 13 else 1)
    axis = axis if axis == x.ndim and use.version < 13 else normal(axis, x.ndim)
    log_of = use.node.op_type == "LogSoftmax"
    if use.version < 13 and sum(size > 1 for size in x.shape[axis:]) > 1 and axis < x.ndim:
        rows = use.reshaped(x, (*x.shape[:axis], prod(x.shape[axis:])))
        return use.reshaped(row_softmax(use, rows, axis, log_of), x.shape)
    if use.version < 13:  # all but one of them are 1
        axis = next((i for i in range(axis, x.ndim) if x.shape[i] > 1), min(axis, x.ndim - 1))
    return row_softmax(use, x, axis, log_of)


def row_softmax(use: Any, x: Any, axis: int, log_of: bool) -> Any:
    """Return the softmax of a value along an axis, or its logarithm: x - log(sum e^x)."""
    order = [i for i in own_order(x) if i != axis] + [axis]
    raw = use.arranged(x, order)
    if not log_of:
        return wrap(use.apply(softmax, raw), order)
    total = use.apply(reduce_log_sum_exp, raw, axes=(-1,), keepdims=True)
    return wrap(use.apply("subtract", raw, total), order)


def like(raw: Any, number: float) -> Any:
    """Return a number as an array of the type of a raw value."""
    return np.asarray([number], getattr(raw, "dtype", None) or np.float32)
