"""Reasons to end a training before its last step: no improvement, nothing left to learn, no time left."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from math import log

from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.shapes import integer, number
from byhand.train.distributed.data_parallel import DataParallelStep
from byhand.train.distributed.mpi import Communicator
from byhand.train.state import TrainingState

# Nothing is left to learn where all validation images are right and the training loss is so small for so many epochs in a row,
LEARNED_MAX_LOSS = 0.01  # nats: a mean probability of the right class above 99%
LEARNED_EPOCHS = 3
# or where it is smaller still and the validation images gain nothing.
VANISHED_MAX_LOSS = 0.001
VANISHED_EPOCHS = 5


@dataclass
class Stopping:
    """When a training ends early.

    patience: epochs without improvement on the validation images; None: any number. when_learned: once nothing is left to
    learn; smallest_loss: the loss of a network that is always right and certain (0 without label smoothing). deadline: a time
    of `time.monotonic` at which steps end.
    """

    patience: int | None = None
    when_learned: bool = False
    smallest_loss: float = 0.0
    deadline: float | None = None
    signal: threading.Event = field(default_factory=threading.Event)  # set by Ctrl-C
    _signalled: bool = False  # whether a signal stopped the ranks

    @classmethod
    def of(
        cls, early_stopping: int | None, validation: Dataset | None, when_learned: bool, max_seconds: float | None
    ) -> Stopping:
        """Return when a training ends that begins now; the arguments are those of `Trainer.fit`."""
        if early_stopping is not None:
            integer("fit: early_stopping", early_stopping)
            if validation is None:
                raise ArgumentError("fit: early_stopping needs images to validate on: validation=...")
        deadline = None
        if max_seconds is not None:
            deadline = time.monotonic() + number("fit: max_seconds", max_seconds, 0)
        return cls(early_stopping, when_learned, deadline=deadline)

    def past_deadline(self) -> bool:
        """Return whether the time is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def requested(self) -> bool:
        """Return whether this rank asks all ranks to stop: what the data-parallel step sends along."""
        return self.signal.is_set() or self.past_deadline()

    def out_of_time(self, parallel: DataParallelStep | None, comm: Communicator) -> bool:
        """Return whether the time is over, on any rank, and no rank received a signal."""
        if parallel is None:
            return self.past_deadline()
        if parallel.stopped:
            self._signalled = comm.maximum(self.signal.is_set()) > 0
        return parallel.stopped and not self._signalled

    def stopped_by_signal(self, parallel: DataParallelStep | None) -> bool:
        """Return whether this rank, or with several any of them, received a signal before the latest step."""
        return self.signal.is_set() if parallel is None else parallel.stopped and self._signalled

    def reason(self, state: TrainingState, total_steps: int, *, out_of_time: bool = False) -> str:
        """Return why the training ends after the epochs in its history, in a line; "" if it goes on."""
        if state.steps_done >= total_steps:
            return ""
        if state.out_of_patience(self.patience):
            return f"early stopping: no improvement in {self.patience} epochs"
        if self.when_learned and (learned := self._learned(state)):
            return learned
        if out_of_time:
            return f"the time is over: {state.steps_done:,} of {total_steps:,} planned steps are done"
        return ""

    def _learned(self, state: TrainingState) -> str:
        """Return why nothing is left to learn, in a line; "" where something is."""
        if self._all_right(state):
            low = f"the training loss has been below {LEARNED_MAX_LOSS:g} for {LEARNED_EPOCHS} epochs"
            if "val_accuracy" in state.history[-1]:
                return f"nothing is left to learn: all validation images are right, and {low}"
            return f"nothing is left to learn: {low}"
        if self._vanished(state):
            low = f"the training loss has been below {VANISHED_MAX_LOSS:g} for {VANISHED_EPOCHS} epochs"
            if state.best_epoch:
                return f"nothing is left to learn: {low}, without a gain on the validation images"
            return f"nothing is left to learn: {low}"
        return ""

    def _all_right(self, state: TrainingState) -> bool:
        rows = state.history[-LEARNED_EPOCHS:]
        right = all(row.get("val_accuracy", row.get("accuracy")) == 1 for row in rows)
        return right and self._losses_below(LEARNED_MAX_LOSS, state, LEARNED_EPOCHS)

    def _vanished(self, state: TrainingState) -> bool:
        no_gain = not state.best_epoch or state.out_of_patience(VANISHED_EPOCHS)
        return no_gain and self._losses_below(VANISHED_MAX_LOSS, state, VANISHED_EPOCHS)

    def _losses_below(self, limit: float, state: TrainingState, epochs: int) -> bool:
        rows = state.history[-epochs:]
        return len(rows) == epochs and all(row["loss"] - self.smallest_loss < limit for row in rows)


def smallest_loss(label_smoothing: float, classes: int) -> float:
    """Return the smallest cross entropy: the entropy of the smoothed labels.

    >>> smallest_loss(0.0, 10), round(smallest_loss(0.1, 10), 4)
    (0.0, 0.5003)
    """
    if not label_smoothing or classes < 2:
        return 0.0
    other = label_smoothing / classes
    right = 1 - label_smoothing + other
    return -(right * log(right) + (classes - 1) * other * log(other)) if right < 1 else 0.0
