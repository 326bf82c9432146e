"""Updates on a batch: by the training program, or by several ranks, each on its shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.ops.op import Array
from byhand.train.state import batch_sizes

if TYPE_CHECKING:
    from byhand.train.trainer import Trainer


def take_loss(trainer: Trainer, labels: Array) -> None:
    """Take the loss for labels of this kind: class numbers, or targets like the outputs."""
    trainer.loss = trainer.loss.weighted_for(trainer.model).fitted_to(labels)
    if trainer.data_parallel is not None:
        trainer.data_parallel.loss = trainer.loss


def check_batches(trainer: Trainer, images: int) -> None:
    """Build the programs of an epoch of so many images: a batch size that a layer refuses is refused before the first step."""
    build = trainer.program if trainer.data_parallel is None else trainer.data_parallel.program
    for size in sorted(batch_sizes(images, trainer.batch_size)):
        build(size)


def run_steps(
    trainer: Trainer,
    images: Any,
    labels: Array,
    batch: int,
    learning_rates: Sequence[float],
    rows: Array | None = None,
) -> tuple[Array, Array]:
    """Do an update with each learning rate, on `batch` images each; return the losses and the numbers of correct answers.

    rows: which of the images, by default all. With several ranks, each is given its shard of one batch.
    """
    if trainer.data_parallel is not None:
        (lr,), trainer.steps = learning_rates, trainer.steps + 1
        loss, correct = trainer.data_parallel(images, labels, rows, batch, lr, trainer.steps)
        return np.array([loss]), np.array([correct])
    losses, predictions, *_ = run_program(trainer, images, labels, batch, learning_rates, rows).values()
    right = trainer.loss.correct(predictions.reshape(-1, *predictions.shape[2:]), labels)
    return losses, np.zeros(len(losses), int) if right is None else right.reshape(len(losses), batch).sum(1)


def run_program(
    trainer: Trainer,
    images: Any,
    labels: Array,
    batch: int,
    learning_rates: Sequence[float],
    rows: Array | None = None,
) -> dict[str, Array]:
    """Do updates; return what the last layer wrote in each: the loss, the predictions."""
    model, count, program = trainer.model, len(learning_rates), trainer.program(batch)
    x, targets = program.images[:count], trainer.loss.targets(labels)
    targets = targets.reshape(count, batch, *targets.shape[1:])
    model.prepare(images, rows, out=x.reshape(-1, *model.input_shape), hand=trainer.hand)
    scheduled = {"lr": np.asarray(learning_rates), "t": np.arange(trainer.steps + 1, trainer.steps + count + 1)}
    namespaces = model.p, model.g, model.state, program.arena, trainer.buffer_namespace
    results = program.steps(x, targets, *namespaces, **scheduled)
    trainer.steps += count
    return results
