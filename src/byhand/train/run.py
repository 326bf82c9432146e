"""A run: the folder that training leaves behind.

run.json                 everything needed to repeat it
log.jsonl                a line an epoch
checkpoint.safetensors   where training stands: the model, the optimiser, the steps done
model.safetensors        the finished model, for `bh.load` and `byhand predict`
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
from byhand.nn import Model


class Run:
    """A run's folder: where its files are, written whole or not at all."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.checkpoint, self.model = self.folder / "checkpoint.safetensors", self.folder / "model.safetensors"
        self.made: Callable[[Model], Model] = lambda model: model  # what people get of the model that was trained
        self._settings, self._log = self.folder / "run.json", self.folder / "log.jsonl"

    def __repr__(self) -> str:
        return f"<run {self.folder}, {'finished' if self.finished else 'not finished'}>"

    @classmethod
    def create(cls, folder: str | os.PathLike[str], settings: dict[str, Any]) -> Run:
        """Make a new run's folder; one that holds a run already is never written over."""
        run = cls(folder)
        if run._settings.exists():
            raise FileError(f"{folder} holds a run already; choose another --out, or go on with it: --resume")
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"can't make the folder {folder}: {error.strerror}") from None
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
        rows = [old for old in self._read_log() if old["epoch"] < row["epoch"]]
        write_whole(self._log, "".join(json.dumps(one) + "\n" for one in [*rows, row]).encode())

    def _read_log(self) -> list[dict[str, Any]]:
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
