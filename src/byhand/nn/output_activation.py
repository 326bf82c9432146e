"""The activation that a network ends in, read from its graph, and the logits before it.

    softmax       softmax(x); exp(log_softmax(x)); e^x / sum e^x, also of x - max x
    log_softmax   x - log sum e^x; log(softmax(x)); (x - max x) - log sum e^(x - max x)
    sigmoid       sigmoid(x), each output by itself
    hard_sigmoid  min(max(alpha x + beta, 0), 1)
    none          the outputs come from a layer with weights: bare logits, or numbers
    bounded       a tanh, an exponential, a clip: numbers of a limited range
    other         computed from a softmax or sigmoid in another way, as the mean of two softmaxes is; or x / sum x

A clip and + eps around a softmax or a sigmoid are looked through: they keep a logarithm finite.

The graph says it, not a guess from values: a softmax of what is no logit gives confident wrong probabilities, and the gradient
of a saturated softmax or sigmoid is 0, while that of its logit is not.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from byhand.graph import Graph, Node, Tensor
from byhand.ops import get
from byhand.ops.op import DEFAULT_HAND, Array, tree_leaves

# Ops that only rearrange the outputs, or copy them.
VIEW_OPS = ("flatten", "reshape", "transpose", "dropout")
REDUCTIONS = ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min")
# Ops that compute outputs from outputs, without weights of a layer.
ELEMENTWISE_OPS = (
    *("add", "subtract", "multiply", "divide", "maximum", "minimum", "power"),
    *("neg", "abs", "sqrt", "log", "reciprocal", "relu", "slice", "concat"),
    *REDUCTIONS,
)
# Activations that make probabilities, and others after which a value is no logit: it is bounded, or positive.
PROBABILITY_OPS = ("softmax", "sigmoid", "hard_sigmoid")
BOUNDED_OPS = ("tanh", "softplus", "softsign", "clip", "relu6", "exp", "erf")

PROPORTION = "proportion"  # a value divided by the sum of all
GUARD_MAX = 1e-2  # by which a clip that keeps a logarithm finite may cut probabilities at 0 and 1


class Ending(NamedTuple):
    """What a network ends in: the activation, its attributes, and the tensor (N, K) that it is applied to."""

    logits: Tensor
    activation: str
    attributes: Mapping[str, Any] = {}


def read_ending(graph: Graph, output: Tensor) -> Ending:
    """Return the activation that an output (N, K) ends in, and its logits (N, K); they may be added to the graph.

    >>> from byhand import nn
    >>> x = nn.Input(8)
    >>> y = nn.Sigmoid()(nn.Linear(1)(x))
    >>> read_ending(x.graph, y)[:2]
    (<value fc1 (N, 1)>, 'sigmoid')
    """
    endings = _Endings(graph)
    value = endings.without_views(output)
    if (x := endings.softmax_input(value)) is not None:
        return Ending(_as_vector(x, graph), "softmax")
    if (x := endings.log_softmax_input(value)) is not None:
        return Ending(_as_vector(x, graph), "log_softmax")
    if (node := endings.sigmoid(value)) is not None:
        return Ending(_as_vector(node.inputs["x"], graph), node.op.name, node.attributes)
    kinds = endings.activations_before(output)
    return Ending(output, "other" if kinds & {*PROBABILITY_OPS, PROPORTION} else "bounded" if kinds else "none")


class _Endings:
    """Patterns at the end of a graph, by the nodes that make its tensors."""

    def __init__(self, graph: Graph) -> None:
        self.makers = {tensor.name: node for node in graph.nodes for tensor in node.outputs.values()}

    def made_by(self, tensor: Tensor, *ops: str) -> Node | None:
        """Return the node that makes a tensor where it is one of these ops."""
        node = self.makers.get(tensor.name)
        return node if node is not None and node.op.name in ops else None

    def without_views(self, tensor: Tensor) -> Tensor:
        """Return the tensor whose numbers a vector shows, in the same order."""
        while (node := self.made_by(tensor, *VIEW_OPS)) is not None:
            if not _is_vector(node.inputs["x"]):
                break
            tensor = node.inputs["x"]
        return tensor

    def without_guards(self, tensor: Tensor) -> Tensor:
        """Return p of clip(p) and p + eps, which keep a logarithm finite."""
        while (node := self.made_by(tensor, "clip", "add", "maximum", "dropout")) is not None:
            if node.op.name == "clip" and not _keeps_probabilities(node):
                break
            inner = node.inputs["x"] if node.op.name in ("clip", "dropout") else self._without_constant(node)
            if inner is None:
                break
            tensor = inner
        return self.without_views(tensor)

    def _without_constant(self, node: Node) -> Tensor | None:
        """Return x of x + c or max(x, c), c a constant number; None for other terms."""
        terms = [node.inputs["a"], node.inputs["b"]]
        others = [tensor for tensor in terms if tensor.kind != "state" or prod(tensor.shape) != 1]
        return others[0] if len(others) == 1 else None

    def sigmoid(self, tensor: Tensor) -> Node | None:
        """Return the node of a sigmoid that a tensor is, or the logarithm of."""
        value = self.without_guards(tensor)
        if (node := self.made_by(value, "log")) is not None:
            value = self.without_guards(node.inputs["x"])
            return self.made_by(value, "sigmoid", "hard_sigmoid")
        return self.made_by(value, "sigmoid", "hard_sigmoid")

    def softmax_input(self, tensor: Tensor) -> Tensor | None:
        """Return x where a tensor is softmax(x) along its last axis."""
        x: Tensor | None = None
        tensor = self.without_guards(tensor)
        if (node := self.made_by(tensor, "softmax")) is not None:
            x = node.inputs["x"]
        elif (node := self.made_by(tensor, "exp")) is not None:
            return self.log_softmax_input(node.inputs["x"])
        elif (node := self.made_by(tensor, "divide", "multiply")) is not None:
            x = self._quotient_input(node)
        if x is None or not _along_last_axis(x):
            return None
        inner = self.log_softmax_input(x)  # the softmax of a log-softmax is that softmax
        return x if inner is None else inner

    def _quotient_input(self, node: Node) -> Tensor | None:
        """Return x of e^x / sum e^x, or of e^(x - max x) / sum e^(x - max x)."""
        top, bottom = node.inputs["a"], node.inputs["b"]
        if node.op.name == "multiply":
            inverse = self.made_by(bottom, "reciprocal")
            if inverse is None:
                return None
            bottom = inverse.inputs["x"]
        if (guard := self.made_by(bottom, "add", "maximum")) is not None:  # sum e^x + eps
            bottom = self._without_constant(guard) or bottom
        exponential, total = self.made_by(top, "exp"), self._reduced(bottom, "reduce_sum")
        if exponential is None or total is None or total is not top:
            return None
        return self._without_maximum(exponential.inputs["x"])

    def log_softmax_input(self, tensor: Tensor) -> Tensor | None:
        """Return x where a tensor is log(softmax(x)) along its last axis."""
        if (node := self.made_by(tensor, "log")) is not None and self.made_by(node.inputs["x"], "exp") is None:
            return self.softmax_input(node.inputs["x"])
        node = self.made_by(tensor, "subtract")
        if node is None:
            return None
        x, total = node.inputs["a"], node.inputs["b"]
        summed = self._reduced(total, "reduce_log_sum_exp")
        if summed is None and (logarithm := self.made_by(total, "log")) is not None:
            exponentials = self._reduced(logarithm.inputs["x"], "reduce_sum")
            exponential = None if exponentials is None else self.made_by(exponentials, "exp")
            summed = None if exponential is None else exponential.inputs["x"]
        if summed is None or summed is not x or not _along_last_axis(x):
            return None
        return self._without_maximum(x)

    def _reduced(self, tensor: Tensor, op: str) -> Tensor | None:
        """Return what a tensor reduces over its last axis."""
        node = self.made_by(tensor, op)
        if node is None or not node.attributes.get("keepdims", True):
            return None
        x: Tensor = node.inputs["x"]
        axes = {axis % len(x.shape) for axis in node.attributes.get("axes", ())}
        return x if len(x.shape) - 1 in axes and prod(x.shape[axis] for axis in axes) == x.shape[-1] else None

    def _without_maximum(self, x: Tensor) -> Tensor:
        """Return x of x - max x, which has the same softmax."""
        node = self.made_by(x, "subtract")
        shifted = node is not None and self._reduced(node.inputs["b"], "reduce_max") is node.inputs["a"]
        return node.inputs["a"] if node is not None and shifted else x

    def _is_proportion(self, node: Node) -> bool:
        """Tell whether a node divides values by a reduction of the same values."""
        top, bottom = node.inputs["a"], node.inputs["b"]
        if node.op.name == "multiply":
            inverse = self.made_by(bottom, "reciprocal")
            bottom = bottom if inverse is None else inverse.inputs["x"]
        if (guard := self.made_by(bottom, "add", "maximum")) is not None:
            bottom = self._without_constant(guard) or bottom
        reduction = self.made_by(bottom, *REDUCTIONS)
        return reduction is not None and reduction.inputs["x"] is top

    def activations_before(self, output: Tensor) -> set[str]:
        """Return the activations from which an output is computed without a layer's weights."""
        found, seen, waiting = set[str](), set[str](), [output]
        while waiting:
            tensor = waiting.pop()
            node = self.makers.get(tensor.name)
            if node is None or tensor.name in seen:
                continue
            seen.add(tensor.name)
            if node.op.name in (*PROBABILITY_OPS, *BOUNDED_OPS):
                found.add(node.op.name)
            if node.op.name in ("divide", "multiply") and self._is_proportion(node):
                found.add(PROPORTION)
            if node.op.name in (*VIEW_OPS, *ELEMENTWISE_OPS, *BOUNDED_OPS):
                waiting += [t for t in tree_leaves(node.inputs.values()) if t.kind == "value"]
        return found


