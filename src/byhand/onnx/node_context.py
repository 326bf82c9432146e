"""A node while it is read: its attributes, and what its operator may do with its inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from byhand.errors import UnsupportedError
from byhand.graph import Tensor
from byhand.graph.graph import RESERVED
from byhand.graph.serial import MAX_AXES
from byhand.onnx.values import Symbol, numbers, order_after, own_order, place_of, side_by_side, wrap
from byhand.ops import reshape, transpose
from byhand.ops.op import Op, flat, get, shape_of
from byhand.shapes import Shape

if TYPE_CHECKING:
    from byhand.onnx.reader import Reader

DOMAINS = ("", "ai.onnx")
GATES: dict[str, tuple[str, dict[str, float]]] = {  # what x is multiplied by -> the op of the product
    "sigmoid": ("silu", {}),
    "hard_sigmoid": ("hard_swish", {"alpha": 1 / 6, "beta": 0.5}),
}
MOST_WHOLE = 4096  # sizes, places or axes that a node is told
MOST_ONE_BY_ONE = 2**20
LEARNED = ("weight", "bias", "gamma", "beta", "slope")


def python_name(name: str) -> str:
    """Return a name of ONNX's as one that a program can use.

    >>> python_name("conv1/7x7_s2_1"), python_name("495")
    ('conv1_7x7_s2_1', 'v495')
    """
    name = re.sub(r"\W", "_", name[:200], flags=re.ASCII).strip("_")[:100] or "v"
    own = name in RESERVED or name.startswith("grad_")
    return f"v{name}" if own or not name.isidentifier() or iskeyword(name) else name


@dataclass
class Use:
    """A node while it is read: its attributes, the opset that gives it its meaning, and what its operator may do."""

    reader: Reader
    node: onnx.NodeProto
    opsets: Mapping[str, int]
    outer: Mapping[str, Any]  # the attributes of the function that the node stands in
    known: Mapping[str, Any]

    def __str__(self) -> str:
        name = self.node.name or next(iter(self.node.output), "")
        return f"{self.node.op_type} '{name}' (opset {self.version})"

    @property
    def version(self) -> int:
        """The opset's version."""
        return self.opsets.get("" if self.node.domain in DOMAINS else self.node.domain, 1)

    @property
    def label(self) -> str:
        """The name for what it makes."""
        return python_name(next(filter(None, self.node.output), self.node.name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute by name."""
        for one in self.node.attribute:
            if one.name == name:
                value = self.attribute(one)
                return default if value is None else value
        return default

    def attribute(self, one: onnx.AttributeProto) -> Any:
        """Return an attribute's value; one that refers to a function's has that."""
        value = self.outer.get(one.ref_attr_name) if one.ref_attr_name else helper.get_attribute_value(one)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def refuse(self, why: str) -> UnsupportedError:
        """Return the error that says why byhand can't translate it."""
        return UnsupportedError(f"{self}: {why}")

    def fixed(self, value: Any, what: str) -> Any:
        """Return an input that must be known while the model is read, or raise."""
        if isinstance(value, Symbol):
            raise self.refuse(f"its {what} depends on the image; byhand needs it when the model is read")
        return value

    def whole(self, value: Any, what: str) -> list[int] | None:
        """Return an input of whole numbers as a list."""
        if value is None:
            return None
        value = np.asarray(self.fixed(value, what))
        if value.dtype.kind not in "iu":
            raise ValueError(f"its {what} are of the type {value.dtype}; expected whole numbers")
        if value.size > MOST_WHOLE:
            raise ValueError(f"its {what} are {value.size:,} numbers; expected at most {MOST_WHOLE:,}")
        return [int(one) for one in value.reshape(-1)]

    def room(self, *shape: int) -> Shape:
        """Return the shape of an array that is about to be made, or raise a FileError where no network's is so large."""
        self.reader.spend(prod(numbers(shape, self.reader.most)))
        return shape

    def broadcast(self, *values: Any) -> Shape:
        """Return the shape of arrays put together, or raise where no network's is so large."""
        return self.room(*np.broadcast_shapes(*(value.shape for value in values)))

    def few(self, value: Any) -> Any:
        """Return an array that is worked on number by number in Python, or raise where that would take long."""
        if value.size > MOST_ONE_BY_ONE:
            raise ValueError(f"it has {value.size:,} numbers; byhand does this for up to {MOST_ONE_BY_ONE:,}")
        return value

    def apply(self, op: Op | str, *inputs: Any, output: int | None = None, **attributes: Any) -> Any:
        """Apply an op to tensors and arrays in its own layout: a node, where a tensor is among them, else an array."""
        op = get(op) if isinstance(op, str) else op
        named = dict(zip(op.inputs, (*inputs, *[None] * len(op.inputs))))
        if any(isinstance(one, Tensor) for one in flat(named.values())):
            graph = self.reader.graph
            assert graph is not None
            given = {key: self.tensor(value, key, op) for key, value in named.items()}
            name = graph.unused(python_name(self.node.output[output])) if output is not None else None
            return graph.add(op, given, attributes, name)
        arrays = [one for one in flat(named.values()) if one.dtype.kind == "f" or one.dtype.name == "bfloat16"]
        dtype = np.result_type(*{one.dtype for one in arrays})
        if dtype not in (np.float32, np.float64):
            named = {key: _each(value, np.float32) for key, value in named.items()}
        self.reader.account(op.plan(map(shape_of, named.values()), attributes), named)
        result = op(*named.values(), hand=self.reader.hand, **attributes)
        return np.asarray(result).astype(dtype, copy=False)

    def tensor(self, value: Any, key: str, op: Op) -> Any:
        """Return an op's input as a tensor of the graph: an array becomes a parameter, or a state where nothing learns it."""
        if value is None or isinstance(value, Tensor):
            return value
        if isinstance(value, (tuple, list)):
            return tuple(self.tensor(one, key, op) for one in value)
        reader, graph = self.reader, self.reader.graph
        assert graph is not None
        if value.dtype.kind not in "fiub" and value.dtype.name != "bfloat16":
            raise self.refuse(f"its {key} holds {value.dtype}; expected numbers")
        value = value.reshape(1) if value.ndim == 0 else value
        place = (place_of(value), value.shape, value.strides, value.dtype.str, key in op.state)
        if place not in reader.places:
            learned = key in LEARNED or (value.size > 1 and place[0] in reader.initial)
            kind = "parameter" if learned and key not in op.state else "state"
            name = graph.unused(f"{graph.label}_{key}")
            reader.places[place] = graph.add_tensor(name, value.shape, kind)
            reader.values[name] = value
        return reader.places[place]

    def arranged(self, value: Any, order: Sequence[int]) -> Any:
        """Return a value as a tensor or an array whose axes hold ONNX's in an order."""
        if not isinstance(value, Symbol):
            return value.transpose(order)
        if value.order == tuple(order):
            return value.tensor
        axes = tuple(value.order.index(axis) for axis in order)
        moved = [axis for axis in axes if axis == 0 or value.tensor.shape[axis] > 1]
        if moved == sorted(moved):  # only axes of size 1 lie elsewhere
            return self.apply(reshape, value.tensor, shape=tuple(value.tensor.shape[axis] for axis in axes[1:]))
        return self.apply(transpose, value.tensor, axes=axes)

    def plain(self, value: Any) -> Any:
        """Return a value in ONNX's own order."""
        return self.arranged(value, range(value.ndim))

    def elementwise(self, op: Op | str, value: Any, **attributes: Any) -> Any:
        """Apply an op that takes each number for itself."""
        raw = value.tensor if isinstance(value, Symbol) else value
        return wrap(self.apply(op, raw, **attributes), own_order(value))

    def reshaped(self, value: Any, shape: Sequence[int]) -> Any:
        """Return a value in another shape, both in ONNX's order; numbers move only where they must."""
        shape = tuple(shape)
        if len(shape) > MAX_AXES or any(size < 0 for size in shape):
            raise ValueError(
                f"from {value.shape} it makes {shape[:MAX_AXES]}; expected up to {MAX_AXES} sizes of 0 or more"
            )
        if not isinstance(value, Symbol):
            if value.size > self.reader.most and any(value.strides):  # repeated: it would be copied
                self.room(*value.shape)
            return value.reshape(shape)
        if shape == value.shape:
            return value
        if not shape or shape[0] not in (1, self.reader.batch):
            raise self.refuse(f"from {value.shape} it makes {shape}, whose first axis is not the batch")
        shape = (1, *shape[1:])
        if prod(shape) != value.size:
            raise ValueError(f"{value.shape} can't become {shape}: it holds {value.size} numbers")
        if (order := order_after(value, shape)) is None:
            near = side_by_side(value, shape)
            value = Symbol(self.arranged(value, near), near)
            order = order_after(value, shape)
            assert order is not None
        return Symbol(self.apply(reshape, value.tensor, shape=tuple(shape[axis] for axis in order[1:])), order)

    def together(self, values: Sequence[Any]) -> tuple[list[Any], Shape]:
        """Return values for arithmetic between them, in one order: sizes of 1 are repeated, axes fit from the last."""
        symbols = [value for value in values if isinstance(value, Symbol)]
        if not symbols:
            return list(values), tuple(range(max(value.ndim for value in values)))
        lead = max(symbols, key=lambda symbol: symbol.size)
        raws = [self._beside(lead, value) for value in values]
        return raws, lead.order

    def gated(self, a: Any, b: Any) -> Any:
        """Return x * sigmoid(x), or x * hard_sigmoid(x), as the one op that it is; None for another product."""
        makers = self.reader.graph.makers if self.reader.graph is not None else {}
        for x, gate in ((a, b), (b, a)):
            node = makers.get(getattr(gate, "name", ""))
            if node is not None and node.op.name in GATES and node.inputs["x"] is x:
                op, attributes = GATES[node.op.name]
                if all(abs(node.attributes[key] - value) < 1e-6 for key, value in attributes.items()):
                    return self.apply(op, x)
        return None

    def _beside(self, lead: Symbol, value: Any) -> Any:
        """Return a value in the order of a symbol."""
        if isinstance(value, Symbol):
            if value.ndim != lead.ndim:
                raise self.refuse(f"{value.shape} and {lead.shape} are put together across the batch")
            return self.arranged(value, lead.order)
        if value.ndim > lead.ndim or (value.ndim == lead.ndim and value.shape[0] != 1):
            raise self.refuse(f"a known array of the shape {value.shape} changes the batch of {lead.shape}")
        if value.size == 1:
            return value.reshape(1)
        raw = value.reshape((1,) * (lead.ndim - value.ndim) + value.shape).transpose(lead.order)
        while raw.shape[0] == 1:
            raw = raw[0]
        return raw


def _each(value: Any, dtype: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_each(one, dtype) for one in value)
    return None if value is None else value.astype(dtype)
