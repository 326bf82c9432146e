"""A new last layer on the features of a network that has learned already, and a network cut in two where it begins to learn.

Source: Donahue et al. 2014, "DeCAF", arXiv 1310.1531: what a network learned of one set of images serves for another.
"""

from collections.abc import Callable, Sequence
from typing import Any

from byhand.errors import ArgumentError
from byhand.graph import Graph, Node, Tensor
from byhand.nn import init
from byhand.nn.layers import Flatten, GlobalAvgPool2d, Linear
from byhand.nn.model import Model
from byhand.ops.op import flat
from byhand.shapes import integer

AFTER = (
    "flatten",
    "reshape",
    "global_avg_pool",
    "avg_pool",
    "relu",
    "dropout",
    "transpose",
)  # between last weights and logits


def replaced(model: Model, classes: int | Sequence[str], frozen: bool, seed: int, unfreeze: int = 0) -> Model:
    """Return a model with another head; unfreeze: how many layers with weights below it learn too."""
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        classes = list(map(str, range(integer("replace_head: classes", classes))))
    head = _head(model)
    below = model.graph.up_to(head.inputs["x"])
    still = len(below.nodes) if frozen else 0
    if frozen and integer("replace_head: unfreeze", unfreeze, 0):
        still = _still(below, unfreeze)
    graph, made = copied(below, still, frozen)
    features = made[head.inputs["x"].name]
    if len(features.shape) == 4:  # a convolution with a filter a class, then the average of the image
        features = GlobalAvgPool2d()(features)
    logits = Linear(len(classes), name=graph.free_name("head"))(features)
    assert graph.input is not None
    new = Model(
        graph.input, logits, name=model.name, seed=seed, classes=classes, mean=model.mean, std=model.std, dtype=model.dtype,
        crop=model.crop,
    )  # fmt: skip
    take_numbers(new, model)
    return new


def cut(model: Model) -> tuple[Model, Model]:
    """Return two models in place of one that is partly frozen: what never changes, images to features; and what learns.

    The second takes the first one's output as its images, (N, 1, 1, C) where that is (N, C); it has the names of the whole,
    so that `take_numbers(model, learner)` brings back what it learned.
    Raises ArgumentError where the first layer learns, or where more than one tensor leads from one part to the other.

    >>> import byhand as bh
    >>> below, learner = cut(bh.models.create("lenet5").replace_head(["cat", "dog"]))
    >>> below.input_shape, learner.input_shape, learner.parameter_count
    ((28, 28, 1), (1, 1, 84), 170)
    """
    nodes = model.graph.nodes
    at = next((i for i, node in enumerate(nodes) if any(one.kind == "parameter" for one in _read(node))), len(nodes))
    while at < len(nodes) and at > 0 and len(_between(nodes, at)) > 1:
        at -= 1  # a pool before the first layer that learns, for one
    between = _between(nodes, at)
    assert model.graph.input is not None
    if not 0 < at < len(nodes) or len(between) != 1 or between[0] is model.graph.input:
        raise ArgumentError(
            f"{model.name} can't be cut: one tensor must lead from layers that are frozen to those that learn"
        )
    (features,) = between
    below = Model(
        model.graph.input, features, name=model.name, seed=None, classes=(), mean=model.mean, std=model.std, dtype=model.dtype,
        crop=model.crop,
    )  # fmt: skip
    take_numbers(below, model)
    graph, shape = Graph(), features.shape[1:]
    x = graph.add_input(shape if len(shape) == 3 else (1, 1, *shape), graph.free_name("features"))
    made = {features.name: x if len(shape) == 3 else Flatten()(x)}
    add_nodes(graph, model.graph, nodes[at:], made)
    learner = Model(x, made[model.logits.name], name=model.name, seed=None, classes=model.classes, dtype=model.dtype)
    take_numbers(learner, model)
    return below, learner


def take_numbers(model: Model, other: Model) -> None:
    """Copy the numbers of another model's parameters and states, as far as they have the same names."""
    ours, theirs = (one.parameters | vars(one.state) for one in (model, other))
    for name in ours.keys() & theirs.keys():
        ours[name][...] = theirs[name]


