"""The same network with another task, or with its activation written into the graph.

Exports need the activation in the graph: a file that ends in bare logits leaves the softmax to the program that runs it.
"""

from byhand.errors import ArgumentError
from byhand.nn import init
from byhand.nn.graph_copy import copy_graph, copy_weights
from byhand.nn.model import Model
from byhand.ops import get


def with_task(model: Model, task: str | None) -> Model:
    """Return a model with the same graph and weights whose outputs answer another task; None: its own.

    Raises ArgumentError where the graph contradicts it: sigmoids give labels, a softmax gives classes.

    >>> import byhand as bh
    >>> with_task(bh.models.create("lenet5"), "labels")
    <model lenet5: (28, 28, 1) -> 10 labels, 61,706 parameters>
    """
    if task in (None, model.task):
        return model
    classes = model.classes if task in ("classes", "labels") and len(model.classes) == model.output.shape[-1] else None
    assert model.graph.input is not None
    new = Model(model.graph.input, model.output, seed=None, classes=classes, task=task, **model.settings)
    copy_weights(new, model)
    return new


def with_probabilities(model: Model) -> Model:
    """Return a model whose graph ends in the probabilities that `predict` returns.

    Of one sigmoid these are the second name's alone, (N, 1).
    Raises ArgumentError for a model of numbers or features.

    >>> import byhand as bh
    >>> with_probabilities(bh.models.create("lenet5")).output
    <value softmax1 (N, 10)>
    """
    if model.task not in ("classes", "labels"):
        raise ArgumentError(f"{model.name} gives {model.task}, no probabilities; expected classes or labels")
    if model.answer.activation == "other":
        return model
    graph, tensors = copy_graph(model.graph.up_to(model.logits))
    hard = model.answer.activation == "hard_sigmoid"
    op = "softmax" if model.task == "classes" else "hard_sigmoid" if hard else "sigmoid"
    output = graph.add(get(op), {"x": tensors[model.logits.name]}, model.answer.attributes if hard else {})
    assert graph.input is not None
    new = Model(graph.input, output, seed=None, **model.output_settings)
    copy_weights(new, model)
    return new


def as_two_classes(model: Model) -> Model:
    """Return the model of one sigmoid as one of two classes with a softmax: the logits are -z / 2 and z / 2.

        softmax(-z / 2, z / 2) = 1 - sigmoid(z), sigmoid(z)

    What is made for classes, such as the page and C code, then shows it. Another model is returned as it is.

    >>> from byhand import nn
    >>> x = nn.Input(8)
    >>> as_two_classes(nn.Model(x, nn.Sigmoid()(nn.Linear(1)(x)), classes=["cat", "dog"]))
    <model model: (8,) -> 2 classes, 9 parameters>
    """
    if not model.answer.binary or model.answer.activation not in ("sigmoid", "none", "bounded"):
        return model
    graph, tensors = copy_graph(model.graph.up_to(model.logits))
    name = graph.free_name("two_classes")
    weight = graph.add_tensor(f"{name}_weight", (1, 2), "state", None, init.zeros)
    logits = graph.add(get("linear"), {"x": tensors[model.logits.name], "weight": weight}, {}, name)
    assert graph.input is not None
    new = Model(graph.input, logits, seed=None, classes=model.classes, **model.settings)
    copy_weights(new, model)
    vars(new.state)[weight.name][...] = [[-0.5, 0.5]]
    return new
