"""A node of an ONNX graph, as its reader sees it: attributes, opset version, and how to build what it computes.

A reader (`readers/`) takes a `NodeContext` and the node's inputs. It calls `apply` with one of byhand's ops, which adds a node
to the byhand graph where an input depends on the image, and computes an array at once where none does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from math import prod
from typing import Any, overload

import numpy as np
import onnx
from onnx import helper

from byhand.errors import UnsupportedError
from byhand.graph import Tensor
from byhand.graph.graph import RESERVED
from byhand.graph.serial import MAX_AXES
from byhand.onnx.reader_state import ReaderState
from byhand.onnx.symbol import (
    OnnxValue,
    Stored,
    Symbol,
    from_layout,
    layout_of,
    mergeable_layout,
    reshaped_layout,
    stored_form,
)
from byhand.onnx.tensor_data import address
from byhand.ops import reshape, transpose
from byhand.ops.op import Array, Op, get, shape_of, tree_leaves
from byhand.shapes import Shape

DOMAINS = ("", "ai.onnx")  # the names of ONNX's own operator set
# Products x * gate(x) that are one op of byhand's: the gate, the op of the product, the gate's attributes.
GATED_OPS: dict[str, tuple[str, dict[str, float]]] = {
    "sigmoid": ("silu", {}),
    "hard_sigmoid": ("hard_swish", {"alpha": 1 / 6, "beta": 0.5}),
}
MAX_LISTED_INTEGERS = 4096  # of an input that lists sizes, indices or axes
MAX_LOOPED_ELEMENTS = 2**20  # of an array that Python loops over
LEARNED_INPUTS = ("weight", "bias", "gamma", "beta", "slope")  # inputs of ops that are parameters
OpInput = Stored | Sequence[Stored] | None  # an input of an op


def python_name(name: str) -> str:
    """Return an ONNX name as a Python identifier.

    >>> python_name("conv1/7x7_s2_1"), python_name("495")
    ('conv1_7x7_s2_1', 'v495')
    """
    name = re.sub(r"\W", "_", name[:200], flags=re.ASCII).strip("_")[:100] or "v"
    reserved = name in RESERVED or name.startswith("grad_")
    return f"v{name}" if reserved or not name.isidentifier() or iskeyword(name) else name


@dataclass
class NodeContext:
    """One node while it is read.

    state: what all nodes of the file share; proto: the node; opsets: versions by domain; function_attributes: those of the
    function that the node stands in; scope: the values that are visible; run_branch: runs a subgraph of the node.
    """

    state: ReaderState
    proto: onnx.NodeProto
    opsets: Mapping[str, int]
    function_attributes: Mapping[str, Any]
    scope: Mapping[str, OnnxValue]
    run_branch: Callable[[onnx.GraphProto, Mapping[str, OnnxValue]], Mapping[str, OnnxValue]]

    def __str__(self) -> str:
        name = self.proto.name or next(iter(self.outputs), "")
        return f"{self.op_type} '{name}' (opset {self.opset})"

    @property
    def op_type(self) -> str:
        """The operator's name."""
        return str(self.proto.op_type)

    @property
    def outputs(self) -> Sequence[str]:
        """The names of the outputs; an empty one is not used."""
        return self.proto.output  # type: ignore[no-any-return]

    @property
    def opset(self) -> int:
        """The version of the operator set that gives the node its meaning."""
        return self.opsets.get("" if self.proto.domain in DOMAINS else self.proto.domain, 1)

    @property
    def label(self) -> str:
        """The Python name of the node's first output."""
        return python_name(next(filter(None, self.outputs), self.proto.name))

    # attributes and constant inputs ---------------------------------------------------------------------------------------

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute's value by name."""
        for proto in self.proto.attribute:
            if proto.name == name:
                value = self.attribute_value(proto)
                return default if value is None else value
        return default

    def attribute_value(self, proto: onnx.AttributeProto) -> Any:
        """Return the value of an AttributeProto, which may refer to an attribute of the function around it."""
        name = proto.ref_attr_name
        value = self.function_attributes.get(name) if name else helper.get_attribute_value(proto)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    @overload
    def constant(self, value: OnnxValue, what: str) -> Array: ...
    @overload
    def constant(self, value: OnnxValue | None, what: str) -> Array | None: ...
    def constant(self, value: OnnxValue | None, what: str) -> Array | None:
        """Return an input that must be constant, or raise an UnsupportedError that says what it is."""
        if isinstance(value, Symbol):
            raise self.unsupported(f"its {what} depends on the image; byhand reads it only where it is constant")
        return value

    def integers(self, value: OnnxValue | None, what: str) -> list[int]:
        """Return a constant input of integers as a list."""
        array = np.asarray(self.constant(value, what))
        if array.dtype.kind not in "iu":
            raise ValueError(f"its {what} are of the type {array.dtype}; expected integers")
        if array.size > MAX_LISTED_INTEGERS:
            raise ValueError(f"its {what} are {array.size:,} integers; expected at most {MAX_LISTED_INTEGERS:,}")
        return [int(element) for element in array.reshape(-1)]

    def attribute_or_input(self, name: str, value: OnnxValue | None, *, since: int) -> Any:
        """Return integers that are an attribute up to an opset and an input since; None where they are omitted."""
        if self.opset < since:
            return self.attribute(name)
        return None if value is None else self.integers(value, name)

    def unsupported(self, reason: str) -> UnsupportedError:
        """Return the error for a node that byhand can't translate: `raise node.unsupported("...")`."""
        return UnsupportedError(f"{self}: {reason}")

    # the budget -----------------------------------------------------------------------------------------------------------

    def reserve(self, *shape: int) -> Shape:
        """Return the shape of an array that is about to be allocated, or raise a FileError where it is too large."""
        self.state.budget.reserve(shape)
        return shape

    def reserve_broadcast(self, *arrays: Array) -> Shape:
        """Return the shape that arrays broadcast to, or raise a FileError where it is too large."""
        return self.reserve(*np.broadcast_shapes(*(array.shape for array in arrays)))

    def check_looped(self, array: Array) -> Array:
        """Return an array that Python will loop over, or raise a ValueError where that would take long."""
        if array.size > MAX_LOOPED_ELEMENTS:
            raise ValueError(f"it has {array.size:,} elements; byhand does this for up to {MAX_LOOPED_ELEMENTS:,}")
        return array

    # ops ------------------------------------------------------------------------------------------------------------------

    @overload
    def apply(
        self, op: Op | str, x: Tensor, *inputs: OpInput, output: int | None = None, **attributes: Any
    ) -> Tensor: ...
    @overload
    def apply(
        self, op: Op | str, *inputs: Array | Sequence[Array] | None, output: int | None = None, **attributes: Any
    ) -> Array: ...
    @overload
    def apply(self, op: Op | str, *inputs: OpInput, output: int | None = None, **attributes: Any) -> Stored: ...
    def apply(self, op: Op | str, *inputs: OpInput, output: int | None = None, **attributes: Any) -> Stored:
        """Apply an op of byhand's to tensors and arrays in its own layout; returns a tensor where one is among them.

        output: the index of the node's output that the result is named after.
        """
        op = get(op) if isinstance(op, str) else op
        named = dict(zip(op.inputs, (*inputs, *[None] * len(op.inputs))))
        if any(isinstance(value, Tensor) for value in tree_leaves(named.values())):
            graph = self.state.graph
            assert graph is not None
            given = {key: self.as_tensor(value, key, op) for key, value in named.items()}
            name = graph.unused_name(python_name(self.outputs[output])) if output is not None else None
            return graph.add(op, given, attributes, name)
        dtype = np.result_type(*{array.dtype for array in tree_leaves(named.values()) if is_floating(array)})
        if dtype not in (np.float32, np.float64):
            named = {key: _as_type(value, np.float32) for key, value in named.items()}
        self.state.budget.charge_call(op.infer(map(shape_of, named.values()), attributes), named)
        result = op(*named.values(), hand=self.state.hand, **attributes)
        return np.asarray(result).astype(dtype, copy=False)

    @overload
    def elementwise(self, op: Op | str, value: Array, **attributes: Any) -> Array: ...
    @overload
    def elementwise(self, op: Op | str, value: OnnxValue, **attributes: Any) -> OnnxValue: ...
    def elementwise(self, op: Op | str, value: OnnxValue, **attributes: Any) -> OnnxValue:
        """Apply an elementwise op, in the layout that the value has."""
        return from_layout(self.apply(op, stored_form(value), **attributes), layout_of(value))

    @overload
    def binary(self, op: Op | str, a: Array, b: Array) -> Array: ...
    @overload
    def binary(self, op: Op | str, a: OnnxValue, b: OnnxValue) -> OnnxValue: ...
    def binary(self, op: Op | str, a: OnnxValue, b: OnnxValue) -> OnnxValue:
        """Apply an op of two broadcast inputs."""
        stored, layout = self.align([a, b])
        return from_layout(self.apply(op, *stored), layout)

    def as_tensor(self, value: Any, key: str, op: Op) -> Any:
        """Return an op's input `key` as a graph tensor: an array becomes a parameter, or a state that training leaves."""
        if value is None or isinstance(value, Tensor):
            return value
        if isinstance(value, (tuple, list)):
            return tuple(self.as_tensor(element, key, op) for element in value)
        state, graph = self.state, self.state.graph
        assert graph is not None
        if value.dtype.kind not in "fiub" and value.dtype.name != "bfloat16":
            raise self.unsupported(f"its {key} holds {value.dtype}; expected numbers")
        value = value.reshape(1) if value.ndim == 0 else value
        identity = (address(value), value.shape, value.strides, value.dtype.str, key in op.state)
        if identity not in state.tensors:
            learned = key in LEARNED_INPUTS or (value.size > 1 and identity[0] in state.initializer_addresses)
            kind = "parameter" if learned and key not in op.state else "state"
            name = graph.unused_name(f"{graph.label}_{key}")
            state.tensors[identity] = graph.add_tensor(name, value.shape, kind)
            state.weights[name] = value
        return state.tensors[identity]

    def fused_gate(self, a: Stored, b: Stored) -> Stored | None:
        """Return x * sigmoid(x), or x * hard_sigmoid(x), as the one op that it is; None for another product."""
        makers = self.state.graph.recent_nodes if self.state.graph is not None else {}
        for x, gate in ((a, b), (b, a)):
            node = makers.get(getattr(gate, "name", ""))
            if node is not None and node.op.name in GATED_OPS and node.inputs["x"] is x:
                op, attributes = GATED_OPS[node.op.name]
                if all(abs(node.attributes[key] - value) < 1e-6 for key, value in attributes.items()):
                    gated: Stored = self.apply(op, x)
                    return gated
        return None

    # layouts --------------------------------------------------------------------------------------------------------------

    @overload
    def in_layout(self, value: Symbol, layout: Sequence[int]) -> Tensor: ...
    @overload
    def in_layout(self, value: Array, layout: Sequence[int]) -> Array: ...
    @overload
    def in_layout(self, value: OnnxValue, layout: Sequence[int]) -> Stored: ...
    def in_layout(self, value: OnnxValue, layout: Sequence[int]) -> Stored:
        """Return a value as a tensor or an array that is stored in this layout."""
        if not isinstance(value, Symbol):
            return value.transpose(layout)
        if value.layout == tuple(layout):
            return value.tensor
        axes = tuple(value.layout.index(axis) for axis in layout)
        moved = [axis for axis in axes if axis == 0 or value.tensor.shape[axis] > 1]
        if moved == sorted(moved):  # only axes of size 1 change their place
            return self.apply(reshape, value.tensor, shape=tuple(value.tensor.shape[axis] for axis in axes[1:]))
        return self.apply(transpose, value.tensor, axes=axes)

    @overload
    def in_onnx_layout(self, value: Array) -> Array: ...
    @overload
    def in_onnx_layout(self, value: OnnxValue) -> Stored: ...
    def in_onnx_layout(self, value: OnnxValue) -> Stored:
        """Return a value stored with its axes in ONNX's order."""
        return self.in_layout(value, range(value.ndim))

    @overload
    def reshape(self, value: Array, shape: Sequence[int]) -> Array: ...
    @overload
    def reshape(self, value: OnnxValue, shape: Sequence[int]) -> OnnxValue: ...
    def reshape(self, value: OnnxValue, shape: Sequence[int]) -> OnnxValue:
        """Return a value in another shape, both in ONNX's axis order; data moves only where it must."""
        shape = tuple(shape)
        if len(shape) > MAX_AXES or any(size < 0 for size in shape):
            raise ValueError(
                f"from {value.shape} it makes {shape[:MAX_AXES]}; expected up to {MAX_AXES} sizes of 0 or more"
            )
        if not isinstance(value, Symbol):
            if value.size > self.state.budget.max_elements and any(value.strides):  # a view, which would be copied
                self.reserve(*value.shape)
            return value.reshape(shape)
        if shape == value.shape:
            return value
        if not shape or shape[0] not in (1, self.state.batch):
            raise self.unsupported(f"from {value.shape} it makes {shape}, whose first axis is not the batch")
        shape = (1, *shape[1:])
        if prod(shape) != value.size:
            raise ValueError(f"{value.shape} can't become {shape}: it has {value.size} elements")
        if (layout := reshaped_layout(value, shape)) is None:
            mergeable = mergeable_layout(value, shape)
            value = Symbol(self.in_layout(value, mergeable), mergeable)
            layout = reshaped_layout(value, shape)
            assert layout is not None
        return Symbol(self.apply(reshape, value.tensor, shape=tuple(shape[axis] for axis in layout[1:])), layout)

    def align(self, values: Sequence[OnnxValue]) -> tuple[list[Stored], Shape]:
        """Return values ready for a broadcasting op, all in one layout, and that layout."""
        symbols = [value for value in values if isinstance(value, Symbol)]
        if not symbols:
            arrays = [value for value in values if not isinstance(value, Symbol)]
            return list(arrays), tuple(range(max(array.ndim for array in arrays)))
        largest = max(symbols, key=lambda symbol: symbol.size)
        return [self._align_with(largest, value) for value in values], largest.layout

    def _align_with(self, symbol: Symbol, value: OnnxValue) -> Stored:
        """Return a value in the layout of a symbol that it is broadcast with."""
        if isinstance(value, Symbol):
            if value.ndim != symbol.ndim:
                raise self.unsupported(f"{value.shape} and {symbol.shape} are broadcast across the batch")
            return self.in_layout(value, symbol.layout)
        if value.ndim > symbol.ndim or (value.ndim == symbol.ndim and value.shape[0] != 1):
            raise self.unsupported(f"a constant of the shape {value.shape} changes the batch of {symbol.shape}")
        if value.size == 1:
            return value.reshape(1)
        stored = value.reshape((1,) * (symbol.ndim - value.ndim) + value.shape).transpose(symbol.layout)
        while stored.shape[0] == 1:
            stored = stored[0]
        return stored


def is_floating(array: Any) -> bool:
    """Tell whether an array is of floating point numbers, bfloat16 among them."""
    return bool(array.dtype.kind == "f" or array.dtype.name == "bfloat16")


def _as_type(value: Any, dtype: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_as_type(element, dtype) for element in value)
    return None if value is None else value.astype(dtype)
