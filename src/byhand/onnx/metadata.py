"""The metadata in an ONNX file: byhand's own, and class names, sizes and normalizations that other exporters write.

    byhand.*                                     byhand: name, classes, task, mean, std, crop_pct, as JSON
    names, imgsz                                 ultralytics, as Python literals
    id2label, image_mean; config.json and        the Hugging Face Hub, timm
    preprocessor_config.json beside the file
    classes, class_names, labels, class_to_idx   many others: JSON, or names separated by commas, semicolons or line ends
    Image.BitmapPixelFormat, NominalPixelRange   ONNX's own MetadataProps.md: Windows ML, Custom Vision

Only plain data is read: nothing is executed, and what is too long or no list of names is left alone.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx

from byhand.data.label_map import MAX_BYTES, NAME_KEYS, names_from_json, names_from_text
from byhand.data.text_files import read_text
from byhand.errors import FileError
from byhand.nn.task import TASKS
from byhand.onnx.processor_config import NUMBER_KEYS, normalization, read_numbers, read_processor, read_timm

PREFIX = "byhand."  # of the keys that byhand writes
KEYS = ("classes", "mean", "std", "name", "preprocessing", "task", "classes_are_integers")
CONFIG_FILE = "config.json"
PROCESSOR_FILE = "preprocessor_config.json"
ONNX_FOLDER = "onnx"  # of a repository on the Hub, beside config.json
MORE_NAME_KEYS = (
    "class_to_idx",
    "idx_to_class",
    "idx2label",
    "label_map",
    "categories",
    "vocab",
    "character",
    "config",
)
PROCESSOR_KEYS = ("preprocessor_config", "preprocessing", "preprocess", "transforms")
SEPARATORS = (",", ";", "|")
BGR_FORMATS = ("bgr8", "bgra8")
# (mean, std) by ONNX's Image.NominalPixelRange.
PIXEL_RANGES = {
    "nominalrange_0_255": (0.0, 1 / 255),
    "normalized_0_1": ([0.0] * 3, [1.0] * 3),
    "normalized_1_1": (0.5, 0.5),
}
MAX_IMAGE_SIDE = 4096  # pixels; a larger size in metadata is not taken
# The task that the Hub's config.json names.
PROBLEM_TYPES = {
    "single_label_classification": "classes",
    "multi_label_classification": "labels",
    "regression": "numbers",
}


def read_metadata(proto: onnx.ModelProto, path: Path | None = None) -> dict[str, Any]:
    """Return what a file's metadata say; raises FileError where byhand's own are broken.

    classes: the names, of the key `classes_key`; more_classes: (key, names) of others; unread_classes: a key of names that
    can't be read; task, name, mean, std, crop_pct; image_size: (height, width); bgr: whether blue comes first; squashed:
    whether images are stretched to the network's size. path: of the
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
    config, processor = ({} if path is None else _read_beside(path, name) for name in (CONFIG_FILE, PROCESSOR_FILE))
    found = read_timm(config) | read_processor(processor) | _foreign(entries) | _of_config(config, entries) | metadata
    if "task" in metadata:
        found.pop("task_key", None)
    return found


def _foreign(entries: dict[str, str]) -> dict[str, Any]:
    """Return what other exporters wrote into a file."""
    lower = {key.lower(): text for key, text in entries.items() if not key.startswith(PREFIX)}
    found: dict[str, Any] = {}
    keys = [key for key in (*NAME_KEYS, *MORE_NAME_KEYS) if lower.get(key, "").strip()]
    listed = [(key, _names(lower[key])) for key in keys]
    named = [(key, names) for key, names in listed if names]
    if named:
        found |= {"classes": named[0][1], "classes_key": named[0][0], "more_classes": named[1:]}
    elif keys:
        found["unread_classes"] = keys[0]
    processor = next((_object(lower[key]) for key in PROCESSOR_KEYS if _object(lower.get(key, ""))), {})
    found |= read_processor(processor)
    found |= normalization(
        *(next((read_numbers(lower[key]) for key in keys if key in lower), []) for keys in NUMBER_KEYS)
    )
    size = read_numbers(lower.get("imgsz", ""))
    size = size * (2 if len(size) == 1 else 1)
    if len(size) == 2 and all(0 < side <= MAX_IMAGE_SIDE and side == int(side) for side in size):
        found["image_size"] = tuple(map(int, size))
    pixel_range = PIXEL_RANGES.get(lower.get("image.nominalpixelrange", "").lower())
    if pixel_range is not None:
        found = {"mean": pixel_range[0], "std": pixel_range[1]} | found
    if lower.get("image.bitmappixelformat", "").lower() in BGR_FORMATS:
        found["bgr"] = True
    return found


def _names(text: str) -> list[str]:
    """Return the names in a metadata entry; [] where it holds none."""
    text = text.strip().removeprefix("\ufeff").strip()
    if not text or len(text) > MAX_BYTES:
        return []
    try:
        mark = next((mark for mark in SEPARATORS if mark in text), None)
        if "\n" not in text and mark is not None and text[0] not in "[{(" and not text.endswith((")", "]", "}")):
            return [name.strip() for name in text.split(mark) if name.strip()]
        names = list(names_from_text(text))
        return names if len(names) > 1 or text[0] in "[{(" else []  # one word is no list
    except ValueError:
        return []


def _read_beside(path: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file beside a model, or above its folder "onnx"; {} where there is none that can be read."""
    folders = [path.parent, path.parent.parent] if path.parent.name == ONNX_FOLDER else [path.parent]
    for folder in folders:
        file = folder / name
        with suppress(FileError):
            return _object(read_text(file, "the Hub's configuration", MAX_BYTES)[0])
    return {}


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object in a text, {} where it is none."""
    try:
        found = json.loads(text) if text.strip()[:1] == "{" and len(text) <= MAX_BYTES else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _of_config(config: dict[str, Any], entries: dict[str, str]) -> dict[str, Any]:
    """Return the names and the task in a config.json, where the file itself has no names."""
    found: dict[str, Any] = {}
    if isinstance(config.get("problem_type"), str) and config["problem_type"] in PROBLEM_TYPES:
        found |= {"task": PROBLEM_TYPES[config["problem_type"]], "task_key": CONFIG_FILE}
    if "classes" in _foreign(entries):
        return found
    try:
        return found | {"classes": list(names_from_json(config)), "classes_key": CONFIG_FILE}
    except ValueError:
        return found
