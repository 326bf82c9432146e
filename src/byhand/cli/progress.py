"""A bar for work before training begins: looking at pictures, decoding them; in a terminal only."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Bar:
    """A bar on standard error that is gone when its work is done."""

    def __init__(self, *, quiet: bool = False) -> None:
        console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(24, complete_style="blue", finished_style="blue"),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def tell(self, done: int, total: int, what: str) -> None:
        """Show how much of something is done."""
        if what not in self._tasks:
            self._bar.start()
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done, total=total)

    def say(self, what: str) -> None:
        """Show that something is being done, of unknown length."""
        self.close()
        self._bar.start()
        self._tasks[what] = self._bar.add_task(what, total=None)

    def close(self) -> None:
        """Take the bar away."""
        for task in self._tasks.values():
            self._bar.remove_task(task)
        self._tasks.clear()
        self._bar.stop()
