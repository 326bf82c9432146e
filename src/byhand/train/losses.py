"""The losses of a Trainer: what it minimizes, and how labels become the targets of a step.

    cross_entropy   the softmax's, against class numbers, or against soft labels: distributions (N, K)
    mse             the mean squared error of the outputs of a network of numbers, against numbers of their shape
    bce             the binary cross-entropy of a sigmoid for each output of a network of labels, against labels from 0 to 1 of
                    their shape; of one sigmoid also against class numbers, 0 or 1
    a function      (outputs, labels) -> (loss, gradient of the loss with respect to the outputs)

A loss fits the task, so that `predict` gives what was learned: a softmax of outputs that were fitted to numbers is no
probability.

Class weights multiply the targets: L = -(1 / N) sum over n, k of w[k] t[n, k] ln q[n, k], a mean over the images (as in Keras;
PyTorch divides by the sum of the weights instead).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.hints.arguments import LOSS_NAMES
from byhand.nn import Model
from byhand.ops import mse_loss, sigmoid_cross_entropy, soft_target_cross_entropy, softmax, softmax_cross_entropy
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array, CallSpec, Op
from byhand.shapes import Shape, number
from byhand.train.arrays import has_numbers_for_names

LOSSES = ("cross_entropy", "mse", "bce")
SUM_TOLERANCE = 1e-3  # of the probabilities of a soft label
LossFunction = Callable[[Array, Array], tuple[float, Array]]


@dataclass(frozen=True)
class Loss:
    """A loss and the settings that change its targets.

    kind: a name or a function; shape: of one image's outputs; classes: how many class numbers there are, 0: none; soft: whether
    labels are arrays like the outputs, not class numbers; weights: one a class; binary: one output decides between two classes;
    class_weight: as the user gave it, of which `weighted_for` makes the weights.
    """

    kind: str | LossFunction
    shape: Shape
    classes: int
    dtype: np.dtype[Any]
    label_smoothing: float = 0.0
    weights: tuple[float, ...] | None = None
    soft: bool = False
    binary: bool = False
    class_weight: Any = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        model: Model,
        kind: str | LossFunction,
        label_smoothing: float,
        class_weight: Mapping[Any, float] | Sequence[float] | None,
    ) -> Loss:
        """Return the loss of a Trainer's settings; raise ArgumentError or UnknownNameError where they do not fit."""
        if isinstance(kind, str) and kind in LOSS_NAMES:
            raise ArgumentError(f"Trainer: there is no loss '{kind}'; {LOSS_NAMES[kind]}")
        if not callable(kind) and kind not in LOSSES:
            raise UnknownNameError("loss", str(kind), LOSSES)
        if kind != "cross_entropy" and (label_smoothing or class_weight is not None):
            raise ArgumentError("Trainer: label_smoothing and class_weight are for loss='cross_entropy'")
        if kind == "cross_entropy" and model.classes and not model.learns_classes:
            raise ArgumentError(
                f"Trainer: {model.name} gives {model.task}, not one of several classes; take loss='bce', or see replace_head"
            )
        if not model.classes and kind == "cross_entropy":
            raise ArgumentError(
                f"Trainer: {model.name} has no classes; take loss='mse' or a function, or give it classes"
            )
        if kind != "cross_entropy":
            _check_task(model, kind)
        count = 0 if callable(kind) and model.task == "labels" else len(model.classes)
        binary = model.answer.binary and kind == "bce"
        shape, dtype = model.logits.shape[1:], model.dtype
        loss = cls(kind, shape, count, dtype, label_smoothing, binary=binary, class_weight=class_weight)
        try:
            return loss.weighted_for(model)
        except UnknownNameError:
            if not has_numbers_for_names(model):
                raise
            return loss  # `fit` finds the classes

    def weighted_for(self, model: Model) -> Loss:
        """Return the loss with the weights of the model's classes, which have other names once `fit` found them.

        Raises ArgumentError or UnknownNameError where they do not fit the classes.
        """
        if self.class_weight is None:
            return self
        weights = class_weights(self.class_weight, model.classes, model.classes_are_integers)
        return replace(self, weights=weights)

    @property
    def name(self) -> str:
        """Its name; of a function, the function's."""
        return self.kind if isinstance(self.kind, str) else getattr(self.kind, "__name__", "function")

    @cached_property
    def op(self) -> Op:
        """The op that ends the training program."""
        if not isinstance(self.kind, str):
            return function_op(self.kind)
        if self.kind == "cross_entropy":
            return soft_target_cross_entropy if self.soft or self.weights else softmax_cross_entropy
        return {"mse": mse_loss, "bce": sigmoid_cross_entropy}[self.kind]

    @property
    def program_settings(self) -> dict[str, Any]:
        """The arguments of `Model.program`."""
        smoothing = self.label_smoothing if self.op is softmax_cross_entropy else 0.0
        return {"loss": self.op, "label_smoothing": smoothing}

    def fitted_to(self, labels: npt.ArrayLike) -> Loss:
        """Return the loss for labels of this kind; raise ArgumentError or ShapeError for labels that it does not take."""
        array = np.asarray(labels)
        if not isinstance(self.kind, str):
            return self
        if array.ndim == 1 and self.classes:
            if not self.binary or array.dtype.kind != "f":
                check_labels(array, self.classes)
                return self if not self.soft else replace(self, soft=False)
            array = array[:, None]
        if array.dtype.kind not in "fiu":
            raise ArgumentError(f"labels hold {array.dtype}; expected numbers")
        if array.shape[1:] != self.shape or not array.ndim:
            sizes, whole = ", ".join(map(str, self.shape)), "(N,) or " if self.classes else ""
            raise ShapeError(f"Trainer: labels have the shape {array.shape}; expected {whole}(N, {sizes})")
        if not np.isfinite(array).all():
            raise ArgumentError("labels hold NaN or infinity; expected finite numbers")
        if self.kind != "mse" and array.size and (array.min() < 0 or array.max() > 1):
            raise ArgumentError(f"labels go from {array.min():g} to {array.max():g}; loss='{self.kind}' takes 0 to 1")
        if self.kind == "cross_entropy" and array.size and abs(array.sum(-1) - 1).max() > SUM_TOLERANCE:
            raise ArgumentError(
                "the soft labels of an image must sum to 1; for several labels an image take loss='bce'"
            )
        return self if self.soft else replace(self, soft=True)

    def targets(self, labels: Array) -> Array:
        """Return the targets that the program takes for labels of a batch."""
        if self.op is softmax_cross_entropy or not isinstance(self.kind, str):
            return labels
        targets = self.distribution(labels)
        if self.label_smoothing:
            targets = targets * (1 - self.label_smoothing) + self.label_smoothing / self.classes
        return targets if self.weights is None else (targets * np.asarray(self.weights)).astype(self.dtype)

    def distribution(self, labels: Array) -> Array:
        """Return labels as an array like the outputs; class numbers become one-hot."""
        if self.binary:
            return labels.reshape(-1, 1).astype(self.dtype, copy=False)
        if labels.ndim > 1 or not self.classes:
            return labels.astype(self.dtype, copy=False)
        one_hot: Array = np.zeros((len(labels), self.classes), self.dtype)
        one_hot[np.arange(len(labels)), labels] = 1
        return one_hot

    def has_accuracy(self, labels: Array) -> bool:
        """Tell whether predictions can be right or wrong: there are classes, and labels of them."""
        return bool(self.classes) and labels.shape[1:] in ((), self.shape)

    def correct(self, predictions: Array, labels: Array) -> Array | None:
        """Return whether each image is right, (N,): its class, or with 'bce' all of its labels; None without an accuracy."""
        if not self.has_accuracy(labels) or predictions.shape[1:] != self.shape:
            return None
        if self.kind == "bce":
            return ((predictions > 0.5) == (self.distribution(labels) > 0.5)).all(-1)  # type: ignore[no-any-return]
        if labels.ndim == 1:
            return predictions.argmax(-1) == labels  # type: ignore[no-any-return]
        return predictions.argmax(-1) == labels.argmax(-1)  # type: ignore[no-any-return]

    def score(self, logits: Array, labels: Array) -> dict[str, float]:
        """Return the mean loss of outputs, without weights and smoothing, and with classes the accuracy."""
        if not isinstance(self.kind, str):
            loss, _ = call_function(self.kind, logits, labels)
        elif labels.ndim == 1 and self.kind == "cross_entropy":
            loss = float(softmax_cross_entropy(logits.astype(np.float64), labels, hand="arrays"))
        else:
            op = soft_target_cross_entropy if self.kind == "cross_entropy" else self.op
            targets = self.distribution(labels).astype(np.float64)
            loss = float(op(logits.astype(np.float64), targets, hand="arrays"))
        right = self.correct(self.predictions(logits), labels)
        return {"loss": loss} | ({} if right is None else {"accuracy": float(right.mean())})

    def predictions(self, logits: Array) -> Array:
        """Return what metrics take: probabilities where there are classes, else the outputs."""
        if self.kind == "bce":
            return 1 / (1 + np.exp(-logits))
        return softmax(logits) if self.classes else logits


