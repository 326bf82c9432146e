"""ReduceSum, ReduceMean, ReduceMax and the other reductions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from byhand.onnx.node_context import NodeContext, is_floating
from byhand.onnx.registry import reader
from byhand.onnx.symbol import NHWC, OnnxValue, Symbol, from_layout, normalized_axis
from byhand.ops import global_avg_pool
from byhand.ops.op import Array

REDUCTIONS = {
    "ReduceL1": "reduce_l1",
    "ReduceL2": "reduce_l2",
    "ReduceLogSum": "reduce_log_sum",
    "ReduceLogSumExp": "reduce_log_sum_exp",
    "ReduceMax": "reduce_max",
    "ReduceMean": "reduce_mean",
    "ReduceMin": "reduce_min",
    "ReduceProd": "reduce_prod",
    "ReduceSum": "reduce_sum",
    "ReduceSumSquare": "reduce_sum_square",
}
# The opset since which axes are an input, not an attribute.
AXES_INPUT_OPSET = 18
AXES_INPUT_OPSETS = {"ReduceSum": 13}
# Reductions of integers, without rounding.
INTEGER_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_sum": np.sum,
    "reduce_prod": np.prod,
}


@reader(*REDUCTIONS)
def read_reduction(node: NodeContext, x: OnnxValue, axes: OnnxValue | None = None) -> OnnxValue:
    """Read a reduction; its axes are an attribute in older opsets."""
    since = AXES_INPUT_OPSETS.get(node.op_type, AXES_INPUT_OPSET)
    listed = node.attribute_or_input("axes", axes, since=since)
    if not listed:
        if node.attribute("noop_with_empty_axes", 0):
            return x
        listed = list(range(x.ndim))
    return reduce_axes(node, REDUCTIONS[node.op_type], x, listed, keepdims=bool(node.attribute("keepdims", 1)))


def reduce_axes(node: NodeContext, op: str, x: OnnxValue, axes: Sequence[int], *, keepdims: bool) -> OnnxValue:
    """Return a value reduced over some of ONNX's axes."""
    axes = sorted(normalized_axis(axis, x.ndim) for axis in axes)
    if not isinstance(x, Symbol):
        node.reserve(*x.shape)
        if x.dtype.kind in "iub" and op in INTEGER_REDUCTIONS:
            reduction = INTEGER_REDUCTIONS[op]
            if x.size == 0 and op in ("reduce_max", "reduce_min"):  # ONNX: the identity element
                smallest, largest = (0, 1) if x.dtype.kind == "b" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
                identity = largest if op == "reduce_min" else smallest
                reduced: Array = reduction(x, axis=tuple(axes), keepdims=keepdims, initial=identity)
                return reduced
            return np.asarray(reduction(x, axis=tuple(axes), keepdims=keepdims)).astype(x.dtype)
        floats = x if is_floating(x) else x.astype(np.float64)
        result: Array = node.apply(op, floats, axes=tuple(axes), keepdims=keepdims).astype(x.dtype)
        return result
    if 0 in axes:
        raise node.unsupported("it reduces over the images of a batch")
    if op == "reduce_mean" and axes == [2, 3] and x.ndim == 4:
        y = node.apply(global_avg_pool, node.in_layout(x, NHWC), keepdims=keepdims)
        return from_layout(y, NHWC if keepdims else (0, 1))
    y = node.apply(op, x.tensor, axes=tuple(sorted(x.layout.index(axis) for axis in axes)), keepdims=keepdims)
    if keepdims:
        return from_layout(y, x.layout)
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    return from_layout(y, [kept.index(axis) for axis in x.layout if axis in kept])
