"""An ONNX file as a Model: images become (N, H, W, C), names become Python identifiers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from byhand.data.open_file import open_regular_file
from byhand.data.preprocessing import Preprocessing
from byhand.errors import FileError, UnsupportedError
from byhand.graph import Graph, Tensor
from byhand.graph.serial import MAX_AXES, check_sizes
from byhand.nn.model import Model
from byhand.onnx.file_errors import file_errors
from byhand.onnx.graph_reader import GraphReader
from byhand.onnx.mapped_weights import MappedWeights, read_model
from byhand.onnx.metadata import read_metadata
from byhand.onnx.node_context import python_name
from byhand.onnx.reader_state import NamedGraph
from byhand.onnx.readers.constant import FLOATING_TYPES
from byhand.onnx.symbol import NHWC, OnnxValue, Symbol
from byhand.ops import flatten, transpose
from byhand.shapes import Shape

MAX_CLASSES = 2**20  # a longer output vector is not taken for logits
# A weight of more bytes is copied into the model, and its pages of the file are given back before the next one.
RELEASED_BYTES = 1024 * 1024
CHANNEL_COUNTS = (1, 3, 4)  # by which the channel axis of an image is recognized
# Types of inputs that are pixels, 0 to 255.
INTEGER_TYPES = (
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.UINT16,
    TensorProto.INT16,
    TensorProto.UINT32,
    TensorProto.INT32,
    TensorProto.UINT64,
    TensorProto.INT64,
)


def load(
    path: str | os.PathLike[str],
    *,
    output: str | None = None,
    input_shape: Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    mean: Any = None,
    std: Any = None,
) -> Model:
    """Return the network in an ONNX file as a Model, which predicts, explains and trains like any other.

    output: the name of a graph output, by default the first; input_shape: an image's (H, W, C), where the file leaves it
    open; classes: their names; mean, std: the normalization (pixel / 255 - mean) / std, by default what byhand wrote into the
    file, else 0 and 1. A layer is named after its ONNX output, with '_' for characters that Python names can't hold.

    Raises FileError where the file is missing or broken; UnsupportedError, which names operator, node and opset, where the
    graph needs what byhand does not have.

    >>> import tempfile
    >>> import byhand as bh
    >>> from byhand.onnx import save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(bh.models.create("lenet5"), f"{folder}/lenet5.onnx")
    ...     load(f"{folder}/lenet5.onnx")
    <model lenet5: (28, 28, 1) -> 10 classes, 61,706 parameters>
    """
    path = Path(path)
    with open_regular_file(path, "an ONNX model"):
        pass
    with file_errors(f"{path} is no ONNX model that byhand can use: ", f"{path}: "):
        proto, mapped_weights = _read_file(path)
        image = _image_input(proto.graph)
        shape, layout, batch = _input_layout(image, input_shape, written_by_byhand=proto.producer_name == "byhand")
        graph = NamedGraph()
        symbol = Symbol(graph.add_input(tuple(shape[axis] for axis in layout[1:])), layout)
        reader = GraphReader(proto, "arrays", graph, batch, path.parent, mapped_weights)
        result = _choose_output(reader.run(proto.graph, {image.name: symbol}), output)
        tensor = _as_logits(graph, result)
        check_sizes(graph)
        _check_batch(graph.up_to(tensor))

        metadata, elem_type = read_metadata(proto), image.type.tensor_type.elem_type
        if classes is None:
            classes = metadata.get("classes")
        if len(tensor.shape) != 2 or (classes is None and tensor.shape[1] > MAX_CLASSES):
            classes = ()
        assert graph.input is not None
        model = Model(
            graph.input,
            tensor,
            name=metadata.get("name") or python_name(path.stem),
            classes=classes,
            mean=mean,
            std=std,
            preprocessing=_preprocessing(metadata, elem_type),
            seed=None,
            dtype=np.float64 if elem_type == TensorProto.DOUBLE else np.float32,
        )
        _copy_weights(model, reader, mapped_weights)
        return model


def _preprocessing(metadata: dict[str, Any], elem_type: int) -> Preprocessing:
    """Return the preprocessing that byhand wrote into a file; else pixels from 0 to 1, or integers from 0 to 255."""
    if "preprocessing" in metadata:
        return Preprocessing.from_json(metadata["preprocessing"])
    std = 1.0 if elem_type in FLOATING_TYPES else 1 / 255
    return Preprocessing.from_json({"mean": metadata.get("mean", 0.0), "std": metadata.get("std", std)})


def _read_file(path: Path) -> tuple[onnx.ModelProto, MappedWeights | None]:
    """Return the message in a file, and the weights that stay there."""
    proto, mapped_weights = read_model(path)
    if not proto.HasField("graph") or not proto.graph.node:
        raise FileError("it holds no graph; expected a file that `onnx.save` or an exporter wrote")
    return proto, mapped_weights


def _image_input(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    """Return the one graph input that has no initializer and that a node reads."""
    stored, used = {tensor.name for tensor in graph.initializer}, set(_used_names(graph))
    inputs = [value for value in graph.input if value.name not in stored and value.name in used]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise UnsupportedError(f"it has {len(inputs)} inputs ({names}); byhand runs networks of one image")
    return inputs[0]  # type: ignore[no-any-return]


def _used_names(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names that a graph's nodes read, also those inside branches."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for branch in (attribute.g, *attribute.graphs):
                yield from _used_names(branch)


def _input_layout(
    image: onnx.ValueInfoProto, input_shape: Sequence[int] | None, *, written_by_byhand: bool
) -> tuple[Shape, Shape, int]:
    """Return the input's shape in ONNX's order with a batch of one, its layout in byhand, and the declared batch size.

    Channels come second, as ONNX has it, unless only the last axis has a usual number of them: some exporters write NHWC.
    """
    name, dims = image.name, image.type.tensor_type.shape.dim
    sizes: list[Any] = [dim.dim_value or None for dim in dims]
    if not 1 <= len(sizes) <= MAX_AXES:
        raise UnsupportedError(f"its input '{name}' has {len(sizes)} axes; expected (N, ...)")
    elem_type = image.type.tensor_type.elem_type
    if elem_type not in (*FLOATING_TYPES, *INTEGER_TYPES):
        raise UnsupportedError(f"its input '{name}' has the type {elem_type}; expected floating point or integers")
    batch, *rest = sizes
    known_image = len(rest) == 3 and None not in rest
    channels_last = len(rest) == 3 and rest[0] not in CHANNEL_COUNTS and rest[2] in CHANNEL_COUNTS
    channels_last = channels_last and not written_by_byhand
    if input_shape is not None and known_image and tuple(input_shape) != (rest[1], rest[2], rest[0]):
        channels_last = tuple(input_shape) == tuple(rest)
    layout = NHWC if len(rest) == 3 and not channels_last else tuple(range(len(sizes)))
    if input_shape is not None:
        if len(input_shape) != len(rest):
            raise FileError(
                f"input_shape is {tuple(input_shape)}; its input '{name}' has {len(rest)} axes beside the batch"
            )
        rest = [input_shape[layout.index(axis) - 1] for axis in range(1, len(sizes))]
    if None in rest:
        spelled = ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in dims)
        raise FileError(
            f"its input '{name}' leaves its size open, ({spelled}); tell it with input_shape=(height, width, channels)"
        )
    return (1, *rest), layout, batch or 1


def _choose_output(outputs: dict[str, OnnxValue], name: str | None) -> Symbol:
    """Return a graph output by name, by default the first."""
    if not outputs:
        raise FileError("it has no output; expected one or more")
    if name is not None and name not in outputs:
        raise FileError(f"it has no output '{name[:80]}'; it has {', '.join(outputs)}")
    result = outputs[name if name is not None else next(iter(outputs))]
    if not isinstance(result, Symbol):
        raise UnsupportedError("its output does not depend on its input")
    return result


def _as_logits(graph: Graph, result: Symbol) -> Tensor:
    """Return the output as (N, classes), where it is that or (N, classes, 1, 1); else in byhand's layout."""
    tensor, makers = result.tensor, {node.output.name: node for node in graph.nodes}
    if sum(size > 1 for size in tensor.shape[1:]) > 1 or (len(tensor.shape) > 2 and max(tensor.shape[1:]) == 1):
        layout = NHWC if result.ndim == 4 else tuple(range(result.ndim))
        axes = tuple(result.layout.index(axis) for axis in layout)
        return tensor if result.layout == layout else graph.add(transpose, {"x": tensor}, {"axes": axes})
    while len(tensor.shape) != 2 and (node := makers.get(tensor.name)) is not None:
        if node.op.name not in ("reshape", "flatten", "transpose"):
            return graph.add(flatten, {"x": tensor}, {})
        tensor = node.inputs["x"]
    return tensor


def _check_batch(graph: Graph) -> None:
    """Raise an UnsupportedError where the examples of a batch depend on each other."""
    _, shapes = graph.plan(2, training=False)
    for node in graph.nodes:
        if shapes[node.output.name] != (2, *node.output.shape[1:]):
            raise UnsupportedError(f"'{node.name}' ({node.op.name}) mixes the images of a batch")


def _copy_weights(model: Model, reader: GraphReader, mapped_weights: MappedWeights | None) -> None:
    """Copy the file's weights into a model."""
    weights = reader.state.weights
    for kind, arrays in (("parameter", model.p), ("state", model.state)):
        for tensor in model.graph.of_kind(kind):
            vars(arrays)[tensor.name][...] = values = weights.pop(tensor.name)
            if mapped_weights is not None and values.nbytes > RELEASED_BYTES:
                mapped_weights.release_pages()
