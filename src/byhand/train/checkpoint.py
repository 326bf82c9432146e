"""A checkpoint: a model's file with the optimiser's buffers and the trainer's settings and progress beside the parameters.

What it says is a stranger's word: every field is checked before it is used, some of them go into the generated program.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byhand.data.augment import Augment
from byhand.errors import FileError
from byhand.nn import file
from byhand.ops.op import Array
from byhand.shapes import integer, number
from byhand.text import one_line
from byhand.train import settings
from byhand.train.history import History
from byhand.train.run import Run
from byhand.train.state import Progress

if TYPE_CHECKING:
    from byhand.train.trainer import Trainer


def save(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write a trainer, whole or not at all."""
    notes = {
        "optimizer": settings.to_json(trainer.optimizer),
        "schedule": settings.to_json(trainer.schedule),
        "batch_size": trainer.batch_size,
        "hand": trainer.hand,
        "clip_norm": trainer.clip_norm,
        "label_smoothing": trainer.label_smoothing,
        "seed": trainer.seed,
        "augment": str(trainer.augment),
        "sync_batchnorm": trainer.sync_batchnorm,
        "steps": trainer.steps,
        "progress": None if trainer.progress is None else asdict(trainer.progress),
        "history": trainer.history,
        "curve": trainer.curve,
    }
    buffers = {f"optimizer.{name}": array for name, array in trainer.buffers.items()}
    buffers |= {f"best.{name}": array for name, array in trainer.best.items()}
    file.save(trainer.model, path, more=buffers, notes={"trainer": notes})


def load(make: type[Trainer], path: str | os.PathLike[str]) -> Trainer:
    """Return the trainer (the class that `make` is) of a checkpoint, or of the one in a run's folder."""
    if Path(path).is_dir():
        folder, path = path, Run(path).checkpoint
        if not path.exists():
            raise FileError(f"the folder {folder} holds no checkpoint; expected {path.name} in it")
    model, buffers, about = file.read(path)
    try:
        notes: dict[str, Any] = dict(about["trainer"])
        optimizer, schedule = (settings.from_json(notes[name]) for name in ("optimizer", "schedule"))
        plain = {name: notes[name] for name in ("batch_size", "hand", "clip_norm", "label_smoothing", "seed")}
        trainer = make(
            model, optimizer, schedule=schedule, augment=Augment.parse(notes.get("augment", "none")),
            sync_batchnorm=bool(notes.get("sync_batchnorm", False)), **plain,
        )  # fmt: skip
        trainer.steps = integer("steps", notes["steps"], 0)
        trainer.history, trainer.curve = _rows(notes["history"]), _points(notes["curve"])
        if notes["progress"] is not None:
            trainer.progress = _progress(notes["progress"])
            trainer.history, trainer.curve = trainer.progress.history, trainer.progress.curve
        for name, buffer in trainer.buffers.items():
            buffer[...] = _like(buffer, buffers, f"optimizer.{name}")
        if trainer.progress is not None and trainer.progress.best:
            trainer.best = {name: _like(now, buffers, f"best.{name}") for name, now in trainer.kept().items()}
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise FileError(f"{path} is not a checkpoint that byhand can go on from: {what}") from None
    return trainer


def _like(wanted: Array, stored: dict[str, Array], name: str) -> Array:
    """Return a stored array, which must be of the shape and type of another."""
    array = stored[name]
    if array.shape != wanted.shape or array.dtype != wanted.dtype:
        raise FileError(f"its {name} is {array.dtype} {array.shape}, not {wanted.dtype} {wanted.shape}")
    return array


def _rows(data: Any) -> History:
    named = isinstance(data, list) and all(
        isinstance(row, dict) and {"epoch", "loss", "accuracy"} <= set(row) for row in data
    )
    if not named or not all(_plain(value) for row in data for value in row.values()):
        raise TypeError("its history is no list of rows")
    return History(data)


def _points(data: Any) -> list[list[float]]:
    if not isinstance(data, list) or not all(isinstance(row, list) and len(row) == 3 for row in data):
        raise TypeError("its curve is no list of points")
    if not all(_plain(value) for row in data for value in row):
        raise TypeError("its curve holds what is no number")
    return data


def _plain(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _progress(data: Any) -> Progress:
    images, loss, right = data["window"]
    history, best = _rows(data["history"]), integer("best", data.get("best", 0), 0)
    if best and not (best <= len(history) and {"val_accuracy", "val_loss"} <= set(history[best - 1])):
        raise ValueError(f"its best epoch is {best}, which its history does not hold")
    return Progress(
        epochs=integer("epochs", data["epochs"]),
        images=integer("images", data["images"]),
        first=integer("first", data["first"], 0),
        done=integer("done", data["done"], 0),
        seen=integer("seen", data["seen"], 0),
        loss=number("loss", data["loss"]),
        correct=integer("correct", data["correct"], 0),
        history=history,
        curve=_points(data["curve"]),
        window=[integer("window", images, 0), number("window", loss), integer("window", right, 0)],
        best=best,
    )
