"""BatchNormalization, InstanceNormalization, LayerNormalization, LRN and Dropout."""

from math import prod
from typing import Any

import numpy as np

from byhand.onnx.node_context import NodeContext
from byhand.onnx.readers.reduce import reduce_axes
from byhand.onnx.registry import reader
from byhand.onnx.symbol import OnnxValue, Symbol, dtype_of, from_layout, layout_of, normalized_axis
from byhand.ops import batch_norm, layer_norm, lrn
from byhand.ops.op import Array

TRAINING_MODE_OPSET = 14  # since which BatchNormalization has an attribute for it
MAX_MASK_ELEMENTS = 2**24  # of Dropout's mask, where no element is dropped


def channels_last(x: OnnxValue) -> tuple[int, ...]:
    """Return the layout with the channels, ONNX's second axis, last."""
    return (0, *range(2, x.ndim), 1) if x.ndim > 1 else (0,)


@reader("BatchNormalization")
def read_batch_norm(
    node: NodeContext, x: OnnxValue, scale: OnnxValue, bias: OnnxValue, mean: OnnxValue, var: OnnxValue
) -> OnnxValue | list[OnnxValue]:
    """Read BatchNormalization; in its training mode, of arrays only, with the new running statistics."""
    statistics = [node.constant(value, "statistics") for value in (scale, bias, mean, var)]
    if not node.attribute("spatial", 1):
        raise node.unsupported("it normalizes each pixel by itself (spatial=0); byhand has one statistic a channel")
    if node.attribute("training_mode", 0):
        return _training_batch_norm(node, _array_in_training(node, x), *statistics)
    if node.opset < TRAINING_MODE_OPSET and any(node.outputs[1:]) and isinstance(x, Symbol):
        _array_in_training(node, x)  # more than one output: training mode, before there was an attribute
    if not isinstance(x, Symbol):
        statistics[2:] = [array.copy() for array in statistics[2:]]  # an op may write its state
    return _batch_norm(node, x, *statistics)


def _array_in_training(node: NodeContext, x: OnnxValue) -> Array:
    """Return an array that a node in training mode takes, or raise the error for what depends on the image."""
    if isinstance(x, Symbol):
        raise node.unsupported(
            "it is in training mode, where an image's answer depends on chance or on its batch; export the network in "
            "evaluation mode: model.eval() and training=TrainingMode.EVAL in PyTorch, training=False in Keras"
        )
    return x


def _batch_norm(node: NodeContext, x: OnnxValue, scale: Array, bias: Array, mean: Array, var: Array) -> OnnxValue:
    """Return (x - mean) / sqrt(var + eps) * scale + bias, channel by channel."""
    layout, eps = channels_last(x), node.attribute("epsilon", 1e-5)
    y = node.apply(batch_norm, node.in_layout(x, layout), scale, bias, mean, var, eps=eps, training=False)
    return from_layout(y, layout)


def _training_batch_norm(
    node: NodeContext, x: Array, scale: Array, bias: Array, mean: Array, var: Array
) -> list[OnnxValue]:
    """Return x normalized by its own statistics, and the new running ones."""
    momentum = node.attribute("momentum", 0.9)
    node.reserve(*x.shape)
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    batch_mean, batch_var = x.mean(axes, dtype=np.float64), x.var(axes, dtype=np.float64)
    y = _batch_norm(node, x, scale, bias, np.array(batch_mean, x.dtype), np.array(batch_var, x.dtype))
    new_mean = mean * momentum + batch_mean * (1 - momentum)
    new_var = var * momentum + batch_var * (1 - momentum)
    return [y, new_mean.astype(mean.dtype), new_var.astype(var.dtype)]


@reader("InstanceNormalization")
def read_instance_norm(node: NodeContext, x: OnnxValue, scale: OnnxValue, bias: OnnxValue) -> OnnxValue:
    """Read InstanceNormalization: each channel of each image normalized to mean 0 and variance 1."""
    spatial_axes, eps = list(range(2, x.ndim)), node.attribute("epsilon", 1e-5)
    return normalize(node, x, spatial_axes, eps, _per_channel(x, scale), _per_channel(x, bias))