def _check_task(model: Model, kind: str | LossFunction) -> None:
    """Raise ArgumentError where `predict` would give something else than what a loss fits; cross-entropy has its own check."""
    tasks = {"bce": ("labels",), "mse": ("numbers", "features")}.get(kind, ()) if isinstance(kind, str) else ()
    what = f"loss='{kind}'" if isinstance(kind, str) else "a loss function of your own"
    if tasks and model.task not in tasks:
        raise ArgumentError(
            f"Trainer: {model.name} gives {model.task}, which {what} does not fit; make it nn.Model(..., task='{tasks[0]}')"
        )
    ending = model.answer.activation
    if kind == "bce" and ending not in ("none", "bounded", "sigmoid"):
        raise ArgumentError(
            f"Trainer: {what} contains the sigmoid, but {model.name} ends in "
            f"{'probabilities' if ending == 'other' else f'a {ending}'}; end it with nn.Sigmoid(), or with the layer before"
        )
    if callable(kind) and model.output is not model.logits:
        raise ArgumentError(
            f"Trainer: {what} takes the outputs, but {model.name} learns from what is before its {ending}; "
            "end it with the layer before, or make it nn.Model(..., task='numbers')"
        )


def class_weights(given: Any, classes: Sequence[str], integer_names: bool = False) -> tuple[float, ...]:
    """Return a weight for each class: given in order, or by class number or name, 1 for those that are not named.

    integer_names: whether an integer is a class's name, as after a training on such labels, not its number.

    >>> class_weights({"dog": 3}, ("cat", "dog"))
    (1.0, 3.0)
    """
    if isinstance(given, str):
        raise ArgumentError(
            f"Trainer: class_weight is {given!r}; expected numbers: {{'cat': 1, 'dog': 3}}, or one a class "
            "(balanced ones are len(labels) / (classes * numpy.bincount(labels)))"
        )
    if isinstance(given, Mapping):
        weights = [1.0] * len(classes)
        for key, weight in given.items():
            name = str(key) if integer_names and hasattr(key, "__index__") else key
            if classes.count(name) > 1:
                raise ArgumentError(
                    f"Trainer: class_weight: several classes are called {name!r}; give a list, one a class"
                )
            index: Any = classes.index(name) if name in classes else name
            if not hasattr(index, "__index__") or not 0 <= index < len(classes):
                raise UnknownNameError("class", str(key), classes)
            weights[index] = weight
    else:
        weights = list(given)
    if len(weights) != len(classes):
        raise ArgumentError(f"Trainer: class_weight has {len(weights)} numbers; expected {len(classes)}, one a class")
    return tuple(number("Trainer: class_weight", weight, 0) for weight in weights)


