"""The display of a training: a progress bar in a terminal, and one line per epoch everywhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from byhand.console import SafeConsole, fitted
from byhand.kernels import cdiv
from byhand.kernels.runtime import cache
from byhand.train.history import Row
from byhand.train.pace import Pace
from byhand.translation import translate

ESTIMATE_SECONDS = 1.0  # of training before its whole time is estimated
TOLD_MIN_SECONDS = 10.0  # that are left, for an epoch's line to say so
MAX_LINES = 20  # of epochs that are shorter than a second; the log has all of them
SHORT_EPOCH_SECONDS = 1.0
RATE_MIN_COLUMNS = 76  # of a terminal that has room for the rate beside the rest of the bar


class Display:
    """The display of a training; a quiet one prints nothing.

    epochs: of the whole training; images: per epoch; evaluated: images that are evaluated after each epoch.
    """

    def __init__(
        self,
        epochs: int,
        images: int,
        *,
        evaluated: int = 0,
        quiet: bool = False,
        console: Console | None = None,
    ) -> None:
        self.epochs, self.images, self.quiet = epochs, images, quiet
        self.console = console or SafeConsole()
        self.bar = Progress(
            TextColumn("{task.fields[epoch]}"),
            BarColumn(12, complete_style="blue", finished_style="blue"),
            TextColumn("{task.percentage:3.0f}% {task.fields[status]}"),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            transient=True,
            redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),
            disable=quiet or not self.console.is_terminal,
        )
        self.task: TaskID | None = None
        self.epoch, self.epoch_seconds = 0, 0.0  # the epoch under way, from 0, and its seconds so far
        self._epoch_start = time.perf_counter()
        self._images_seen, self._last_step = 0, 0.0  # images of the epoch, and when the latest step ended
        self._timed_from, self._timing_start = 0, 0.0  # images, and when: what the rate is measured from
        self.pace, self._first_step = Pace(evaluated), True
        self._unprinted: str = ""  # the line of the latest epoch, where it was left out
        self._estimated = quiet
        self._kernels_built, self._building = 0, False  # in all, and whether the step under way compiles one

    def __enter__(self) -> Display:
        self.bar.start()
        if not self.quiet:
            cache.BUILD_LISTENERS.append(self.building)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        if self.building in cache.BUILD_LISTENERS:
            cache.BUILD_LISTENERS.remove(self.building)

    def building(self, name: str) -> None:
        """Show that a kernel is being compiled: in the bar, or where there is none once on standard error."""
        self._kernels_built, self._building = self._kernels_built + 1, True
        status = cache.COMPILING
        if self.task is not None and not self.bar.disable:
            self.bar.update(self.task, status=translate(f"{status}, once: {self._kernels_built}, {name}"), left="")
        else:
            cache.tell_building()

    def print(self, line: str) -> None:
        """Print a line, above the bar."""
        try:
            if not self.quiet:
                self.console.print(fitted(translate(line)), soft_wrap=True)
        except BrokenPipeError:  # as after `| head`: training goes on without output
            self.quiet = True

    def begin_epoch(self, epoch: int, images_seen: int) -> None:
        """Begin an epoch, from 0; images_seen: of it, before a stop."""
        if self.task is None:
            self.task = self.bar.add_task("", total=self.epochs * self.images, epoch="", status="", left="")
        self.epoch, self._timed_from = epoch, images_seen
        self._timing_start = self._epoch_start = time.perf_counter()
        self._images_seen, self._last_step = images_seen, self._timing_start
        self.bar.update(self.task, epoch=translate(f"epoch {epoch + 1}/{self.epochs}"))

    def update(self, images_seen: int, loss: float, accuracy: float | None) -> None:
        """Show a step: images seen in this epoch, the mean loss and, with classes, the accuracy over them."""
        assert self.task is not None
        now = time.perf_counter()
        if self._building:  # a step that compiled says nothing about those to come
            self._timed_from += images_seen - self._images_seen
            self._timing_start += now - self._last_step
        elif not self._first_step:
            self.pace.add(images_seen - self._images_seen, now - self._last_step)
        self._first_step = False
        self._images_seen, self._last_step, self._building = images_seen, now, False
        self.epoch_seconds = now - self._epoch_start
        rate = self.images_per_second()
        shown = [f"{rate:6,.0f} images/s"] if rate and self.console.width >= RATE_MIN_COLUMNS else []
        shown += [f"loss {loss:.4f}"] + ([] if accuracy is None else [f"accuracy {accuracy:.1%}"])
        left = self.seconds_left(self.epoch, images_seen)
        told = f"{duration(left)} left" if left else ""
        self.bar.update(
            self.task,
            completed=self.epoch * self.images + images_seen,
            status=translate(", ".join(shown)),
            left=translate(told, part=True),
        )
        if not self._estimated and self.pace.seconds > ESTIMATE_SECONDS:
            self._estimated = True
            whole = duration(left + self.pace.seconds)
            self.print(f"about {whole} of training, measured on {self.pace.images:,} images")
            self.pace.tell(now, left)
        elif self._estimated and self.pace.differs(now, left):
            self.print(f"about {duration(left)} left, at the present pace")
            self.pace.tell(now, left)

    def seconds_left(self, epochs: int, images: int = 0) -> float:
        """Return the seconds that the rest takes after so many epochs and images; 0 as long as no step is timed."""
        rest = self.epochs - epochs
        return self.pace.seconds_left(rest * self.images - images, rest)

    def images_per_second(self) -> float:
        """Return the rate of this epoch's steps; 0 as long as none is timed."""
        seconds = self._last_step - self._timing_start
        return (self._images_seen - self._timed_from) / seconds if seconds > 0 else 0.0

    def end_epoch(self, row: Row) -> None:
        """Print a finished epoch; of many short ones, a part."""
        now = time.perf_counter()
        self.pace.add_evaluation(now - self._last_step)
        rate = self.images_per_second() or self._images_seen / self.epoch_seconds
        epoch, left = self.epoch + 1, self.seconds_left(self.epoch + 1)
        measured = self.pace.seconds > ESTIMATE_SECONDS  # the first steps are slower than the others
        rest = f"  {duration(left)} left" if left >= TOLD_MIN_SECONDS and measured else ""
        line = (
            f"epoch {row['epoch']}/{self.epochs}  loss {row['loss']:.4f}{evaluation_text(row)}"
            f"  {self.epoch_seconds:.1f} s  {rate:,.0f} images/s{rest}"
        )
        short = now - self._epoch_start < SHORT_EPOCH_SECONDS
        if short and epoch not in (1, self.epochs) and epoch % cdiv(self.epochs, MAX_LINES):
            self._unprinted = line
            return
        self._unprinted = ""
        if rest:
            self.pace.tell(now, left)
        self.print(line)

    def finish(self, line: str) -> None:
        """Print the latest epoch, where it was left out, and a line on the end of the training."""
        for text in (self._unprinted, line):
            if text:
                self.print(text)
        self._unprinted = ""


def evaluation_text(row: Row) -> str:
    """Return the accuracies and metrics of an epoch, without classes its losses, for its line.

    >>> evaluation_text({"epoch": 1, "loss": 0.5, "accuracy": 0.8, "val_loss": 0.6, "val_accuracy": 0.7, "val_f1": 0.65})
    '  accuracy 80.00%  val 70.00%  val_f1 0.65'
    """
    shown = ""
    for name, value in row.items():
        part, _, what = name.rpartition("_")
        if what == "accuracy":
            shown += f"  {part or what} {value:.2%}"
        elif name not in ("epoch", "loss") and (what != "loss" or "accuracy" not in row):
            shown += f"  {name} {value:.4g}"
    return shown


def duration(seconds: float) -> str:
    """Return a time as a person would write it.

    >>> duration(8.4), duration(95), duration(7300)
    ('8 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole:d} s"
    if whole < 3600:
        return f"{whole // 60:d} min {whole % 60:d} s"
    return f"{whole // 3600:d} h {whole % 3600 // 60:d} min"
