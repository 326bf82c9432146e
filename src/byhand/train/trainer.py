"""The Trainer: one update, a whole training, and checkpoints from which a training resumes bit for bit.

The state of a training is small: the number of steps done, the sums of the epoch so far, one row for each finished epoch. The
order of the images follows from the seed and the epoch, the learning rate from the number of the step. So a checkpoint holds
that state, the parameters, the optimizer's buffers and the model's states (running statistics, random keys), and nothing else.

Under `mpiexec` training is data-parallel (`distributed/`): each rank computes its shard of every batch, and after each step all
ranks hold the same parameters. n ranks end where one does, to float32 accuracy; with batch norm, if it is synchronized.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from math import isfinite
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from byhand.data import Augment, Dataset
from byhand.data.batch_loader import BatchLoader
from byhand.errors import ArgumentError, DivergedError, ShapeError
from byhand.hints import Hinted, hinted
from byhand.kernels.conv import tuning
from byhand.kernels.conv.problem import FLOAT32
from byhand.nn import Model
from byhand.ops import DEFAULT_HAND
from byhand.ops.op import Array
from byhand.program import Program
from byhand.program.precision import check_precision
from byhand.shapes import integer, number
from byhand.train import checkpoint
from byhand.train.arrays import as_dataset, as_datasets
from byhand.train.batches import max_group_steps, step_groups
from byhand.train.callbacks import check_callbacks, ends_training
from byhand.train.checkpoint import Checkpoint
from byhand.train.distributed.data_parallel import DataParallelStep
from byhand.train.distributed.mpi import Communicator, world
from byhand.train.divergence import check_pixels, diverged, diverged_at_once
from byhand.train.evaluation import Metric, check_data, evaluate, named_metrics
from byhand.train.history import History, Row
from byhand.train.losses import Loss, LossFunction
from byhand.train.optim import Optimizer, check_optimizer, update
from byhand.train.run import Run
from byhand.train.schedule import Schedule, factor_at
from byhand.train.schedule import resolve as resolve_schedule
from byhand.train.signals import stop_signals
from byhand.train.state import TrainingState
from byhand.train.stopping import Stopping, smallest_loss
from byhand.train.updates import check_batches, run_program, run_steps, take_loss

if TYPE_CHECKING:
    from byhand.train.display import Display

CHECKPOINT_SECONDS = 30.0  # between checkpoints within an epoch


class Trainer(Hinted):
    """Trains a model.

    batch_size: images per update; schedule: of the learning rate, by default constant, or a function of `step` or `epoch` that
    returns its factor; clip_norm: the largest norm of the gradient; loss: "cross_entropy", "mse", "bce" or a function
    (outputs, labels) -> (loss, gradient); class_weight: one a class, by class or in order; label_smoothing: the part of the
    target that is spread over all classes; metrics: functions of (labels, probabilities), for test and validation images;
    precision: as `Model.program` takes it; seed: of the order of the images and of augmentation; augment: how images vary from
    epoch to epoch, also "flip,shift=2"; comm: the ranks that train together, by default those of `mpiexec`; sync_batchnorm:
    batch norm over the whole batch, not over each rank's shard.

    >>> import byhand as bh
    >>> train, test = bh.data.load("mnist")
    >>> trainer = bh.Trainer(bh.models.create("article"), bh.SGD(lr=0.05), batch_size=10)
    >>> history = trainer.fit(train.take(500), test.take(100), epochs=1, quiet=True)
    >>> history[0]["accuracy"] > 0.4
    True
    """

    @hinted
    def __init__(
        self,
        model: Model,
        optimizer: Optimizer,
        *,
        batch_size: int = 64,
        hand: str = DEFAULT_HAND,
        precision: str = FLOAT32,
        schedule: Schedule | Callable[[Any], float] | None = None,
        clip_norm: float | None = None,
        loss: str | LossFunction = "cross_entropy",
        class_weight: Mapping[Any, float] | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        metrics: Mapping[str, Metric] | Sequence[Metric | str] = (),
        seed: int = 0,
        augment: Augment | str | None = None,
        comm: Communicator | None = None,
        sync_batchnorm: bool = False,
    ) -> None:
        if not isinstance(model, Model):
            raise ArgumentError(
                f"Trainer: model is a {type(model).__name__}; expected a Model, such as bh.models.create returns"
            )
        check_precision(precision, hand, model.dtype)
        self.model, self.optimizer, self.hand, self.precision = model, optimizer, hand, precision
        self.schedule = resolve_schedule(schedule)
        check_optimizer(optimizer)
        self.batch_size = integer("Trainer: batch_size", batch_size)
        self.clip_norm = None if clip_norm is None else number("Trainer: clip_norm", clip_norm, 0)
        self.label_smoothing = number("Trainer: label_smoothing", label_smoothing, 0, 1)
        self.loss = Loss.of(model, loss, self.label_smoothing, class_weight)
        self.metrics = named_metrics(metrics)
        self.seed = integer("Trainer: seed", seed, 0)
        self.augment = Augment.of(augment)
        self.update = update(optimizer, self.clip_norm, hand)
        self.buffers = {name: np.zeros_like(model.p.flat) for name in optimizer.buffers}
        self.buffer_namespace = SimpleNamespace(**self.buffers)
        self.tuning = tuning.in_use()  # by which algorithms are chosen, from the first step to the last
        self.comm, self.sync_batchnorm = world() if comm is None else comm, bool(sync_batchnorm)
        if self.comm.size > 1 and callable(loss):
            raise ArgumentError("Trainer: a loss function of your own runs on one rank; start it without mpiexec")
        self._max_group_steps = max_group_steps(model, self.batch_size)
        self.steps = 0
        self.state: TrainingState | None = None  # of the training under way
        self.history = History()
        self.best: dict[str, Array] = {}  # the model's arrays after the best epoch, by the validation images
        # Of the latest training; the part spent waiting for images.
        self.images_per_second = self.data_wait_fraction = 0.0
        self.curve: list[list[float]] = []  # (epoch, loss, accuracy) at about a hundred points

    def __repr__(self) -> str:
        precision = "" if self.precision == FLOAT32 else f", precision {self.precision}"
        done = f"batch {self.batch_size}, hand {self.hand}{precision}, {self.steps:,} steps"
        return f"<trainer of {self.model.name}: {self.optimizer}, {done}>"

    @property
    def class_weight(self) -> Any:
        """The weight of each class; before `fit` has found the classes that weights name, as they were given."""
        return self.loss.weights or self.loss.class_weight

    def program(self, batch: int | None = None, *, keep: bool = False) -> Program:
        """Return the generated program of one update; `print` shows it. keep: as in `Model.program`."""
        size, settings = self.batch_size if batch is None else batch, self.loss.program_settings
        settings |= {"hand": self.hand, "precision": self.precision}
        with tuning.using(self.tuning):
            return self.model.program(size, train=True, update=self.update, keep=keep, **settings)

    @cached_property
    def data_parallel(self) -> DataParallelStep | None:
        """The step that several ranks do together; None for one rank."""
        return None if self.comm.size == 1 else DataParallelStep(self)

    @hinted
    def step(self, images: npt.ArrayLike, labels: npt.ArrayLike, *, lr: float | None = None) -> float:
        """Do one update on a batch; return the loss before it.

        images: (N, H, W, C) uint8 or floating point; labels: (N,), or targets like the outputs. With several ranks, each is
        given the whole batch and computes its shard. lr: by default the optimizer's; schedules are for `fit`.
        """
        x = self.model.check(images)  # refused before a program is built
        targets = np.asarray(labels)
        if len(np.atleast_1d(targets)) != len(x):
            raise ShapeError(f"Trainer: labels have the shape {targets.shape}; expected ({len(x)},), one per image")
        self._take_loss(targets)
        lr = self.optimizer.lr if lr is None else lr
        if self.data_parallel is not None:
            shard = self.comm.shard_or_first(len(x))
            return float(self._run_steps(x[shard], targets[shard], len(x), [lr])[0][0])
        return float(run_program(self, x, targets, len(x), [lr])["loss"][0])

    _run_steps, _take_loss, check_batches = run_steps, take_loss, check_batches

    @hinted
    def fit(
        self,
        train: Any,
        test: Any = None,
        *,
        epochs: int | None = None,
        validation: Any = None,
        early_stopping: int | None = None,
        stop_when_learned: bool = False,
        max_seconds: float | None = None,
        epoch_size: int | None = None,
        quiet: bool = False,
        run: Run | None = None,
        callbacks: Sequence[Callable[[Row], object]] = (),
        export_model: Callable[[Model], Model] | None = None,
    ) -> list[Row]:
        """Train for a number of epochs; return one row per epoch: loss and accuracy of training, and on `test`.

        train, test: data sets; or the arrays of images and of their labels, `fit(images, labels)`. test and validation may also
        be pairs (images, labels). validation: images that select the model: at the end it has the parameters of the epoch that
        did best on them; early_stopping: the patience: training ends after so many epochs without improvement.
        stop_when_learned: it ends once nothing is left to learn (`stopping.py`). max_seconds: once they are over, it ends after
        the step under way and an evaluation. epoch_size: images per epoch, by default all. run: where checkpoints, snapshots
        and the log are written; export_model: makes of the trained model the one that the run keeps (a trained head, put back
        on its backbone). callbacks: functions that are called with each row, on rank 0; one that returns True ends the
        training.

        A trainer that came from a checkpoint resumes. Ctrl-C stops after the step under way; another call of `fit` resumes.
        Raises DivergedError where the loss is not finite.
        """
        check_callbacks(callbacks)
        train, test, validation = as_datasets(self.model, train, test, validation)
        sets = {"test": test, "val": validation}
        self._take_loss(train.labels)
        for name, data in (("training", train), ("validation", validation), ("test", test)):
            if data is not None:  # all is checked before the first step
                check_pixels(name, data)
                check_data(self.model, data, self.hand, self.loss, is_training=True)
        self.model.preprocessing = self.model.preprocessing.trained_on(train.images, train.preprocessing)
        stopping = Stopping.of(early_stopping, validation, stop_when_learned, max_seconds)
        stopping.smallest_loss = smallest_loss(self.label_smoothing, len(self.model.classes))
        images = len(train) if epoch_size is None else min(integer("fit: epoch_size", epoch_size), len(train))
        self.check_batches(images)
        state = self._begin(images, epochs)
        if self.comm.rank > 0:
            quiet, run, callbacks = True, None, ()
        export, saved, ended = export_model or (lambda model: model), time.monotonic(), ""
        from byhand.train.display import Display  # noqa: PLC0415  (rich takes longer to import than all of byhand)

        if run is not None:
            run.restore_log(state.history)
            run.save_snapshot(self.model, export, state.steps_done, self._total_steps, state.epochs)
        with (
            stop_signals(quiet, state) as stop,
            Display(state.epochs, images, evaluated=sum(map(len, filter(None, sets.values()))), quiet=quiet) as display,
            closing(self.run_epochs(train, sets, stopping, display)) as steps,
        ):
            stopping.signal = stop
            if self.data_parallel is not None:
                self.data_parallel.stop_requested = stopping.requested
            for row in steps:
                stopped = stopping.stopped_by_signal(self.data_parallel)
                if run is not None:
                    run.save_snapshot(self.model, export, state.steps_done, self._total_steps, state.epochs)
                    if row is not None or stopped or time.monotonic() - saved > CHECKPOINT_SECONDS:
                        self._check_parameters()
                        self.save(run.checkpoint)
                        saved = time.monotonic()
                    if row is not None:
                        run.log(row | {"seconds": round(display.epoch_seconds, 3)})
                if row is not None and self.comm.broadcast(ends_training(callbacks, row)):
                    ended = "a callback ended the training"
                    break
                if stopped:
                    display.finish(f"stopped after {state.steps_done:,} of {self._total_steps:,} steps")
                    return self.history
            display.finish(ended or state.end_reason)
        for name, value in self.best.items():
            self.state_arrays()[name][...] = value
        self.state = None
        if run is not None:
            run.save_model(export(self.model))
        return self.history

    def _begin(self, images: int, epochs: int | None) -> TrainingState:
        """Return the state of a new training, or of the one under way, which must be the same one."""
        if self.state is None:
            self.state = TrainingState(integer("fit: epochs", 1 if epochs is None else epochs), images, self.steps)
            self.best = {}
        else:
            self.state.check_same(epochs or self.state.epochs, images)
        return self.state

    @property
    def _total_steps(self) -> int:
        return 0 if self.state is None else self.state.total_steps(self.batch_size)

    def run_epochs(
        self, train: Dataset, sets: dict[str, Dataset | None], stopping: Stopping, display: Display
    ) -> Generator[Row | None]:
        """Do the steps that are left; yield after each group of steps: the row of a finished epoch, or None within one."""
        assert self.state is not None
        state, total = self.state, self._total_steps
        self.history, self.curve = state.history, state.curve
        started, images, seconds, current = time.perf_counter(), 0, 0.0, -1
        has_accuracy = self.loss.has_accuracy(train.labels)
        groups = step_groups(
            state,
            len(train),
            batch_size=self.batch_size,
            seed=self.seed,
            augment=self.augment,
            comm=self.comm,
            learning_rate=self._learning_rate,
            group_size=self._group_size,
        )
        batches = BatchLoader(train, self.augment, groups)
        try:
            state.end_reason = state.end_reason or stopping.reason(state, total)
            while state.steps_done < total and not state.end_reason:
                batch, (epoch, first, size, learning_rates) = next(batches)
                if epoch != current:
                    current = epoch
                    display.begin_epoch(epoch, state.images_seen)
                    self._broadcast_arrays()
                before = time.perf_counter()
                losses, correct = self._run_steps(batch.images, batch.labels, size, learning_rates, batch.rows)
                images, seconds = images + size * len(learning_rates), seconds + time.perf_counter() - before
                self.images_per_second = images / seconds
                self.data_wait_fraction = batches.wait_seconds / (time.perf_counter() - started)
                for loss, right in zip(losses.tolist(), correct.tolist()):
                    if not isfinite(loss):
                        raise self._diverged(f"the loss became {loss}", state.steps_done, batch.images, batch.rows)
                    state.add_step(size, loss, right)
                if state.steps_done % state.curve_interval(total) == 0 or state.steps_done == total:
                    state.add_curve_point(total)
                loss, accuracy = state.loss_sum / state.images_seen, state.correct / state.images_seen
                display.update(state.images_seen, loss, accuracy if has_accuracy else None)
                out_of_time = stopping.out_of_time(self.data_parallel, self.comm)
                if first + len(learning_rates) < total // state.epochs and not out_of_time:
                    yield None
                    continue
                self._check_parameters()
                row: Row = {"epoch": epoch + 1, "loss": loss} | ({"accuracy": accuracy} if has_accuracy else {})
                for part, data in sets.items():
                    if data is not None:
                        row |= {f"{part}_{name}": value for name, value in self.evaluate(data).items()}
                if state.end_epoch(row):
                    self.best = {name: value.copy() for name, value in self.state_arrays().items()}
                state.end_reason = stopping.reason(state, total, out_of_time=out_of_time)
                display.end_epoch(row)
                yield row
        finally:
            batches.close()

    def _learning_rate(self, step: int) -> float:
        """Return the learning rate of a step of the training under way, given how many are done before it."""
        epochs = 1 if self.state is None else self.state.epochs
        return self.optimizer.lr * factor_at(self.schedule, step, self._total_steps, self._total_steps // epochs)

    def _group_size(self, first: int, done: int) -> int:
        """Return how many steps run in one call, given the index of the first one within its epoch and its number."""
        assert self.state is not None
        left = min(self.state.group_steps(first, done, self.batch_size), self._max_group_steps)
        return 1 if self.comm.size > 1 or left <= 1 else max(1, min(self.program().steps_per_execution, left))

    def state_arrays(self) -> dict[str, Array]:
        """Return the arrays that training changes in the model: all parameters, in one buffer, and each state."""
        states = {f"state.{name}": value for name, value in vars(self.model.state).items()}
        return {"parameters": self.model.p.flat} | states

    def _broadcast_arrays(self) -> None:
        """Give all ranks the arrays of rank 0: processors of two kinds may round differently in the course of an epoch."""
        if self.comm.size > 1:
            for array in (*self.state_arrays().values(), *self.buffers.values()):
                array[...] = self.comm.broadcast(array)

    def _check_parameters(self) -> None:
        """Raise DivergedError for parameters that are not finite, before a checkpoint replaces good ones."""
        if self.state is not None and not np.isfinite(self.model.p.flat).all():
            raise self._diverged("a parameter is not finite", self.state.steps_done - 1)

    def _diverged(self, what: str, done: int, images: Any = None, rows: Array | None = None) -> DivergedError:
        """Return the error of the step after so many steps; images: where it is the step's loss that is not finite."""
        if images is not None and not done:
            return diverged_at_once(what, self.model.prepare(images, rows))
        return diverged(what, done + 1, self._learning_rate(done), self.optimizer)

    def evaluate(self, test: Any, labels: Any = None) -> dict[str, float]:
        """Return loss, accuracy and metrics on a data set, or on arrays of images and labels; each rank computes its shard."""
        data = as_dataset(self.model, test, labels)
        with tuning.using(self.tuning):
            return evaluate(self.model, data, self.comm, self.hand, self.loss, self.metrics, self.precision)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, whole or not at all; with several ranks, rank 0 writes."""
        if self.comm.rank > 0:
            return
        checkpoint.save(Checkpoint.of(self), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **functions: Any) -> Trainer:
        """Return the trainer of a checkpoint file, or of the one in a run's folder; its `fit` resumes.

        It chooses algorithms by the tuning table of the first training, whatever `byhand tune` has measured since.
        functions: a schedule, loss or metrics of your own, which no file holds.
        Raises FileError where there is none, or where it is damaged.
        """
        kept = checkpoint.load(path, functions)
        with checkpoint.untrusted(path):
            trainer = cls(kept.model, **kept.settings)
            kept.restore(trainer)
        return trainer
