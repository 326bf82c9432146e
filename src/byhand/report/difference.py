"""What differs between two models in inference: images, layers, settings, numbers; models in, rows out.

Layers here are those that compute something. What only hands numbers on (flatten, reshape, dropout) is none, and axes of one
element don't count, so that a network and its export are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite, prod
from typing import Any

import numpy as np

from byhand.graph import Node, Tensor
from byhand.graph.graph import show
from byhand.nn import Model
from byhand.ops.op import Array, flat

PASSING = ("flatten", "reshape", "dropout")
LEFT_OUT = ("keepdims", "training", "momentum")  # attributes that change no number in inference
EQUAL = 1e-6  # settings that differ by less, relatively, were float32 in between
CHUNK = 2**20  # numbers that are compared at a time
IMAGES = -1  # the input's place among the layers


@dataclass(frozen=True)
class Difference:
    """One difference: in which layer ("": in the model as a whole), in what, and what either has (None: nothing).

    Of names and numbers: count, how many differ. Of numbers also largest, by how much at most (None: by NaN or infinity),
    and relative, that as a part of the first's largest.
    """

    layer: str
    what: str
    a: Any = None
    b: Any = None
    count: int | None = None
    largest: float | None = None
    relative: float | None = None


@dataclass
class Comparison:
    """All differences, and what was compared.

    layers: how many each model has; renamed: how many of those matched by their order have another name; following: how many
    differ in shape only because what they read does; weights, numbers: how many arrays were compared, of how many numbers.
    """

    differences: list[Difference]
    layers: tuple[int, int]
    by_order: bool
    renamed: int
    following: int = 0
    weights: int = 0
    numbers: int = 0


def compare(a: Model, b: Model) -> Comparison:
    """Return what differs between two models, and how much was compared.

    Layers are matched by name; where the names are not the same, but ops and wiring are, by their order.

    >>> import byhand as bh
    >>> one, other = (bh.models.create("lenet5", classes) for classes in (10, 5))
    >>> for row in compare(one, other).differences:
    ...     print(row.layer or "-", row.what, row.a, row.b)
    - classes 10 5
    fc3 output (N, 10) (N, 5)
    fc3 weight (84, 10) (84, 5)
    fc3 bias (10,) (5,)
    """
    ours, theirs = Side(a), Side(b)
    by_order = ours.names() != theirs.names() and ours.structure() == theirs.structure()
    places = {node.name: i for i, node in enumerate(ours.layers if by_order else theirs.layers)}
    partners = {i: places[node.name] for i, node in enumerate(ours.layers) if node.name in places}
    renamed = sum(ours.layers[i].name != theirs.layers[j].name for i, j in partners.items())
    found = Comparison(list(_whole(a, b)), (len(ours.layers), len(theirs.layers)), by_order, renamed)
    pair = Pair(ours, theirs, {IMAGES: IMAGES} | partners, found)
    pair.only_there(IMAGES)
    for i, node in enumerate(ours.layers):
        if i in partners:
            pair.layer(node, theirs.layers[partners[i]])
            pair.only_there(partners[i])
        else:
            found.differences.append(Difference(node.name, "layer", a=told(node)))
    pair.output()
    return found


class Side:
    """A model's layers in order, and the layer that each tensor comes from."""

    def __init__(self, model: Model) -> None:
        self.model, self.layers, self.place = model, list[Node](), dict[str, int]()
        self.values = model.parameters | vars(model.state)
        self.calls, _ = model.graph.plan(1, training=False)
        assert model.graph.input is not None
        self.image = model.graph.input
        self.place[self.image.name] = IMAGES
        for node in model.graph.nodes:
            here = self.place.get(node.inputs["x"].name) if node.op.name in PASSING else None
            if here is None:
                here = len(self.layers)
                self.layers.append(node)
            self.place |= {tensor.name: here for tensor in node.outputs.values()}

    def names(self) -> set[str]:
        """Return the names of all layers."""
        return {node.name for node in self.layers}

    def structure(self) -> list[Any]:
        """Return each layer's op and what it reads, without any name."""
        return [(node.op.name, self.reads(node)) for node in self.layers] + [self.place[self.model.logits.name]]

    def reads(self, node: Node) -> list[int]:
        """Return the places of the layers that a layer reads."""
        return [self.place[tensor.name] for tensor in flat(node.inputs.values()) if tensor.name in self.place]

    def made(self, place: int) -> Tensor:
        """Return what a layer makes."""
        return self.image if place == IMAGES else self.layers[place].output

    def named(self, places: list[int]) -> str:
        """Return the names of layers."""
        return ", ".join(self.made(place).name for place in places)


