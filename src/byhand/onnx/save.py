"""A Model as an ONNX file: images become (N, C, H, W), every tensor keeps its name."""

from __future__ import annotations

import json
import os
from typing import Any

import onnx
from onnx import helper

from byhand.errors import UnsupportedError
from byhand.files import write_whole
from byhand.graph import Graph, Node
from byhand.nn.model import Model
from byhand.nn.with_activation import with_probabilities
from byhand.onnx.graph_writer import GraphWriter
from byhand.onnx.metadata import PREFIX
from byhand.onnx.writers import NOT_WRITTEN, WRITERS

OPSET = 18  # the oldest that has every operator byhand writes, but for Gelu
GELU_OPSET = 20
IR_VERSION = 9  # of the file format, 2023


def save(model: Model, path: str | os.PathLike[str], *, softmax: bool = False) -> None:
    """Write a model as an ONNX file, whole or not at all: inference only, on normalized images (N, C, H, W).

    softmax: end in probabilities (of labels, in a sigmoid), not in logits, where the model ends in logits. The metadata's
    byhand.output says which: "logits", "log-probabilities", "probabilities", "numbers" or "features".
    Class names and the normalization of pixels go into the file's metadata, where `byhand.onnx.load` finds them.

    Raises UnsupportedError, which names the layer and its op, where ONNX has no such operator; FileError where the file can't
    be written.

    >>> import byhand as bh, tempfile
    >>> from byhand import onnx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     onnx.save(bh.models.create("lenet5"), f"{folder}/lenet5.onnx")
    ...     onnx.load(f"{folder}/lenet5.onnx")
    <model lenet5: (28, 28, 1) -> 10 classes, 61,706 parameters>
    """
    write_whole(path, as_onnx(model, softmax=softmax).SerializeToString())


def output_kind(model: Model) -> str:
    """Return what the output of a model's graph is.

    >>> import byhand as bh
    >>> output_kind(bh.models.create("lenet5"))
    'logits'
    """
    if model.task not in ("classes", "labels"):
        return model.task
    kinds = {"none": "logits", "bounded": "logits", "log_softmax": "log-probabilities"}
    return kinds.get(model.answer.activation, "probabilities")


def as_onnx(model: Model, *, softmax: bool = False) -> onnx.ModelProto:
    """Return a model as an ONNX message; softmax: see `save`."""
    if softmax and output_kind(model) != "probabilities":
        model = with_probabilities(model)
    graph = model.graph.up_to(model.output)
    writer = GraphWriter(graph, model.parameters | vars(model.state), model.dtype)
    for node in graph.nodes:
        write_node(writer, node)
    proto = helper.make_model(
        _graph_proto(writer, graph, model),
        producer_name="byhand",
        opset_imports=[helper.make_opsetid("", _opset(writer))],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(proto, {f"{PREFIX}{key}": json.dumps(value) for key, value in _metadata(model).items()})
    return proto


def write_node(writer: GraphWriter, node: Node) -> None:
    """Add the ONNX nodes that compute what a node does."""
    write = WRITERS.get(node.op.name)
    if write is None:
        reason = NOT_WRITTEN.get(node.op.name, "")
        raise UnsupportedError(
            f"{node.name}: ONNX has no operator that does what {node.op.name} does{reason and f' ({reason})'}"
        )
    write(writer, node, writer.calls[node.name])


def _graph_proto(writer: GraphWriter, graph: Graph, model: Model) -> onnx.GraphProto:
    output = writer.graph_output(model.output)
    dtype = helper.np_dtype_to_tensor_dtype(model.dtype)
    assert graph.input is not None
    input_info = helper.make_tensor_value_info(graph.input.name, dtype, writer.onnx_shape(graph.input))
    output_info = helper.make_tensor_value_info(output, dtype, writer.onnx_shape(model.output))
    initializers = list(writer.initializers.values())
    return helper.make_graph(writer.nodes, model.name, [input_info], [output_info], initializers)


def _opset(writer: GraphWriter) -> int:
    return GELU_OPSET if any(node.op_type == "Gelu" for node in writer.nodes) else OPSET


def _metadata(model: Model) -> dict[str, Any]:
    """Return what ONNX has no field for: `byhand.onnx.load` reads it back."""
    metadata: dict[str, Any] = {"name": model.name, "mean": model.mean, "std": model.std, "task": model.task}
    metadata |= {"output": output_kind(model), "preprocessing": model.preprocessing.to_json()}
    if model.classes != tuple(map(str, range(len(model.classes)))):
        metadata["classes"] = list(model.classes)
    if model.classes_are_integers:
        metadata["classes_are_integers"] = True
    return metadata
