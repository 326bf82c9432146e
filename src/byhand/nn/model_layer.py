"""A model as a layer of another network: its nodes, on another tensor, with a copy of its weights."""

import re

from byhand.errors import ShapeError
from byhand.graph import Tensor
from byhand.nn.graph_copy import copy_nodes
from byhand.nn.init import constant
from byhand.nn.model import Model


def apply_model(model: Model, x: Tensor) -> Tensor:
    """Add a model's nodes to the graph of a tensor; return its output there.

    The names are prefixed with the model's: `lenet5_conv1`. The parameters begin with the model's values, and those that are
    frozen stay so. A second call on the same graph shares them. Called on the input of a network, it gives that its
    preprocessing, where it gets no other; elsewhere x takes the place of normalized pixels. A network whose output is the
    model's own gives what the model gives: it has its task.
    Raises ShapeError where x has another number of axes or channels than the model's images.

    >>> import byhand as bh
    >>> from byhand import nn
    >>> backbone = bh.models.create("lenet5")
    >>> x = nn.Input(28, 28, 1)
    >>> nn.Model(x, nn.Sequential(backbone, nn.ReLU(), nn.Linear(2)))
    <model model: (28, 28, 1) -> 2 classes, 61,728 parameters>
    """
    graph = x.graph
    assert model.graph.input is not None
    if len(x.shape) != len(model.input_shape) + 1 or x.shape[-1:] != model.input_shape[-1:]:
        raise ShapeError(f"{model.name} was called on {x!r}; expected images {model.input_shape}")
    with graph.rollback_on_error():
        again = id(model) in graph.layers
        _, mine = graph.layers.setdefault(id(model), (model, {}))
        prefix = _free_prefix(x, re.sub(r"\W|^(?=\d)", "_", model.name))
        for kind, arrays in (("parameter", model.p), ("state", model.state)):
            for tensor in model.graph.of_kind(kind):
                if not again:
                    values = constant(vars(arrays)[tensor.name].copy())
                    mine[tensor.name] = graph.add_tensor(prefix + tensor.name, tensor.shape, kind, tensor.dtype, values)
        tensors = {model.graph.input.name: x, **mine}
        if x is graph.input:
            graph.preprocessing = model.preprocessing
        copy_nodes(graph, model.graph, model.graph.up_to(model.output).nodes, tensors, prefix=prefix)
        output = tensors[model.output.name]
        graph.tasks[output.name] = model.task
        return output


def _free_prefix(x: Tensor, name: str) -> str:
    """Return a prefix with which no tensor of the graph begins: the name, or the name and a number."""
    number, prefix = 2, f"{name}_"
    while any(taken.startswith(prefix) for taken in x.graph.tensors):
        number, prefix = number + 1, f"{name}{number}_"
    return prefix
