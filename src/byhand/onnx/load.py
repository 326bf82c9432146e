"""An ONNX file as a Model: (N, C, H, W) becomes (N, H, W, C) at the door, ONNX's names become ours."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from byhand.errors import FileError, UnsupportedError
from byhand.graph import Graph, Tensor
from byhand.graph.serial import MAX_AXES, check_sizes
from byhand.nn.model import Model
from byhand.onnx.file import Large, read
from byhand.onnx.node_context import python_name
from byhand.onnx.reader import Reader, Reading, told
from byhand.onnx.readers.constant import FLOATING
from byhand.onnx.values import IMAGE, Symbol
from byhand.ops import flatten, transpose
from byhand.shapes import Shape

MOST_CLASSES = 2**20  # of an output that is taken for logits
MEMORY = 1024 * 1024  # bytes of the file that are in memory before they are given back
CHANNELS = (1, 3, 4)  # by which an image of unknown layout is told
WHOLE = (  # types of pixels, told from 0 to 255
    TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16, TensorProto.UINT32, TensorProto.INT32,
    TensorProto.UINT64, TensorProto.INT64,
)  # fmt: skip
NOTES = "byhand."  # how what byhand writes beside a graph is called
KNOWN = ("classes", "mean", "std", "name", "crop_pct")  # what it writes


def load(
    path: str | os.PathLike[str],
    *,
    output: str | None = None,
    input_shape: Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    mean: Any = None,
    std: Any = None,
) -> Model:
    """Return the network in an ONNX file as a Model: it predicts, can be looked into, and can be trained on.

    output: which of the graph's outputs, by default the first; input_shape: an image's (H, W, C), where the file leaves it
    open; classes: their names; mean, std: how pixels become numbers, (pixel / 255 - mean) / std, by default as byhand wrote
    it into the file, else 0 and 1. A layer is called as ONNX calls its result, with '_' for what Python's names can't hold.

    Raises FileError where the file is missing or broken, UnsupportedError, which names operator, node and opset, where it asks
    for what byhand does not do.
    """
    path = Path(path)
    with told(f"{path} is no ONNX model that byhand can use: ", f"{path}: "):
        proto, large = _message(path)
        given = _input(proto.graph)
        shape, order, batch = _image(given, input_shape, proto.producer_name == "byhand")
        graph = Reading()
        images = Symbol(graph.add_input(tuple(shape[axis] for axis in order[1:])), order)
        reader = Reader(proto, "arrays", graph, batch, path.parent, large)
        results = reader.run(proto.graph, {given.name: images})
        if not results:
            raise FileError("it has no output")
        if output is not None and output not in results:
            raise FileError(f"it has no output '{output[:80]}'; it has {', '.join(results)}")
        result = results[output if output is not None else next(iter(results))]
        if not isinstance(result, Symbol):
            raise UnsupportedError("its output does not depend on its input")
        tensor = _logits(graph, result)
        check_sizes(graph)
        _check_batch(graph.up_to(tensor))
        notes = _notes(proto)
        whole = given.type.tensor_type.elem_type not in FLOATING
        known = {
            "classes": notes.get("classes") if classes is None else classes,
            "mean": notes.get("mean", 0.0) if mean is None else mean,
            "std": notes.get("std", 1 / 255 if whole else 1.0) if std is None else std,
            "crop_pct": notes.get("crop_pct"),
        }
        if len(tensor.shape) != 2 or (known["classes"] is None and tensor.shape[1] > MOST_CLASSES):
            known["classes"] = ()
        double = given.type.tensor_type.elem_type == TensorProto.DOUBLE
        name = notes.get("name") or python_name(path.stem)
        assert graph.input is not None
        model = Model(graph.input, tensor, name=name, seed=None, dtype=np.float64 if double else np.float32, **known)
        for kind, home in (("parameter", model.p), ("state", model.state)):
            for one in model.graph.of_kind(kind):
                vars(home)[one.name][...] = values = reader.values.pop(one.name)
                if large is not None and values.nbytes > MEMORY:
                    large.let_go()
        return model


def _message(path: Path) -> tuple[onnx.ModelProto, Large | None]:
    """Return the message in a file, and the large numbers that it leaves there."""
    if not path.is_file():
        raise FileError("there is no such file")
    proto, large = read(path)
    if not proto.HasField("graph") or not proto.graph.node:
        raise FileError("it holds no graph")
    return proto, large


def _input(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    """Return the one input that is no stored number and that some node reads."""
    held, used = {one.name for one in graph.initializer}, set(_read(graph))
    found = [one for one in graph.input if one.name not in held and one.name in used]
    if len(found) != 1:
        raise UnsupportedError(
            f"it has {len(found)} inputs ({', '.join(one.name for one in found)}); byhand runs networks of one image"
        )
    return found[0]  # type: ignore[no-any-return]


def _read(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names that a graph's nodes read, also those inside its branches."""
    for node in graph.node:
        yield from node.input
        for one in node.attribute:
            for branch in (one.g, *one.graphs):
                yield from _read(branch)


