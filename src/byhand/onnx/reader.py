"""An ONNX graph, read node by node: what no image changes is computed at once, the rest becomes nodes of a byhand graph.

With arrays for all inputs a whole graph is computed, which is how `byhand.onnx.backend` runs one; with a symbol for the image
the same walk translates it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import defs, helper

from byhand.errors import ByhandError, FileError, UnsupportedError
from byhand.graph import Graph, Node, Tensor
from byhand.onnx.file import Large
from byhand.onnx.node_context import DOMAINS, Use
from byhand.onnx.readers import OPERATORS
from byhand.onnx.values import (
    MOST_DEPTH,
    MOST_NUMBERS,
    MOST_REPEATED,
    MOST_REPEATED_IN_ALL,
    Symbol,
    array_of,
    numbers,
    place_of,
)  # fmt: skip
from byhand.ops.op import Array, Call
from byhand.shapes import Shape
from byhand.text import one_line

BRANCHES = (
    onnx.AttributeProto.GRAPH,
    onnx.AttributeProto.GRAPHS,
)  # graphs that may read any name of the one around them
RECENT = 8  # nodes that a gate may lie back
WRONG = (  # what a broken file may bring about
    ByhandError, ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RecursionError, TypeError, ValueError,
)  # fmt: skip
MOST_NODES = 2**14  # that functions and branches lead to, beside those of the file
MOST_WORK = 2**31  # FLOPs, or what else takes so long, for what no image changes
A_NUMBER, A_CALL, A_TAP = (
    64,
    2**17,
    2**14,
)  # how many FLOPs are worth the making of a number, a call, a place of a window
OFTEN = 4  # times that each number of the file may be made into another


@contextmanager
def told(broken: str = "", unsupported: str = "") -> Iterator[None]:
    """Turn what a broken file brings about into one line of ours, with what is to stand before it."""
    try:
        with np.errstate(all="ignore"):
            yield
    except UnsupportedError as error:
        raise UnsupportedError(f"{unsupported}{one_line(error)}") from None
    except (*WRONG, DecodeError) as error:
        raise FileError(f"{broken}{one_line(error) or type(error).__name__}") from None


class Reading(Graph):
    """A graph whose nodes are named after what ONNX calls their results."""

    def __init__(self) -> None:
        super().__init__()
        self.label = "v"
        self.numbers: dict[str, int] = {}  # the last that was put behind a name

    @property
    def makers(self) -> dict[str, Node]:
        """The last nodes, by the names of what they made."""
        return {node.output.name: node for node in self.nodes[-RECENT:]}

    def free_name(self, label: str) -> str:
        """Return a name that begins with that of the node being read."""
        return self.unused(f"{self.label}_{label}")

    def unused(self, name: str) -> str:
        """Return a name, with a number where it is taken."""
        found = name
        while found in self.tensors:
            self.numbers[name] = self.numbers.get(name, 1) + 1
            found = f"{name}_{self.numbers[name]}"
        return found


class Reader:
    """Walks through a model.

    batch: the images that the model was made for; folder: where the files lie that it may keep numbers in; large: what was
    left in its own file; values: the
    numbers of the parameters and states that it added to `graph`, by name. What a small file can make of nothing is bounded:
    `most` numbers in an array, nodes, and, where a graph is read and not run, `work`.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        hand: str,
        graph: Reading | None = None,
        batch: int = 1,
        folder: Path | None = None,
        large: Large | None = None,
    ) -> None:
        self.large = large
        self.model, self.hand, self.graph, self.batch, self.folder = model, hand, graph, batch, folder
        self.opsets = _opsets(model.opset_import)
        self.functions = {(one.domain, one.name): one for one in model.functions}
        self.values: dict[str, Array] = {}
        self.places: dict[Any, Tensor] = {}  # where an array is in the graph already
        self.initial: set[int] = set()  # where the arrays that came as numbers lie
        self.depth = self.nodes = self.work = self.repeated = 0
        self.most, self.most_work = MOST_NUMBERS, MOST_WORK if graph is not None else inf

    def run(self, graph: onnx.GraphProto, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a graph makes of the values that are given, its outputs by name."""
        known: MutableMapping[str, Any] = dict(given) if self.depth == 0 else ChainMap({}, given)  # type: ignore[arg-type]
        if self.depth == 0:  # a batch may grow on its way
            self.most = max([self.most, *(100 * one.size for one in known.values() if isinstance(one, np.ndarray))])
        for i, tensor in enumerate(graph.initializer):
            if tensor.name not in given:
                known[tensor.name] = array = self.stored(tensor, i if graph is self.model.graph else None)
                self.initial.add(place_of(array))
        if graph.sparse_initializer:
            raise UnsupportedError("it holds sparse numbers; byhand reads dense ones")
        self._walk(graph.node, known, self.opsets, {}, [one.name for one in graph.output])
        return {one.name: _known(known, one.name, "the graph's output") for one in graph.output}

    def _walk(
        self, nodes: Iterable[onnx.NodeProto], known: MutableMapping[str, Any], opsets: Mapping[str, int],
        attributes: Mapping[str, Any], outputs: Sequence[str],
    ) -> None:  # fmt: skip
        nodes = list(nodes)
        self.nodes += len(nodes) if self.depth else 0
        if self.nodes > MOST_NODES:
            raise UnsupportedError(f"its functions and branches lead to more than {MOST_NODES:,} nodes")
        plain = self.depth == 0 and not any(one.type in BRANCHES for node in nodes for one in node.attribute)
        last = {name: i for i, node in enumerate(nodes) for name in node.input}
        for i, node in enumerate(nodes):
            use = Use(self, node, opsets, attributes, known)
            inputs = [_known(known, name, use) if name else None for name in node.input]
            for name, value in zip(node.output, self.apply(use, inputs), strict=False):
                if name:
                    known[name] = value
            for name in set(node.input) if plain else ():  # memory: what nobody reads any more
                if last.get(name) == i and name not in outputs:
                    known.pop(name, None)

    def apply(self, use: Use, inputs: list[Any]) -> Sequence[Any]:
        """Return the outputs of a node."""
        node, start = use.node, 0
        if self.graph is not None:
            self.graph.label, start = use.label, len(self.graph.nodes)
        try:
            handler = OPERATORS.get(node.op_type) if node.domain in DOMAINS else None
            results = handler(use, *inputs) if handler else self._expand(use, inputs)
            results = list(results) if isinstance(results, (tuple, list)) else [results]
        except UnsupportedError:
            raise
        except WRONG as error:
            raise FileError(f"{use}: {one_line(error) or type(error).__name__}") from error
        if self.graph is not None and len(self.graph.nodes) > MOST_NODES + 32 * len(self.model.graph.node):
            raise use.refuse(f"it, and what is before it, become {len(self.graph.nodes):,} nodes")
        if self.graph is not None and len(self.graph.nodes) > start and results and isinstance(results[0], Symbol):
            results[0] = self._named(results[0], use.label)
        return results

    def stored(self, tensor: onnx.TensorProto, i: int | None = None) -> Array:
        """Return the numbers that the file holds, also for its initializer `i`; as many may be made of them."""
        array = self.large.array(i, tensor) if self.large is not None and i is not None else None
        array = array_of(tensor, self.folder) if array is None else array
        self.most = max(self.most, array.size)
        self.most_work += OFTEN * A_NUMBER * array.size if self.depth == 0 else 0  # a function's, each time anew
        return array

    def account(self, call: Call, inputs: Mapping[str, Any]) -> None:
        """Raise a FileError for a call on arrays that would take too much memory or time."""
        for shape in call.shapes.values():
            self.spend(prod(numbers(shape, self.most)))
        view = call.window
        self.work += call.flops + A_CALL
        if view is not None:
            (top, bottom, left, right), (n, height, width, channels) = view.padding, inputs["x"].shape
            if not view.transposed:
                numbers((n, height + top + bottom, width + left + right, channels), self.most)
            self.work += A_TAP * prod(view.kernel)
        self.spend(0)

    def repeat(self, shape: Sequence[int]) -> Shape:
        """Return the shape of an array that repeats what it has, which takes no memory yet; raise where it is too large."""
        self.repeated += prod(numbers(shape, max(self.most, MOST_REPEATED)))
        if self.graph is not None:
            numbers((self.repeated,), MOST_REPEATED_IN_ALL)
        return tuple(shape)

    def spend(self, count: int) -> None:
        """Count the numbers that are about to be made; raise a FileError where no network makes so many of nothing."""
        self.work += A_NUMBER * count
        if self.work > self.most_work:
            raise FileError(
                "to read it takes more work than that of any network: what no image changes is computed at once"
            )

    def _named(self, symbol: Symbol, label: str) -> Symbol:
        """Give what the last node made the name that ONNX has for it."""
        assert self.graph is not None
        if symbol.tensor is not self.graph.nodes[-1].output or symbol.tensor.name == label:
            return symbol
        return Symbol(self.graph.rename_last(self.graph.unused(label)), symbol.order)

    def _expand(self, use: Use, inputs: list[Any]) -> list[Any]:
        """Return the outputs of a function: the model's own, or of an operator that ONNX defines by others."""
        node = use.node
        function = self.functions.get((node.domain, node.op_type)) or _definition(use, inputs)
        if function is None:
            raise use.refuse(f"byhand has no operator {node.op_type}")
        if self.depth >= MOST_DEPTH:
            raise use.refuse(f"more than {MOST_DEPTH} branches and functions lie inside one another")
        known = dict(zip(function.input, inputs))
        given = _defaults(node.op_type, use.version) if node.domain in DOMAINS else {}
        given |= {a.name: helper.get_attribute_value(a) for a in function.attribute_proto}
        given |= {a.name: use.attribute(a) for a in node.attribute}
        self.depth += 1
        try:
            self._walk(function.node, known, _opsets(function.opset_import) or self.opsets, given, function.output)
        finally:
            self.depth -= 1
        return [known.get(name) for name in function.output]


def _defaults(kind: str, version: int) -> dict[str, Any]:
    """Return the attributes of one of ONNX's operators that have a default."""
    schema = defs.get_schema(kind, version)
    given = {name: one.default_value for name, one in schema.attributes.items() if one.default_value.name}
    return {name: helper.get_attribute_value(one) for name, one in given.items()}


def _definition(use: Use, inputs: list[Any]) -> Any:
    """Return how ONNX defines an operator by others, or None."""
    node = use.node
    if node.domain not in DOMAINS or not defs.has(node.op_type):
        return None
    try:
        schema: Any = defs.get_schema(node.op_type, use.version)
    except defs.SchemaError:
        return None
    for versions, get_body, *more in (
        (schema.function_opset_versions, schema.get_function_with_opset_version),
        (
            schema.context_dependent_function_opset_versions,
            schema.get_context_dependent_function_with_opset_version,
            _settled(use).SerializeToString(),
            [_type(value) for value in inputs],
        ),
    ):
        if fitting := [version for version in versions if version <= use.version]:
            body = get_body(max(fitting), *more)
            if body:
                function = onnx.FunctionProto()
                function.ParseFromString(body)
                return function
    return None


def _settled(use: Use) -> onnx.NodeProto:
    """Return a node whose attributes refer to no function's."""
    node = onnx.NodeProto()
    node.CopyFrom(use.node)
    del node.attribute[:]
    values = {one.name: use.attribute(one) for one in use.node.attribute}
    node.attribute.extend(helper.make_attribute(name, value) for name, value in values.items() if value is not None)
    return node


def _type(value: Any) -> bytes:
    if value is None:
        return b""
    dtype = np.dtype(np.float32) if isinstance(value, Symbol) else value.dtype
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_type_proto(kind, value.shape).SerializeToString()  # type: ignore[no-any-return]


def _opsets(imports: Iterable[Any]) -> dict[str, int]:
    found = {"" if one.domain in DOMAINS else one.domain: one.version for one in imports}
    newest = defs.onnx_opset_version()
    if not 1 <= found.get("", 1) <= newest:
        raise UnsupportedError(f"its opset is {found['']}; the package onnx that is installed knows 1 to {newest}")
    return found


def _known(known: Mapping[str, Any], name: str, who: Any) -> Any:
    if name not in known:
        raise FileError(f"{who}: nothing before it makes '{name}'; the nodes are out of order, or one is missing")
    return known[name]
