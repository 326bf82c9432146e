"""The task and the class names of an ONNX network: from the caller, the file's metadata, and what the output ends in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from byhand.errors import FileError, UnsupportedError
from byhand.graph import Graph
from byhand.nn.task import SIGMOIDS, SOFTMAXES
from byhand.onnx.metadata import PREFIX
from byhand.onnx.outputs import NO_VECTOR, VECTOR, Output, comes_from_weights
from byhand.onnx.sampled_values import CLASSES, CONSTANT, LABELS, UNKNOWN, sampled_kind
from byhand.ops.op import Array

IMAGENET_CLASSES = 1000  # outputs that need no explanation
MAX_CLASSES = 2**20  # a longer output vector is not taken for logits


def settle_task(
    graph: Graph,
    output: Output,
    metadata: dict[str, Any],
    task: str | None,
    classes: Sequence[str] | None,
    notes: list[str],
    weights: Mapping[str, Array],
) -> tuple[str, Sequence[str] | None]:
    """Return an output's task and its names, None where they are unknown; notes: gets what was assumed.

    weights: of the graph's parameters and states, by name.

    Raises UnsupportedError where the caller's names do not fit.
    """
    task = _recorded_task(output, metadata, notes) if task is None else task
    known = task is not None
    values = sampled_kind(graph, output.tensor, weights) if output.ending.activation == "other" else UNKNOWN
    names = _names_that_fit(output, metadata, task, classes, notes, values)
    task = task or _task_of(graph, output, len(names or ()), values)
    if task in ("numbers", "features"):
        if names and classes is not None:
            raise UnsupportedError(
                f"got {len(names)} class names, but its output {output} gives {task}; task=TASK says otherwise"
            )
        names = ()
    if not known and (note := _assumption(output, task, names or (), values)):
        notes.append(note)
    if output.size == 1 and output.ending.activation in SOFTMAXES:
        notes.append(f"its output {output.name} is a softmax of one value, which is always 1")
    return task, names


def _recorded_task(output: Output, metadata: dict[str, Any], notes: list[str]) -> str | None:
    """Return the task in the metadata; None where it is another exporter's and the graph contradicts it."""
    task = metadata.get("task")
    if task is None or not metadata.get("task_key"):
        return task
    activation, vector = output.ending.activation, output.kind != NO_VECTOR
    contradicts = {
        "classes": not vector or output.size == 1 or activation in (*SIGMOIDS, "other"),
        "labels": not vector or activation in (*SOFTMAXES, "other"),
        "numbers": not vector,
    }
    if not contradicts.get(task, False):
        return str(task)
    ending = "is no vector" if not vector else f"ends in {activation}" if activation != "none" else "is one number"
    notes.append(
        f"its {metadata['task_key']} says {task}, but its output {output} {ending}: that is not used; --task says it"
    )
    return None


def _names_that_fit(
    output: Output,
    metadata: dict[str, Any],
    task: str | None,
    classes: Sequence[str] | None,
    notes: list[str],
    values: str,
) -> Sequence[str] | None:
    """Return the caller's names, or those of the metadata where they fit; None where there are none."""
    if classes is None and "unread_classes" in metadata:
        notes.append(
            f"its metadata '{metadata['unread_classes']}' is no list of names that byhand reads; --labels gives them"
        )
    names = metadata.get("classes") if classes is None else classes
    one_label = (task == "labels" and output.size == 1) or (task is None and _decides(output, values))
    if not names or output.fits(len(names)) or (one_label and len(names) == 2) or (task == "labels" and one_label):
        return names
    size = f"its output {output} gives {output.size}"
    if classes is not None:
        raise UnsupportedError(f"got {len(names)} class names, but {size}")
    if metadata["classes_key"] == f"{PREFIX}classes":
        raise FileError(f"its metadata {PREFIX}classes has {len(names)} names, but {size}")
    for _, others in metadata.get("more_classes", ()):
        if output.fits(len(others)):
            return others  # type: ignore[no-any-return]
    notes.append(f"its metadata '{metadata['classes_key']}' has {len(names)} names, but {size}: they are not used")
    return None


def _decides(output: Output, values: str) -> bool:
    """Tell whether a single value may decide between two names: a bare logit, or a probability."""
    return output.size == 1 and output.kind != NO_VECTOR and (output.ending.activation == "none" or values == LABELS)


def _assumption(output: Output, task: str, names: Sequence[str], values: str) -> str:
    """Return what is assumed of an output whose graph does not say it; "" where it does."""
    activation = output.ending.activation
    if values == CONSTANT:
        return (
            f"its output {output} is the same for every image, as a softmax along an axis of length 1 is: taken for numbers;"
            " --output-name NAME takes another value of the graph"
        )
    if activation == "other" and task in ("classes", "labels"):
        also = " and add up to 1" if task == "classes" else ""
        return f"its output {output} is computed from probabilities, which go from 0 to 1{also}: taken for {task}"
    if task == "classes" and activation == "none" and not names and output.size != IMAGENET_CLASSES:
        return (
            f"its output {output} ends in no softmax: taken for the logits of {output.size} classes; if it is none, --task"
            " labels, numbers or features says so"
        )
    if task == "labels" and activation == "none" and len(names) == 2:
        return (
            f"its output {output} ends in no sigmoid: with two names, taken for the logit of '{names[1]}';"
            " --task numbers says otherwise"
        )
    if (task == "numbers" and (output.size > 1 or activation == "other")) or (
        task == "features" and output.kind == VECTOR
    ):
        why = {"none": "does not come from a layer with weights", "bounded": "is bounded"}
        what = why.get(activation, "is computed from probabilities")
        otherwise = {"other": "--output-name NAME takes another value of the graph"}
        otherwise |= {"other": "--task labels says otherwise"} if values == LABELS else {}
        return f"its output {output} {what}: taken for {task}; {otherwise.get(activation, '--task classes says otherwise')}"
    return ""


def _task_of(graph: Graph, output: Output, names: int, values: str) -> str:
    """Return the task that an output's ending tells; names: how many are known."""
    activation = output.ending.activation
    if output.kind == NO_VECTOR or (output.size > MAX_CLASSES and not names):
        return "features"
    if activation in SIGMOIDS or (names == 2 and _decides(output, values)):
        return "labels"
    # A class has others beside it; what is computed from probabilities in another way is one where they add up to 1.
    if output.size == 1 or activation == "other" or (activation == "bounded" and not names):
        several = {CLASSES: "classes", LABELS: "labels" if names else "numbers"}
        return several.get(values, "numbers") if output.size > 1 else "numbers"
    if names or activation in SOFTMAXES:
        return "classes"
    return "classes" if comes_from_weights(graph, output.tensor) else "features"
