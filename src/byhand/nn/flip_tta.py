"""Horizontal-flip test-time augmentation, as a network: the mean of the logits of an image and of its mirror image.

    logits(x) = (network(x) + network(flip x)) / 2

A flipped photo shows the same class, and the mean of two predictions errs less than one, at twice the cost. The result is one
graph with one set of weights, so that every export and every report takes it like any other.

Source: Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks", section 4.1.
"""

from byhand.errors import ArgumentError, ShapeError
from byhand.nn import init
from byhand.nn.graph_copy import copy_graph, copy_nodes, copy_weights
from byhand.nn.model import Model
from byhand.ops import get

FLIP = {"starts": (None,), "stops": (None,), "axes": (2,), "steps": (-1,)}  # the columns of (N, H, W, C), backwards


def with_flip_tta(model: Model) -> Model:
    """Return a model whose logits are the mean of another one's for an image and for its mirror image."""
    if len(model.input_shape) != 3:
        raise ShapeError(f"{model.name}: images are {model.input_shape}; expected (H, W, C) to flip")
    if model.answer.activation in ("hard_sigmoid", "other"):
        raise ArgumentError(
            f"{model.name}: its output has no logits to average; expected one that ends in a softmax or sigmoid"
        )
    graph = model.graph.up_to(model.logits)
    both, tensors = copy_graph(graph.up_to())  # the input alone
    assert both.input is not None and graph.input is not None
    flip, half = graph.free_name("flip"), graph.free_name("half")
    flipped = {graph.input.name: both.add(get("slice"), {"x": both.input}, FLIP, flip)}
    copy_nodes(both, graph, graph.nodes, flipped, prefix=f"{flip}_")
    tensors |= {name: tensor for name, tensor in flipped.items() if tensor.kind in ("parameter", "state")}
    # Last: the last feature maps of the graph are those of the image itself.
    copy_nodes(both, graph, graph.nodes, tensors)
    weight = both.add_tensor(half, (1,), "state", None, init.constant(0.5))
    logits = (tensors[model.logits.name] + flipped[model.logits.name]) * weight
    tta_model = Model(both.input, logits, **model.output_settings)
    tta_model.classes_are_integers = model.classes_are_integers
    copy_weights(tta_model, model)
    return tta_model
