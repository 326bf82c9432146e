"""A partly frozen network as two: its frozen part, images to features, and the part that learns, features to logits.

The features of a training set are then computed once, however many epochs the second part learns.
"""

from typing import Any

from byhand.errors import ArgumentError
from byhand.graph import Graph
from byhand.nn.graph_copy import boundary, copy_nodes, copy_weights
from byhand.nn.model import Model
from byhand.nn.movement import Flatten
from byhand.ops.op import tree_leaves


def split_frozen(model: Model) -> tuple[Model, Model]:
    """Return (the frozen part, the part that learns) of a partly frozen model.

    The images of the second part are the features of the first, (N, 1, 1, C) where these are (N, C). Its tensors have the
    names of the model's, so that `copy_weights(model, learner)` brings back what it learned.
    Raises ArgumentError where the first layer learns, or where more than one tensor leads from one part to the other.

    >>> import byhand as bh
    >>> backbone, learner = split_frozen(bh.models.create("lenet5").replace_head(["cat", "dog"]))
    >>> backbone.input_shape, learner.input_shape, learner.parameter_count
    ((28, 28, 1), (1, 1, 84), 170)
    """
    nodes = model.graph.nodes
    learning = [
        i for i, node in enumerate(nodes) if any(t.kind == "parameter" for t in tree_leaves(node.inputs.values()))
    ]
    start = learning[0] if learning else len(nodes)
    while 0 < start < len(nodes) and len(boundary(nodes, start)) > 1:
        start -= 1  # for instance to a pooling layer before the first layer that learns
    tensors = boundary(nodes, start)
    assert model.graph.input is not None
    if not 0 < start < len(nodes) or len(tensors) != 1 or tensors[0] is model.graph.input:
        raise ArgumentError(
            f"{model.name} can't be split: one tensor must lead from layers that are frozen to those that learn"
        )
    (features,) = tensors
    backbone = Model(model.graph.input, features, seed=None, classes=(), **model.settings)
    copy_weights(backbone, model)
    graph, shape = Graph(), features.shape[1:]
    x = graph.add_input(shape if len(shape) == 3 else (1, 1, *shape), graph.free_name("features"))
    copies = {features.name: x if len(shape) == 3 else Flatten()(x)}
    copy_nodes(graph, model.graph, nodes[start:], copies)
    settings: dict[str, Any] = {"name": model.name, "classes": model.classes, "task": model.task, "dtype": model.dtype}
    learner = Model(x, copies[model.output.name], seed=None, **settings)
    copy_weights(learner, model)
    return backbone, learner