class Pair:
    """Two models whose layers are matched: partners, the place in theirs of each of ours that they have too."""

    def __init__(self, ours: Side, theirs: Side, partners: dict[int, int], found: Comparison) -> None:
        self.ours, self.theirs, self.partners, self.found = ours, theirs, partners, found
        self.seen: set[tuple[str, str]] = set()
        self.after: dict[int, list[Node]] = {}  # what only they have, by the shared layer before it
        last, shared = IMAGES, set(partners.values())
        for i, node in enumerate(theirs.layers):
            last = i if i in shared else last
            if i not in shared:
                self.after.setdefault(last, []).append(node)

    def only_there(self, place: int) -> None:
        """Add the layers that only they have, after a shared one."""
        self.found.differences += [Difference(node.name, "layer", b=told(node)) for node in self.after.get(place, ())]

    def output(self) -> None:
        """Add that other layers make the output."""
        here, there = (side.place[side.model.logits.name] for side in (self.ours, self.theirs))
        if self.partners.get(here) != there:
            self.add("", "output", self.ours.named([here]), self.theirs.named([there]))

    def add(self, layer: str, what: str, a: Any, b: Any) -> None:
        """Add a difference."""
        self.found.differences.append(Difference(layer, what, a, b))

    def layer(self, one: Node, other: Node) -> None:
        """Add what differs between two layers."""
        before = len(self.found.differences)
        if one.op is not other.op:
            self.add(one.name, "op", one.op.name, other.op.name)
        else:
            self.settings(one, other)
        reads, read = self.ours.reads(one), self.theirs.reads(other)
        elsewhere = [self.partners.get(place) for place in reads] != read
        if elsewhere:
            self.add(one.name, "reads", self.ours.named(reads), self.theirs.named(read))
        takes, taken = (
            [t for t in flat(node.inputs.values()) if t.name in side.place]
            for node, side in ((one, self.ours), (other, self.theirs))
        )
        given = _shapes(map(self.ours.made, reads)) == _shapes(map(self.theirs.made, read))
        if given and not elsewhere and _shapes(takes) != _shapes(taken):  # it is laid out otherwise in between
            self.add(one.name, "takes", ", ".join(map(show, takes)), ", ".join(map(show, taken)))
        same_weights = self.shapes(one) == self.shapes(other)
        if _shapes([one.output]) != _shapes([other.output]):
            if len(self.found.differences) == before and same_weights and _shapes(takes) != _shapes(taken):
                self.found.following += 1
            else:
                self.add(one.name, "output", show(one.output), show(other.output))
        self.weights(one, other)

    def settings(self, one: Node, other: Node) -> None:
        """Add the attributes that differ."""
        a, b = self.ours.calls[one.name].attributes, self.theirs.calls[other.name].attributes
        for key in dict.fromkeys([*a, *b]):
            if key not in LEFT_OUT and not _equal(a.get(key), b.get(key)):
                self.add(one.name, key, a.get(key), b.get(key))

    def shapes(self, node: Node) -> list[tuple[int, ...]]:
        """Return the shapes of a layer's own arrays."""
        return [tensor.shape for _, tensor in _own(node)]

    def weights(self, one: Node, other: Node) -> None:
        """Add the arrays of numbers that differ; an array that several layers use is compared once."""
        a, b = dict(_own(one)), dict(_own(other))
        for key in dict.fromkeys([*a, *b]):
            mine, yours = a.get(key), b.get(key)
            if mine is None or yours is None or mine.shape != yours.shape:
                self.add(one.name, key, mine and mine.shape, yours and yours.shape)
            elif (mine.name, yours.name) not in self.seen:
                self.seen.add((mine.name, yours.name))
                self.found.weights += 1
                self.found.numbers += prod(mine.shape)
                count, largest, relative = distance(self.ours.values[mine.name], self.theirs.values[yours.name])
                if count:
                    self.found.differences.append(
                        Difference(one.name, key, mine.shape, yours.shape, count, largest, relative)
                    )


