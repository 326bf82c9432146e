"""Walks an ONNX graph node by node: constants are folded at once, the rest becomes nodes of a byhand graph.

With arrays for all inputs, the whole graph is computed: that is how `byhand.onnx.backend` runs one. With a symbol for the
image, the same walk translates it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper

from byhand.errors import FileError, UnsupportedError
from byhand.onnx.budget import MAX_DEPTH, MAX_EXPANDED_NODES, Budget
from byhand.onnx.file_errors import BROKEN_FILE_ERRORS, describe
from byhand.onnx.function_body import default_attributes, function_body
from byhand.onnx.mapped_weights import MappedWeights
from byhand.onnx.needed import needed_by
from byhand.onnx.node_context import DOMAINS, NodeContext
from byhand.onnx.reader_state import NamedGraph, ReaderState
from byhand.onnx.readers import READERS
from byhand.onnx.symbol import OnnxValue, Symbol

SUBGRAPH_TYPES = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
QUANTIZED_OPS = (
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"),
    *("QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearGlobalAveragePool", "QGemm", "MatMulNBits"),
)
# A computed array may be so many times as large as the largest input: batches grow on their way through a graph.
INPUT_GROWTH = 100
# Nodes of byhand's that one ONNX node may become, on average.
MAX_NODES_PER_ONNX_NODE = 32


class GraphReader:
    """Reads one model.

    graph: the byhand graph to add nodes to, or None to compute arrays; batch: the batch size that the file declares; folder:
    where its external data lies; mapped_weights: the weights left in its own file.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        hand: str,
        graph: NamedGraph | None = None,
        batch: int = 1,
        folder: Path | None = None,
        mapped_weights: MappedWeights | None = None,
    ) -> None:
        self.model = model
        self.state = ReaderState(hand, graph, batch, folder, mapped_weights, Budget(bounded=graph is not None))
        self.opsets = _opset_versions(model.opset_import)
        self.functions = {(function.domain, function.name): function for function in model.functions}
        self.expanded_nodes = 0
        self.failures: dict[str, FileError] | None = (
            None  # by value, why it can't be read; None: the first one is raised
        )

    def run(
        self, graph: onnx.GraphProto, inputs: Mapping[str, OnnxValue], wanted: Sequence[str] | None = None
    ) -> dict[str, OnnxValue]:
        """Return the outputs of a graph by name, from its inputs by name.

        wanted: the names of some values, by default all outputs; only the nodes and weights that they need are read.
        """
        scope: MutableMapping[str, OnnxValue] = dict(inputs)
        if self.state.depth:
            scope = ChainMap({}, inputs)  # type: ignore[arg-type]
        else:
            sizes = (value.size for value in inputs.values() if isinstance(value, np.ndarray))
            self.state.budget.allow(INPUT_GROWTH * max(sizes, default=0))
        nodes, needed = (list(graph.node), None) if wanted is None else needed_by(graph, wanted)
        names = [output.name for output in graph.output] if wanted is None else wanted
        for i, tensor in enumerate(graph.initializer):
            if tensor.name not in inputs and (needed is None or tensor.name in needed):
                scope[tensor.name] = self.state.add_initializer(tensor, i if graph is self.model.graph else None)
        if graph.sparse_initializer:
            raise UnsupportedError("it holds sparse tensors; byhand reads dense ones")
        self._walk(nodes, scope, self.opsets, {}, names)
        read = [name for name in names if self.failures is None or name not in self.failures]
        return {name: _lookup(scope, name, "the graph's output") for name in read}

    def run_each(
        self, graph: onnx.GraphProto, inputs: Mapping[str, OnnxValue], wanted: Sequence[str]
    ) -> tuple[dict[str, OnnxValue], dict[str, FileError]]:
        """Return those of the wanted values that can be read, and why the others can't, by name."""
        self.failures = {}
        found = self.run(graph, inputs, wanted)
        return found, {name: self.failures[name] for name in wanted if name in self.failures}

    def run_branch(self, graph: onnx.GraphProto, scope: Mapping[str, OnnxValue]) -> dict[str, OnnxValue]:
        """Return the outputs of a branch, which may use any value of the graph around it."""
        self.state.depth += 1
        try:
            return self.run(graph, scope)
        finally:
            self.state.depth -= 1

    def _walk(
        self,
        nodes: Iterable[onnx.NodeProto],
        scope: MutableMapping[str, OnnxValue],
        opsets: Mapping[str, int],
        function_attributes: Mapping[str, Any],
        outputs: Sequence[str],
    ) -> None:
        """Read nodes in order; their outputs are added to `scope`."""
        nodes = list(nodes)
        self.expanded_nodes += len(nodes) if self.state.depth else 0
        if self.expanded_nodes > MAX_EXPANDED_NODES:
            raise UnsupportedError(f"its functions and branches expand to more than {MAX_EXPANDED_NODES:,} nodes")
        branches = any(attribute.type in SUBGRAPH_TYPES for node in nodes for attribute in node.attribute)
        last_use = {name: i for i, node in enumerate(nodes) for name in node.input}
        for i, proto in enumerate(nodes):
            node = NodeContext(self.state, proto, opsets, function_attributes, scope, self.run_branch)
            for name, value in zip(proto.output, self._read(node), strict=False):
                if name:
                    scope[name] = value
            if self.state.depth == 0 and not branches:  # free what no later node reads
                for name in set(proto.input):
                    if last_use.get(name) == i and name not in outputs:
                        scope.pop(name, None)

    def _read(self, node: NodeContext) -> Sequence[Any]:
        """Return the outputs of a node; where failures are kept, none for a node that can't be read."""
        kept = self.failures if self.state.depth == 0 else None
        if kept is not None and (failed := next((name for name in node.proto.input if name in kept), None)):
            kept |= dict.fromkeys(node.outputs, kept[failed])
            return []
        try:
            return self.apply(node, [_lookup(node.scope, name, node) if name else None for name in node.proto.input])
        except FileError as error:
            if kept is None:
                raise
            kept |= dict.fromkeys(node.outputs, error)
            return []

    def apply(self, node: NodeContext, inputs: list[OnnxValue | None]) -> Sequence[Any]:
        """Return the outputs of a node."""
        graph, start = self.state.graph, 0
        if graph is not None:
            graph.label, start = node.label, len(graph.nodes)
        try:
            reader = READERS.get(node.op_type) if node.proto.domain in DOMAINS else None
            results = reader(node, *inputs) if reader else self._expand(node, inputs)
            results = list(results) if isinstance(results, (tuple, list)) else [results]
        except UnsupportedError:
            raise
        except BROKEN_FILE_ERRORS as error:
            raise FileError(f"{node}: {describe(error)}") from error
        if graph is not None:
            if len(graph.nodes) > MAX_EXPANDED_NODES + MAX_NODES_PER_ONNX_NODE * len(self.model.graph.node):
                raise node.unsupported(f"the graph up to here becomes {len(graph.nodes):,} nodes")
            if len(graph.nodes) > start and results and isinstance(results[0], Symbol):
                results[0] = _renamed(graph, results[0], node.label)
        return results

    def _expand(self, node: NodeContext, inputs: list[OnnxValue | None]) -> list[Any]:
        """Return the outputs of a function: one of the model, or an operator that ONNX defines by others."""
        proto = node.proto
        quantized = "; the network is quantized: use the file from before" if proto.op_type in QUANTIZED_OPS else ""
        function = self.functions.get((proto.domain, proto.op_type)) or function_body(node, inputs)
        if function is None or (quantized and any(isinstance(value, Symbol) for value in inputs)):
            raise node.unsupported(f"byhand has no operator {proto.op_type}{quantized}")
        if self.state.depth >= MAX_DEPTH:
            raise node.unsupported(f"more than {MAX_DEPTH} branches and functions are nested")
        scope: dict[str, Any] = dict(zip(function.input, inputs))
        attributes = default_attributes(node.op_type, node.opset) if proto.domain in DOMAINS else {}
        attributes |= {default.name: helper.get_attribute_value(default) for default in function.attribute_proto}
        attributes |= {attribute.name: node.attribute_value(attribute) for attribute in proto.attribute}
        self.state.depth += 1
        try:
            opsets = _opset_versions(function.opset_import) or self.opsets
            self._walk(function.node, scope, opsets, attributes, function.output)
        finally:
            self.state.depth -= 1
        return [scope.get(name) for name in function.output]


def _renamed(graph: NamedGraph, symbol: Symbol, label: str) -> Symbol:
    """Give the last node's output the name that ONNX has for it."""
    if symbol.tensor is not graph.nodes[-1].output or symbol.tensor.name == label:
        return symbol
    return Symbol(graph.rename_last(graph.unused_name(label)), symbol.layout)


def _opset_versions(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Return the version of each operator set by its domain."""
    versions = {"" if opset.domain in DOMAINS else opset.domain: opset.version for opset in imports}
    newest = defs.onnx_opset_version()
    if not 1 <= versions.get("", 1) <= newest:
        raise UnsupportedError(
            f"its opset is {versions['']}; the installed package onnx reads 1 to {newest}: update onnx, or export again"
        )
    return versions


def _lookup(scope: Mapping[str, OnnxValue], name: str, who: Any) -> OnnxValue:
    """Return a value by name, or raise a FileError."""
    if name not in scope:
        raise FileError(f"{who}: nothing before it makes '{name}'; expected nodes in order of computation")
    return scope[name]
