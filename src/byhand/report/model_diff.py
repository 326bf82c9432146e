"""Comparison of two models in inference: input shape, preprocessing, classes, layers, attributes and weights.

A layer is a node that computes something: flatten, reshape and dropout are skipped, and axes of one element are ignored, so
that a network and its export compare equal.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf, isfinite, prod
from typing import Any

import numpy as np

from byhand.graph import Node, Tensor
from byhand.graph.graph import show
from byhand.nn import Model
from byhand.ops.op import Array, tree_leaves

PASS_THROUGH_OPS = ("flatten", "reshape", "dropout")
IGNORED_ATTRIBUTES = ("keepdims", "training", "momentum")  # attributes without effect in inference
RELATIVE_TOLERANCE = 1e-6  # of attributes that were stored as float32 in between
CHUNK_ELEMENTS = 2**20  # elements compared at a time
INPUT_INDEX = -1  # of the input among the layers


@dataclass(frozen=True)
class Difference:
    """One difference: the layer ("" for the model as a whole), the property, and its values in A and B (None: absent).

    count: of class names or array elements, how many differ; max_abs_diff: of arrays, the largest absolute difference (None for
    NaN or infinity), relative_diff: the same divided by A's largest magnitude.
    """

    layer: str
    property: str
    a: Any = None
    b: Any = None
    count: int | None = None
    max_abs_diff: float | None = None
    relative_diff: float | None = None


@dataclass
class Comparison:
    """All differences, and how much was compared.

    layers: of A and B; matched_by_order: layers were matched by order, not by name, renamed: how many have another name;
    shape_only: layers whose shape differs only because their input's does; arrays, elements: how many weights were compared.
    """

    differences: list[Difference]
    layers: tuple[int, int]
    matched_by_order: bool
    renamed: int
    shape_only: int = 0
    arrays: int = 0
    elements: int = 0


def compare_models(a: Model, b: Model) -> Comparison:
    """Return the differences between two models, and how much was compared.

    Layers are matched by name; if the names differ but ops and connections are the same, by order.

    >>> import byhand as bh
    >>> a, b = (bh.models.create("lenet5", classes) for classes in (10, 5))
    >>> for row in compare_models(a, b).differences:
    ...     print(row.layer or "-", row.property, row.a, row.b)
    - classes 10 5
    fc3 output (N, 10) (N, 5)
    fc3 weight (84, 10) (84, 5)
    fc3 bias (10,) (5,)
    """
    ours, theirs = ModelLayers(a), ModelLayers(b)
    matched_by_order = ours.names() != theirs.names() and ours.structure() == theirs.structure()
    indices = {node.name: i for i, node in enumerate(ours.layers if matched_by_order else theirs.layers)}
    partners = {i: indices[node.name] for i, node in enumerate(ours.layers) if node.name in indices}
    renamed = sum(ours.layers[i].name != theirs.layers[j].name for i, j in partners.items())
    comparison = Comparison(
        list(_model_differences(a, b)), (len(ours.layers), len(theirs.layers)), matched_by_order, renamed
    )
    pair = MatchedModels(ours, theirs, {INPUT_INDEX: INPUT_INDEX} | partners, comparison)
    pair.add_only_theirs(INPUT_INDEX)
    for i, node in enumerate(ours.layers):
        if i in partners:
            pair.compare_layers(node, theirs.layers[partners[i]])
            pair.add_only_theirs(partners[i])
        else:
            comparison.differences.append(Difference(node.name, "layer", a=describe_layer(node)))
    pair.compare_outputs()
    return comparison


class ModelLayers:
    """A model's layers in order, and the index of the layer that computes each tensor."""

    def __init__(self, model: Model) -> None:
        self.model, self.layers, self.index = model, list[Node](), dict[str, int]()
        self.values = model.parameters | vars(model.state)
        self.calls, _ = model.graph.plan(1, training=False)
        assert model.graph.input is not None
        self.input = model.graph.input
        self.index[self.input.name] = INPUT_INDEX
        for node in model.graph.nodes:
            here = self.index.get(node.inputs["x"].name) if node.op.name in PASS_THROUGH_OPS else None
            if here is None:
                here = len(self.layers)
                self.layers.append(node)
            self.index |= {tensor.name: here for tensor in node.outputs.values()}

    def names(self) -> set[str]:
        """Return the names of all layers."""
        return {node.name for node in self.layers}

    def structure(self) -> list[Any]:
        """Return each layer's op and the indices of its sources, without names."""
        return [(node.op.name, self.sources(node)) for node in self.layers] + [self.index[self.model.logits.name]]

    def sources(self, node: Node) -> list[int]:
        """Return the indices of the layers that a layer reads."""
        return [self.index[tensor.name] for tensor in tree_leaves(node.inputs.values()) if tensor.name in self.index]

    def output_of(self, index: int) -> Tensor:
        """Return the output tensor of a layer."""
        return self.input if index == INPUT_INDEX else self.layers[index].output

    def names_of(self, indices: list[int]) -> str:
        """Return the names of layers."""
        return ", ".join(self.output_of(index).name for index in indices)


