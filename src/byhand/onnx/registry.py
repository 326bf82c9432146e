"""The tables of ONNX operators: who reads each one, and who writes each of byhand's ops.

    @reader("Mish")                          @writer("silu")
    def read_mish(node, x): ...              def write_silu(graph, node, call): ...

A reader takes a `NodeContext` and the node's inputs, and returns the output or a list of outputs. A writer takes the
`GraphWriter`, byhand's node and its `CallSpec`, and adds ONNX nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from byhand.graph import Node
from byhand.onnx.graph_writer import GraphWriter
from byhand.onnx.symbol import OnnxValue
from byhand.ops.op import CallSpec

Reader = Callable[..., OnnxValue | Sequence[OnnxValue | None]]
Writer = Callable[[GraphWriter, Node, CallSpec], None]
ReaderFunction = TypeVar("ReaderFunction", bound=Reader)

READERS: dict[str, Reader] = {}  # by ONNX operator
WRITERS: dict[str, Writer] = {}  # by byhand's op
# Unfused ops that ONNX files can't hold, and why.
NOT_WRITTEN = dict.fromkeys(
    ("softmax_cross_entropy", "soft_target_cross_entropy", "sigmoid_cross_entropy", "mse_loss"),
    "a loss: an ONNX file holds inference only",
)


def reader(*operators: str) -> Callable[[ReaderFunction], ReaderFunction]:
    """Register a function that reads these ONNX operators."""

    def register(function: ReaderFunction) -> ReaderFunction:
        READERS.update(dict.fromkeys(operators, function))
        return function

    return register


def writer(*ops: str) -> Callable[[Writer], Writer]:
    """Register a function that writes these ops of byhand's."""

    def register(function: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(ops, function))
        return function

    return register
