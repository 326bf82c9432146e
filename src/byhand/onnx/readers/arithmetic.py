"""Arithmetic and logic with broadcasting (Add, Mul, Max, Equal, Where, ...), MatMul and Gemm."""

from collections.abc import Callable
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from byhand.onnx.node_context import NodeContext, is_floating
from byhand.onnx.registry import reader
from byhand.onnx.symbol import OnnxValue, Symbol, dtype_of, from_layout
from byhand.ops import conv2d, linear
from byhand.ops.op import Array


def _divide(a: Array, b: Array) -> Array:
    """Return a / b; of integers, the quotient rounded towards 0."""
    if np.result_type(a, b).kind == "f":
        return a / b
    quotient: Array = a // b + ((a % b != 0) & ((a < 0) != (b < 0)))
    return quotient


NumPyFunction = Callable[..., Any]
# ONNX operators of two or more inputs: byhand's op, and NumPy's function for integers.
BINARY_OPS: dict[str, tuple[str, NumPyFunction]] = {
    "Add": ("add", np.add),
    "Sub": ("subtract", np.subtract),
    "Mul": ("multiply", np.multiply),
    "Div": ("divide", _divide),
    "Pow": ("power", np.power),
    "Max": ("maximum", np.maximum),
    "Min": ("minimum", np.minimum),
    "Sum": ("add", np.add),
    "Mean": ("add", np.add),
}
# Operators of constants only: logic, rounding, comparison.
CONSTANT_FUNCTIONS: dict[str, NumPyFunction] = {
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


@reader(*BINARY_OPS)
def read_binary(node: NodeContext, *values: OnnxValue) -> OnnxValue:
    """Read arithmetic of two inputs, or of several from the first to the last."""
    op, of_integers = BINARY_OPS[node.op_type]
    axis = node.attribute("axis") if node.opset < 7 else None
    if axis is not None:  # the axes of b stand from `axis` of a on
        a, b = values
        values = a, node.reshape(b, (*b.shape, *[1] * (a.ndim - axis % a.ndim - b.ndim)))
    total: OnnxValue = reduce(lambda a, b: binary(node, op, of_integers, a, b), values)
    if node.op_type != "Mean":
        return total
    mean = binary(node, "divide", np.divide, total, np.asarray([len(values)], dtype_of(total)))
    if isinstance(mean, np.ndarray):
        return mean.reshape(np.broadcast_shapes(*(value.shape for value in values)))
    return mean


def binary(node: NodeContext, op: str, of_integers: NumPyFunction, a: OnnxValue, b: OnnxValue) -> OnnxValue:
    """Return an op of two values; of integers or of mixed dtypes, NumPy's function."""
    if not isinstance(a, Symbol) and not isinstance(b, Symbol):
        if not is_floating(a) or not is_floating(b) or a.dtype != b.dtype:
            node.reserve_broadcast(a, b)
            return np.asarray(of_integers(a, b)).astype(a.dtype)
        return node.apply(op, a, b)
    stored, layout = node.align([a, b])
    gated = node.fused_gate(*stored) if op == "multiply" else None
    return from_layout(node.apply(op, *stored) if gated is None else gated, layout)


@reader(*CONSTANT_FUNCTIONS)
def read_constant_function(node: NodeContext, *values: OnnxValue) -> OnnxValue:
    """Read an operator whose inputs must be constant."""
    node.reserve_broadcast(*(node.constant(value, "input") for value in values))
    return np.asarray(CONSTANT_FUNCTIONS[node.op_type](*values))


@reader("Mod")
def read_mod(node: NodeContext, a: OnnxValue, b: OnnxValue) -> OnnxValue:
    """Read Mod: the remainder with the sign of the divisor, or, with fmod=1, with that of the dividend as in C."""
    remainder = np.fmod if node.attribute("fmod", 0) else np.mod
    arrays = [node.constant(value, "input") for value in (a, b)]
    node.reserve_broadcast(*arrays)
    return np.asarray(remainder(*arrays))


@reader("Where")
def read_where(node: NodeContext, condition: OnnxValue, a: OnnxValue, b: OnnxValue) -> OnnxValue:
    """Read Where; of values that depend on the image, only where the condition is the same for every element."""
    chosen = node.constant(condition, "condition")
    if isinstance(a, Symbol) or isinstance(b, Symbol):
        for outcome, picked, other in ((True, a, b), (False, b, a)):
            if (chosen == outcome).all() and np.broadcast_shapes(picked.shape, other.shape) == picked.shape:
                return picked
        raise node.unsupported("it selects element by element between values that depend on the image")
    node.reserve_broadcast(chosen, a, b)
    return np.where(chosen, a, b)


@reader("Gemm")
def read_gemm(node: NodeContext, a: OnnxValue, b: OnnxValue, c: OnnxValue | None = None) -> OnnxValue:
    """Read Gemm: alpha A B + beta C."""
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    if node.attribute("transA", 0):
        if isinstance(a, Symbol):
            raise node.unsupported("it transposes the batch")
        a = a.T
    weight = node.constant(b, "matrix B")
    weight = weight.T if node.attribute("transB", 0) else weight
    if a.ndim != 2 or weight.ndim != 2:
        raise ValueError(f"A has the shape {a.shape} and B {weight.shape}; expected two matrices")
    weight = scale_array(node, weight, alpha)
    bias = None if c is None else scale_array(node, node.constant(c, "bias C"), beta)
    if not isinstance(a, Symbol):
        node.reserve(a.shape[0], weight.shape[1])
        if a.dtype.kind in "iu":
            node.state.budget.charge(a.shape[0] * weight.size)
            return (a @ weight + (0 if bias is None else bias)).astype(a.dtype)
        y = node.apply(linear, a, weight)
        return y if bias is None else node.apply("add", y, np.broadcast_to(bias, y.shape))
    if bias is not None:
        if bias.ndim == 2 and bias.shape[0] != 1:
            raise node.unsupported(f"its C has the shape {bias.shape}, a row for each image; expected one row")
        outputs = weight.shape[1]
        bias = bias if bias.size == outputs else np.broadcast_to(bias, (1, outputs))
        bias = bias.reshape(-1)
    return from_layout(node.apply(linear, node.in_onnx_layout(a), weight, bias), (0, 1))


def scale_array(node: NodeContext, x: Array, factor: float) -> Array:
    """Return an array times a factor, in its own dtype."""
    if factor == 1:
        return x
    node.reserve(*x.shape)
    product: Array = (x * np.asarray(factor, x.dtype)).astype(x.dtype)
    return product


@reader("MatMul")
def read_matmul(node: NodeContext, a: OnnxValue, b: OnnxValue) -> OnnxValue:
    """Read MatMul: features of an image times a constant matrix, or a product of arrays."""
    if not isinstance(a, Symbol) and not isinstance(b, Symbol):
        return stacked_matmul(node, a, b)
    weight = node.constant(b, "second matrix")
    if weight.ndim != 2 or not isinstance(a, Symbol) or a.ndim < 2:
        raise node.unsupported("byhand multiplies an image's features by a constant matrix")
    if a.ndim == 2:
        return from_layout(node.apply(linear, node.in_onnx_layout(a), weight), (0, 1))
    *front, depth = a.shape
    rows = node.apply("reshape", node.in_onnx_layout(a), shape=(1, a.size // depth, depth))
    y = node.apply(conv2d, rows, weight.reshape(1, 1, *weight.shape))
    y = node.apply("reshape", y, shape=(*front[1:], weight.shape[1]))
    return from_layout(y, range(a.ndim))


def stacked_matmul(node: NodeContext, a: Array, b: Array) -> Array:
    """Return a product of stacks of matrices, by NumPy's rules."""
    if a.ndim < 2 or b.ndim < 2:
        left, right = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
        y = stacked_matmul(node, left, right)
        y = y[..., 0] if b.ndim == 1 else y
        return y[..., 0, :] if a.ndim == 1 and b.ndim > 1 else y[..., 0] if a.ndim == 1 else y
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = node.reserve(*stack, a.shape[-2], b.shape[-1])
    if a.dtype.kind in "iu":
        node.state.budget.charge(prod(shape) * a.shape[-1])
        integers: Array = np.matmul(a, b)
        return integers
    y = np.empty(shape, np.result_type(a, b))
    if 0 in y.shape or 0 in a.shape:
        y[...] = 0
        return y
    a, b = np.broadcast_to(a, (*stack, *a.shape[-2:])), np.broadcast_to(b, (*stack, *b.shape[-2:]))
    for i in np.ndindex(stack):
        y[i] = node.apply(linear, a[i], b[i])
    return y