class MatchedModels:
    """Two models with matched layers; partners: the index in B of each layer of A that B has too."""

    def __init__(
        self, ours: ModelLayers, theirs: ModelLayers, partners: dict[int, int], comparison: Comparison
    ) -> None:
        self.ours, self.theirs, self.partners, self.comparison = ours, theirs, partners, comparison
        self.compared: set[tuple[str, str]] = set()
        self.only_theirs: dict[int, list[Node]] = {}  # layers of B alone, by the matched layer before them
        last, shared = INPUT_INDEX, set(partners.values())
        for i, node in enumerate(theirs.layers):
            last = i if i in shared else last
            if i not in shared:
                self.only_theirs.setdefault(last, []).append(node)

    def add_only_theirs(self, index: int) -> None:
        """Add the layers of B alone that follow a matched layer."""
        self.comparison.differences += [
            Difference(node.name, "layer", b=describe_layer(node)) for node in self.only_theirs.get(index, ())
        ]

    def compare_outputs(self) -> None:
        """Add a difference if other layers compute the output."""
        here, there = (side.index[side.model.logits.name] for side in (self.ours, self.theirs))
        if self.partners.get(here) != there:
            self.add("", "output", self.ours.names_of([here]), self.theirs.names_of([there]))

    def add(self, layer: str, property: str, a: Any, b: Any) -> None:
        """Add a difference."""
        self.comparison.differences.append(Difference(layer, property, a, b))

    def compare_layers(self, node: Node, other: Node) -> None:
        """Add the differences between two matched layers."""
        before = len(self.comparison.differences)
        if node.op is not other.op:
            self.add(node.name, "op", node.op.name, other.op.name)
        else:
            self.compare_attributes(node, other)
        sources, read = self.ours.sources(node), self.theirs.sources(other)
        rewired = [self.partners.get(index) for index in sources] != read
        if rewired:
            self.add(node.name, "reads", self.ours.names_of(sources), self.theirs.names_of(read))
        takes, taken = (
            [t for t in tree_leaves(node.inputs.values()) if t.name in side.index]
            for node, side in ((node, self.ours), (other, self.theirs))
        )
        given = _shapes(map(self.ours.output_of, sources)) == _shapes(map(self.theirs.output_of, read))
        if given and not rewired and _shapes(takes) != _shapes(taken):  # reshaped in between
            self.add(node.name, "takes", ", ".join(map(show, takes)), ", ".join(map(show, taken)))
        same_weights = self.shapes(node) == self.shapes(other)
        if _shapes([node.output]) != _shapes([other.output]):
            if len(self.comparison.differences) == before and same_weights and _shapes(takes) != _shapes(taken):
                self.comparison.shape_only += 1
            else:
                self.add(node.name, "output", show(node.output), show(other.output))
        self.compare_arrays(node, other)

    def compare_attributes(self, node: Node, other: Node) -> None:
        """Add the attributes that differ."""
        a, b = self.ours.calls[node.name].attributes, self.theirs.calls[other.name].attributes
        for key in dict.fromkeys([*a, *b]):
            if key not in IGNORED_ATTRIBUTES and not _close(a.get(key), b.get(key)):
                self.add(node.name, key, a.get(key), b.get(key))

    def shapes(self, node: Node) -> list[tuple[int, ...]]:
        """Return the shapes of a layer's own arrays."""
        return [tensor.shape for _, tensor in _own_arrays(node)]

    def compare_arrays(self, node: Node, other: Node) -> None:
        """Add the arrays that differ; an array shared by several layers is compared once."""
        a, b = dict(_own_arrays(node)), dict(_own_arrays(other))
        for key in dict.fromkeys([*a, *b]):
            mine, yours = a.get(key), b.get(key)
            if mine is None or yours is None or mine.shape != yours.shape:
                self.add(node.name, key, mine and mine.shape, yours and yours.shape)
            elif (mine.name, yours.name) not in self.compared:
                self.compared.add((mine.name, yours.name))
                self.comparison.arrays += 1
                self.comparison.elements += prod(mine.shape)
                count, max_abs_diff, relative_diff = array_difference(
                    self.ours.values[mine.name], self.theirs.values[yours.name]
                )
                if count:
                    self.comparison.differences.append(
                        Difference(node.name, key, mine.shape, yours.shape, count, max_abs_diff, relative_diff)
                    )


