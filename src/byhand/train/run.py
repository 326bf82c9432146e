"""A run: the folder that training leaves behind.

run.json                 everything needed to repeat it
log.jsonl                a line an epoch
checkpoint.safetensors   where training stands: the model, the optimiser, the steps done
model.safetensors        the finished model, for `bh.load` and `byhand predict`
snapshots/               what a small model was on the way, more often at first: files like model.safetensors, for `byhand look`
*.png                    pictures
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from byhand.errors import FileError
from byhand.files import write_whole
from byhand.nn import Model, file
from byhand.train.history import Row
from byhand.train.state import moments

SMALL = 250_000  # numbers of a model of which snapshots are kept


class Run:
    """A run's folder: where its files are, written whole or not at all."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.checkpoint, self.model = self.folder / "checkpoint.safetensors", self.folder / "model.safetensors"
        self.made: Callable[[Model], Model] = lambda model: model  # what people get of the model that was trained
        self.watched: Callable[[], None] = lambda: None  # what looks at the run after each epoch
        self._settings, self._log = self.folder / "run.json", self.folder / "log.jsonl"
        self._next = 0  # the step of the next snapshot

    def __repr__(self) -> str:
        return f"<run {self.folder}, {'finished' if self.finished else 'not finished'}>"

    @classmethod
    def create(cls, folder: str | os.PathLike[str], settings: dict[str, Any]) -> Run:
        """Make a new run's folder; one that holds a run already is never written over."""
        run = cls(folder)
        if run._settings.exists():
            raise FileError(f"{folder} holds a run already; choose another --output, or go on with it: --resume")
        _make(run.folder)
        write_whole(run._settings, (json.dumps(settings, indent=2) + "\n").encode())
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """Return a run that exists, and clear away what a kill in the middle of a write left behind."""
        run = cls(folder)
        if not run._settings.is_file():
            raise FileError(f"{folder} is no run: it holds no {run._settings.name}")
        for part in run.folder.glob(".*.part"):
            with suppress(OSError):
                part.unlink()
        return run

    @property
    def settings(self) -> dict[str, Any]:
        """What `run.json` says."""
        try:
            settings = json.loads(self._settings.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise FileError(f"{self._settings} can't be read: {error}") from None
        if not isinstance(settings, dict):
            raise FileError(f"{self._settings} can't be read: expected an object, got a {type(settings).__name__}")
        return settings

    @property
    def finished(self) -> bool:
        """Whether training came to its end."""
        return self.model.exists()

    def log(self, row: dict[str, Any]) -> None:
        """Add an epoch's row; rows of an epoch that is done again are replaced."""
        rows = [old for old in self.rows() if old["epoch"] < row["epoch"]]
        write_whole(self._log, "".join(json.dumps(one) + "\n" for one in [*rows, row]).encode())
        self.watched()

    def keep(self, model: Model, done: int, total: int, epochs: int) -> None:
        """Keep a snapshot of a small model, where one of the moments of its training is there that has none yet."""
        if done < self._next:
            return
        passed = [step for step in moments(total) if step <= done]
        self._next = next((step for step in moments(total) if step > done), total + 1)
        if any(step >= passed[-1] for step, _ in self.snapshots()) or done == total:
            return
        made = self.made(model)
        if made.parameter_count + sum(value.size for value in vars(made.state).values()) > SMALL:
            self._next = total + 1
            return
        folder = self.folder / "snapshots"
        _make(folder)
        notes = {"snapshot": {"step": done, "epoch": done / total * epochs}}
        file.save(made, folder / f"step-{done:06d}.safetensors", notes=notes)

    def snapshots(self) -> list[tuple[int, Path]]:
        """Return the snapshots, oldest first: (steps done, file) each."""
        found = sorted((self.folder / "snapshots").glob("step-*.safetensors"))
        return [(int(path.stem[5:]), path) for path in found if path.stem[5:].isascii() and path.stem[5:].isdigit()]

    def rows(self) -> list[Row]:
        """Return the log: a row an epoch."""
        try:
            rows = [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []
        except (OSError, ValueError, RecursionError) as error:
            raise FileError(f"{self._log} can't be read: {error}") from None
        if not all(isinstance(row, dict) and isinstance(row.get("epoch"), int) for row in rows):
            raise FileError(f"{self._log} can't be read: expected objects with an epoch, one a line")
        return rows

    def finish(self, model: Model) -> None:
        """Write the finished model."""
        self.made(model).save(self.model)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"can't make the folder {folder}: {error.strerror}") from None
