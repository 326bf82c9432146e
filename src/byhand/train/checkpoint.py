"""Checkpoints: a model file that also holds the optimizer's buffers and the settings and state of the trainer.

Checkpoints are untrusted: every field is validated before it is used. Some fields become text of the generated program.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byhand.data.augment import Augment
from byhand.errors import FileError
from byhand.kernels.conv.tuning import TuningTable, checked
from byhand.nn import Model, serialization
from byhand.ops.op import Array
from byhand.shapes import integer, number
from byhand.text import one_line
from byhand.train import settings
from byhand.train.history import History
from byhand.train.run import Run
from byhand.train.state import TrainingState

if TYPE_CHECKING:
    from byhand.train.trainer import Trainer

SETTINGS = (  # arguments of the Trainer
    "optimizer",
    "schedule",
    "batch_size",
    "hand",
    "precision",
    "clip_norm",
    "loss",
    "class_weight",
    "label_smoothing",
    "seed",
    "augment",
    "sync_batchnorm",
)


@dataclass
class Checkpoint:
    """The contents of a checkpoint.

    tuning: the table by which algorithms are chosen; arrays: the buffers, `optimizer.<name>`, and the best epoch's model,
    `best.<name>`.
    """

    model: Model
    settings: dict[str, Any]
    steps: int
    state: TrainingState | None
    history: History
    curve: list[list[float]]
    tuning: TuningTable
    arrays: Mapping[str, Array]

    @classmethod
    def of(cls, trainer: Trainer) -> Checkpoint:
        """Return what a trainer's checkpoint holds."""
        arrays = {f"optimizer.{name}": buffer for name, buffer in trainer.buffers.items()}
        arrays |= {f"best.{name}": array for name, array in trainer.best.items()}
        settings = {name: getattr(trainer, name) for name in SETTINGS} | {"loss": trainer.loss.kind}
        progress = trainer.steps, trainer.state, trainer.history, trainer.curve
        return cls(trainer.model, settings, *progress, trainer.tuning, arrays)

    def restore(self, trainer: Trainer) -> None:
        """Give a new trainer of these settings its state."""
        trainer.steps, trainer.state, trainer.tuning = self.steps, self.state, self.tuning
        trainer.history, trainer.curve = self.history, self.curve
        for name, buffer in trainer.buffers.items():
            buffer[...] = self.array(f"optimizer.{name}", like=buffer)
        if self.state is not None and self.state.best_epoch:
            arrays = trainer.state_arrays().items()
            trainer.best = {name: self.array(f"best.{name}", like=array) for name, array in arrays}

    def array(self, name: str, like: Array) -> Array:
        """Return an array by name; raise FileError where its shape or type is not that of another."""
        array = self.arrays[name]
        if array.shape != like.shape or array.dtype != like.dtype:
            raise FileError(f"its {name} is {array.dtype} {array.shape}, not {like.dtype} {like.shape}")
        return array


def save(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint, whole or not at all."""
    plain = dict(checkpoint.settings)
    plain |= {name: settings.to_json(plain[name]) for name in ("optimizer", "schedule")}
    plain["loss"] = plain["loss"] if isinstance(plain["loss"], str) else settings.FUNCTION
    plain["augment"] = str(plain["augment"])
    state = None if checkpoint.state is None else asdict(checkpoint.state)
    progress = {"steps": checkpoint.steps, "state": state, "history": checkpoint.history, "curve": checkpoint.curve}
    notes = plain | progress | {"tuning": checkpoint.tuning.factors}
    serialization.save(checkpoint.model, path, extra_arrays=checkpoint.arrays, extra_metadata={"trainer": notes})


def load(path: str | os.PathLike[str], given: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint in a file, or the one in a run's folder; given: settings that no file holds."""
    if Path(path).is_dir():
        folder, path = path, Run(path).checkpoint
        if not path.exists():
            raise FileError(f"the folder {folder} holds no checkpoint; expected {path.name} in it")
    model, arrays, metadata = serialization.read(path)
    with untrusted(path):
        notes: dict[str, Any] = dict(metadata["trainer"])
        chosen = {name: notes[name] for name in SETTINGS}
        for name in ("schedule", "loss"):
            if chosen[name] == settings.FUNCTION and name not in given:
                raise ValueError(f"its {name} is a function of yours; give it: Trainer.load(path, {name}=...)")
        chosen |= given
        parsed = {name: chosen[name] for name in ("optimizer", "schedule") if isinstance(chosen[name], dict)}
        chosen |= {name: settings.from_json(value) for name, value in parsed.items()}
        chosen["augment"] = Augment.parse(chosen["augment"])
        steps, state = integer("steps", notes["steps"], 0), None
        table = TuningTable(checked(notes["tuning"]))
        history, curve = _rows(notes["history"]), _points(notes["curve"])
        if notes["state"] is not None:
            state = _state(notes["state"])
            history, curve = state.history, state.curve
    return Checkpoint(model, chosen, steps, state, history, curve, table, arrays)


@contextmanager
def untrusted(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what a wrong field of a file raises, wherever it is used, into a FileError of one line."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise FileError(f"{path} is not a checkpoint that byhand can resume from: {what}") from None


def _state(data: Any) -> TrainingState:
    images, loss, correct = data["window"]
    history, best = _rows(data["history"]), integer("best_epoch", data["best_epoch"], 0)
    if best and not (best <= len(history) and {"val_loss"} <= set(history[best - 1])):
        raise ValueError(f"its best epoch is {best}, which its history does not hold")
    return TrainingState(
        epochs=integer("epochs", data["epochs"]),
        epoch_size=integer("epoch_size", data["epoch_size"]),
        first_step=integer("first_step", data["first_step"], 0),
        steps_done=integer("steps_done", data["steps_done"], 0),
        images_seen=integer("images_seen", data["images_seen"], 0),
        loss_sum=number("loss_sum", data["loss_sum"]),
        correct=integer("correct", data["correct"], 0),
        history=history,
        curve=_points(data["curve"]),
        window=[integer("window", images, 0), number("window", loss), integer("window", correct, 0)],
        best_epoch=best,
        end_reason=one_line(data["end_reason"]),
    )


def _rows(data: Any) -> History:
    named = isinstance(data, list) and all(isinstance(row, dict) and {"epoch", "loss"} <= set(row) for row in data)
    if not named or not all(_is_number(value) for row in data for value in row.values()):
        raise TypeError("its history is not a list of rows")
    return History(data)


def _points(data: Any) -> list[list[float]]:
    if not isinstance(data, list) or not all(isinstance(point, list) and len(point) == 3 for point in data):
        raise TypeError("its curve is not a list of points")
    if not all(_is_number(value) for point in data for value in point):
        raise TypeError("its curve holds a value that is not a number")
    return data


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
