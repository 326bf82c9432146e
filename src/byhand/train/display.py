"""What training shows: a live bar in a terminal, and one line an epoch everywhere."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from byhand.kernels.runtime import cache

MEASURED = 1.0  # seconds of training before its whole time is estimated


class Display:
    """A training's display; with quiet, none."""

    def __init__(self, epochs: int, images: int, *, quiet: bool = False, console: Console | None = None) -> None:
        self.epochs, self.images, self.quiet = epochs, images, quiet
        self.console = console or Console(highlight=False)
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(12, complete_style="blue", finished_style="blue"),
            TextColumn("{task.percentage:3.0f} % {task.fields[told]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self.task: TaskID | None = None
        self.epoch = self.at_start = 0
        self.started = 0.0
        self.estimated = quiet
        self.took, self.began = 0.0, time.perf_counter()  # seconds of the latest epoch; when it began
        self.seen, self.latest = 0, 0.0  # images, and when the latest step ended
        self.built, self.waited = 0, False  # kernels; whether the step under way waits for one

    def __enter__(self) -> Display:
        self.bar.start()
        if not self.quiet:
            cache.BUILDING.append(self.building)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        if self.building in cache.BUILDING:
            cache.BUILDING.remove(self.building)

    def building(self, name: str) -> None:
        """Tell that a kernel is being compiled: in the bar, or where there is none on standard error, once."""
        self.built, self.waited = self.built + 1, True
        told = "compiling kernels for this processor, once"
        if self.task is not None and not self.bar.disable:
            self.bar.update(self.task, told=f"{told}: {self.built}, {name}")
        elif self.built == 1:
            with suppress(OSError):  # a pipe that is closed: training goes on
                print(f"{told} (some seconds) ...", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Print a line, above the bar."""
        try:
            if not self.quiet:
                self.console.print(line, soft_wrap=True)
        except SystemExit:  # how rich takes a pipe that is closed, as by `| head`: training goes on, unseen
            self.quiet = True

    def begin(self, epoch: int, seen: int) -> None:
        """Begin an epoch, of which some images may have been seen before a stop."""
        if self.task is None:
            self.task = self.bar.add_task("", total=self.epochs * self.images, epoch="", told="")
        self.epoch, self.at_start = epoch, seen
        self.started = self.began = time.perf_counter()
        self.seen, self.latest = seen, self.started
        self.bar.update(self.task, epoch=f"{epoch + 1}/{self.epochs}")

    def step(self, seen: int, loss: float, accuracy: float) -> None:
        """Tell a step: images seen in this epoch, the mean loss and the accuracy over them."""
        assert self.task is not None
        now = time.perf_counter()
        if self.waited:  # a step that compiled tells nothing of those to come
            self.at_start, self.started = self.at_start + seen - self.seen, self.started + now - self.latest
        self.seen, self.latest, self.waited, self.took = seen, now, False, now - self.began
        seconds, rate = now - self.started, self.rate()
        told = f"{rate:6,.0f} images/s, " if rate else ""
        told += f"loss {loss:.4f}, accuracy {accuracy:.1%}"
        self.bar.update(self.task, completed=self.epoch * self.images + seen, told=told)
        if not self.estimated and rate and seconds > MEASURED:
            self.estimated = True
            left = ((self.epochs - self.epoch) * self.images - seen) / rate
            self.say(
                f"about {duration(left + seconds)} of training, measured on the first {seen - self.at_start:,} images"
            )

    def rate(self) -> float:
        """Return how many images a second the steps of this epoch take in, as far as that is known."""
        seconds = self.latest - self.started
        return (self.seen - self.at_start) / seconds if seconds > 0 else 0.0

    def end(self, row: dict[str, Any]) -> None:
        """Tell a finished epoch."""
        judged = [part for part in ("val", "test") if f"{part}_accuracy" in row]
        tested = "".join(f"  {part} {row[f'{part}_accuracy']:.2%}" for part in judged)
        rate = self.rate() or self.images / self.took
        self.say(
            f"epoch {row['epoch']}/{self.epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}{tested}"
            f"  {self.took:.1f} s  {rate:,.0f} images/s"
        )


def duration(seconds: float) -> str:
    """Return seconds in the words a person would use.

    >>> duration(8.4), duration(95), duration(7300)
    ('8 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
