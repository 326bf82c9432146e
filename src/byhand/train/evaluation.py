"""Evaluation of a classifier: the mean loss and the accuracy on a data set."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.kernels.conv.problem import FLOAT32
from byhand.nn import Model
from byhand.nn.network_input import warn_of_pixels
from byhand.ops import softmax_cross_entropy
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array
from byhand.train.distributed.mpi import Communicator
from byhand.train.losses import Loss

Metric = Callable[[Any, Any], float]  # (labels, probabilities) -> a number


def evaluate(
    model: Model,
    test: Dataset,
    comm: Communicator,
    hand: str,
    loss: Loss,
    metrics: Mapping[str, Metric] | None = None,
    precision: str = FLOAT32,
) -> dict[str, float]:
    """Return the loss, the accuracy and the metrics on a data set, of which each rank computes its shard."""
    check_data(model, test, hand, loss)
    if comm.size == 1:
        logits = model.logits_of(test.images, hand=hand, precision=precision)
    else:
        shard, logits = comm.shard(len(test)), np.zeros((len(test), *model.logits.shape[1:]), model.dtype)
        if shard.stop > shard.start:
            logits[shard] = model.logits_of(test.rows(shard).images, hand=hand, precision=precision)
        logits = comm.all_reduce(logits)
    row = loss.score(logits, test.labels)
    for name, metric in (metrics or {}).items():
        value = metric(test.labels, loss.predictions(logits))
        if np.shape(value) != ():
            raise ArgumentError(f"the metric {name} returned an array {np.shape(value)}; expected a number")
        row[name] = float(value)
    return row


def named_metrics(metrics: Mapping[str, Metric] | Sequence[Metric | str]) -> dict[str, Metric]:
    """Return metrics by name: given by name, or functions that have one; "accuracy" is there without asking.

    A metric is a function of (labels, probabilities), in the order of scikit-learn and Keras, that returns a number.
    """
    if isinstance(metrics, str) or not isinstance(metrics, (Mapping, Sequence)):
        raise ArgumentError(f"Trainer: metrics is {metrics!r}; expected functions by name: {{'name': function}}")
    functions = [metric for metric in metrics if metric not in ("accuracy", "acc", "loss")]
    named: dict[Any, Any] = dict(metrics) if isinstance(metrics, Mapping) else {_name(m): m for m in functions}
    for name, metric in named.items():
        if not callable(metric) or not isinstance(name, str) or name in ("loss", "accuracy"):
            raise ArgumentError(
                f"Trainer: metrics has {metric!r} as {name!r}; expected a function (labels, probabilities) -> number "
                "under a name of its own"
            )
    return named


def _name(metric: Any) -> str:
    return getattr(metric, "__name__", str(metric))


def score(logits: Array, labels: npt.ArrayLike) -> dict[str, float]:
    """Return the mean loss and the accuracy of logits (N, classes), given the labels (N,).

    >>> score(np.array([[0.0, 0.0], [9.0, 0.0]]), [1, 0])
    {'loss': 0.346..., 'accuracy': 0.5}
    """
    targets = check_labels(labels, logits.shape[1])
    return {
        "loss": float(softmax_cross_entropy(logits.astype(np.float64), targets, hand="arrays")),
        "accuracy": float((logits.argmax(1) == targets).mean()),
    }


def check_data(model: Model, data: Dataset, hand: str, loss: Loss, *, is_training: bool = False) -> None:
    """Raise ArgumentError where something is no data set, or its images or labels do not fit the model.

    is_training: floating point images are what the model is to learn.
    """
    if not isinstance(data, Dataset):
        raise ArgumentError(
            f"Trainer: got a {type(data).__name__}; expected a bh.data.Dataset(images, labels, classes), "
            "as bh.data.load gives"
        )
    model.prepare(data.images[:1], hand=hand)
    if data.images.dtype != np.uint8:
        warn_of_pixels(model, data.images, is_training=is_training)
    loss.fitted_to(data.labels)
