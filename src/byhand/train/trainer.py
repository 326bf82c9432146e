"""The Trainer: one update, a whole training, and a checkpoint from which it goes on bit for bit.

Where training stands is a handful of numbers: how many steps are done, the sums of the epoch so far, one row a finished
epoch. The order of the images is drawn from the seed and the epoch, the learning rate from the progress, so that nothing
else has to be kept beside the parameters, the optimiser's buffers and the states.

Under `mpiexec` the ranks share every batch (`share.py`): all of them hold the same numbers after each step, rank 0 tells and
writes. n ranks end where one does, to float32 accuracy; with batch norm, if it is synchronised.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from math import isfinite
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.data import Augment, Dataset
from byhand.data.batch_loader import BatchLoader, BatchSpec
from byhand.errors import ArgumentError, DivergedError, ShapeError
from byhand.nn import Model
from byhand.ops import DEFAULT_HAND, softmax_cross_entropy
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array
from byhand.program import Program
from byhand.shapes import integer, number
from byhand.train import checkpoint
from byhand.train.distributed.data_parallel import SharedStep
from byhand.train.distributed.mpi import Ranks, world
from byhand.train.history import History, Row
from byhand.train.optim import OPTIMIZERS, Optimizer, update
from byhand.train.run import Run
from byhand.train.schedule import SCHEDULES, Constant, Schedule
from byhand.train.signals import stop_signals
from byhand.train.state import Progress, moments

if TYPE_CHECKING:
    from byhand.train.display import Display

SAVE_EVERY = 30.0  # seconds between checkpoints within an epoch
CURVE_POINTS = 100


class Trainer:
    """Trains a model.

    batch_size: images an update; schedule: how the learning rate changes (constant); clip_norm: the longest gradient
    allowed; label_smoothing: the part of the truth spread over all classes; seed: the order of the images, and what is drawn
    for them; augment: how they are varied, anew in each epoch; ranks: the processes that share each batch, by default those
    of `mpiexec`; sync_batchnorm: whether a batch norm sees the whole batch or, which needs no message, each rank's share.

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
        augment: Augment | None = None,
        ranks: Ranks | None = None,
        sync_batchnorm: bool = False,
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
        self.augment = Augment() if augment is None else augment
        if not isinstance(self.augment, Augment):
            raise ArgumentError(f"Trainer: augment is {augment!r}; expected a bh.data.Augment")
        self.update = update(optimizer, self.clip_norm, hand)
        self.buffers = {name: np.zeros_like(model.p.flat) for name in optimizer.buffers}
        self._optimizer = SimpleNamespace(**self.buffers)
        self.ranks, self.sync_batchnorm = world() if ranks is None else ranks, bool(sync_batchnorm)
        self.steps = 0
        self.progress: Progress | None = None  # of a training that is not finished
        self.history = History()
        self.best: dict[str, Array] = {}  # what the model was after the best epoch, by the images to validate on
        self.images_per_second = 0.0  # of the latest training, its steps alone
        self.waited = 0.0  # the part of the latest training's time that went by until its images were there
        self.curve: list[list[float]] = []  # (epoch, loss, accuracy) at about a hundred points

    def __repr__(self) -> str:
        done = f"batch {self.batch_size}, hand {self.hand}, {self.steps:,} steps"
        return f"<trainer of {self.model.name}: {self.optimizer}, {done}>"

    def program(self, batch: int | None = None) -> Program:
        """Return the generated program of one update; `print` shows it."""
        settings: dict[str, Any] = {"update": self.update, "label_smoothing": self.label_smoothing}
        return self.model.program(self.batch_size if batch is None else batch, train=True, hand=self.hand, **settings)

    @cached_property
    def shared(self) -> SharedStep | None:
        """The step that ranks share, where there are several."""
        if self.ranks.size == 1:
            return None
        return SharedStep(
            self.model, self.ranks, self.update, self._optimizer,
            hand=self.hand, label_smoothing=self.label_smoothing, sync=self.sync_batchnorm,
        )  # fmt: skip

    def step(self, images: Any, labels: Any) -> float:
        """Do one update on a batch: images (N, H, W, C) uint8 or floating point, labels (N,); return the loss before it.

        The learning rate is the optimiser's own: a schedule needs to know how long a training is, which `fit` does. Of
        several ranks, each is given the whole batch and takes its share.
        """
        images = self.model.check(images)  # what does not fit is refused before a program is made
        labels = check_labels(labels, len(self.model.classes))
        if labels.shape != images.shape[:1]:
            raise ShapeError(f"Trainer: labels have the shape {labels.shape}; expected ({len(images)},), one an image")
        return self.try_step(images, labels, self.optimizer.lr)

    def try_step(self, images: Any, labels: Any, rate: float) -> float:
        """Do one update with a learning rate of its own, on images that are known to fit; return the loss before it."""
        if self.shared is not None:
            own = self.ranks.some(len(images))
            return float(self._steps_on(images[own], labels[own], len(images), [rate])[0][0])
        return float(self._run(images, labels, len(images), [rate])["loss"][0])

    def _steps_on(
        self, images: Any, labels: Any, batch: int, rates: Sequence[float], rows: Any = None
    ) -> tuple[Array, Array]:
        """Do an update with each learning rate on the next `batch` images; return each one's loss and how many were right.

        rows: which of the images, by default all. Of several ranks, each is given its share of one batch.
        """
        if self.shared is not None:
            (rate,), self.steps = rates, self.steps + 1
            loss, right = self.shared(images, labels, rows, batch, rate, self.steps)
            return np.array([loss]), np.array([right])
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
        validation: Dataset | None = None,
        early_stopping: int | None = None,
        epoch_size: int | None = None,
        quiet: bool = False,
        run: Run | None = None,
    ) -> list[Row]:
        """Train for a number of epochs; return one row an epoch: loss and accuracy while training, and on `test`.

        validation: images that choose: at the end the model is what it was after the epoch that did best on them;
        early_stopping: after so many epochs that did not do better, the training ends. epoch_size: images an epoch, by default
        all. A trainer that came from a checkpoint goes on where it stood. Ctrl-C stops after the step under way; another call
        goes on. run: where checkpoints and the log are written. Raises DivergedError where the loss is no number any more.
        """
        sets = {"test": test, "val": validation}
        for data in (train, *sets.values()):  # all is looked at before the first step
            if data is not None:
                self._check_data(data)
        if early_stopping is not None:
            integer("fit: early_stopping", early_stopping)
            if validation is None:
                raise ArgumentError("fit: early_stopping needs images to validate on: validation=...")
        images = len(train) if epoch_size is None else min(integer("fit: epoch_size", epoch_size), len(train))
        for size in {min(self.batch_size, images), images % self.batch_size} - {0}:
            (self.program if self.shared is None else self.shared.program)(size)
        if self.progress is None:
            self.progress = Progress(integer("fit: epochs", 1 if epochs is None else epochs), images, self.steps)
            self.best = {}
        elif (epochs or self.progress.epochs, images) != (self.progress.epochs, self.progress.images):
            raise ArgumentError(
                f"fit: the training under way has {self.progress.epochs} epochs of {self.progress.images} images; "
                f"got {epochs or self.progress.epochs} of {images}; finish it first, or make a new Trainer"
            )
        if self.ranks.rank > 0:
            quiet, run = True, None
        from byhand.train.display import Display  # noqa: PLC0415  (rich takes longer to import than all of byhand)

        state, saved = self.progress, time.monotonic()
        if run is not None:
            run.keep(self.model, state.done, self._total(state), state.epochs)
        with (
            stop_signals(quiet) as stop,
            Display(state.epochs, images, quiet=quiet) as display,
            closing(self.steps_left(train, sets, early_stopping, display)) as steps,
        ):
            if self.shared is not None:
                self.shared.asked = stop.is_set
            for row in steps:
                if run is not None:
                    run.keep(self.model, state.done, self._total(state), state.epochs)
                stopped = stop.is_set() if self.shared is None else self.shared.stopped
                if run is not None and (row is not None or stopped or time.monotonic() - saved > SAVE_EVERY):
                    self._check_parameters()
                    self.save(run.checkpoint)
                    saved = time.monotonic()
                if row is not None and run is not None:
                    run.log(row | {"seconds": round(display.took, 3)})
                if stopped:
                    display.say(f"stopped after {state.done} of {self._total(state)} steps")
                    return self.history
            if state.done < self._total(state):
                display.say(f"stopped early: {early_stopping} epochs in a row did no better")
        self._take_best()
        self.progress = None
        if run is not None:
            run.finish(self.model)
        return self.history

    def _total(self, state: Progress) -> int:
        return state.epochs * -(-state.images // self.batch_size)

    def steps_left(
        self, train: Dataset, sets: dict[str, Dataset | None], early_stopping: int | None, display: Display
    ) -> Generator[Row | None]:
        """Do the steps of `progress` that are left; after each few, yield the finished epoch's row, or None within one."""
        assert self.progress is not None
        state, total = self.progress, self._total(self.progress)
        self.history, self.curve = state.history, state.curve
        began, images, seconds, now = time.perf_counter(), 0, 0.0, -1
        batches = BatchLoader(train, self.augment, self._plan(train))
        try:
            while state.done < total and not state.stale(early_stopping):
                batch, (epoch, index, size, rates) = next(batches)
                if epoch != now:
                    now = epoch
                    display.begin(epoch, state.seen)
                    self._align()
                started = time.perf_counter()
                losses, correct = self._steps_on(batch.images, batch.labels, size, rates, batch.rows)
                images, seconds = images + size * len(rates), seconds + time.perf_counter() - started
                self.images_per_second = images / seconds
                self.waited = batches.wait_seconds / (time.perf_counter() - began)
                for loss, right in zip(losses.tolist(), correct.tolist()):
                    if not isfinite(loss):
                        raise self._diverged(f"the loss became {loss}", state.done + 1)
                    state.add(size, loss, right)
                if state.done % max(1, total // CURVE_POINTS) == 0 or state.done == total:
                    state.add_point(total)
                display.step(state.seen, state.loss / state.seen, state.correct / state.seen)
                if index + len(rates) < total // state.epochs:
                    yield None
                    continue
                self._check_parameters()
                row: Row = {"epoch": epoch + 1, "loss": state.loss / state.seen, "accuracy": state.correct / state.seen}
                for part, data in sets.items():
                    if data is not None:
                        row |= {f"{part}_{name}": value for name, value in self.evaluate(data).items()}
                if state.end(row):
                    self.best = {name: value.copy() for name, value in self.kept().items()}
                display.end(row)
                yield row
        finally:
            batches.close()

    def _plan(self, train: Dataset) -> Iterator[tuple[BatchSpec, tuple[int, int, int, list[float]]]]:
        """Yield what is left to do: which images, and (epoch, the first step's number in it, images a step, rates).

        Of several ranks, each gets its share of the images.
        """
        assert self.progress is not None
        state, total = self.progress, self._total(self.progress)
        done, each, drawn = state.done, total // state.epochs, -1
        while done < total:
            epoch, index = divmod(done, each)
            if drawn != epoch:
                rng = np.random.default_rng([self.seed, state.first, epoch])
                order, drawn = rng.permutation(len(train))[: state.images], epoch
                uniforms = self.augment.draw(len(train), epoch, rng, [self.seed, state.first])
                partners = rng.permutation(len(train)) if self.augment.mixup else None
            count = self._together(index, done, total, state.images)
            rows = order[index * self.batch_size : (index + count) * self.batch_size]
            rates = [self.optimizer.lr * self.schedule((done + i) / total) for i in range(count)]
            size, rows = len(rows) // count, rows[self.ranks.some(len(rows))]
            spec = BatchSpec(rows, uniforms[rows], None if partners is None else partners[rows])
            yield spec, (epoch, index, size, rates)
            done += count

    def kept(self) -> dict[str, Array]:
        """Return what makes the model what it is: every parameter, in one buffer, and the states."""
        return {"parameters": self.model.p.flat} | {
            f"state.{name}": value for name, value in vars(self.model.state).items()
        }

    def _align(self) -> None:
        """Give all ranks the numbers of rank 0: processors of two kinds may round them apart in the course of an epoch."""
        if self.ranks.size > 1:
            for array in (*self.kept().values(), *self.buffers.values()):
                array[...] = self.ranks.broadcast(array)

    def _take_best(self) -> None:
        for name, value in self.best.items():
            self.kept()[name][...] = value

    def _together(self, index: int, done: int, total: int, images: int) -> int:
        """Return how many steps can be handed over at once: full batches, up to the curve's next point or a snapshot."""
        if self.ranks.size > 1:
            return 1
        full, every = images // self.batch_size, max(1, total // CURVE_POINTS)
        snapshot = next((step for step in moments(total) if step > done), total) - done
        return max(1, min(self.program().room, full - index, every - done % every, snapshot)) if index < full else 1

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
        """Return the mean loss and the accuracy on a data set; of several ranks, each looks at its share."""
        self._check_data(test)
        if self.ranks.size == 1:
            return self.judge(self.model.logits_of(test.images, hand=self.hand), test.labels)
        own, logits = self.ranks.share(len(test)), np.zeros((len(test), len(self.model.classes)), self.model.dtype)
        if own.stop > own.start:
            logits[own] = self.model.logits_of(test.rows(own).images, hand=self.hand)
        return self.judge(self.ranks.all_reduce(logits), test.labels)

    @staticmethod
    def judge(logits: Array, labels: Any) -> dict[str, float]:
        """Return the mean loss and the accuracy of logits (N, classes)."""
        labels = check_labels(labels, logits.shape[1])
        return {
            "loss": float(softmax_cross_entropy(logits.astype(np.float64), labels, hand="arrays")),
            "accuracy": float((logits.argmax(1) == labels).mean()),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, whole or not at all: the model, the optimiser's buffers, and where training stands.

        Of several ranks, the first writes.
        """
        if self.ranks.rank == 0:
            checkpoint.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trainer:
        """Return the trainer of a checkpoint, or of a run's folder; its `fit` goes on where it stood.

        Raises FileError where there is none, or where it is not whole.
        """
        return checkpoint.load(cls, path)
