"""`model.fit` and `model.evaluate`: a training in one call, on plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from byhand.data import Augment, Dataset
from byhand.data.stratified_split import stratified_split
from byhand.errors import ArgumentError
from byhand.hints import hinted
from byhand.kernels.conv.problem import FLOAT32
from byhand.nn import Model
from byhand.nn.model import METHODS
from byhand.ops import DEFAULT_HAND
from byhand.shapes import number
from byhand.train.arrays import as_dataset
from byhand.train.distributed.mpi import world
from byhand.train.evaluation import Metric, named_metrics
from byhand.train.evaluation import evaluate as evaluate_dataset
from byhand.train.history import History, Row
from byhand.train.losses import Loss, LossFunction
from byhand.train.optim import AdamW, Optimizer
from byhand.train.run import Run
from byhand.train.schedule import OneCycle
from byhand.train.trainer import Trainer

EPOCHS = 10
LEARNING_RATE = 0.003  # of AdamW, at the peak of one cycle


@hinted
def fit(
    model: Model,
    images: Any,
    labels: Any = None,
    *,
    epochs: int = EPOCHS,
    batch_size: int = 64,
    optimizer: Optimizer | None = None,
    schedule: Any = None,
    loss: str | LossFunction = "cross_entropy",
    class_weight: Mapping[Any, float] | Sequence[float] | None = None,
    metrics: Mapping[str, Metric] | Sequence[Metric | str] = (),
    validation: Any = None,
    validation_fraction: float = 0.0,
    early_stopping: int | None = None,
    callbacks: Sequence[Callable[[Row], object]] = (),
    augment: Augment | str | None = None,
    label_smoothing: float = 0.0,
    clip_norm: float | None = None,
    seed: int = 0,
    hand: str = DEFAULT_HAND,
    precision: str = FLOAT32,
    quiet: bool = False,
    run: Run | None = None,
) -> History:
    """Train a model; return one row per epoch. `model.fit(...)` is the same.

    images, labels: arrays, as `byhand.train.arrays.as_dataset` takes them, or a Dataset. optimizer, schedule: by default AdamW
    in one cycle up to a learning rate of 0.003. validation: a Dataset or a pair (images, labels); validation_fraction: of each
    class, set aside for validation. The rest as `bh.Trainer` and its `fit` take it.

    >>> import byhand as bh
    >>> train, test = bh.data.load("mnist")
    >>> model = bh.models.create("article")
    >>> rows = model.fit(train.images[:500], train.labels[:500], epochs=2, quiet=True)
    >>> model.evaluate(test.images[:100], test.labels[:100])["accuracy"] > 0.6
    True
    """
    train = as_dataset(model, images, labels, find_classes=True)
    fraction = number("fit: validation_fraction", validation_fraction, 0, 1)
    if fraction:
        if validation is not None:
            raise ArgumentError("fit: got validation and validation_fraction; expected one")
        kept, held_out = stratified_split(_strata(train), fraction, seed)
        if not len(held_out):
            raise ArgumentError(
                f"fit: validation_fraction {fraction:g} of {len(train)} images is none; give more of them"
            )
        train, validation = train.rows(kept), train.rows(held_out)
    trainer = Trainer(
        model,
        AdamW(LEARNING_RATE) if optimizer is None else optimizer,
        batch_size=batch_size,
        schedule=OneCycle() if optimizer is None and schedule is None else schedule,
        loss=loss,
        class_weight=class_weight,
        metrics=metrics,
        augment=augment,
        label_smoothing=label_smoothing,
        clip_norm=clip_norm,
        seed=seed,
        hand=hand,
        precision=precision,
    )
    settings: dict[str, Any] = {"early_stopping": early_stopping, "callbacks": callbacks, "quiet": quiet, "run": run}
    return History(trainer.fit(train, validation=validation, epochs=epochs, **settings))


def _strata(train: Dataset) -> Any:
    """Return what a split keeps in proportion: the classes; of targets, nothing."""
    return train.labels if train.labels.ndim == 1 and train.labels.dtype.kind in "iu" else [0] * len(train)


@hinted
def evaluate(
    model: Model,
    images: Any,
    labels: Any = None,
    *,
    loss: str | LossFunction = "cross_entropy",
    metrics: Mapping[str, Metric] | Sequence[Metric | str] = (),
    hand: str = DEFAULT_HAND,
    precision: str = FLOAT32,
) -> dict[str, float]:
    """Return the mean loss and, with classes, the accuracy; `model.evaluate(...)` is the same.

    images, labels: as `fit` takes them; loss, metrics, precision: as `bh.Trainer` takes them.
    """
    chosen = Loss.of(model, loss, 0.0, None)
    data = as_dataset(model, images, labels)
    return evaluate_dataset(model, data, world(), hand, chosen, named_metrics(metrics), precision)


METHODS.update(fit=fit, evaluate=evaluate)
