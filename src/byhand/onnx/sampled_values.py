"""What values the end of a graph takes: probabilities of classes, of labels, or a constant; by a sample of its inputs.

The mean of two softmaxes, a softmax over parts, or probabilities that are divided by their sum have no logits. Whether such an
output is a distribution is seen where the elementwise end of the graph is computed for random numbers in place of the layers
before it. `Model.predict` checks each answer again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from byhand.graph import Graph, Node, Tensor
from byhand.nn.output_activation import BOUNDED_OPS, ELEMENTWISE_OPS, PROBABILITY_OPS, VIEW_OPS, values_after
from byhand.ops.op import Array, tree_leaves

SAMPLES = 64
SAMPLES_STD = 3.0  # of the random numbers in place of logits
TOLERANCE = 1e-4
# A label's probability comes below and above these for some of the samples; half a softmax does not.
LABEL_LOW, LABEL_HIGH = 0.2, 0.8
MAX_SAMPLED_VALUES = 2**24  # in all arrays; longer outputs are not sampled
CONSTANT, CLASSES, LABELS, UNKNOWN = "constant", "classes", "labels", ""


def sampled_kind(graph: Graph, output: Tensor, weights: Mapping[str, Array]) -> str:
    """Return what the values of an output (N, K) are; weights: of the graph's parameters and states, by name.

    "constant": the same for all images; "classes": from 0 to 1, and they add up to 1; "labels": each from 0 to 1; "": others.
    """
    values = _sample(graph, output, weights)
    if values is None or not np.isfinite(values).all():
        return UNKNOWN
    if np.ptp(values, axis=0).max() < TOLERANCE:
        return CONSTANT
    if values.min() < -TOLERANCE or values.max() > 1 + TOLERANCE:
        return UNKNOWN
    if values.shape[1] > 1 and np.abs(values.sum(1) - 1).max() < TOLERANCE:
        return CLASSES
    spread = values.min(0).max() < LABEL_LOW and values.max(0).min() > LABEL_HIGH
    return LABELS if spread else UNKNOWN


def _sample(graph: Graph, output: Tensor, weights: Mapping[str, Array]) -> Array | None:
    """Return an output for random values of the layers before its elementwise end; None where that can't be computed."""
    nodes, sources = _elementwise_end(graph, output)
    constants = {
        t.name for node in nodes for t in tree_leaves(node.inputs.values()) if t.kind in ("parameter", "state")
    }
    sizes = [int(np.prod(t.shape)) for t in [output, *sources, *(t for node in nodes for t in node.outputs.values())]]
    if not nodes or SAMPLES * sum(sizes) > MAX_SAMPLED_VALUES or not constants <= weights.keys():
        return None
    rng = np.random.default_rng(0)
    known = {name: np.asarray(weights[name]) for name in constants}
    for source in sources:
        known[source.name] = rng.normal(0, SAMPLES_STD, (SAMPLES, *source.shape[1:])).astype(np.float32)
    with np.errstate(all="ignore"):
        return values_after(nodes, known, "arrays")[output.name]


def _elementwise_end(graph: Graph, output: Tensor) -> tuple[list[Node], list[Tensor]]:
    """Return the nodes from the last layers with weights to an output, in their order, and the tensors that they start from."""
    makers = {tensor.name: node for node in graph.nodes for tensor in node.outputs.values()}
    inner = (*VIEW_OPS, *ELEMENTWISE_OPS, *BOUNDED_OPS, *PROBABILITY_OPS)
    found, sources, waiting = set[str](), dict[str, Tensor](), [output]
    while waiting:
        tensor = waiting.pop()
        node = makers.get(tensor.name)
        if node is None or node.op.name not in inner:
            sources[tensor.name] = tensor
        elif node.name not in found:
            found.add(node.name)
            waiting += [t for t in tree_leaves(node.inputs.values()) if t.kind in ("value", "input")]
    return [node for node in graph.nodes if node.name in found], list(sources.values())