def _image(given: onnx.ValueInfoProto, wanted: Sequence[int] | None, ours: bool) -> tuple[Shape, Shape, int]:
    """Return the input's shape with a batch of one, the order of its axes inside byhand, and the batch that is declared.

    An image's channels come first, unless only the last axis looks like them; what byhand wrote keeps to the rule.
    """
    sizes: list[Any] = [one.dim_value or None for one in given.type.tensor_type.shape.dim]
    if not 1 <= len(sizes) <= MAX_AXES:
        raise UnsupportedError(f"its input '{given.name}' has {len(sizes)} axes; expected (N, ...)")
    kind = given.type.tensor_type.elem_type
    if kind not in (*FLOATING, *WHOLE):
        raise UnsupportedError(
            f"its input '{given.name}' has the type {kind}; expected floating point or whole numbers"
        )
    batch, *rest = sizes
    last = len(rest) == 3 and rest[0] not in CHANNELS and rest[2] in CHANNELS and not ours
    if wanted is not None and len(rest) == 3 and None not in rest and tuple(wanted) != (rest[1], rest[2], rest[0]):
        last = tuple(wanted) == tuple(rest)
    order = IMAGE if len(rest) == 3 and not last else tuple(range(len(sizes)))
    if wanted is not None:
        if len(wanted) != len(rest):
            raise FileError(
                f"input_shape is {tuple(wanted)}; its input '{given.name}' has {len(rest)} axes beside the batch"
            )
        rest = [wanted[order.index(axis) - 1] for axis in range(1, len(sizes))]
    if None in rest:
        raise FileError(
            f"its input '{given.name}' leaves its size open, {_spelled(given)}; "
            "tell it with input_shape=(height, width, channels)"
        )
    return (1, *rest), order, batch or 1


def _spelled(given: onnx.ValueInfoProto) -> str:
    sizes = (one.dim_param or str(one.dim_value or "?") for one in given.type.tensor_type.shape.dim)
    return f"({', '.join(sizes)})"


def _logits(graph: Graph, result: Symbol) -> Tensor:
    """Return the output as (N, classes), where it is that or (N, classes, 1, 1); else as ours, images (N, H, W, C)."""
    tensor, makers = result.tensor, {node.output.name: node for node in graph.nodes}
    if sum(size > 1 for size in tensor.shape[1:]) > 1 or (len(tensor.shape) > 2 and max(tensor.shape[1:]) == 1):
        order = IMAGE if result.ndim == 4 else tuple(range(result.ndim))
        axes = tuple(result.order.index(axis) for axis in order)
        return tensor if result.order == order else graph.add(transpose, {"x": tensor}, {"axes": axes})
    while len(tensor.shape) != 2 and (node := makers.get(tensor.name)) is not None:
        if node.op.name not in ("reshape", "flatten", "transpose"):
            return graph.add(flatten, {"x": tensor}, {})
        tensor = node.inputs["x"]
    return tensor


def _check_batch(graph: Graph) -> None:
    """Raise an UnsupportedError where images of a batch would meet."""
    _, shapes = graph.plan(2, training=False)
    for node in graph.nodes:
        if shapes[node.output.name] != (2, *node.output.shape[1:]):
            raise UnsupportedError(f"'{node.name}' ({node.op.name}) mixes the images of a batch")


def _notes(proto: onnx.ModelProto) -> dict[str, Any]:
    """Return what byhand wrote beside the graph."""
    found = {one.key.removeprefix(NOTES): one.value for one in proto.metadata_props if one.key.startswith(NOTES)}
    notes = {key: json.loads(value) for key, value in found.items() if key in KNOWN}
    classes = notes.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(one, str) for one in classes):
        raise FileError(f"its {NOTES}classes are no list of names")
    if not isinstance(notes.get("name", ""), str):
        raise FileError(f"its {NOTES}name is no name")
    return notes