def _head(model: Model) -> Node:
    """Return the node that holds a network's last weights."""
    makers = {node.output.name: node for node in model.graph.nodes}
    node = makers.get(model.logits.name)
    while node is not None and node.op.name in AFTER:
        node = makers.get(node.inputs["x"].name)
    if node is None or node.op.name not in ("linear", "conv2d"):
        what = "its input" if node is None else f"{node.name} ({node.op.name})"
        raise ArgumentError(
            f"{model.name}: its output comes from {what}; expected a linear layer or a convolution to replace"
        )
    return node


def _still(graph: Graph, unfreeze: int) -> int:
    """Return how many of the first nodes stay frozen: so few that layers with weights learn, and one tensor leads to them."""
    count = 0
    for at in range(len(graph.nodes) - 1, -1, -1):
        count += any(one.kind in ("parameter", "state") and len(one.shape) > 1 for one in _read(graph.nodes[at]))
        if at and count >= unfreeze and len(_between(graph.nodes, at)) == 1:
            return at
    raise ArgumentError(
        f"replace_head: unfreeze is {unfreeze}, but there are {count} layers with weights below the head; "
        "to train all of them: frozen=False"
    )


def _read(node: Node) -> list[Tensor]:
    return flat(node.inputs.values())


def _between(nodes: Sequence[Node], at: int) -> list[Tensor]:
    """Return what the nodes from `at` on read of those before them, and of the input."""
    mine = {tensor.name for node in nodes[at:] for tensor in node.outputs.values()}
    found = {one.name: one for node in nodes[at:] for one in _read(node) if one.kind in ("input", "value")}
    return [one for name, one in found.items() if name not in mine]


def copied(graph: Graph, still: int = 0, quiet: bool = False) -> tuple[Graph, dict[str, Tensor]]:
    """Return a graph with the same nodes, and its tensors by name.

    still: of how many first nodes the parameters become states, which nothing changes; quiet: batch norms keep their
    statistics, also where they learn: those of a few images would be worse.
    """
    copy, fixed = Graph(), {node.name for node in graph.nodes[:still]}
    assert graph.input is not None
    made = {graph.input.name: copy.add_input(graph.input.shape[1:], graph.input.name)}
    add_nodes(
        copy, graph, graph.nodes, made, lambda node: node.name in fixed,
        lambda node: node.name in fixed or (quiet and "running_mean" in node.inputs),
    )  # fmt: skip
    return copy, made


def add_nodes(
    copy: Graph,
    graph: Graph,
    nodes: Sequence[Node],
    made: dict[str, Tensor],
    frozen: Callable[[Node], bool] = lambda node: False,
    inference: Callable[[Node], bool] = lambda node: False,
    prefix: str = "",
) -> None:
    """Add nodes of a graph to a copy; `made` holds, and gets, the copy's tensors by the names that they have in the graph.

    prefix: of the names of the nodes in the copy, so that it may hold them twice: with the same parameters.
    """
    home = {one.name: "state" for node in nodes if frozen(node) for one in _read(node) if one.kind == "parameter"}
    wanted = {one.name for node in nodes for one in _read(node)}
    for kind in ("parameter", "state"):
        for tensor in graph.of_kind(kind):
            if tensor.name in wanted and tensor.name not in made:
                place = home.get(tensor.name, kind)
                made[tensor.name] = copy.add_tensor(tensor.name, tensor.shape, place, tensor.dtype, init.zeros)
    for node in nodes:
        inputs: dict[str, Any] = {}
        for key, value in node.inputs.items():
            several = isinstance(value, tuple)
            inputs[key] = tuple(made[one.name] for one in value) if several else value and made[value.name]
        still = {"training": False} if "training" in node.op.attributes and inference(node) else {}
        copy.add(node.op, inputs, node.attributes | still, prefix + node.name)
        made |= {tensor.name: copy.nodes[-1].outputs[key] for key, tensor in node.outputs.items()}
