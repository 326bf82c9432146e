"""A network that looks twice: at an image and at its mirror image, with the same weights, and answers with the mean.

    logits(x) = (network(x) + network(mirrored x)) / 2

What has no preferred side is the same thing mirrored; two looks at it err less than one, at twice the work. It is one graph
like any other, so that whoever runs it, exports it or looks into it need not know.

Source: Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks", section 4.1.
"""

from byhand.errors import ShapeError
from byhand.nn import init
from byhand.nn.model import Model
from byhand.nn.replace_head import add_nodes, copied, take_numbers
from byhand.ops import get

IMAGE = 4  # axes: (N, H, W, C)


def mirrored(model: Model) -> Model:
    """Return a model that takes the mean of what another one says of an image and of its mirror image."""
    if len(model.input_shape) != IMAGE - 1:
        raise ShapeError(f"{model.name}: images are {model.input_shape}; expected (H, W, C) to mirror")
    graph = model.graph.up_to(model.logits)
    start, made = copied(graph.up_to())
    assert start.input is not None and graph.input is not None
    mirror, half = graph.free_name("mirror"), graph.free_name("half")
    backwards = {"starts": (None,), "stops": (None,), "axes": (2,), "steps": (-1,)}
    other = {graph.input.name: start.add(get("slice"), {"x": start.input}, backwards, mirror)}
    add_nodes(start, graph, graph.nodes, other, prefix=f"{mirror}_")
    made |= {name: tensor for name, tensor in other.items() if tensor.kind in ("parameter", "state")}
    add_nodes(start, graph, graph.nodes, made)  # last: who looks for the last maps is to find those of the image itself
    part = start.add_tensor(half, (1,), "state", None, init.constant(0.5))
    logits = (made[model.logits.name] + other[model.logits.name]) * part
    twice = Model(
        start.input, logits, name=model.name, classes=model.classes, mean=model.mean, std=model.std, dtype=model.dtype,
        crop=model.crop,
    )  # fmt: skip
    take_numbers(twice, model)
    return twice