def call_function(function: LossFunction, outputs: Array, labels: Array) -> tuple[float, Array]:
    """Return (loss, gradient) of a loss function of the user's; raise ArgumentError where it returns something else."""
    result, name = function(outputs, labels), getattr(function, "__name__", "function")
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            f"the loss {name} returned a {type(result).__name__}; expected (loss, gradient): a number, and its derivative "
            f"with respect to the outputs, {outputs.shape}"
        )
    loss, gradient = result
    if np.shape(loss) != () or np.shape(gradient) != outputs.shape:
        raise ShapeError(
            f"the loss {name} returned the shapes {np.shape(loss)} and {np.shape(gradient)}; "
            f"expected () and {outputs.shape}, those of a number and of the outputs"
        )
    return float(loss), np.asarray(gradient)


def function_op(function: LossFunction) -> Op:
    """Return a loss function as an op, whose forward calls it, and whose backward returns the gradient that it gave."""

    def contract(x: Shape, targets: Shape) -> CallSpec:
        """Return the loss of outputs x against targets."""
        return CallSpec({"loss": (), "predictions": x, "gradient": x})

    def loss_function(x, targets, loss, predictions, gradient):  # type: ignore[no-untyped-def]
        predictions[...] = x
        loss[...], gradient[...] = call_function(function, predictions.copy(), targets)

    def loss_function_backward(gradient, grad_loss, grad_x):  # type: ignore[no-untyped-def]
        np.multiply(gradient, grad_loss, out=grad_x)

    hands = loss_function, loss_function_backward
    return Op(
        "loss_function",
        contract,
        loops=hands,
        arrays=hands,
        compiled=hands,
        sample=lambda draw: ((draw.array(2, 3), draw.array(2, 3)), {}),
        in_python=True,
    )
