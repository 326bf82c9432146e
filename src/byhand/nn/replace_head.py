"""Transfer learning: a trained network that gets a new classifier, its last layer.

Source: Donahue et al. 2014, "DeCAF", arXiv 1310.1531: features that a network learned from one set of images serve for another.
"""

from collections.abc import Sequence

import numpy as np

from byhand.errors import ArgumentError
from byhand.graph import Graph, Node, Tensor
from byhand.nn.graph_copy import boundary, copy_graph, copy_weights
from byhand.nn.layers import GlobalAvgPool2d, Linear
from byhand.nn.model import Model
from byhand.ops.op import tree_leaves
from byhand.shapes import integer

HEAD_OPS = ("linear", "conv2d")
# ops that may stand between the last weights and the outputs
TAIL_OPS = (
    *("flatten", "reshape", "global_avg_pool", "avg_pool", "dropout", "transpose", "slice", "batch_norm", "layer_norm"),
    *("relu", "relu6", "clip", "tanh", "sigmoid", "hard_sigmoid", "softplus", "softmax", "exp", "log"),
)
# The same with a constant: MatMul and Add are two operators in ONNX, as is the division by a temperature.
BINARY_TAIL_OPS = ("add", "subtract", "multiply", "divide")


def replace_head(model: Model, classes: int | Sequence[str], frozen: bool, seed: int, unfreeze: int = 0) -> Model:
    """Return a model with a new last layer; see `Model.replace_head`."""
    if np.ndim(classes):
        classes = [str(name) for name in classes]  # type: ignore[union-attr]
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        classes = list(map(str, range(integer("replace_head: classes", classes))))
    last_features = _last_features(model)
    backbone = model.graph.up_to(last_features)
    frozen_nodes = len(backbone.nodes) if frozen else 0
    if frozen and integer("replace_head: unfreeze", unfreeze, 0):
        frozen_nodes = _frozen_nodes(backbone, unfreeze)
    graph, tensors = copy_graph(backbone, frozen_nodes, fixed_statistics=frozen)
    features = tensors[last_features.name]
    # In some networks the head is a convolution with a filter for each class, then an average over the image.
    if len(features.shape) == 4:
        features = GlobalAvgPool2d()(features)
    # a name that the model does not have either: copy_weights would give the new layer the weights of the old one
    logits = Linear(len(classes), name=model.graph.free_name("head"))(features)
    assert graph.input is not None
    new = Model(graph.input, logits, seed=seed, classes=classes, **model.settings)
    copy_weights(new, model)
    return new


def _last_features(model: Model) -> Tensor:
    """Return what a network's last weights read: of one layer, or of several whose outputs are combined."""
    node = last_before_tail(model.graph, model.logits)
    if node is not None and node.op.name in HEAD_OPS:
        return node.inputs["x"]  # type: ignore[no-any-return]
    if (features := _before_several_heads(model.graph.up_to(model.logits).nodes, model.logits.shape[-1])) is not None:
        return features
    what = "its input" if node is None else f"{node.name} ({node.op.name})"
    raise ArgumentError(
        f"{model.name}: its output comes from {what}; expected a linear layer or a convolution to replace"
    )


def _before_several_heads(nodes: Sequence[Node], outputs: int) -> Tensor | None:
    """Return the one tensor from which the last layers lead to the outputs, each with as many or one; None without."""
    heads = 0
    for start in range(len(nodes) - 1, -1, -1):
        node = nodes[start]
        if node.op.name in HEAD_OPS:
            if node.output.shape[-1] not in (1, outputs):
                return None
            heads += 1
        crossing = boundary(nodes, start)
        if heads and len(crossing) == 1:
            return crossing[0]
    return None


def last_before_tail(graph: Graph, tensor: Tensor) -> Node | None:
    """Return the node from which only tail ops lead to a tensor; None for the graph's input."""
    makers = {node.output.name: node for node in graph.nodes}
    node = makers.get(tensor.name)
    while node is not None and (before := _before_tail(node)) is not None:
        node = makers.get(before.name)
    return node


def _before_tail(node: Node) -> Tensor | None:
    """Return what a node of the tail reads beside constants, None for another node."""
    if node.op.name in TAIL_OPS:
        return node.inputs["x"]  # type: ignore[no-any-return]
    if node.op.name in BINARY_TAIL_OPS:
        computed = [tensor for tensor in tree_leaves(node.inputs.values()) if tensor.kind == "value"]
        return computed[0] if len(computed) == 1 else None
    return None


def _frozen_nodes(graph: Graph, unfreeze: int) -> int:
    """Return how many nodes, from the first, stay frozen: `unfreeze` layers with weights come after them.

    One tensor leads from the frozen nodes to the others.
    """
    layers = 0
    for start in range(len(graph.nodes) - 1, -1, -1):
        tensors = tree_leaves(graph.nodes[start].inputs.values())
        layers += any(tensor.kind in ("parameter", "state") and len(tensor.shape) > 1 for tensor in tensors)
        if start and layers >= unfreeze and len(boundary(graph.nodes, start)) == 1:
            return start
    raise ArgumentError(
        f"replace_head: unfreeze is {unfreeze}, but there are {layers} layers with weights below the head; "
        "to train all of them: frozen=False"
    )
