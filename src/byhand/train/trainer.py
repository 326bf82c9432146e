"""The Trainer: one update, a whole training, and a checkpoint from which it goes on bit for bit.

Where training stands is a handful of numbers: how many steps are done, the sums of the epoch so far, one row a finished
epoch. The order of the images is drawn from the seed and the epoch, the learning rate from the progress, so that nothing
else has to be kept beside the parameters, the optimiser's buffers and the states.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from math import isfinite
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.data import Dataset
from byhand.errors import ArgumentError, DivergedError, ShapeError
from byhand.nn import Model
from byhand.ops import DEFAULT_HAND, softmax_cross_entropy
from byhand.ops.loss import check_labels
from byhand.ops.op import Array
from byhand.program import Program
from byhand.shapes import integer, number
from byhand.train import checkpoint
from byhand.train.optim import OPTIMIZERS, Optimizer, update
from byhand.train.progress import Progress, Row
from byhand.train.run import Run
from byhand.train.schedule import SCHEDULES, Constant, Schedule
from byhand.train.stop import stop_signals

if TYPE_CHECKING:
    from byhand.train.display import Display

SAVE_EVERY = 30.0  # seconds between checkpoints within an epoch
CURVE_POINTS = 100


class Trainer:
    """Trains a model.

    batch_size: images an update; schedule: how the learning rate changes (constant); clip_norm: the longest gradient
    allowed; label_smoothing: the part of the truth spread over all classes; seed: the order of the images.

    >>> import byhand as bh
    >>> train, test = bh.data.load("mnist")
    >>> trainer = bh.Trainer(bh.models.create("article"), bh.SGD(lr=0.05), batch_size=10)
    >>> history = trainer.fit(train.take(500), test.take(100), epochs=1, quiet=True)
    >>> history[0]["accuracy"] > 0.4
    True
    """

    def __init__(
        self,
        model: Model,
        optimizer: Optimizer,
        *,
        batch_size: int = 64,
        hand: str = DEFAULT_HAND,
        schedule: Schedule | None = None,
        clip_norm: float | None = None,
        label_smoothing: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not isinstance(model, Model):
            raise ArgumentError(
                f"Trainer: model is a {type(model).__name__}; expected a Model, as bh.models.create gives"
            )
        self.model, self.optimizer, self.hand = model, optimizer, hand
        self.schedule = schedule or Constant()
        if not isinstance(optimizer, tuple(OPTIMIZERS.values())):
            raise ArgumentError(
                f"Trainer: optimizer is {optimizer!r}; expected one of {', '.join(OPTIMIZERS)}, as bh.SGD()"
            )
        if not isinstance(self.schedule, tuple(SCHEDULES.values())):
            raise ArgumentError(f"Trainer: schedule is {schedule!r}; expected one of {', '.join(SCHEDULES)}")
        self.batch_size = integer("Trainer: batch_size", batch_size)
        self.clip_norm = None if clip_norm is None else number("Trainer: clip_norm", clip_norm, 0)
        self.label_smoothing = number("Trainer: label_smoothing", label_smoothing, 0, 1)
        self.seed = integer("Trainer: seed", seed, 0)
        self.update = update(optimizer, self.clip_norm, hand)
        self.buffers = {name: np.zeros_like(model.p.flat) for name in optimizer.buffers}
        self._optimizer = SimpleNamespace(**self.buffers)
        self.steps = 0
        self.progress: Progress | None = None  # of a training that is not finished
        self.history: list[Row] = []
        self.images_per_second = 0.0  # of the latest training, its steps alone
        self.curve: list[list[float]] = []  # (epoch, loss, accuracy) at about a hundred points

    def __repr__(self) -> str:
        done = f"batch {self.batch_size}, hand {self.hand}, {self.steps:,} steps"
        return f"<trainer of {self.model.name}: {self.optimizer}, {done}>"

    def program(self, batch: int | None = None) -> Program:
        """Return the generated program of one update; `print` shows it."""
        settings: dict[str, Any] = {"update": self.update, "label_smoothing": self.label_smoothing}
        return self.model.program(self.batch_size if batch is None else batch, train=True, hand=self.hand, **settings)

    def step(self, images: Any, labels: Any) -> float:
        """Do one update on a batch: images (N, H, W, C) uint8 or floating point, labels (N,); return the loss before it.

        The learning rate is the optimiser's own: a schedule needs to know how long a training is, which `fit` does.
        """
        images = self.model.check(images)  # what does not fit is refused before a program is made
        labels = check_labels(labels, len(self.model.classes))
        if labels.shape != images.shape[:1]:
            raise ShapeError(f"Trainer: labels have the shape {labels.shape}; expected ({len(images)},), one an image")
        return float(self._run(images, labels, len(images), [self.optimizer.lr])["loss"][0])

    def _steps_on(
        self, images: Any, labels: Any, batch: int, rates: Sequence[float], rows: Any = None
    ) -> tuple[Array, Array]:
        """Do an update with each learning rate on the next `batch` images; return each one's loss and how many were right.

        rows: which of the images, by default all.
        """
        results = self._run(images, labels, batch, rates, rows)
        truth = labels.reshape(len(rates), batch)
        return results["loss"], (results["probabilities"].argmax(2) == truth).sum(1)

    def _run(self, images: Any, labels: Any, batch: int, rates: Sequence[float], rows: Any = None) -> dict[str, Array]:
        """Do updates; return what the last layer wrote in each."""
        model, count, program = self.model, len(rates), self.program(batch)
        x, truth = program.images[:count], labels.reshape(count, batch)
        model.prepare(images, rows, out=x.reshape(-1, *model.input_shape), hand=self.hand)
        t = np.arange(self.steps + 1, self.steps + count + 1)
        results = program.steps(
            x, truth, model.p, model.g, model.state, program.arena, self._optimizer,
            lr=np.asarray(rates), t=t,
        )  # fmt: skip
        self.steps += count
        return results

    def fit(
        self,
        train: Dataset,
        test: Dataset | None = None,
        *,
        epochs: int | None = None,
        quiet: bool = False,
        run: Run | None = None,
    ) -> list[Row]:
        """Train for a number of epochs; return one row an epoch: loss and accuracy while training, and on `test`.

        A trainer that came from a checkpoint goes on where it stood. Ctrl-C stops after the step under way; another call
        goes on. run: where checkpoints and the log are written. Raises DivergedError where the loss is no number any more.
        """
        for data in (train,) if test is None else (train, test):  # all is looked at before the first step
            self._check_data(data)
        for size in {min(self.batch_size, len(train)), len(train) % self.batch_size} - {0}:
            self.program(size)
        if self.progress is None:
            self.progress = Progress(integer("fit: epochs", 1 if epochs is None else epochs), len(train), self.steps)
        elif (epochs or self.progress.epochs, len(train)) != (self.progress.epochs, self.progress.images):
            raise ArgumentError(
                f"fit: the training under way has {self.progress.epochs} epochs of {self.progress.images} images; "
                f"got {epochs or self.progress.epochs} of {len(train)}; finish it first, or make a new Trainer"
            )
        from byhand.train.display import Display  # noqa: PLC0415  (rich takes longer to import than all of byhand)

        state, saved = self.progress, time.monotonic()
        with stop_signals(quiet) as stop, Display(state.epochs, len(train), quiet=quiet) as display:
            for row, seconds in self._steps(train, test, display):
                if run is not None and (row is not None or stop.is_set() or time.monotonic() - saved > SAVE_EVERY):
                    self._check_parameters()
                    self.save(run.checkpoint)
                    saved = time.monotonic()
                if row is not None and run is not None:
                    run.log(row | {"seconds": round(seconds, 3)})
                if stop.is_set():
                    display.say(f"stopped after {state.done} of {self._total(state)} steps")
                    return self.history
        self.progress = None
        if run is not None:
            run.finish(self.model)
        return self.history

    def _total(self, state: Progress) -> int:
        return state.epochs * -(-state.images // self.batch_size)

    def _steps(self, train: Dataset, test: Dataset | None, display: Display) -> Iterator[tuple[Row | None, float]]:
        """Do the steps that are left; after each, yield (the finished epoch's row, or None within one; its seconds)."""
        assert self.progress is not None
        state, total = self.progress, self._total(self.progress)
        self.history, self.curve = state.history, state.curve
        order, drawn, began = np.arange(0), -1, time.perf_counter()
        images, seconds = 0, 0.0
        while state.done < total:
            epoch, index = divmod(state.done, total // state.epochs)
            if drawn != epoch:
                order = np.random.default_rng([self.seed, state.first, epoch]).permutation(len(train))
                drawn, began = epoch, time.perf_counter()
                display.begin(epoch, state.seen)
            count = self._together(index, state.done, total, len(train))
            batch = order[index * self.batch_size : (index + count) * self.batch_size]
            size = len(batch) // count
            rates = [self.optimizer.lr * self.schedule((state.done + i) / total) for i in range(count)]
            started = time.perf_counter()
            losses, correct = self._steps_on(train.images, train.labels[batch], size, rates, batch)
            images, seconds = images + len(batch), seconds + time.perf_counter() - started
            self.images_per_second = images / seconds
            for loss, right in zip(losses.tolist(), correct.tolist()):
                if not isfinite(loss):
                    raise self._diverged(f"the loss became {loss}", state.done + 1)
                state.done, state.seen = state.done + 1, state.seen + size
                state.loss, state.correct = state.loss + loss * size, state.correct + right
                state.window = [a + b for a, b in zip(state.window, (size, loss * size, right))]
            if state.done % max(1, total // CURVE_POINTS) == 0 or state.done == total:
                counted, sum_loss, right = state.window
                state.curve.append([state.done / total * state.epochs, sum_loss / counted, right / counted])
                state.window = [0, 0.0, 0]
            display.step(state.seen, state.loss / state.seen, state.correct / state.seen)
            index += count - 1
            if index + 1 < total // state.epochs:
                yield None, 0.0
                continue
            row: Row = {"epoch": epoch + 1, "loss": state.loss / state.seen, "accuracy": state.correct / state.seen}
            took = time.perf_counter() - began
            self._check_parameters()
            if test is not None:
                row |= {f"test_{name}": value for name, value in self.evaluate(test).items()}
            state.history.append(row)
            state.seen, state.loss, state.correct = 0, 0.0, 0
            display.end(row, took)
            yield row, took

    def _together(self, index: int, done: int, total: int, images: int) -> int:
        """Return how many steps can be handed over at once: full batches of this epoch, up to the curve's next point."""
        full, every = images // self.batch_size, max(1, total // CURVE_POINTS)
        return max(1, min(self.program().room, full - index, every - done % every)) if index < full else 1

    def _check_parameters(self) -> None:
        """Raise a DivergedError for parameters that are no numbers, before they take the place of good ones."""
        if self.progress is not None and not np.isfinite(self.model.p.flat).all():
            raise self._diverged("a parameter became no number", self.progress.done)

    def _diverged(self, what: str, step: int) -> DivergedError:
        assert self.progress is not None
        lr = self.optimizer.lr * self.schedule((step - 1) / self._total(self.progress))
        return DivergedError(
            f"{what} at step {step}: the learning rate {lr:.4g} is too large for this network; "
            f"try {self.optimizer.lr / 10:g}, or in Python clip_norm=1"
        )

    def _check_data(self, data: Any) -> None:
        if not isinstance(data, Dataset):
            raise ArgumentError(
                f"Trainer: got a {type(data).__name__}; expected a bh.data.Dataset(images, labels, classes), "
                "as bh.data.load gives"
            )
        self.model.prepare(data.images[:1], hand=self.hand)
        check_labels(data.labels, len(self.model.classes))

    def evaluate(self, test: Dataset) -> dict[str, float]:
        """Return the mean loss and the accuracy on a data set."""
        self._check_data(test)
        logits = self.model.logits_of(test.images, hand=self.hand)
        labels = check_labels(test.labels, logits.shape[1])
        return {
            "loss": float(softmax_cross_entropy(logits.astype(np.float64), labels, hand="arrays")),
            "accuracy": float((logits.argmax(1) == labels).mean()),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, whole or not at all: the model, the optimiser's buffers, and where training stands."""
        checkpoint.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trainer:
        """Return the trainer of a checkpoint, or of a run's folder; its `fit` goes on where it stood.

        Raises FileError where there is none, or where it is not whole.
        """
        return checkpoint.load(cls, path)
