"""A model as steps that C can say: its graph in inference, with batch norms folded in, dropout gone and ReLUs taken in.

What scales and shifts each channel (a batch norm, a constant that is added or multiplied) goes into the weights of the
convolution, or the linear layer, whose result nothing else reads:

    scale * (x * weight + bias) + shift = x * (scale * weight) + (scale * bias + shift)

Where there is none, it is a convolution itself: 1 x 1, each channel a group. What keeps numbers between two bounds (ReLU,
ReLU6, clip) is done by the step before it, as it writes.

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
from byhand.ops.op import DEFAULT_HAND, Array, Call, flat
from byhand.shapes import Shape

SAME = ("flatten", "reshape", "dropout")  # the same numbers in the same order
BOUNDS = {"relu": (0.0, inf), "relu6": (0.0, 6.0)}
PAIRS = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "prelu")
BOUNDED = ("conv2d", "linear", *PAIRS)  # steps that keep what they write between two bounds
FOLDING = ("conv2d", "linear")
REDUCED = ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "reduce_l1", "reduce_l2")
CURVES = (
    "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_sigmoid", "hard_swish", "softplus", "softsign", "elu", "selu",
    "celu", "neg", "abs", "sqrt", "exp", "log", "erf", "reciprocal",
)  # fmt: skip
MOVES = ("pad", "slice", "transpose", "channel_shuffle", "concat")
WHOLE = ("max_pool", "avg_pool", "global_avg_pool", "softmax", "layer_norm", "lrn", "resize", *MOVES, *CURVES, *REDUCED)


@dataclass(frozen=True)
class Value:
    """What a step reads or makes: its name, and the shape in which it is seen, of one image."""

    name: str
    shape: Shape

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(eq=False)
class Step:
    """One op on values and constants; what it makes is kept between low and high."""

    op: str
    output: Value
    arguments: list[Any]  # Value, Array or None, in the op's order; of concat, the values
    attributes: dict[str, Any] = field(default_factory=dict)
    low: float = -inf
    high: float = inf
    label: str = ""  # the layer whose weights it has

    @property
    def name(self) -> str:
        """The layer whose result it makes."""
        return self.output.name

    @property
    def values(self) -> list[Value]:
        """What it reads, without constants."""
        return [one for one in self.arguments if isinstance(one, Value)]

    @property
    def call(self) -> Call:
        """What the op's contract says of it, for one image."""
        shapes: list[Any] = [
            (1, *one.shape) if isinstance(one, Value) else None if one is None else one.shape for one in self.arguments
        ]
        return get(self.op).plan([tuple(shapes)] if self.op == "concat" else shapes, self.attributes, self.name)


@dataclass(frozen=True)
class Network:
    """A model as steps: pixels become numbers by mean and std, the steps make the logits, softmax the probabilities."""

    name: str
    input: Value
    output: Value  # the logits, or of a model without classes what it makes
    steps: list[Step]
    mean: Array  # (1,) or (C,)
    std: Array
    classes: tuple[str, ...]


def lower(model: Model) -> Network:
    """Return a model as steps.

    Raises UnsupportedError, which names the layer and its op, where C has no such step.

    >>> import byhand as bh
    >>> [step.name for step in lower(bh.models.create("lenet5")).steps]
    ['relu1', 'pool1', 'relu2', 'pool2', 'relu3', 'relu4', 'fc3']
    """
    return Lowering(model).network()