def _per_channel(x: OnnxValue, numbers: Any) -> Array:
    """Return one number a channel, shaped to broadcast with x, whose second axis has the channels."""
    shaped: Array = numbers.reshape(-1, *[1] * (x.ndim - 2))
    return shaped


def normalize(
    node: NodeContext, x: OnnxValue, axes: list[int], eps: float, scale: OnnxValue, bias: OnnxValue
) -> OnnxValue:
    """Return (x - mean) / sqrt(variance + eps) * scale + bias, the statistics taken over some axes."""
    centered = node.binary("subtract", x, reduce_axes(node, "reduce_mean", x, axes, keepdims=True))
    var = reduce_axes(node, "reduce_mean", node.binary("multiply", centered, centered), axes, keepdims=True)
    std = node.elementwise("sqrt", node.binary("add", var, np.array([eps], dtype_of(x))))
    return node.binary("add", node.binary("multiply", node.binary("divide", centered, std), scale), bias)


@reader("LayerNormalization")
def read_layer_norm(
    node: NodeContext, x: OnnxValue, scale: OnnxValue, bias: OnnxValue | None = None
) -> OnnxValue | list[OnnxValue]:
    """Read LayerNormalization over the axes from `axis` on."""
    axis, eps = normalized_axis(node.attribute("axis", -1), x.ndim), node.attribute("epsilon", 1e-5)
    gamma, beta = node.constant(scale, "scale"), node.constant(bias, "bias")
    shape = node.reserve(*x.shape[axis:])
    if gamma.shape != shape:
        gamma = np.broadcast_to(gamma, shape)
    if beta is None:
        beta = np.zeros(shape, gamma.dtype)
    elif beta.shape != shape:
        beta = np.broadcast_to(beta, shape)
    y: OnnxValue
    if axis == 0:  # the whole array is one example
        y = node.apply(layer_norm, node.constant(x, "input")[None], gamma, beta, eps=eps)[0]
    else:
        layout = [i for i in layout_of(x) if i < axis] + list(range(axis, x.ndim))
        y = from_layout(node.apply(layer_norm, node.in_layout(x, layout), gamma, beta, eps=eps), layout)
    if len(node.outputs) < 2:
        return y
    array, axes = node.constant(x, "input, whose statistics are outputs,"), list(range(axis, x.ndim))
    mean = reduce_axes(node, "reduce_mean", array.astype(np.float32), axes, keepdims=True)
    var = array.astype(np.float64).var(tuple(axes), keepdims=True)
    return [y, mean, (1 / np.sqrt(var + eps)).astype(np.float32)]


@reader("LRN")
def read_lrn(node: NodeContext, x: OnnxValue) -> OnnxValue:
    """Read LRN: local response normalization across channels."""
    settings = {name: node.attribute(name, value) for name, value in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))}
    layout = channels_last(x)
    return from_layout(node.apply(lrn, node.in_layout(x, layout), size=node.attribute("size"), **settings), layout)


@reader("Dropout")
def read_dropout(
    node: NodeContext, x: OnnxValue, ratio: OnnxValue | None = None, training: OnnxValue | None = None
) -> list[OnnxValue | None]:
    """Read Dropout: the identity; in training mode, with the mask that ONNX's reference draws from its seed."""
    rate = 0.5 if ratio is None else float(node.constant(ratio, "ratio"))
    mask = np.ones(x.shape, bool) if prod(x.shape) < MAX_MASK_ELEMENTS else None
    if training is not None and node.constant(training, "training mode").item() and rate > 0:
        array = _array_in_training(node, x)
        node.reserve(*array.shape)
        mask = np.random.RandomState(node.attribute("seed")).uniform(0, 1, array.shape) >= rate
        x = (mask * array / (1 - rate)).astype(array.dtype)
    return [x, mask][: max(1, len(node.outputs))]
