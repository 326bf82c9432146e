"""A progress bar for long work other than training steps; shown in a terminal only."""

import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from byhand.console import SafeConsole

BAR_COLUMNS = 24


class ProgressBar:
    """A progress bar on standard error that disappears when it is closed."""

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

    def update(self, done: int, total: int, task: str) -> None:
        """Show the progress of a task."""
        if task not in self._tasks:
            self._bar.start()
            self._tasks[task] = self._bar.add_task(task, total=total)
        self._bar.update(self._tasks[task], completed=done, total=total)

    def spin(self, task: str) -> None:
        """Show a task of unknown length."""
        self.close()
        self._bar.start()
        self._tasks[task] = self._bar.add_task(task, total=None)

    def close(self) -> None:
        """Remove the bar."""
        for task in self._tasks.values():
            self._bar.remove_task(task)
        self._tasks.clear()
        self._bar.stop()