def _keeps_probabilities(clip: Node) -> bool:
    """Tell whether a clip leaves probabilities as they are, but for its guards at 0 and 1."""
    low, high = clip.attributes.get("low"), clip.attributes.get("high")
    return (low is None or low <= GUARD_MAX) and (high is None or high >= 1 - GUARD_MAX)


def _is_vector(tensor: Tensor) -> bool:
    """Tell whether an image's values are a vector: at most one axis beside the batch is longer than 1."""
    return sum(size > 1 for size in tensor.shape[1:]) <= 1


def _along_last_axis(x: Tensor) -> bool:
    return _is_vector(x) and x.shape[-1] == prod(x.shape[1:])


def _as_vector(x: Tensor, graph: Graph) -> Tensor:
    """Return a tensor (N, 1, 1, K) as (N, K): the one that the graph has, or a new one."""
    if len(x.shape) == 2:
        return x
    for node in graph.nodes:
        if node.op.name == "flatten" and node.inputs["x"] is x:
            return node.output
    return graph.add(get("flatten"), {"x": x}, {})


def values_after(nodes: Sequence[Node], known: Mapping[str, Array], hand: str = DEFAULT_HAND) -> dict[str, Array]:
    """Return the values of a graph's last nodes by name: of those that are not known, from those that are."""
    values = dict(known)

    def value_of(tensors: Any) -> Any:
        return tuple(map(value_of, tensors)) if isinstance(tensors, tuple) else tensors and values[tensors.name]

    for node in nodes:
        if node.output.name in known:
            continue
        arguments = [value_of(tensors) for tensors in node.inputs.values()]
        dropout = node.op.name == "dropout"  # in inference it leaves its input as it is
        values[node.output.name] = arguments[0] if dropout else node.op(*arguments, hand=hand, **node.attributes)
    return {name: value for name, value in values.items() if name not in known}
