"""Elementwise ONNX operators (Relu, Sigmoid, Clip, Sqrt, ...), and Softmax and LogSoftmax."""

from collections.abc import Callable
from math import inf, prod
from typing import Any

import numpy as np

from byhand.onnx.node_context import NodeContext
from byhand.onnx.registry import reader
from byhand.onnx.symbol import OnnxValue, Symbol, dtype_of, from_layout, layout_of, normalized_axis, stored_form
from byhand.ops import gelu, reduce_log_sum_exp, relu, relu6, softmax
from byhand.ops.op import Array

Attribute = tuple[str, str, float]  # ONNX's name, byhand's name, ONNX's default
# ONNX operators that are one elementwise op of byhand's: the op and its attributes.
ELEMENTWISE_OPS: dict[str, tuple[str, list[Attribute]]] = {
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
# The operators that ONNX also defines for integers.
INTEGER_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "Abs": np.abs,
    "Neg": np.negative,
    "Relu": lambda x: np.maximum(x, 0),
}


@reader(*ELEMENTWISE_OPS)
def read_elementwise(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read an operator that is one elementwise op."""
    op, attributes = ELEMENTWISE_OPS[node.op_type]
    if node.op_type in INTEGER_FUNCTIONS and not isinstance(x, Symbol) and x.dtype.kind in "iu":
        return INTEGER_FUNCTIONS[node.op_type](x.reshape(node.reserve(*x.shape))).astype(x.dtype)
    return node.elementwise(op, x, **{ours: float(node.attribute(name, value)) for name, ours, value in attributes})


@reader("Gelu")
def read_gelu(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read Gelu; with approximate="tanh" it is x * sigmoid(1.5957691 (x + 0.044715 x^3))."""
    if node.attribute("approximate", "none") != "tanh":
        return node.elementwise(gelu, x)
    stored = stored_form(x)
    cube = node.apply("multiply", node.apply("multiply", stored, stored), stored)
    inner = node.apply("add", stored, node.apply("multiply", cube, scalar(0.044715, stored)))
    gate = node.apply("sigmoid", node.apply("multiply", inner, scalar((8 / np.pi) ** 0.5, stored)))
    return from_layout(node.apply("multiply", stored, gate), layout_of(x))


@reader("Swish")
def read_swish(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read Swish: x * sigmoid(alpha x)."""
    alpha = node.attribute("alpha", 1.0)
    if alpha == 1:
        return node.elementwise("silu", x)
    stored = stored_form(x)
    gate = node.apply("sigmoid", node.apply("multiply", stored, scalar(alpha, stored)))
    return from_layout(node.apply("multiply", stored, gate), layout_of(x))


@reader("Mish")
def read_mish(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read Mish: x * tanh(softplus(x))."""
    stored = stored_form(x)
    gate = node.apply("tanh", node.apply("softplus", stored))
    return from_layout(node.apply("multiply", stored, gate), layout_of(x))


@reader("Clip")
def read_clip(
    node: NodeContext, x: OnnxValue, low: OnnxValue | None = None, high: OnnxValue | None = None
) -> OnnxValue:
    """Read Clip; its bounds are attributes up to opset 10, inputs since."""
    if node.opset < 11:
        low, high = node.attribute("min"), node.attribute("max")
    bounds: list[Any] = [None if b is None else np.asarray(node.constant(b, "bound")).reshape(()) for b in (low, high)]
    if not isinstance(x, Symbol) and x.dtype.kind in "iu":
        if all(bound is None for bound in bounds):
            return x
        clipped: Array = np.clip(x.reshape(node.reserve(*x.shape)), *bounds).astype(x.dtype)
        return clipped
    smallest = -inf if bounds[0] is None else float(bounds[0])
    largest = inf if bounds[1] is None else float(bounds[1])
    if (smallest, largest) == (0, inf):
        return node.elementwise(relu, x)
    if (smallest, largest) == (0, 6):
        return node.elementwise(relu6, x)
    return node.elementwise("clip", x, low=min(smallest, largest), high=largest)  # min > max: ONNX returns max


@reader("PRelu")
def read_prelu(node: NodeContext, x: OnnxValue, slope: OnnxValue) -> OnnxValue:
    """Read PRelu; the slope broadcasts: one for each element, for each channel, or for all."""
    weight = node.constant(slope, "slope")
    if not isinstance(x, Symbol) and x.dtype.kind != "f":
        node.reserve_broadcast(x, weight)
        return np.where(x < 0, x * weight, x).astype(x.dtype)
    if node.opset < 7 and weight.ndim == 1:
        weight = weight.reshape(-1, *[1] * (x.ndim - 2))
    return node.binary("prelu", x, weight)


@reader("Softmax", "LogSoftmax")
def read_softmax(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read Softmax along one axis; up to opset 12, over all axes from `axis` on."""
    axis = node.attribute("axis", -1 if node.opset >= 13 else 1)
    axis = axis if axis == x.ndim and node.opset < 13 else normalized_axis(axis, x.ndim)
    if axis == 0 and isinstance(x, Symbol) and node.opset >= 13:
        raise node.unsupported("it is taken over the images of a batch (axis 0); export it with axis=1")
    logarithm = node.op_type == "LogSoftmax"
    if node.opset < 13 and sum(size > 1 for size in x.shape[axis:]) > 1 and axis < x.ndim:
        rows = node.reshape(x, (*x.shape[:axis], prod(x.shape[axis:])))
        return node.reshape(softmax_along(node, rows, axis, logarithm), x.shape)
    if node.opset < 13:  # at most one of the axes from `axis` on is larger than 1
        axis = next((i for i in range(axis, x.ndim) if x.shape[i] > 1), min(axis, x.ndim - 1))
    return softmax_along(node, x, axis, logarithm)


def softmax_along(node: NodeContext, x: OnnxValue, axis: int, logarithm: bool) -> OnnxValue:
    """Return the softmax along an axis, or its logarithm: x - log(sum e^x)."""
    layout = [i for i in layout_of(x) if i != axis] + [axis]
    stored = node.in_layout(x, layout)
    if not logarithm:
        return from_layout(node.apply(softmax, stored), layout)
    total = node.apply(reduce_log_sum_exp, stored, axes=(-1,), keepdims=True)
    return from_layout(node.apply("subtract", stored, total), layout)


def scalar(number: float, like: Any) -> Array:
    """Return a number as an array of another value's dtype."""
    return np.asarray([number], dtype_of(like))
