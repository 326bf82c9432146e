"""A progress bar for long work other than training steps; where there is no terminal, a line as a task begins."""

import sys
from contextlib import suppress

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from byhand.console import SafeConsole, clean, say
from byhand.kernels.runtime import cache
from byhand.translation import translate

BAR_COLUMNS = 24


class ProgressBar:
    """A progress bar on standard error that disappears when it is closed; task: the latest task."""

    def __init__(self, *, quiet: bool = False) -> None:
        console = SafeConsole(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(BAR_COLUMNS, complete_style="blue", finished_style="blue"),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # else what is printed to a file would go to the terminal
            disable=quiet or not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._quiet, self._kernels_built, self.task = quiet, 0, ""

    def update(self, done: int, total: int, task: str) -> None:
        """Show the progress of a task."""
        task = clean(translate(task))
        if task not in self._tasks:
            self._start(task, total)
        self._bar.update(self._tasks[task], completed=done, total=total)

    def begin(self, task: str) -> None:
        """Show a task of a length that is not known yet; where there is no terminal, print a line."""
        self.spin(task)
        if self._bar.disable:
            self._print(f"{translate(task)} ...")

    def spin(self, task: str) -> None:
        """Show a task of unknown length."""
        task = clean(translate(task))
        self.close()
        self._start(task, None)

    def _start(self, task: str, total: int | None) -> None:
        self._bar.start()
        self._tasks[task], self.task = self._bar.add_task(task, total=total), task
        if self._building not in cache.BUILD_LISTENERS:
            cache.BUILD_LISTENERS.append(self._building)

    def _building(self, name: str) -> None:
        """Show that a kernel is being compiled: in the bar, or where there is none once in a line."""
        self._kernels_built += 1
        if not self._bar.disable:
            status = translate(f"{cache.COMPILING}, once: {self._kernels_built}, {name}")
            self._bar.update(self._tasks[self.task], description=f"{self.task} ({status})")
        elif not self._quiet:
            cache.tell_building()

    def _print(self, line: str) -> None:
        with suppress(OSError):  # a closed pipe: the work goes on
            if not self._quiet:
                say(line, error=True)

    def close(self) -> None:
        """Remove the bar."""
        for task in self._tasks.values():
            self._bar.remove_task(task)
        self._tasks.clear()
        self._bar.stop()
        if self._building in cache.BUILD_LISTENERS:
            cache.BUILD_LISTENERS.remove(self._building)