def _whole(a: Model, b: Model) -> Iterator[Difference]:
    """Yield what differs between the models as a whole."""
    if a.input_shape != b.input_shape:
        yield Difference("", "images", a.input_shape, b.input_shape)
    if a.dtype != b.dtype:
        yield Difference("", "numbers", a.dtype.name, b.dtype.name)
    for what, mine, yours in (("mean", a.mean, b.mean), ("std", a.std, b.std)):
        if not _equal(mine, yours):
            yield Difference("", what, mine, yours)
    if len(a.classes) != len(b.classes):
        yield Difference("", "classes", len(a.classes), len(b.classes))
    elif others := [(mine, yours) for mine, yours in zip(a.classes, b.classes) if mine != yours]:
        yield Difference("", "classes", [mine for mine, _ in others], [yours for _, yours in others], len(others))


def distance(a: Array, b: Array) -> tuple[int, float | None, float | None]:
    """Return how many numbers differ, by how much at most, and what part of a's largest that is.

    What differs by NaN or infinity has no size: None.

    >>> distance(np.array([1.0, 2.0, np.nan]), np.array([1.0, 2.5, np.nan]))
    (1, 0.5, 0.25)
    """
    a, b = np.ravel(a), np.ravel(b)
    count, largest, scale = 0, 0.0, 0.0
    for start in range(0, a.size, CHUNK):
        x, y = (one[start : start + CHUNK].astype(np.float64) for one in (a, b))
        other = ~((x == y) | (np.isnan(x) & np.isnan(y)))
        count += int(np.count_nonzero(other))
        with np.errstate(invalid="ignore"):
            apart = np.abs(x[other] - y[other])
        largest = max(largest, float(np.nan_to_num(apart, nan=inf, posinf=inf).max(initial=0)))
        scale = max(scale, float(np.abs(x[np.isfinite(x)]).max(initial=0)))
    if not isfinite(largest):
        return count, None, None
    return count, largest, largest / scale if scale else None


def told(node: Node) -> str:
    """Return a layer in a few words: its op, what comes out, how many numbers it holds."""
    numbers = sum(prod(tensor.shape) for _, tensor in _own(node))
    return f"{node.op.name} {show(node.output)}" + (f", {numbers:,} numbers" if numbers else "")


def _own(node: Node) -> Iterator[tuple[str, Tensor]]:
    """Yield a layer's own arrays by what they are in it; random keys, which say nothing of it, are none."""
    for key, value in node.inputs.items():
        several = isinstance(value, tuple)
        for i, tensor in enumerate(value if several else (value,)):
            if tensor is not None and tensor.kind in ("parameter", "state") and tensor.dtype is None:
                yield f"{key} {i}" if several else key, tensor


def _shapes(tensors: Any) -> list[list[int]]:
    """Return shapes without the batch, and without axes of one element."""
    return [[size for size in tensor.shape[1:] if size > 1] for tensor in tensors]


def _equal(a: Any, b: Any) -> bool:
    """Tell whether two settings are the same, numbers up to float32's digits."""
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    try:
        return np.allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=EQUAL, atol=0, equal_nan=True)
    except (TypeError, ValueError):
        return bool(a == b)
