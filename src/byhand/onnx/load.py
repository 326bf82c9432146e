"""An ONNX file as a Model: images become (N, H, W, C), names become Python identifiers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from byhand.data.open_file import open_regular_file
from byhand.errors import FileError, UnsupportedError
from byhand.graph import Graph
from byhand.graph.serial import MAX_AXES, check_sizes
from byhand.nn.model import Model
from byhand.onnx.decisions import image_with_batch, scores_in_place
from byhand.onnx.file_errors import file_errors
from byhand.onnx.graph_reader import GraphReader
from byhand.onnx.input_scale import comes_channels_last, read_input_scale
from byhand.onnx.mapped_weights import MappedWeights, read_model
from byhand.onnx.metadata import read_metadata
from byhand.onnx.needed import inputs_of
from byhand.onnx.node_context import python_name
from byhand.onnx.outputs import Output, choose, read_outputs
from byhand.onnx.preprocessing import COLOR_CHANNELS, read_preprocessing, reverse_channels
from byhand.onnx.reader_state import NamedGraph
from byhand.onnx.readers.constant import FLOATING_TYPES
from byhand.onnx.settle_task import settle_task
from byhand.onnx.symbol import NHWC, OnnxValue, Symbol
from byhand.shapes import Shape

MAX_OUTPUTS = 64  # that are compared, to find the classes among them
# A weight of more bytes is copied into the model, and its pages of the file are given back before the next one.
RELEASED_BYTES = 1024 * 1024
CHANNEL_COUNTS = (1, COLOR_CHANNELS, 4)  # by which the channel axis of an image is recognized
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
    task: str | None = None,
    mean: Any = None,
    std: Any = None,
    notes: list[str] | None = None,
) -> Model:
    """Return the network in an ONNX file as a Model, which predicts, explains and trains like any other.

    output: the name of a graph output (or of any value in the graph), by default the one that holds the classes; input_shape:
    an image's (H, W, C), where the file leaves it open; classes: their names, by default those in the file's metadata or in a
    config.json beside it; task: what the output answers (see nn/task.py), by default read from the graph; mean, std: the
    normalization (pixel / 255 - mean) / std, by default what the metadata say, else 0 and 1; notes: gets what was assumed. A
    layer is named after its ONNX output, with '_' for characters that Python names can't hold.

    Raises FileError where the file is missing or broken; UnsupportedError, which names operator, node and opset, where the
    graph needs what byhand does not have, or where several outputs may be the classes.

    >>> import tempfile
    >>> import byhand as bh
    >>> from byhand.onnx import save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(bh.models.create("lenet5"), f"{folder}/lenet5.onnx")
    ...     load(f"{folder}/lenet5.onnx")
    <model lenet5: (28, 28, 1) -> 10 classes, 61,706 parameters>
    """
    path, notes = Path(path), [] if notes is None else notes
    with open_regular_file(path, "an ONNX model"):
        pass
    with file_errors(f"{path} is no ONNX model that byhand can use: ", f"{path}: "):
        proto, mapped_weights = _read_file(path)
        metadata = read_metadata(proto, path)
        wanted, image = _wanted_outputs(proto.graph, output)
        wanted, metadata = scores_in_place(proto.graph, wanted, metadata, notes)
        image = image_with_batch(proto.graph, image)
        scale = read_input_scale(proto.graph, image.name)
        elem_type = image.type.tensor_type.elem_type
        shape, layout, batch = _input_layout(
            image,
            input_shape,
            metadata.get("image_size"),
            written_by_byhand=proto.producer_name == "byhand",
            transposed=comes_channels_last(proto.graph, image.name),
        )
        if metadata.get("bgr") and shape[layout[-1]] == COLOR_CHANNELS:
            reverse_channels(proto.graph, image.name, layout[-1])
            notes.append("its metadata say that blue comes first: the channels of images are reversed for it")
        graph = NamedGraph()
        symbol = Symbol(graph.add_input(tuple(shape[axis] for axis in layout[1:])), layout)
        reader = GraphReader(proto, "arrays", graph, batch, path.parent, mapped_weights)
        chosen = _read_wanted(reader, {image.name: symbol}, wanted, _name_count(classes, metadata), notes)
        check_sizes(graph.up_to(chosen.tensor))
        _check_batch(graph.up_to(chosen.tensor))
        own_names = classes is None
        task, classes = settle_task(graph, chosen, metadata, task, classes, notes, reader.state.weights)
        assert graph.input is not None
        model = Model(
            graph.input,
            chosen.tensor,
            name=metadata.get("name") or python_name(path.stem),
            classes=classes,
            task=task,
            mean=mean,
            std=std,
            preprocessing=read_preprocessing(metadata, elem_type, graph.input.shape[-1], scale, notes),
            seed=None,
            dtype=np.float64 if elem_type == TensorProto.DOUBLE else np.float32,
        )
        model.classes_are_integers = own_names and metadata.get("classes_are_integers") is True
        _copy_weights(model, reader, mapped_weights)
        return model


def _name_count(classes: Sequence[str] | None, metadata: dict[str, Any]) -> int | None:
    names = metadata.get("classes") if classes is None else classes
    return len(names) if names else None


def _read_wanted(
    reader: GraphReader, inputs: dict[str, OnnxValue], wanted: list[str], names: int | None, notes: list[str]
) -> Output:
    """Return the output that holds the classes: the only wanted one, or the likeliest of those that can be read."""
    graph, main = reader.state.graph, reader.model.graph
    assert graph is not None
    if len(wanted) == 1:
        values, failures = reader.run(main, inputs, wanted), dict[str, FileError]()
    else:
        values, failures = reader.run_each(main, inputs, wanted)
    return choose(graph, read_outputs(graph, values, reader.state.weights), failures, names, notes)


def _read_file(path: Path) -> tuple[onnx.ModelProto, MappedWeights | None]:
    """Return the message in a file, and the weights that stay there."""
    proto, mapped_weights = read_model(path)
    if not proto.HasField("graph") or not proto.graph.node:
        raise FileError("it holds no graph; expected a file that `onnx.save` or an exporter wrote")
    return proto, mapped_weights


def _wanted_outputs(graph: onnx.GraphProto, output: str | None) -> tuple[list[str], onnx.ValueInfoProto]:
    """Return the names of the outputs that may hold the classes, and the one input that they need.

    output: the name of the wanted one, or of any value of the graph.
    """
    listed = [value.name for value in graph.output]
    if not listed:
        raise FileError("it has no output; expected one or more")
    if output is not None:
        if output not in {*listed, *(name for node in graph.node for name in node.output if name)}:
            raise FileError(f"it has no output '{output[:80]}'; it has {', '.join(listed[:MAX_OUTPUTS])}")
        listed = [output]
    if len(listed) > MAX_OUTPUTS:
        raise UnsupportedError(f"it has {len(listed)} outputs ({', '.join(listed[:3])}, ...): choose with output=NAME")
    inputs = {name: inputs_of(graph, [name]) for name in listed}
    of_images = {name: values[0] for name, values in inputs.items() if len(values) == 1}
    images = {value.name for value in of_images.values()}
    if len(images) == 1:
        return list(of_images), next(iter(of_images.values()))
    if images:
        told = ", ".join(f"{name} of {value.name}" for name, value in of_images.items())
        raise UnsupportedError(f"its outputs have different inputs ({told}): choose with output=NAME")
    stored = {tensor.name for tensor in graph.initializer}
    several = next((values for values in inputs.values() if values), None)
    several = several or [value for value in graph.input if value.name not in stored]
    if len(several) == 1:  # no output needs it: reading says why
        return listed, several[0]
    names = ", ".join(value.name for value in several)
    raise UnsupportedError(f"it has {len(several)} inputs ({names}); byhand runs networks of one image")


def _input_layout(
    image: onnx.ValueInfoProto,
    input_shape: Sequence[int] | None,
    metadata_size: Shape | None,
    *,
    written_by_byhand: bool,
    transposed: bool,
) -> tuple[Shape, Shape, int]:
    """Return the input's shape in ONNX's order with a batch of one, its layout in byhand, and the declared batch size.

    Channels come second, as ONNX has it, unless only the last axis has a usual number of them, or the graph moves the last
    axis to the second place (transposed): some exporters write NHWC.
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
    channels_last = (channels_last or (transposed and len(rest) == 3)) and not written_by_byhand
    if input_shape is not None and known_image and tuple(input_shape) != (rest[1], rest[2], rest[0]):
        channels_last = tuple(input_shape) == tuple(rest)
    layout = NHWC if len(rest) == 3 and not channels_last else tuple(range(len(sizes)))
    if input_shape is not None:
        if len(input_shape) != len(rest):
            raise FileError(
                f"input_shape is {tuple(input_shape)}; its input '{name}' has {len(rest)} axes beside the batch"
            )
        rest = [input_shape[layout.index(axis) - 1] for axis in range(1, len(sizes))]
    if len(rest) == 3 and None in rest and metadata_size is not None:  # (height, width) that the exporter noted
        for axis, size in zip(layout[1:3], metadata_size):
            rest[axis - 1] = rest[axis - 1] or size
    if None in rest:
        spelled = ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in dims)
        raise FileError(
            f"its input '{name}' leaves its size open, ({spelled}); tell it with input_shape=(height, width, channels)"
        )
    return (1, *rest), layout, batch or 1


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
