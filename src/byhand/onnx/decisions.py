"""Outputs that are made for a program that reads one answer: a decision in place of scores, or an answer without a batch axis.

    ArgMax, TopK, ZipMap, LabelEncoder, Cast to integers, Greater, Round   the scores that they decide on hold more
    Squeeze, Reshape or Gather of the batch axis, 1 long                   the value before it has a batch axis
    Unsqueeze of an image without a batch axis                             the value after it has one

`byhand` reads the scores instead, and the class names that a decision holds. It looks at the file, before the graph is read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import onnx
from onnx import helper

from byhand.data.text_files import decode_bytes
from byhand.onnx.file_graph import FileGraph, attributes_of
from byhand.onnx.readers.constant import FLOATING_TYPES

THRESHOLDS = {"Greater": 0, "GreaterOrEqual": 0, "Less": 1, "LessOrEqual": 1}  # the input that has the scores
DECISIONS = (
    *("ArgMax", "TopK", "ZipMap", "LabelEncoder", "ArrayFeatureExtractor", "OneHot", "Binarizer", "Round"),
    *THRESHOLDS,
)
LARGEST = "ReduceMax"  # of the scores, which some networks give beside the ArgMax
VIEWS = ("Squeeze", "Unsqueeze", "Reshape", "Flatten", "Identity", "Gather", "Cast")
MAX_CHAIN = 64  # nodes between scores and an output
IMAGE_AXES = 3  # of an image without a batch axis
MAX_LISTED = 8  # outputs in a note


class Scores(NamedTuple):
    """The value that an output decides on, the names of its classes, and the operator that decides last."""

    value: str
    classes: tuple[str, ...]
    decision: str


def scores_in_place(
    graph: onnx.GraphProto, wanted: list[str], metadata: dict[str, Any], notes: list[str]
) -> tuple[list[str], dict[str, Any]]:
    """Return the values to read in place of outputs, where all of these are decisions, and the metadata with the names found.

    notes: gets what is read in whose place.
    """
    file_graph = FileGraph(graph)
    found = [_scores_of(file_graph, output) for output in wanted]
    scores = [entry for entry in found if entry is not None]
    decided = {entry.value for entry in scores if entry.decision != LARGEST}
    if decided and len(scores) == len(found) and decided >= {entry.value for entry in scores}:
        told = [f"{output} is made by {entry.decision} from {entry.value}" for output, entry in zip(wanted, scores)]
        values = list(dict.fromkeys(entry.value for entry in scores))
        notes.append(f"its output {', '.join(told[:MAX_LISTED])}: {' and '.join(values[:MAX_LISTED])} is read instead")
        if "classes" not in metadata and (named := next((entry for entry in scores if entry.classes), None)):
            metadata = metadata | {"classes": list(named.classes), "classes_key": named.decision}
        wanted = values
    return [_with_batch(file_graph, value) for value in wanted], metadata


def _scores_of(graph: FileGraph, output: str) -> Scores | None:
    """Return the scores that an output decides on; None where it is no decision."""
    scores, names, decision, value = output, tuple[str, ...](), "", output
    for _ in range(MAX_CHAIN):
        node = graph.makers.get(value)
        computed = [] if node is None else graph.computed_inputs(node)
        if node is None or node.op_type not in (*DECISIONS, LARGEST, *VIEWS) or not computed:
            break
        if node.op_type in DECISIONS and not _favors_large_scores(graph, node):
            return None
        names = names or _names(graph, node)
        value = computed[0]
        if _decides(node):
            scores, decision = value, decision or _described(graph, node)
    return Scores(scores, names, decision) if decision else None


def _decides(node: onnx.NodeProto) -> bool:
    """Tell whether a node makes integers, text or truth of scores."""
    if node.op_type == "Cast":
        return attributes_of(node).get("to") not in FLOATING_TYPES
    return node.op_type in (*DECISIONS, LARGEST)


def _favors_large_scores(graph: FileGraph, node: onnx.NodeProto) -> bool:
    """Tell whether a decision is for the larger scores of an image: not for the smaller ones, nor among images."""
    given = attributes_of(node)
    if node.op_type in THRESHOLDS:
        return not graph.is_constant(node.input[THRESHOLDS[node.op_type]])
    if node.op_type == "TopK":
        return bool(given.get("largest", 1))
    if node.op_type == "ArgMax" and given.get("axis", 0) == 0:  # of the batch, unless that was taken away
        before = graph.makers.get(node.input[0])
        return before is not None and _takes_batch_away(graph, before)
    return True


def _described(graph: FileGraph, node: onnx.NodeProto) -> str:
    """Return the operator of a decision, with its threshold where it has one."""
    if node.op_type in THRESHOLDS:
        threshold = graph.constant(node.input[1 - THRESHOLDS[node.op_type]])
        if threshold is not None and threshold.size == 1:
            return f"{node.op_type} {float(threshold.reshape(-1)[0]):g}"
    return node.op_type


def _names(graph: FileGraph, node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the class names that a decision holds, in the order of the scores; () where there are none."""
    given, found = attributes_of(node), list[Any]()
    if node.op_type == "ZipMap":
        found = given.get("classlabels_strings") or given.get("classlabels_int64s") or []
    elif node.op_type == "LabelEncoder":
        keys = given.get("keys_int64s") or []
        found = (given.get("values_strings") or []) if keys == list(range(len(keys))) else []
    elif node.op_type in ("ArrayFeatureExtractor", "Gather"):
        array = graph.constant(node.input[0])
        found = [] if array is None or array.dtype.kind not in "OUSi" else array.reshape(-1).tolist()
    return tuple(decode_bytes(name) if isinstance(name, bytes) else str(name) for name in found)


def _with_batch(graph: FileGraph, value: str) -> str:
    """Return the value from which a Squeeze, Reshape or Gather takes the batch axis away; else the value itself."""
    for _ in range(MAX_CHAIN):
        node = graph.makers.get(value)
        if node is None or not _takes_batch_away(graph, node):
            break
        value = node.input[0]
    return value


def _takes_batch_away(graph: FileGraph, node: onnx.NodeProto) -> bool:
    if node.op_type == "Squeeze":
        axes = graph.integers(node, "axes", 1)
        return axes is None or 0 in axes
    if node.op_type == "Reshape":
        shape = graph.integers(node, "shape", 1)
        return shape is not None and len(shape) == 1
    is_first = node.op_type == "Gather" and attributes_of(node).get("axis", 0) == 0
    return is_first and graph.integers(node, "indices", 1) == [0]


def image_with_batch(graph: onnx.GraphProto, image: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """Return the image with the batch axis that an Unsqueeze gives to an input (C, H, W), whose node is taken out of the graph.

    Another input is returned as it is.
    """
    file_graph = FileGraph(graph)
    dims, readers = image.type.tensor_type.shape.dim, file_graph.readers.get(image.name, [])
    if len(dims) != IMAGE_AXES or len(readers) != 1 or readers[0].op_type != "Unsqueeze":
        return image
    if file_graph.integers(readers[0], "axes", 1) != [0]:
        return image
    name = readers[0].output[0]
    graph.node.remove(readers[0])
    sizes = [dim.dim_value or dim.dim_param or None for dim in dims]
    return helper.make_tensor_value_info(name, image.type.tensor_type.elem_type, [1, *sizes])
