"""Snapshots of a network during training, and their encoding for the page."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.nn import Model
from byhand.ops.op import Array


@dataclass(frozen=True)
class Snapshot:
    """A network at a moment of its training: after so many steps, so many epochs."""

    step: int
    epoch: float
    model: Model


def encode_base64(array: Array, dtype: Any) -> str:
    """Return an array as base64 of a little-endian type."""
    with np.errstate(over="ignore"):  # values beyond float16's range become infinite
        return base64.b64encode(np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes()).decode()


def numbers_of(model: Model) -> tuple[dict[str, Any], Array]:
    """Return where each parameter and state lies, and all of them in one array.

    >>> import byhand as bh
    >>> where, numbers = numbers_of(bh.models.create("article"))
    >>> where["conv1_weight"], numbers.shape
    ({'shape': [3, 3, 1, 8], 'offset': 0}, (13602,))
    """
    where, parts, at = {}, list[Array](), 0
    for name, value in {**model.parameters, **vars(model.state)}.items():
        if value.dtype.kind == "f":
            where[name] = {"shape": list(value.shape), "offset": at}
            parts.append(np.asarray(value, np.float32).ravel())
            at += value.size
    return where, np.concatenate([np.zeros(0, np.float32), *parts])


def describe_snapshot(snapshot: Snapshot, tests: Array, labels: Array, numbers: bool = True) -> dict[str, Any]:
    """Return a snapshot for the page: its predictions of the test images, and its weights in float16."""
    found: dict[str, Any] = {"step": snapshot.step, "epoch": snapshot.epoch}
    if len(tests):
        predictions = snapshot.model.logits_of(tests).argmax(1)
        found |= {
            "predictions": encode_base64(predictions, np.uint16),
            "accuracy": float((predictions == labels).mean()),
        }
    return found | ({"parameters": encode_base64(numbers_of(snapshot.model)[1], np.float16)} if numbers else {})
