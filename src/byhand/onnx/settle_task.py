"""The task and the class names of an ONNX network: from the caller, the file's metadata, and what the output ends in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from byhand.errors import FileError, UnsupportedError
from byhand.graph import Graph
from byhand.nn.task import SIGMOIDS, SOFTMAXES
from byhand.onnx.metadata import PREFIX
from byhand.onnx.outputs import NO_VECTOR, VECTOR, Output, comes_from_weights

MAX_CLASSES = 2**20  # a longer output vector is not taken for logits


def settle_task(
    graph: Graph,
    output: Output,
    metadata: dict[str, Any],
    task: str | None,
    classes: Sequence[str] | None,
    notes: list[str],
) -> tuple[str, Sequence[str] | None]:
    """Return an output's task and its names, None where they are unknown; notes: gets what was assumed.

    Raises UnsupportedError where the caller's names do not fit.
    """
    task = metadata.get("task") if task is None else task
    names = metadata.get("classes") if classes is None else classes
    if names and not (output.fits(len(names)) or (task == "labels" and (output.size, len(names)) in ((1, 1), (1, 2)))):
        told = f"its output {output.name} {output.shape} gives {output.size}"
        if classes is not None:
            raise UnsupportedError(f"got {len(names)} class names, but {told}")
        if metadata["classes_key"] == f"{PREFIX}classes":
            raise FileError(f"its metadata {PREFIX}classes has {len(names)} names, but {told}")
        notes.append(f"its metadata '{metadata['classes_key']}' has {len(names)} names, but {told}: they are not used")
        names = None
    task = task or _task_of(graph, output, named=bool(names))
    if task in ("numbers", "features"):
        if names and classes is not None and task != metadata.get("task"):
            raise UnsupportedError(f"got {len(names)} class names, but its output {output.name} gives {task}")
        names = ()
    bare = output.ending.activation == "none"
    if task == "classes" and bare and not names and metadata.get("task") is None:
        notes.append(
            f"its output {output.name} {output.shape} ends in no softmax: taken for the logits of {output.size} classes;"
            " if it is none, --task labels, numbers or features says so"
        )
    if (task == "numbers" and output.size > 1) or (task == "features" and output.kind == VECTOR):
        what = "bounded" if output.ending.activation == "bounded" else "computed from probabilities"
        why = f"is {what}" if not bare else "does not come from a layer with weights"
        notes.append(f"its output {output.name} {output.shape} {why}: taken for {task}; --task classes says otherwise")
    if task == "classes" and output.size == 1 and output.ending.activation in SOFTMAXES:
        notes.append(f"its output {output.name} is a softmax of one value, which is always 1")
    return task, names


def _task_of(graph: Graph, output: Output, *, named: bool) -> str:
    """Return the task that an output's ending tells."""
    activation = output.ending.activation
    if output.kind == NO_VECTOR or (output.size > MAX_CLASSES and not named):
        return "features"
    if activation in SIGMOIDS:
        return "labels"
    if activation in SOFTMAXES or named:
        return "classes"
    if output.size == 1 or activation in ("bounded", "other"):
        return "numbers"
    return "classes" if comes_from_weights(graph, output.tensor) else "features"