def _model_differences(a: Model, b: Model) -> Iterator[Difference]:
    """Yield the differences between the models as a whole."""
    if a.input_shape != b.input_shape:
        yield Difference("", "images", a.input_shape, b.input_shape)
    if a.dtype != b.dtype:
        yield Difference("", "numbers", a.dtype.name, b.dtype.name)
    if a.task != b.task:
        yield Difference("", "task", a.task, b.task)
    ours, theirs = a.preprocessing.to_json(), b.preprocessing.to_json()
    for property, mine in ours.items():
        if not _close(mine, theirs[property]):
            yield Difference("", property, mine, theirs[property])
    if len(a.classes) != len(b.classes):
        yield Difference("", "classes", len(a.classes), len(b.classes))
    elif others := [(mine, yours) for mine, yours in zip(a.classes, b.classes) if mine != yours]:
        yield Difference("", "classes", [mine for mine, _ in others], [yours for _, yours in others], len(others))


def array_difference(a: Array, b: Array) -> tuple[int, float | None, float | None]:
    """Return how many elements differ, the largest absolute difference, and that divided by a's largest magnitude.

    The latter two are None where elements differ by NaN or infinity.

    >>> array_difference(np.array([1.0, 2.0, np.nan]), np.array([1.0, 2.5, np.nan]))
    (1, 0.5, 0.25)
    """
    a, b = np.ravel(a), np.ravel(b)
    count, max_abs_diff, scale = 0, 0.0, 0.0
    for start in range(0, a.size, CHUNK_ELEMENTS):
        x, y = (array[start : start + CHUNK_ELEMENTS].astype(np.float64) for array in (a, b))
        other = ~((x == y) | (np.isnan(x) & np.isnan(y)))
        count += int(np.count_nonzero(other))
        with np.errstate(invalid="ignore"):
            distance = np.abs(x[other] - y[other])
        max_abs_diff = max(max_abs_diff, float(np.nan_to_num(distance, nan=inf, posinf=inf).max(initial=0)))
        scale = max(scale, float(np.abs(x[np.isfinite(x)]).max(initial=0)))
    if not isfinite(max_abs_diff):
        return count, None, None
    return count, max_abs_diff, max_abs_diff / scale if scale else None


def describe_layer(node: Node) -> str:
    """Return a layer as text: op, output shape, number of weights."""
    weights = sum(prod(tensor.shape) for _, tensor in _own_arrays(node))
    return f"{node.op.name} {show(node.output)}" + (f", {weights:,} weights" if weights else "")


def _own_arrays(node: Node) -> Iterator[tuple[str, Tensor]]:
    """Yield a layer's own arrays with their input names; random keys are skipped."""
    for key, value in node.inputs.items():
        several = isinstance(value, tuple)
        for i, tensor in enumerate(value if several else (value,)):
            if tensor is not None and tensor.kind in ("parameter", "state") and tensor.dtype is None:
                yield f"{key} {i}" if several else key, tensor


def _shapes(tensors: Iterable[Tensor]) -> list[list[int]]:
    """Return shapes without the batch, and without axes of one element."""
    return [[size for size in tensor.shape[1:] if size > 1] for tensor in tensors]


def _close(a: Any, b: Any) -> bool:
    """Tell whether two attributes are equal, numbers to float32 precision."""
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    try:
        return np.allclose(
            np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=RELATIVE_TOLERANCE, atol=0, equal_nan=True
        )
    except (TypeError, ValueError):
        return bool(a == b)
