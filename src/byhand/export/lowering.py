"""A model lowered to steps that C can run: inference only, batch norms folded, dropout removed, ReLUs fused.

Ops that scale and shift each channel (a batch norm, a constant that is added or multiplied) are folded into the weights of
the convolution or linear layer before them, where nothing else reads its result:

    scale * (x * weight + bias) + shift = x * (scale * weight) + (scale * bias + shift)

Elsewhere they become a depthwise 1 x 1 convolution. Ops that clamp (ReLU, ReLU6, clip) are fused into the step before them.

Source: Jacob et al. 2017, arXiv 1712.05877, section 3.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, prod
from typing import Any

import numpy as np

from byhand.errors import UnsupportedError
from byhand.graph import Node, Tensor
from byhand.nn import Model
from byhand.ops import get
from byhand.ops.op import Array, CallSpec, tree_leaves
from byhand.shapes import Shape

VIEW_OPS = ("flatten", "reshape", "dropout")  # the same data in the same order
CLAMP_BOUNDS = {"relu": (0.0, inf), "relu6": (0.0, 6.0)}
BINARY_OPS = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "prelu")
CLAMPING_OPS = ("conv2d", "linear", *BINARY_OPS)  # steps that can clamp their result
FOLDABLE_OPS = ("conv2d", "linear")  # steps that a batch norm is folded into
REDUCE_OPS = ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "reduce_l1", "reduce_l2")
ACTIVATION_OPS = ("leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_sigmoid", "hard_swish", "softplus", "softsign")
EXPONENTIAL_LINEAR_OPS = ("elu", "selu", "celu")
UNARY_OPS = ("neg", "abs", "sqrt", "exp", "log", "erf", "reciprocal")
ELEMENTWISE_OPS = (*ACTIVATION_OPS, *EXPONENTIAL_LINEAR_OPS, *UNARY_OPS)
POOL_OPS = ("max_pool", "avg_pool", "global_avg_pool")
NORMALIZATION_OPS = ("softmax", "layer_norm", "lrn")
MOVEMENT_OPS = ("pad", "slice", "transpose", "channel_shuffle", "concat")
# Ops that become a step as they are.
DIRECT_OPS = (*POOL_OPS, *NORMALIZATION_OPS, "resize", *MOVEMENT_OPS, *ELEMENTWISE_OPS, *REDUCE_OPS)


@dataclass(frozen=True)
class StepValue:
    """An input or output of a step: its name, and the shape in which the step sees it, without the batch."""

    name: str
    shape: Shape

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)


StepOperand = StepValue | Array | None  # an argument of a step: computed, constant, or omitted


@dataclass(eq=False)
class Step:
    """One op on values and constants; its result is clamped to low ... high."""

    op: str
    output: StepValue
    arguments: list[StepOperand]  # in the op's order; of concat, the values
    attributes: dict[str, Any] = field(default_factory=dict)
    low: float = -inf
    high: float = inf
    layer: str = ""  # the layer whose weights it has

    @property
    def name(self) -> str:
        """The layer whose result it computes."""
        return self.output.name

    @property
    def clamps(self) -> bool:
        """Whether the result is clamped."""
        return (self.low, self.high) != (-inf, inf)

    @property
    def values(self) -> list[StepValue]:
        """The arguments that are computed."""
        return [argument for argument in self.arguments if isinstance(argument, StepValue)]

    @property
    def constants(self) -> list[Array]:
        """The arguments that are constant: weights."""
        return [argument for argument in self.arguments if isinstance(argument, np.ndarray)]

    @property
    def call(self) -> CallSpec:
        """The op's contract for one image."""
        shapes: list[Any] = [_batched_shape(argument) for argument in self.arguments]
        return get(self.op).infer([tuple(shapes)] if self.op == "concat" else shapes, self.attributes, self.name)


def _batched_shape(argument: StepOperand) -> Shape | None:
    if isinstance(argument, StepValue):
        return (1, *argument.shape)
    return None if argument is None else argument.shape


@dataclass(frozen=True)
class Network:
    """A lowered model: pixels are normalized by mean and std, the steps compute the logits, softmax the probabilities."""

    name: str
    input: StepValue
    output: StepValue  # the logits; of a model without classes, its output
    steps: list[Step]
    mean: Array  # (1,) or (C,)
    std: Array
    classes: tuple[str, ...]
    result: str = ""  # what the output is, for comments, where it is neither of classes nor the network's own
    preprocessing: str = ""  # how a file becomes pixels, a line


def lower(model: Model) -> Network:
    """Return a model lowered to steps.

    Raises UnsupportedError, which names the layer and its op, where C has no such step.

    >>> import byhand as bh
    >>> [step.name for step in lower(bh.models.create("lenet5")).steps]
    ['relu1', 'pool1', 'relu2', 'pool2', 'relu3', 'relu4', 'fc3']
    """
    return _Lowering(model).network()


