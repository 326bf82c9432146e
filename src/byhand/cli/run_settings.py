"""The settings in a run.json, checked: a run's folder may come from someone else, or may have been edited by hand."""

from collections.abc import Callable
from typing import Any

from byhand.cli.defaults import Settings
from byhand.data.augment import Augment
from byhand.data.preprocessing import Preprocessing
from byhand.data.tables.table_options import TABLE_OPTIONS
from byhand.errors import ByhandError, FileError
from byhand.kernels.conv.problem import FLOAT32, PRECISIONS
from byhand.train import Run
from byhand.train.settings import from_json

REQUIRED = ("data", "model", "epochs", "batch_size", "lr", "seed", "hand", "augment", "optimizer", "schedule")
MAX_WHOLE_NUMBER = 2**53  # JSON's numbers are exact up to it


def read_settings(run: Run, required: tuple[str, ...] = ()) -> Settings:
    """Return a run's settings, those that are null left out; keys that `CHECKS` does not know are passed on.

    Raises FileError for a setting that is required and missing, or of the wrong type.
    """
    settings = {"augment": "none", "precision": FLOAT32} | {
        name: value for name, value in run.settings.items() if value is not None
    }
    for name, check in CHECKS.items():
        if name not in settings and name not in required:
            continue
        try:
            good = name in settings and check(settings[name])
        except ByhandError as error:
            raise FileError(f"the run.json of {run.folder} has a wrong {name}: {error}") from None
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
            good = False
        if not good:
            shown = repr(settings.get(name))
            raise FileError(f"the run.json of {run.folder} has {shown:.60} as its {name}; start a new run")
    return settings


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _is_whole(low: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= MAX_WHOLE_NUMBER


def _are_numbers(value: Any) -> bool:
    return _is_number(value) or (isinstance(value, list) and all(map(_is_number, value)))


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_whole(1), value))


def _is_normalization(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() <= {"mean", "std"} and all(map(_are_numbers, value.values()))


def _is_registered(value: Any) -> bool:
    return isinstance(value, dict) and from_json(value) is not None


CHECKS: dict[str, Callable[[Any], bool]] = {
    "data": _is_text,
    "model": _is_text,
    "from": _is_text,
    "output_name": _is_text,
    "mean": _is_text,
    "std": _is_text,
    "task": _is_text,
    "hand": _is_text,
    "precision": lambda value: value in PRECISIONS,
    "tta": _is_text,
    "reader": _is_text,
    "pixel_range": _is_text,
    "data_sha256": _is_text,
    "augment": lambda value: _is_text(value) and Augment.parse(value) is not None,
    "epochs": _is_whole(1),
    "batch_size": _is_whole(1),
    "epoch_size": _is_whole(1),
    "early_stopping": _is_whole(1),
    "seed": _is_whole(0),
    "unfreeze": lambda value: value == "all" or _is_whole(0)(value),
    "lr": _is_number,
    "label_smoothing": _is_number,
    "validation_fraction": _is_number,
    "stop_when_learned": _is_flag,
    "stream": _is_flag,
    "sync_batchnorm": _is_flag,
    "size": _is_size,
    "preprocessing": lambda value: Preprocessing.from_json(value) is not None,
    "pixels": _is_normalization,
    "optimizer": _is_registered,
    "schedule": _is_registered,
} | dict.fromkeys(TABLE_OPTIONS, _is_text)
