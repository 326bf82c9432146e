"""The nodes, weights and inputs of an ONNX graph that some of its values need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import onnx


def needed_by(graph: onnx.GraphProto, wanted: Sequence[str]) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the nodes that compute some values, in their order, and the names of all that is read."""
    makers: dict[str, list[int]] = {}
    for i, node in enumerate(graph.node):
        for name in filter(None, node.output):
            makers.setdefault(name, []).append(i)
    needed, chosen, waiting = set(wanted), set[int](), list(wanted)
    while waiting:
        for i in makers.get(waiting.pop(), ()):
            if i not in chosen:
                chosen.add(i)
                read = {*names_read([graph.node[i]])}
                waiting += read - needed
                needed |= read
    return [graph.node[i] for i in sorted(chosen)], needed


def names_read(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """Yield the names that nodes read, also those inside branches."""
    for node in nodes:
        yield from filter(None, node.input)
        for attribute in node.attribute:
            for branch in (attribute.g, *attribute.graphs):
                yield from names_read(branch.node)
                yield from (output.name for output in branch.output)


def inputs_of(graph: onnx.GraphProto, wanted: Sequence[str]) -> list[onnx.ValueInfoProto]:
    """Return the inputs of a graph, without those that are stored weights, that some of its values need."""
    stored = {tensor.name for tensor in graph.initializer}
    nodes, _ = needed_by(graph, wanted)
    read = {*names_read(nodes), *wanted}
    return [value for value in graph.input if value.name not in stored and value.name in read]