class _Lowering:
    """Turns a model's nodes into steps, in order."""

    def __init__(self, model: Model) -> None:
        self.model, self.graph = model, model.graph.up_to(model.logits)
        self.shapes = self.graph.plan(1, training=False)[1]
        self.constants: dict[str, Array] = model.parameters | vars(model.state)
        self.viewed: dict[str, str] = {}  # a tensor -> the tensor whose data it shows
        self.steps: list[Step] = []
        self.makers: dict[str, Step] = {}  # by the name of their output
        self.use_counts = self._count_uses()

    def network(self) -> Network:
        """Return the lowered model."""
        for node in self.graph.nodes:
            if node.op.name not in VIEW_OPS:
                self._add(node)
        for step in self.steps:
            step.arguments = [_as_float32(step, a) if isinstance(a, np.ndarray) else a for a in step.arguments]
        model, graph_input = self.model, self.graph.input
        assert graph_input is not None
        mean, std = (np.atleast_1d(np.asarray(values, np.float32)) for values in (model.mean, model.std))
        output = self._value(model.logits)
        return Network(
            model.name,
            self._value(graph_input),
            output,
            self.steps,
            mean,
            std,
            model.classes,
            preprocessing=model.preprocessing.describe(model.input_shape) if len(model.input_shape) == 3 else "",
        )

    def _count_uses(self) -> Counter[str]:
        """Return how often each tensor is read, directly or through views."""
        counts: Counter[str] = Counter()
        for node in self.graph.nodes:
            if node.op.name in VIEW_OPS:
                self.viewed[node.output.name] = self._root(node.inputs["x"])
            else:
                counts.update(self._root(tensor) for tensor in tree_leaves(node.inputs.values()))
        counts[self._root(self.model.logits)] += 1
        return counts

    def _root(self, tensor: Tensor) -> str:
        return self.viewed.get(tensor.name, tensor.name)

    def _value(self, tensor: Tensor) -> StepValue:
        return StepValue(self._root(tensor), self.shapes[tensor.name][1:])

    def _add(self, node: Node) -> None:
        """Add the step of a node, or fold the node into an earlier step."""
        op, inputs = node.op.name, node.inputs
        if op != "concat" and all(tensor is None or tensor.name in self.constants for tensor in inputs.values()):
            arrays = [None if tensor is None else self.constants[tensor.name] for tensor in inputs.values()]
            self.constants[node.output.name] = np.asarray(node.op(*arrays, **node.attributes))
        elif op in ("conv2d", "linear"):
            self._add_weighted(node)
        elif op == "batch_norm":
            self._fold_batch_norm(node)
        elif op in BINARY_OPS:
            self._add_binary(node)
        elif op in CLAMP_BOUNDS or op == "clip":
            self._fuse_clamp(node)
        elif op in DIRECT_OPS:
            self._add_direct(node)
        else:
            raise self._unsupported(node)

    def _add_step(self, node: Node, op: str, arguments: Iterable[StepOperand], attributes: dict[str, Any]) -> None:
        step = Step(
            op, StepValue(node.output.name, self.shapes[node.output.name][1:]), list(arguments), dict(attributes)
        )
        step.layer = node.name
        self.steps.append(step)
        self.makers[step.name] = step

    def _fusable(self, tensor: Tensor, ops: Iterable[str]) -> Step | None:
        """Return the step that computes a tensor, where it is one of these ops, does not clamp, and has no other reader."""
        step = self.makers.get(self._root(tensor))
        if step is None or step.op not in ops or step.clamps or self.use_counts[self._root(tensor)] != 1:
            return None
        return step

    def _rename(self, step: Step, node: Node) -> None:
        """Let a step compute the output of a node that was folded into it."""
        step.output = StepValue(node.output.name, step.output.shape)
        self.makers[step.name] = step

    def _add_weighted(self, node: Node) -> None:
        """Add a convolution or a linear layer, its weights in float64 until they are folded."""
        inputs = node.inputs
        weight = self.constants.get(inputs["weight"].name)
        bias = None if inputs["bias"] is None else self.constants.get(inputs["bias"].name)
        if weight is None or (bias is None and inputs["bias"] is not None):
            raise self._unsupported(node, "its weights are computed; expected constants")
        bias = np.zeros(weight.shape[-1]) if bias is None else bias.astype(np.float64)
        self._add_step(node, node.op.name, [self._value(inputs["x"]), weight.astype(np.float64), bias], node.attributes)

    def _fold_batch_norm(self, node: Node) -> None:
        if node.attributes.get("training"):
            raise self._unsupported(node, "it takes the mean and variance of a batch")
        gamma, beta, mean, variance = (
            self.constants[node.inputs[key].name].astype(np.float64)
            for key in ("gamma", "beta", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + node.attributes.get("eps", 1e-5))
        self._fold_affine(node, node.inputs["x"], scale, beta - mean * scale)

    def _fold_affine(self, node: Node, x: Tensor, scale: Array, shift: Array) -> None:
        """Scale and shift each channel, in the weights of the step before where that is possible."""
        before, shape = self._fusable(x, FOLDABLE_OPS), self.shapes[x.name][1:]
        if before is not None and before.output.shape == shape:
            _, weight, bias = before.arguments
            assert isinstance(weight, np.ndarray) and isinstance(bias, np.ndarray)
            before.arguments[1:] = [weight * scale, bias * scale + shift]
            self._rename(before, node)
            return
        channels = shape[-1]
        image = shape if len(shape) == 3 else (prod(shape[:-1]), 1, channels)
        weight = np.broadcast_to(scale, (1, 1, 1, channels)).copy()
        bias = np.broadcast_to(shift, (channels,)).copy()
        self._add_step(node, "conv2d", [StepValue(self._root(x), image), weight, bias], {"groups": channels})
        self.steps[-1].output = StepValue(node.output.name, image)

    def _add_binary(self, node: Node) -> None:
        """Add arithmetic of two operands; a constant that is the same for every pixel is folded as scale and shift."""
        first, second = node.inputs.values()
        constants = [self.constants.get(tensor.name) for tensor in (first, second)]
        x, constant = (first, constants[1]) if constants[0] is None else (second, constants[0])
        shape = self.shapes[x.name]
        if constant is not None and self.shapes[node.output.name] == shape and _is_per_channel(constant, shape):
            affine = _as_affine(node.op.name, constant.astype(np.float64).reshape(-1), constant_is_second=x is first)
            if affine is not None:
                self._fold_affine(node, x, *affine)
                return
        for known in constants:
            if known is not None and known.ndim == len(shape) and known.shape[0] != 1:
                raise self._unsupported(node, "a constant differs between the images of a batch")
        operands = [self._value(t) if c is None else c for t, c in zip((first, second), constants)]
        self._add_step(node, node.op.name, operands, node.attributes)

    def _fuse_clamp(self, node: Node) -> None:
        """Clamp in the step before, where nothing else reads its result; else in a step of its own."""
        x, attributes = node.inputs["x"], node.attributes
        low, high = CLAMP_BOUNDS.get(node.op.name) or (attributes.get("low", -inf), attributes.get("high", inf))
        before = self._fusable(x, CLAMPING_OPS)
        if before is not None:
            before.low, before.high = float(low), float(high)
            self._rename(before, node)
        else:
            self._add_step(node, "clip", [self._value(x)], {"low": float(low), "high": float(high)})

    def _add_direct(self, node: Node) -> None:
        """Add a node as it is; an average over the whole image becomes global_avg_pool."""
        op, inputs = node.op.name, tree_leaves(node.inputs.values())
        operands = [self.constants[t.name] if t.name in self.constants else self._value(t) for t in inputs]
        if op == "concat" and any(isinstance(operand, np.ndarray) for operand in operands):
            raise self._unsupported(node, "it joins constants")
        self._add_step(node, op, operands, node.attributes)
        step = self.steps[-1]
        call, x = step.call, operands[0].shape
        moves_batch = op == "transpose" and call.attributes["axes"][0] != 0
        moves_batch = moves_batch or (op == "concat" and call.attributes["axis"] == 0)
        if moves_batch or (op == "slice" and self.shapes[node.output.name][0] != 1):
            raise self._unsupported(node, "it moves or cuts the axis of the batch")
        window = call.window
        if op == "avg_pool" and window and window.kernel == x[:2] and not any(window.padding):
            step.op, step.attributes = "global_avg_pool", {"keepdims": True}
        if op in REDUCE_OPS:
            axes = call.attributes["axes"]
            if not axes or axes != tuple(range(axes[0], axes[-1] + 1)):
                raise self._unsupported(node, "its axes are not adjacent")
            if 0 in axes:
                raise self._unsupported(node, "it reduces over the batch")
            if op == "reduce_mean" and axes == (1, 2) and len(x) == 3:
                step.op, step.attributes = "global_avg_pool", {"keepdims": call.attributes["keepdims"]}

    def _unsupported(self, node: Node, reason: str = "byhand has no C for it") -> UnsupportedError:
        return UnsupportedError(f"{node.name}: the op {node.op.name} can't be exported as C: {reason}")


def _is_per_channel(constant: Array, shape: Shape) -> bool:
    """Tell whether a constant has one number for each channel, or one in all."""
    return prod(constant.shape[:-1]) == 1 and constant.size in (1, shape[-1]) and len(shape) > 1


def _as_affine(op: str, constant: Array, *, constant_is_second: bool) -> tuple[Array, Array] | None:
    """Return arithmetic with a constant as (scale, shift), or None where it is neither."""
    scale, shift = np.ones(1), np.zeros(1)
    if op == "add":
        return scale, constant
    if op == "multiply":
        return constant, shift
    if op == "subtract":
        return (scale, -constant) if constant_is_second else (-scale, constant)
    if op == "divide" and constant_is_second:
        with np.errstate(divide="ignore"):
            return 1 / constant, shift
    return None


def _as_float32(step: Step, values: Array) -> Array:
    """Return constants as float32, as C holds them."""
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(array).all():
        raise UnsupportedError(f"{step.name}: its weights hold NaN or infinity; expected finite numbers")
    return array
