"""The task of a network: what its outputs answer, settled from the activation that they end in, and from class names.

    classes    one of several: softmax(logits); the outputs end in a softmax, a log-softmax, or in bare logits
    labels     any of several, each by itself: sigmoid(logits); one sigmoid alone decides between two names, p and 1 - p
    numbers    the outputs as they are: a regression
    features   an output of any shape, as it is: feature maps, an embedding

Files keep the task; `task=` and `--task` say it where a graph can't, as bare logits may be of classes or of labels.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.graph import Graph, Tensor
from byhand.nn.output_activation import read_ending
from byhand.ops import get, sigmoid, softmax
from byhand.ops.op import Array, Op
from byhand.shapes import integer

TASKS = ("classes", "labels", "numbers", "features")
SIGMOIDS = ("sigmoid", "hard_sigmoid")
SOFTMAXES = ("softmax", "log_softmax")
MAX_CLASSES = 1_000_000  # names of more take seconds to make
PROBABILITY_TOLERANCE = 1e-3  # of probabilities that a graph computes in float32


class OutputSpec(NamedTuple):
    """What a network's output is: its task, the logits, the activation after them, and the names of classes or labels."""

    task: str
    logits: Tensor
    activation: str = "none"
    attributes: Mapping[str, Any] = {}
    classes: tuple[str, ...] = ()

    @property
    def binary(self) -> bool:
        """Whether one output decides between two names."""
        return self.task == "labels" and self.logits.shape[1] == 1


def read_output(
    graph: Graph, output: Tensor, classes: Sequence[str] | int | None = None, task: str | None = None
) -> OutputSpec:
    """Return what an output answers; classes: the names or their count, None where unknown, () for none.

    Raises ShapeError where classes, labels or numbers are asked of an output that is not (N, K); ArgumentError where the
    names do not fit, or where the graph contradicts the task.

    >>> from byhand import nn
    >>> x = nn.Input(8)
    >>> read_output(x.graph, nn.Linear(1)(x)).task, read_output(x.graph, nn.Linear(3)(x)).task
    ('numbers', 'classes')
    """
    if task not in (None, *TASKS):
        raise UnknownNameError("task", str(task), TASKS)
    nameless = isinstance(classes, tuple) and not classes
    task = "features" if task is None and nameless else task
    if task in ("numbers", "features") and isinstance(classes, Sequence) and len(classes):
        raise ArgumentError(f"Model: got {len(classes)} class names, but the output gives {task}, which have no names")
    if task == "features":
        return OutputSpec(task, output)
    if len(output.shape) != 2:
        raise ShapeError(f"Model: the output {output!r} is not (N, classes); end with nn.Flatten() or nn.Linear()")
    ending = read_ending(graph, output)
    count = ending.logits.shape[1]
    task = _default_task(ending.activation, count, classes) if task is None else task
    if task == "numbers":
        return OutputSpec(task, output)
    if task == "classes" and count == 1 and ending.activation in SIGMOIDS:
        task = "labels"  # one of two classes, p and 1 - p
    if ending.activation in (SIGMOIDS if task == "classes" else SOFTMAXES):
        other = "labels" if task == "classes" else "classes"
        raise ArgumentError(
            f"Model: the output ends in a {ending.activation}, which gives {other}; expected task={other!r}"
        )
    if task == "classes" and count == 1:
        raise ArgumentError(
            "Model: one output is no class, its softmax is always 1; expected task='labels' with two names, or 'numbers'"
        )
    if count > MAX_CLASSES:
        raise ArgumentError(
            f"Model: {count:,} outputs are too many for {task} (at most {MAX_CLASSES:,}); expected task='features' or 'numbers'"
        )
    if isinstance(classes, (int, np.integer)):
        classes = [str(index) for index in range(integer("Model: classes", classes))]
    names = tuple(map(str, range(_default_count(task, count)) if classes is None or nameless else classes))
    if task == "labels" and (count, len(names)) == (1, 1):
        names = (f"not {names[0]}", *names)
    if len(names) != _default_count(task, count):
        hint = "; two names of one logit are task='labels'" if (count, len(names)) == (1, 2) else ""
        raise ArgumentError(f"Model: got {len(names)} class names for {count} outputs{hint}")
    return OutputSpec(task, ending.logits, ending.activation, ending.attributes, names)


