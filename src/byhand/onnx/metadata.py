"""The metadata in an ONNX file: byhand's own, and class names, sizes and normalizations that other exporters write.

    byhand.*                                     byhand: name, classes, task, mean, std, crop_pct, as JSON
    names, imgsz                                 ultralytics, as Python literals
    id2label; config.json beside the file        the Hugging Face Hub
    classes, class_names, labels, class_indices  many others: JSON, or names separated by commas or line ends

Only plain data is read: nothing is executed, and what is too long or no list of names is left alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx

from byhand.data.label_map import MAX_BYTES, NAME_KEYS, names_from_json, names_from_text
from byhand.data.text_files import read_text
from byhand.errors import FileError
from byhand.nn.task import TASKS

PREFIX = "byhand."  # of the keys that byhand writes
KEYS = ("classes", "mean", "std", "name", "preprocessing", "task")
CONFIG_FILE = "config.json"
MAX_NUMBERS_LENGTH = 200  # characters of a mean, a std or a size
MAX_IMAGE_SIDE = 4096  # pixels; a larger size in metadata is not taken
# The task that the Hub's config.json names.
PROBLEM_TYPES = {
    "single_label_classification": "classes",
    "multi_label_classification": "labels",
    "regression": "numbers",
}


def read_metadata(proto: onnx.ModelProto, path: Path | None = None) -> dict[str, Any]:
    """Return what a file's metadata say; raises FileError where byhand's own are broken.

    classes: the names, of the key `classes_key`; task, name, mean, std, crop_pct; image_size: (height, width). path: of the
    file, beside which a config.json may lie.
    """
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    metadata = {key: json.loads(entries[f"{PREFIX}{key}"]) for key in KEYS if f"{PREFIX}{key}" in entries}
    classes = metadata.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise FileError(f"its metadata {PREFIX}classes is not a list of names; expected a JSON list of strings")
    if not isinstance(metadata.get("name", ""), str):
        raise FileError(f"its metadata {PREFIX}name is not a name; expected a JSON string")
    if metadata.get("task") not in (None, *TASKS):
        raise FileError(f"its metadata {PREFIX}task is {str(metadata['task'])[:40]!r}; expected {', '.join(TASKS)}")
    if "classes" in metadata:
        return metadata | {"classes_key": f"{PREFIX}classes"}
    if proto.producer_name == "byhand":
        return metadata
    config = {} if path is None else _read_config(path.parent / CONFIG_FILE)
    found = _foreign(entries) | _of_config(config, entries) | metadata
    if "task" in metadata:
        found.pop("task_key", None)
    return found


def _foreign(entries: dict[str, str]) -> dict[str, Any]:
    """Return what other exporters wrote into a file."""
    found: dict[str, Any] = {}
    for key in NAME_KEYS:
        if names := _names(entries.get(key, "")):
            found |= {"classes": names, "classes_key": key}
            break
    numbers = {key: _numbers(entries.get(key, "")) for key in ("mean", "std", "imgsz")}
    in_bytes = any(number > 2 for number in [*numbers["mean"], *numbers["std"]])
    scale = 255.0 if in_bytes else 1.0  # pixels 0 to 255, or 0 to 1
    for key in ("mean", "std"):
        if len(numbers[key]) in (1, 3) and (key == "mean" or all(numbers[key])):
            found[key] = [number / scale for number in numbers[key]]
            found[key] = found[key][0] if len(numbers[key]) == 1 else found[key]
    size = numbers["imgsz"] * (2 if len(numbers["imgsz"]) == 1 else 1)
    if len(size) == 2 and all(0 < side <= MAX_IMAGE_SIDE and side == int(side) for side in size):
        found["image_size"] = tuple(map(int, size))
    return found


def _names(text: str) -> list[str]:
    """Return the names in a metadata entry; [] where it holds none."""
    if not text.strip() or len(text) > MAX_BYTES:
        return []
    try:
        if "\n" not in text.strip() and "," in text and text.strip()[0] not in "[{":
            return [name.strip() for name in text.split(",") if name.strip()]
        names = list(names_from_text(text))
        return names if len(names) > 1 or text.strip()[0] in "[{" else []  # one word is no list
    except ValueError:
        return []


def _numbers(text: str) -> list[float]:
    """Return the numbers in a metadata entry such as [224, 224] or 0.5,0.5,0.5; [] where it holds none."""
    words = text.strip().strip("[]()").replace(",", " ").split() if len(text) <= MAX_NUMBERS_LENGTH else []
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return []
    return numbers if all(abs(number) < MAX_BYTES for number in numbers) else []


def _read_config(path: Path) -> dict[str, Any]:
    """Return the object in a config.json, {} where there is none that can be read."""
    try:
        config = json.loads(read_text(path, "the Hub's configuration", MAX_BYTES)[0])
    except (FileError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _of_config(config: dict[str, Any], entries: dict[str, str]) -> dict[str, Any]:
    """Return the names and the task in a config.json, where the file itself has no names."""
    found: dict[str, Any] = {}
    if isinstance(config.get("problem_type"), str) and config["problem_type"] in PROBLEM_TYPES:
        found |= {"task": PROBLEM_TYPES[config["problem_type"]], "task_key": CONFIG_FILE}
    if any(_names(entries.get(key, "")) for key in NAME_KEYS):
        return found
    try:
        return found | {"classes": list(names_from_json(config)), "classes_key": CONFIG_FILE}
    except ValueError:
        return found
