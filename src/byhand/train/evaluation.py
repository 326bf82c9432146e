"""Evaluation of a classifier: the mean loss and the accuracy on a data set."""

import numpy as np
import numpy.typing as npt

from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.nn import Model
from byhand.ops import softmax_cross_entropy
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array
from byhand.train.distributed.mpi import Communicator


def evaluate(model: Model, test: Dataset, comm: Communicator, hand: str) -> dict[str, float]:
    """Return `score` on a data set, of which each rank computes its shard."""
    check_data(model, test, hand)
    if comm.size == 1:
        return score(model.logits_of(test.images, hand=hand), test.labels)
    shard, logits = comm.shard(len(test)), np.zeros((len(test), len(model.classes)), model.dtype)
    if shard.stop > shard.start:
        logits[shard] = model.logits_of(test.rows(shard).images, hand=hand)
    return score(comm.all_reduce(logits), test.labels)


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


def check_data(model: Model, data: Dataset, hand: str) -> None:
    """Raise ArgumentError where something is no data set, or its images or labels do not fit the model."""
    if not isinstance(data, Dataset):
        raise ArgumentError(
            f"Trainer: got a {type(data).__name__}; expected a bh.data.Dataset(images, labels, classes), "
            "as bh.data.load gives"
        )
    if not model.trainable:
        raise ArgumentError(
            f"Trainer: {model.name} gives {model.task}; training and evaluation are of classes; see replace_head"
        )
    model.prepare(data.images[:1], hand=hand)
    check_labels(data.labels, len(model.classes))
