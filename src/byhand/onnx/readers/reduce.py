"""ReduceSum, ReduceMean and their kin."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.onnx.readers.shape import normal
from byhand.onnx.readers.table import operator
from byhand.onnx.values import IMAGE, Symbol, wrap
from byhand.ops import global_avg_pool

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
AXES_ARE_INPUT = {"ReduceSum": 13}  # since which opset; of the others, 18
EXACT: dict[str, Any] = {
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_sum": np.sum,
    "reduce_prod": np.prod,
}  # of whole numbers


@operator(*REDUCTIONS)
def reduction(use: Any, x: Any, axes: Any = None) -> Any:
    """Read a reduction; its axes were an attribute in older opsets."""
    kind = use.node.op_type
    wanted = use.whole(axes, "axes") if use.version >= AXES_ARE_INPUT.get(kind, 18) else use.get("axes")
    if not wanted:
        if use.get("noop_with_empty_axes", 0):
            return x
        wanted = list(range(x.ndim))
    return reduced(use, REDUCTIONS[kind], x, wanted, bool(use.get("keepdims", 1)))


def reduced(use: Any, op: str, x: Any, axes: Sequence[int], keepdims: bool) -> Any:
    """Return a value with some axes made one number."""
    axes = sorted(normal(axis, x.ndim) for axis in axes)
    if not isinstance(x, Symbol):
        use.room(*x.shape)
        if x.dtype.kind in "iub" and op in EXACT:
            if x.size == 0 and op in ("reduce_max", "reduce_min"):  # of nothing at all: what any number would replace
                bounds = (0, 1) if x.dtype.kind == "b" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
                return EXACT[op](x, axis=tuple(axes), keepdims=keepdims, initial=bounds[op == "reduce_min"])
            return np.asarray(EXACT[op](x, axis=tuple(axes), keepdims=keepdims)).astype(x.dtype)
        floats = x if x.dtype.kind == "f" or x.dtype.name == "bfloat16" else x.astype(np.float64)
        return use.apply(op, floats, axes=tuple(axes), keepdims=keepdims).astype(x.dtype)
    if 0 in axes:
        raise use.refuse("it makes one of all images of a batch")
    if op == "reduce_mean" and axes == [2, 3] and x.ndim == 4:
        y = use.apply(global_avg_pool, use.arranged(x, IMAGE), keepdims=keepdims)
        return wrap(y, IMAGE if keepdims else (0, 1))
    y = use.apply(op, x.tensor, axes=tuple(sorted(x.order.index(axis) for axis in axes)), keepdims=keepdims)
    if keepdims:
        return wrap(y, x.order)
    left = [axis for axis in range(x.ndim) if axis not in axes]
    return wrap(y, [left.index(axis) for axis in x.order if axis in left])