class Lowering:
    """Turns one model's nodes into steps, one by one."""

    def __init__(self, model: Model) -> None:
        self.model, self.graph = model, model.graph.up_to(model.logits)
        self.shapes = self.graph.plan(1, training=False)[1]
        self.constants: dict[str, Array] = model.parameters | vars(model.state)
        self.same: dict[str, str] = {}  # a tensor -> the one whose numbers it shows
        self.steps: list[Step] = []
        self.made: dict[str, Step] = {}  # by what they make
        self.readers = self._count()

    def network(self) -> Network:
        """Return all of it."""
        for node in self.graph.nodes:
            if node.op.name not in SAME:
                self._add(node)
        for step in self.steps:
            step.arguments = [_single(step, one) if isinstance(one, np.ndarray) else one for one in step.arguments]
        model, given = self.model, self.graph.input
        assert given is not None
        mean, std = (np.atleast_1d(np.asarray(one, np.float32)) for one in (model.mean, model.std))
        output = self._value(model.logits)
        return Network(model.name, self._value(given), output, self.steps, mean, std, model.classes)

    def _count(self) -> Counter[str]:
        """Return how often each tensor is read, by itself or as another that shows it."""
        readers: Counter[str] = Counter()
        for node in self.graph.nodes:
            if node.op.name in SAME:
                self.same[node.output.name] = self._root(node.inputs["x"])
            else:
                readers.update(self._root(tensor) for tensor in flat(node.inputs.values()))
        readers[self._root(self.model.logits)] += 1
        return readers

    def _root(self, tensor: Tensor) -> str:
        return self.same.get(tensor.name, tensor.name)

    def _value(self, tensor: Tensor) -> Value:
        return Value(self._root(tensor), self.shapes[tensor.name][1:])

    def _add(self, node: Node) -> None:
        op, given = node.op.name, node.inputs
        if op != "concat" and all(one is None or one.name in self.constants for one in given.values()):
            known = [None if one is None else self.constants[one.name] for one in given.values()]
            self.constants[node.output.name] = np.asarray(node.op(*known, **node.attributes))
        elif op in ("conv2d", "linear"):
            weight = self.constants.get(given["weight"].name)
            bias = None if given["bias"] is None else self.constants.get(given["bias"].name)
            if weight is None or (bias is None and given["bias"] is not None):
                raise self._refuse(node, "its weights are computed")
            bias = np.zeros(weight.shape[-1]) if bias is None else bias.astype(np.float64)
            self._make(node, op, [self._value(given["x"]), weight.astype(np.float64), bias], node.attributes)
        elif op == "batch_norm":
            self._norm(node)
        elif op in PAIRS:
            self._pair(node)
        elif op in BOUNDS or op == "clip":
            self._bound(node)
        elif op in WHOLE:
            self._whole(node)
        else:
            raise self._refuse(node)

    def _make(self, node: Node, op: str, arguments: Iterable[Any], attributes: dict[str, Any]) -> None:
        step = Step(op, Value(node.output.name, self.shapes[node.output.name][1:]), list(arguments), dict(attributes))
        step.label = node.name
        self.steps.append(step)
        self.made[step.name] = step

    def _before(self, tensor: Tensor, ops: Iterable[str]) -> Step | None:
        """Return the step that makes a tensor, where it is one of these, keeps no bounds yet, and nothing else reads it."""
        step = self.made.get(self._root(tensor))
        free = step is not None and step.op in ops and (step.low, step.high) == (-inf, inf)
        return step if free and self.readers[self._root(tensor)] == 1 else None

    def _rename(self, step: Step, node: Node) -> None:
        """Let a step make what a node makes."""
        step.output = Value(node.output.name, step.output.shape)
        self.made[step.name] = step

    def _norm(self, node: Node) -> None:
        if node.attributes.get("training"):
            raise self._refuse(node, "it takes the mean and variance of a batch")
        gamma, beta, mean, variance = (
            self.constants[node.inputs[key].name].astype(np.float64)
            for key in ("gamma", "beta", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + node.attributes.get("eps", 1e-5))
        self._affine(node, node.inputs["x"], scale, beta - mean * scale)

    def _affine(self, node: Node, x: Tensor, scale: Array, shift: Array) -> None:
        """Scale and shift each channel."""
        before, shape = self._before(x, FOLDING), self.shapes[x.name][1:]
        if before is not None and before.output.shape == shape:
            _, weight, bias = before.arguments
            before.arguments[1:] = [weight * scale, bias * scale + shift]
            self._rename(before, node)
            return
        channels = shape[-1]
        image = shape if len(shape) == 3 else (prod(shape[:-1]), 1, channels)
        weight = np.broadcast_to(scale, (1, 1, 1, channels)).copy()
        seen = Value(self._root(x), image)
        self._make(node, "conv2d", [seen, weight, np.broadcast_to(shift, (channels,)).copy()], {"groups": channels})
        self.steps[-1].output = Value(node.output.name, image)

    def _pair(self, node: Node) -> None:
        """Arithmetic of two; where one is a constant, the same for every pixel, it scales and shifts each channel."""
        op, (first, second) = node.op.name, node.inputs.values()
        values = [self.constants.get(one.name) for one in (first, second)]
        x, constant = (first, values[1]) if values[0] is None else (second, values[0])
        shape = self.shapes[x.name]
        flat_enough = constant is not None and prod(constant.shape[:-1]) == 1 and self.shapes[node.output.name] == shape
        if flat_enough and constant is not None and constant.size in (1, shape[-1]) and len(shape) > 1:
            one = constant.astype(np.float64).reshape(-1)
            with np.errstate(divide="ignore"):
                found = {
                    "add": (np.ones(1), one),
                    "multiply": (one, np.zeros(1)),
                    "subtract": (np.ones(1), -one) if x is first else (-np.ones(1), one),
                    "divide": (1 / one, np.zeros(1)) if x is first else None,
                }.get(op)
            if found is not None:
                self._affine(node, x, *found)
                return
        arguments = [self._value(one) if const is None else const for one, const in zip((first, second), values)]
        for known in values:
            if known is not None and known.ndim == len(shape) and known.shape[0] != 1:
                raise self._refuse(node, "a constant is another for each image of a batch")
        self._make(node, op, arguments, node.attributes)

    def _bound(self, node: Node) -> None:
        """Keep numbers between two bounds: in the step before, where nothing else reads what it makes."""
        x = node.inputs["x"]
        low, high = BOUNDS.get(node.op.name) or (node.attributes.get("low", -inf), node.attributes.get("high", inf))
        before = self._before(x, BOUNDED)
        if before is not None:
            before.low, before.high = float(low), float(high)
            self._rename(before, node)
        else:
            self._make(node, "clip", [self._value(x)], {"low": float(low), "high": float(high)})

    def _whole(self, node: Node) -> None:
        """Take a node as it is."""
        op, attributes, given = node.op.name, dict(node.attributes), flat(node.inputs.values())
        arguments = [self.constants[one.name] if one.name in self.constants else self._value(one) for one in given]
        if op == "concat" and any(isinstance(one, np.ndarray) for one in arguments):
            raise self._refuse(node, "it joins constants")
        self._make(node, op, arguments, attributes)
        step = self.steps[-1]
        call, x = step.call, arguments[0].shape
        moved = op == "transpose" and call.attributes["axes"][0] != 0
        moved = moved or (op == "concat" and call.attributes["axis"] == 0)
        if moved or (op == "slice" and self.shapes[node.output.name][0] != 1):
            raise self._refuse(node, "it moves or cuts the axis of the batch")
        window = call.window
        if op == "avg_pool" and window and window.kernel == x[:2] and not any(window.padding):
            step.op, step.attributes = "global_avg_pool", {"keepdims": True}
        if op in REDUCED:
            axes = call.attributes["axes"]
            if axes != tuple(range(axes[0], axes[-1] + 1)) if axes else True:
                raise self._refuse(node, "its axes do not follow each other")
            if 0 in axes:
                raise self._refuse(node, "it goes over the axis of the batch")
            if op == "reduce_mean" and axes == (1, 2) and len(x) == 3:
                step.op, step.attributes = "global_avg_pool", {"keepdims": call.attributes["keepdims"]}

    def _refuse(self, node: Node, why: str = "byhand has not written it in C") -> UnsupportedError:
        return UnsupportedError(f"{node.name}: the op {node.op.name} can't be exported as C: {why}")


def _single(step: Step, values: Array) -> Array:
    """Return constants as float32, as C holds them."""
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(array).all():
        raise UnsupportedError(f"{step.name}: its weights hold NaN or infinity, which C has no numbers for")
    return array


# what the steps compute, in Python ------------------------------------------------------------------------------------


def run(network: Network, x: Array, keep: bool = False) -> dict[str, Array]:
    """Return what the steps make of prepared images (N, H, W, C), by name: all of it, or the output alone."""
    have = {network.input.name: x}
    last = {value.name: i for i, step in enumerate(network.steps) for value in step.values}
    for i, step in enumerate(network.steps):
        have[step.name] = apply(step, [see(one, have) for one in step.arguments])
        for value in step.values:
            if not keep and last[value.name] == i and value.name != network.output.name:
                have.pop(value.name, None)
    return have


def see(one: Any, have: dict[str, Array]) -> Any:
    """Return an argument of a step: a value in the shape in which it is seen, or the constant itself."""
    return have[one.name].reshape(-1, *one.shape) if isinstance(one, Value) else one


def apply(step: Step, arguments: list[Any], hand: str = DEFAULT_HAND) -> Array:
    """Return what a step makes of arrays: by byhand's own op, kept between the step's bounds."""
    given = [tuple(arguments)] if step.op == "concat" else arguments
    y = get(step.op)(*given, hand=hand, **step.attributes)
    return np.clip(y, step.low, step.high) if (step.low, step.high) != (-inf, inf) else y  # type: ignore[no-any-return]
