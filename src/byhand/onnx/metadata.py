"""The metadata of byhand in an ONNX file: the model's name, its class names, and the preprocessing of images."""

from __future__ import annotations

import json
from typing import Any

import onnx

from byhand.errors import FileError

PREFIX = "byhand."  # of the keys that byhand writes
KEYS = ("classes", "mean", "std", "name", "preprocessing")


def read_metadata(proto: onnx.ModelProto) -> dict[str, Any]:
    """Return what byhand wrote into a file's metadata; raises FileError where names are not text."""
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    metadata = {key: json.loads(entries[f"{PREFIX}{key}"]) for key in KEYS if f"{PREFIX}{key}" in entries}
    classes = metadata.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise FileError(f"its metadata {PREFIX}classes is not a list of names; expected a JSON list of strings")
    if not isinstance(metadata.get("name", ""), str):
        raise FileError(f"its metadata {PREFIX}name is not a name; expected a JSON string")
    return metadata
