"""BatchNormalization, InstanceNormalization, LayerNormalization, LRN and Dropout."""

from math import prod
from typing import Any

import numpy as np

from byhand.onnx.readers.reduce import reduced
from byhand.onnx.readers.shape import normal
from byhand.onnx.readers.table import operator
from byhand.onnx.values import Symbol, own_order, wrap
from byhand.ops import batch_norm, layer_norm, lrn


def channels_last(x: Any) -> tuple[int, ...]:
    """Return the order with the channels, ONNX's second axis, last."""
    return (0, *range(2, x.ndim), 1) if x.ndim > 1 else (0,)


@operator("BatchNormalization")
def read_batch_norm(use: Any, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    """Read BatchNormalization; in its training mode, of arrays, with the new running statistics."""
    scale, bias, mean, var = (use.fixed(one, "statistics") for one in (scale, bias, mean, var))
    if not use.get("spatial", 1):
        raise use.refuse("it normalises each pixel for itself (spatial=0)")
    order, eps, momentum = channels_last(x), use.get("epsilon", 1e-5), use.get("momentum", 0.9)
    if not use.get("training_mode", 0):
        if not isinstance(x, Symbol):
            mean, var = mean.copy(), var.copy()  # an op may write its state
        return wrap(
            use.apply(batch_norm, use.arranged(x, order), scale, bias, mean, var, eps=eps, training=False), order
        )
    use.room(*use.fixed(x, "training").shape)
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    seen_mean, seen_var = x.mean(axes, dtype=np.float64), x.var(axes, dtype=np.float64)
    kept = [np.array(seen, x.dtype) for seen in (seen_mean, seen_var)]
    y = wrap(use.apply(batch_norm, use.arranged(x, order), scale, bias, *kept, eps=eps, training=False), order)
    new = [old * momentum + now * (1 - momentum) for old, now in ((mean, seen_mean), (var, seen_var))]
    return [y, *(one.astype(old.dtype) for one, old in zip(new, (mean, var)))]


@operator("InstanceNormalization")
def instance_norm(use: Any, x: Any, scale: Any, bias: Any) -> Any:
    """Read InstanceNormalization: each channel of each image brought to mean 0 and variance 1."""
    return normalised(
        use, x, list(range(2, x.ndim)), use.get("epsilon", 1e-5), per_channel(x, scale), per_channel(x, bias)
    )


def per_channel(x: Any, numbers: Any) -> Any:
    """Return one number a channel in a shape that fits x, whose second axis has the channels."""
    return numbers.reshape(-1, *[1] * (x.ndim - 2))


def normalised(use: Any, x: Any, axes: list[int], eps: float, scale: Any, bias: Any) -> Any:
    """Return x brought to mean 0 and variance 1 over some axes, then scaled and shifted."""
    centred = both(use, "subtract", x, reduced(use, "reduce_mean", x, axes, True))
    var = reduced(use, "reduce_mean", both(use, "multiply", centred, centred), axes, True)
    std = use.elementwise("sqrt", both(use, "add", var, np.array([eps], getattr(x, "dtype", np.float32))))
    return both(use, "add", both(use, "multiply", both(use, "divide", centred, std), scale), bias)


def both(use: Any, op: str, a: Any, b: Any) -> Any:
    """Return what an op makes of two values."""
    raws, order = use.together([a, b])
    return wrap(use.apply(op, *raws), order)


@operator("LayerNormalization")
def read_layer_norm(use: Any, x: Any, scale: Any, bias: Any = None) -> Any:
    """Read LayerNormalization over the last axes, from one on."""
    axis, eps = normal(use.get("axis", -1), x.ndim), use.get("epsilon", 1e-5)
    scale, bias = use.fixed(scale, "scale"), use.fixed(bias, "bias")
    shape = use.room(*x.shape[axis:])
    scale = scale if scale.shape == shape else np.broadcast_to(scale, shape)
    bias = (
        np.zeros(shape, scale.dtype) if bias is None else bias if bias.shape == shape else np.broadcast_to(bias, shape)
    )
    if axis == 0:  # all of it is one example
        y = use.apply(layer_norm, use.fixed(x, "input")[None], scale, bias, eps=eps)[0]
    else:
        order = [i for i in own_order(x) if i < axis] + list(range(axis, x.ndim))
        y = wrap(use.apply(layer_norm, use.arranged(x, order), scale, bias, eps=eps), order)
    if len(use.node.output) < 2:
        return y
    x, axes = use.fixed(x, "statistics"), list(range(axis, x.ndim))
    mean = reduced(use, "reduce_mean", x.astype(np.float32), axes, True)
    var = x.astype(np.float64).var(tuple(axes), keepdims=True)
    return [y, mean, (1 / np.sqrt(var + eps)).astype(np.float32)]


@operator("LRN")
def read_lrn(use: Any, x: Any) -> Any:
    """Read LRN."""
    settings = {"alpha": use.get("alpha", 1e-4), "beta": use.get("beta", 0.75), "bias": use.get("bias", 1.0)}
    order = channels_last(x)
    return wrap(use.apply(lrn, use.arranged(x, order), size=use.get("size"), **settings), order)


@operator("Dropout")
def dropout(use: Any, x: Any, ratio: Any = None, training: Any = None) -> Any:
    """Read Dropout: x as it is; told to train, with the numbers that ONNX's reference draws from its seed."""
    rate = 0.5 if ratio is None else float(use.fixed(ratio, "ratio"))
    kept = np.ones(x.shape, bool) if prod(x.shape) < 2**24 else None
    if training is not None and use.fixed(training, "mode").item() and rate > 0:
        use.room(*use.fixed(x, "input").shape)
        kept = np.random.RandomState(use.get("seed")).uniform(0, 1, x.shape) >= rate
        x = (kept * x / (1 - rate)).astype(x.dtype)
    return [x, kept][: max(1, len(use.node.output))]