def with_names(output: OutputSpec, names: Sequence[str]) -> OutputSpec:
    """Return an output with other names of its classes or labels; raise ArgumentError where their number is another."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"Model: classes is {names!r:.60}; expected names, ('cat', 'dog')")
    if len(names) != len(output.classes):
        raise ArgumentError(
            f"Model: got {len(names)} class names, but the model has {len(output.classes)}: its {output.task}"
        )
    return output._replace(classes=tuple(names))


def inherited_task(output: Tensor, classes: Sequence[str] | int | None) -> str | None:
    """Return the task of a model that was called as a layer, where its output is the network's own; None for another output.

    classes: those that the network is given, which only classes and labels have.
    """
    task: str | None = output.graph.tasks.get(output.name)
    has_names = classes is not None and (isinstance(classes, int) or len(classes) > 0)
    return task if classes is None or (has_names and task in ("classes", "labels")) else None


def _default_count(task: str, outputs: int) -> int:
    """Return how many names a task has for so many outputs."""
    return 2 if task == "labels" and outputs == 1 else outputs


def _default_task(activation: str, outputs: int, classes: Sequence[str] | int | None) -> str:
    """Return the task that a graph and its names tell."""
    if activation in SIGMOIDS:
        return "labels"
    if activation in SOFTMAXES:
        return "classes"
    unnamed = classes is None
    return "numbers" if unnamed and (outputs == 1 or activation in ("bounded", "other")) else "classes"


def answers(output: OutputSpec, logits: Array) -> Array:
    """Return what logits (N, K) answer: the probability of each name, (N, names), or the outputs as they are.

    The probabilities of classes add up to 1; of one sigmoid they are 1 - p and p; those of labels are independent.
    """
    if output.task not in ("classes", "labels"):
        return logits
    if output.activation == "other":  # probabilities already
        _check_probabilities(output, logits)
        return np.concatenate([1 - logits, logits], 1) if output.binary else logits
    if (op := answer_op(output)) is not None:
        return op(logits)  # type: ignore[no-any-return]
    if output.activation == "hard_sigmoid":
        p = get("hard_sigmoid")(logits, **output.attributes)
        return np.concatenate([1 - p, p], 1) if output.binary else p
    return sigmoid(np.concatenate([-logits, logits], 1))  # of one sigmoid


def answer_op(output: OutputSpec) -> Op | None:
    """Return the op that makes probabilities of logits; None where it takes more than one, or none."""
    if output.activation in ("other", "hard_sigmoid") or output.binary:
        return None
    return {"classes": softmax, "labels": sigmoid}.get(output.task)


def _check_probabilities(output: OutputSpec, values: Array) -> None:
    """Raise ArgumentError where outputs that are taken for probabilities are none; NaN is left to others."""
    beyond = np.any((values < -PROBABILITY_TOLERANCE) | (values > 1 + PROBABILITY_TOLERANCE))
    if output.task == "classes":
        beyond = beyond or np.any(np.abs(values.sum(1) - 1) > PROBABILITY_TOLERANCE)
    if beyond:
        low, high = np.nanmin(values), np.nanmax(values)
        what = "that add up to 1" if output.task == "classes" else "from 0 to 1"
        raise ArgumentError(
            f"the outputs {output.logits.name} are computed from a softmax or sigmoid, but are no probabilities {what}:"
            f" they go from {low:.4g} to {high:.4g}; expected task='numbers'"
        )


def grad_logits(output: OutputSpec, index: int, count: int, dtype: Any = np.float32) -> Array:
    """Return d score / d logits, (count, K), of the score of a class or label: 1 at its own logit.

    Of one sigmoid, the score of the first name is the negative logit.
    """
    grad = np.zeros((count, prod(output.logits.shape[1:])), dtype)
    grad[:, 0 if output.binary else index] = -1 if output.binary and index == 0 else 1
    return grad
