"""The outputs of an ONNX graph as networks of images see them, and the choice of the one that holds the classes.

Exporters write embeddings, auxiliary heads, an ArgMax or logits beside the probabilities, in any order. What each output ends
in is read from the graph. The classes are the output that names fit, else the one that ends in a softmax, else the one that
ends in sigmoids, else bare logits. Where two are as good, nothing is guessed: the caller chooses by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

from byhand.errors import FileError, UnsupportedError
from byhand.graph import Graph, Tensor
from byhand.nn.output_activation import Ending, read_ending
from byhand.nn.replace_head import HEAD_OPS, last_before_tail
from byhand.nn.task import SIGMOIDS, SOFTMAXES
from byhand.onnx.equivalent_endings import rewrite_ending
from byhand.onnx.reader_state import NamedGraph
from byhand.onnx.symbol import NHWC, OnnxValue, Symbol
from byhand.ops import flatten, transpose
from byhand.ops.op import Array

MAX_LISTED = 8  # outputs in a message
# How likely an output holds the classes.
NO_VECTOR, VECTOR, BARE_LOGITS, SIGMOID, SOFTMAX = range(5)


class Output(NamedTuple):
    """An output that depends on the image: its name and shape in the file, its tensor, and what it ends in."""

    name: str
    shape: str
    tensor: Tensor
    ending: Ending
    kind: int

    def __str__(self) -> str:
        return f"{self.name} {self.shape}"

    @property
    def size(self) -> int:
        """The number of values for an image."""
        return prod(self.tensor.shape[1:])

    def fits(self, names: int | None) -> bool:
        """Tell whether so many class names are of this output."""
        binary = self.kind == SIGMOID and self.size == 1
        return names is not None and self.kind > NO_VECTOR and (self.size == names or (binary and names == 2))


def read_outputs(graph: NamedGraph, values: Mapping[str, OnnxValue], weights: Mapping[str, Array]) -> list[Output]:
    """Return the outputs that depend on the image; weights: of the graph's parameters and states, by name."""
    return [_read_output(graph, name, value, weights) for name, value in values.items() if isinstance(value, Symbol)]


def _read_output(graph: NamedGraph, name: str, symbol: Symbol, weights: Mapping[str, Array]) -> Output:
    tensor = rewrite_ending(graph, as_logits(graph, symbol), weights)
    shape = f"({', '.join(['N', *map(str, symbol.shape[1:])])})"
    if len(tensor.shape) != 2:
        return Output(name, shape, tensor, Ending(tensor, "none"), NO_VECTOR)
    ending = read_ending(graph, tensor)
    kind = VECTOR
    if ending.activation in SOFTMAXES and tensor.shape[1] > 1:
        kind = SOFTMAX
    elif ending.activation in SIGMOIDS:
        kind = SIGMOID
    elif ending.activation == "none" and tensor.shape[1] > 1 and comes_from_weights(graph, tensor):
        kind = BARE_LOGITS
    return Output(name, shape, tensor, ending, kind)


def comes_from_weights(graph: Graph, tensor: Tensor) -> bool:
    """Tell whether a tensor comes from a linear layer or a convolution, with only ops of a tail between."""
    node = last_before_tail(graph, tensor)
    return node is not None and node.op.name in HEAD_OPS


def as_logits(graph: Graph, result: Symbol) -> Tensor:
    """Return the output as (N, classes), where it is that or (N, classes, 1, 1); else in byhand's layout."""
    tensor, makers = result.tensor, {node.output.name: node for node in graph.nodes}
    if sum(size > 1 for size in tensor.shape[1:]) > 1:
        layout = NHWC if result.ndim == 4 else tuple(range(result.ndim))
        axes = tuple(result.layout.index(axis) for axis in layout)
        return tensor if result.layout == layout else graph.add(transpose, {"x": tensor}, {"axes": axes})
    while len(tensor.shape) != 2 and (node := makers.get(tensor.name)) is not None:
        if node.op.name not in ("reshape", "flatten", "transpose"):
            return graph.add(flatten, {"x": tensor}, {})
        tensor = node.inputs["x"]
    return tensor


def choose(
    graph: Graph, outputs: Sequence[Output], failures: Mapping[str, FileError], names: int | None, notes: list[str]
) -> Output:
    """Return the output that holds the classes; names: how many class names are known; notes: get what was chosen.

    Raises UnsupportedError, which lists the outputs, where two are as likely.
    """
    if not outputs:
        raise next(iter(failures.values()), UnsupportedError("its output does not depend on its input"))
    if len(outputs) == 1 and not failures:
        return outputs[0]
    best = _best(graph, outputs, names)
    sure = best[0].fits(names) or best[0].kind in (SIGMOID, SOFTMAX)
    if failures and not sure:  # the classes may be in an output that can't be read
        first = next(iter(failures.values()))
        choices = ", ".join(f"output={output.name}" for output in outputs[:MAX_LISTED])
        raise UnsupportedError(f"{first}; of its other outputs none is surely the classes: choose with {choices}")
    listed = [*map(str, outputs), *(f"{name} (not readable)" for name in failures)]
    told = ", ".join(listed[:MAX_LISTED]) + (f", ... {len(listed)} in all" if len(listed) > MAX_LISTED else "")
    if len(best) > 1:
        raise UnsupportedError(
            f"it has {len(listed)} outputs: {told}; nothing says which of them holds the classes: choose with output=NAME"
        )
    notes.append(f"its {len(listed)} outputs are {told}: {best[0].name} is taken; --output-name chooses another")
    return best[0]


def _best(graph: Graph, outputs: Sequence[Output], names: int | None) -> list[Output]:
    """Return the outputs that are most likely the classes."""

    def rank(output: Output) -> tuple[bool, bool, int]:
        return output.fits(names), "aux" not in output.name.lower(), output.kind

    best_rank = max(map(rank, outputs))
    best = [output for output in outputs if rank(output) == best_rank]
    if best_rank[2] == NO_VECTOR:
        return best[:1]  # feature maps, boxes: no classes in any of them
    if best_rank[2] == SIGMOID and not best_rank[0]:  # beside other logits, sigmoids may be gates or attributes
        best = [output for output in outputs if output.kind in (BARE_LOGITS, SIGMOID) and rank(output)[1]]
        sigmoids = {output.ending.logits.name for output in best if output.kind == SIGMOID}
        best = [output for output in best if output.kind == SIGMOID or output.tensor.name not in sigmoids]
    inner = {node.output.name for output in best for node in graph.up_to(output.tensor).nodes[:-1]}
    best = [output for output in best if output.tensor.name not in inner or len(best) == 1]
    if len({output.ending.logits.name for output in best}) == 1:  # a softmax and its logarithm
        best = sorted(best, key=lambda output: output.ending.activation != "softmax")[:1]
    return best
