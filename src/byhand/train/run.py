"""A run: the folder of one training.

run.json                 everything needed to repeat it
log.jsonl, log.csv       one line per epoch; the same as a table
checkpoint.safetensors   what a stopped training resumes from: the model, the optimizer, the state
model.safetensors        the trained model, for `bh.load` and `byhand predict`
snapshots/               a small model in the course of training, more often at the beginning, for `byhand look`
report.html, report.png  curves, confusion matrix, calibration, mistakes, and what the training doctor found
confusion.png            the confusion matrix
curves.png               losses and accuracies by epoch
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

from byhand.data.open_file import exists, open_regular_file
from byhand.errors import FileError
from byhand.files import write_whole
from byhand.nn import Model, serialization
from byhand.shapes import plain
from byhand.text import csv_cell
from byhand.train.history import Row
from byhand.train.state import snapshot_steps

SNAPSHOT_MAX_VALUES = 250_000  # parameters and state values of a model whose snapshots are kept


class Run:
    """A run's folder: its files, each written whole or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = Run.create(f"{folder}/lenet5-mnist", {"model": "lenet5", "data": "mnist"})
    ...     run.log({"epoch": 1, "loss": 0.25})
    ...     run.rows(), run.settings["model"], run.finished
    ([{'epoch': 1, 'loss': 0.25}], 'lenet5', False)
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.checkpoint, self.model = self.folder / "checkpoint.safetensors", self.folder / "model.safetensors"
        self._settings, self._log = self.folder / "run.json", self.folder / "log.jsonl"
        self._table = self.folder / "log.csv"
        self._next_snapshot = 0  # the step of the next snapshot

    def __repr__(self) -> str:
        return f"<run {self.folder}, {'finished' if self.finished else 'not finished'}>"

    @classmethod
    def create(cls, folder: str | os.PathLike[str], settings: dict[str, Any]) -> Run:
        """Make the folder of a new run; a folder that holds a run is never overwritten."""
        run = cls(folder)
        run.check_new()
        _make(run.folder)
        write_whole(run._settings, (json.dumps(plain(settings), indent=2) + "\n").encode())
        return run

    def check_new(self) -> None:
        """Raise a FileError for a folder that can't be made, holds a run, or holds files; hidden ones are no matter."""
        if self._settings.exists():
            raise FileError(f"{self.folder} holds a run already; choose another --output, or continue it: --resume")
        if self.folder.is_dir() and any(not path.name.startswith(".") for path in self.folder.iterdir()):
            raise FileError(f"the folder {self.folder} is not empty; choose a new folder for the run")
        lowest = next(path for path in (self.folder, *self.folder.absolute().parents) if exists(path))
        if not lowest.is_dir():
            raise FileError(f"can't make the folder {self.folder}: {lowest} is no folder; choose another --output")
        if not os.access(lowest, os.W_OK | os.X_OK):
            raise FileError(f"can't make the folder {self.folder}: {lowest} can't be written; choose another --output")

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """Return an existing run, and delete the partial files that a killed process left."""
        run = cls(folder)
        if not run._settings.is_file():
            raise FileError(f"{folder} is not a run: it holds no {run._settings.name}")
        for part in run.folder.glob(".*.part"):
            with suppress(OSError):
                part.unlink()
        return run

    @property
    def settings(self) -> dict[str, Any]:
        """The content of `run.json`."""
        try:
            settings = json.loads(self._settings.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise FileError(f"{self._settings} can't be read: {error}") from None
        if not isinstance(settings, dict):
            raise FileError(f"{self._settings} can't be read: expected an object, got a {type(settings).__name__}")
        return settings

    @property
    def finished(self) -> bool:
        """Whether the training is complete."""
        return self.model.exists()

    def log(self, row: Row) -> None:
        """Add the row of an epoch to the log; it replaces rows of the same and of later epochs."""
        rows = [old for old in self.rows() if old["epoch"] < row["epoch"]]
        self._write_log([*rows, row])

    def _write_log(self, rows: Sequence[Row]) -> None:
        write_whole(self._log, "".join(json.dumps(row) + "\n" for row in rows).encode())
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(map(csv_cell, names))
        writer.writerows([csv_cell(old.get(name, "")) for name in names] for old in rows)
        write_whole(self._table, table.getvalue().encode())

    def restore_log(self, history: Sequence[Row]) -> None:
        """Add the rows of a resumed training that the log lacks: a kill between a checkpoint and the log loses its line."""
        rows = self.rows()
        logged = {row["epoch"] for row in rows}
        missing = [row for row in history if row["epoch"] not in logged]
        if missing:
            self._write_log(sorted([*rows, *missing], key=lambda row: row["epoch"]))

    def rows(self) -> list[Row]:
        """Return the log: one row per epoch."""
        if not exists(self._log):
            return []
        with open_regular_file(self._log, "the log of a training") as file:
            lines = file.read().splitlines()
        try:
            rows = [json.loads(line) for line in lines]
        except (ValueError, RecursionError) as error:
            raise FileError(f"{self._log} can't be read: {error}") from None
        if not all(isinstance(row, dict) and isinstance(row.get("epoch"), int) for row in rows):
            raise FileError(f"{self._log} can't be read: expected one object with an epoch per line")
        return rows

    def save_snapshot(
        self, model: Model, export: Callable[[Model], Model], step: int, total_steps: int, epochs: int
    ) -> None:
        """Save a snapshot of a small model where one is due after this step; `export` makes the model that is saved."""
        if step < self._next_snapshot:
            return
        due = [number for number in snapshot_steps(total_steps) if number <= step]
        self._next_snapshot = next((number for number in snapshot_steps(total_steps) if number > step), total_steps + 1)
        if any(number >= due[-1] for number, _ in self.snapshots()) or step == total_steps:
            return
        exported = export(model)
        values = exported.parameter_count + sum(value.size for value in vars(exported.state).values())
        if values > SNAPSHOT_MAX_VALUES:
            self._next_snapshot = total_steps + 1
            return
        folder = self.folder / "snapshots"
        _make(folder)
        metadata = {"snapshot": {"step": step, "epoch": step / total_steps * epochs}}
        serialization.save(exported, folder / f"step-{step:06d}.safetensors", extra_metadata=metadata)

    def snapshots(self) -> list[tuple[int, Path]]:
        """Return the snapshots, oldest first, as (step, file)."""
        found = sorted((self.folder / "snapshots").glob("step-*.safetensors"))
        return [(int(path.stem[5:]), path) for path in found if path.stem[5:].isascii() and path.stem[5:].isdigit()]

    def save_model(self, model: Model) -> None:
        """Write the trained model."""
        model.save(self.model)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"can't make the folder {folder}: {error.strerror}") from None
