"""An op: a contract (shapes, attributes, FLOPs) and its hands, implementations with one signature.

A forward hand takes the op's inputs, then the arrays to write its outputs into, then its attributes by name. A backward hand
takes what it needs of those, then `grad_<output>`, then the `grad_<input>` arrays to write, None for a gradient that is not
wanted:

    forward (x, weight, bias, y, *, stride, ...)
    backward(x, weight, grad_y, grad_x, grad_weight, grad_bias, *, stride, ...)

All hands of an op have the same signature; `Op` raises a TypeError for any other. The argument names are all that a program
needs to write its calls, and all that the conformance test needs to compare the hands.

This file reads from top to bottom: the types that an op is made of, `Op` with its registry, and helpers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, Signature, cleandoc, signature
from math import prod
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from byhand.errors import (
    ArgumentError,
    ByhandError,
    ShapeError,
    UnknownArgumentError,
    UnknownNameError,
)
from byhand.files import UNCHECKED_BYTES, check_memory
from byhand.hints import unknown_keyword
from byhand.kernels import memory
from byhand.shapes import Array as Array  # noqa: PLC0414  (exported: ops are written with Array and Op)
from byhand.shapes import Shape, Window, plain

Input = Array | tuple[Array, ...] | None  # `xs` of concat is a tuple; None: an optional input that is left out
InputShape = Shape | tuple[Shape, ...] | None
Attributes = dict[str, Any]  # such as stride and padding, by name
Sample = tuple[tuple[Any, ...], Attributes]  # a legal call: inputs and attributes
HandFunction = Callable[..., None]  # writes into the arrays it is given

HANDS = ("loops", "arrays", "compiled")
DEFAULT_HAND = "compiled"
REGISTRY: dict[str, Op] = {}  # all ops by name; `Op` adds itself
MAX_INTEGER = 2**31 - 1  # of an attribute: compiled hands multiply it by sizes, in 64 bits
ARGUMENT_KINDS = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


class Hand(NamedTuple):
    """One implementation of an op."""

    forward: HandFunction
    backward: HandFunction


@dataclass(frozen=True)
class CallSpec:
    """The result of a contract for one call of an op.

    shapes: of every output, by name. attributes: as the hands take them, such as a padding "same" as four numbers.
    flops: a multiply-add counts as two. window: of a convolution or a pooling.
    """

    shapes: dict[str, Shape]
    attributes: Attributes = field(default_factory=dict)
    flops: int = 0
    window: Window | None = None


class SampleSource(Protocol):
    """The random choices that an op's `sample` makes, to draw a legal call; hypothesis drives them in the conformance test."""

    def integer(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included."""

    def choice(self, options: Sequence[Any]) -> Any:
        """Return one of the options."""

    def array(self, *shape: int) -> Array:
        """Return an array of floating-point numbers."""

    def integers(self, *shape: int, below: int) -> Array:
        """Return an array of integers from 0 up to, not including, `below`."""


class Op:
    """An op, callable on arrays and on symbolic tensors (`nn.Input`); a program calls its hands directly.

    contract(*input shapes, **attributes): checks a call, returns a `CallSpec`; its signature names inputs and attributes.
    loops, arrays, compiled: the hands, each (forward, backward); the signature of forward names the outputs.
    sample(draw): a legal call, (inputs, attributes).
    dtypes: of the inputs and outputs that are not floating point.
    state: inputs that forward also writes in place, such as running statistics.
    check(inputs): raises for values, not only shapes, that are invalid.
    algorithms(input shapes, call, itemsize): which algorithm the compiled hand takes to write each output and gradient.
    in_python: its hands call a function of the user's; it is not registered, and a program that has one is not captured.

    >>> import byhand as bh, numpy as np
    >>> bh.relu(np.array([-1.0, 2.0]), hand="loops")
    array([0., 2.])
    >>> bh.relu.backward(np.array([10.0, 10.0]), np.array([-1.0, 2.0]))
    array([ 0., 10.])
    """

    def __init__(
        self,
        name: str,
        contract: Callable[..., CallSpec],
        *,
        loops: tuple[HandFunction, HandFunction],
        arrays: tuple[HandFunction, HandFunction],
        compiled: tuple[HandFunction, HandFunction] | None = None,
        sample: Callable[[SampleSource], Sample],
        dtypes: Mapping[str, npt.DTypeLike] | None = None,
        state: tuple[str, ...] = (),
        check: Callable[[dict[str, Any]], object] | None = None,
        algorithms: Callable[[Sequence[InputShape], CallSpec, int], dict[str, str]] | None = None,
        in_python: bool = False,
    ) -> None:
        self.name, self.contract, self.sample = name, contract, sample
        self.dtypes, self.state, self.check = dict(dtypes or {}), state, check
        self._algorithms, self.in_python = algorithms, in_python
        self.hands = {"loops": Hand(*loops), "arrays": Hand(*arrays)}
        if compiled is not None:
            self.hands["compiled"] = Hand(*compiled)

        # The names of what goes in and out, read from the signatures.
        self.inputs, self.attributes = positional(contract), keywords(contract)
        self.optional = self.inputs[len(self.inputs) - len(contract.__defaults__ or ()) :]
        self.required = tuple(name for name in self.attributes if name not in (contract.__kwdefaults__ or {}))
        self.forward_arguments, self.backward_arguments = (positional(hand) for hand in self.hands["arrays"])
        self.outputs = self.forward_arguments[len(self.inputs) :]
        self.differentiable = tuple(i for i in self.inputs if f"grad_{i}" in self.backward_arguments)

        self._check_signatures()
        self.__name__, self.__doc__ = name, self._docstring()
        if not in_python:
            REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs + self.attributes)}) -> {', '.join(self.outputs)}>"

    def __call__(self, *inputs: Any, hand: str = DEFAULT_HAND, **attributes: Any) -> Any:
        """Return the first output of the op; for a symbolic input, a symbolic tensor."""
        named = self._inputs_by_name(inputs, attributes)
        symbol = next((t for t in tree_leaves(named.values()) if hasattr(t, "apply_op")), None)
        if symbol is not None:
            if hand != DEFAULT_HAND:
                raise ArgumentError(f"{self.name}: a symbolic call takes no hand; the program that runs it does")
            return symbol.apply_op(self, named, attributes)
        arrays, dtype = self._as_arrays(named)
        call = self.infer(map(shape_of, arrays.values()), attributes)
        self._check_values(arrays)
        outputs = self.allocate(call, dtype)
        self._hand_for(hand, arrays).forward(*arrays.values(), *outputs.values(), **call.attributes)
        for name in self.state:  # in place, also where the hand got a copy of another dtype
            updated, state = arrays[name], named[name]
            if isinstance(state, np.ndarray) and np.can_cast(updated.dtype, state.dtype, "same_kind"):
                self._write_state(name, state, updated.reshape(state.shape))
        return outputs[self.outputs[0]]

    def __reduce__(self) -> Any:
        """Copy and pickle a registered op as its name: it is one object, which programs compare by identity."""
        return (get, (self.name,)) if REGISTRY.get(self.name) is self else super().__reduce_ex__(2)

    def backward(self, grad: Any, *inputs: Any, hand: str = DEFAULT_HAND, **attributes: Any) -> Any:
        """Return the gradient of every differentiable input, a tuple if there are several; grad: that of the first output."""
        arrays, dtype = self._as_arrays(self._inputs_by_name(inputs, attributes))
        call = self.infer(map(shape_of, arrays.values()), attributes)
        self._check_values(arrays)
        chosen, first = self._hand_for(hand, arrays), self.outputs[0]
        grad = self._as_array("grad", grad).astype(dtype, copy=False)
        if grad.shape != call.shapes[first]:
            expected = f"expected that of {first}, {call.shapes[first]}"
            raise ShapeError(f"{self.name}: grad has the shape {grad.shape}; {expected}")
        grads = {f"grad_{name}": empty_like(arrays[name]) for name in self.differentiable}
        if not any(array.size for array in tree_leaves(grads.values())):  # a reduction of no elements has no derivative
            return tuple(grads.values()) if len(grads) > 1 else next(iter(grads.values()))
        arguments: dict[str, Any] = arrays | {f"grad_{first}": grad} | grads
        if set(self.outputs) & set(self.backward_arguments):  # backward needs outputs of forward
            arguments |= {name: np.array(arrays[name]) for name in self.state}  # forward writes to these: copies
            arguments |= self.allocate(call, dtype)
            chosen.forward(*(arguments[name] for name in self.forward_arguments), **call.attributes)
        chosen.backward(*(arguments[name] for name in self.backward_arguments), **call.attributes)
        return tuple(grads.values()) if len(grads) > 1 else next(iter(grads.values()))

    def infer(self, shapes: Iterable[InputShape], attributes: Mapping[str, Any], who: str = "") -> CallSpec:
        """Return what the contract infers of a call; errors begin with `who`, by default the op's name."""
        who = who or self.name
        if unknown := next((key for key in attributes if key not in self.attributes), None):
            error = unknown_keyword(self.name, unknown, self.attributes)
            raise UnknownArgumentError(error if who == self.name else f"{who}: {error}")
        if missing := next((key for key in self.required if key not in attributes), None):
            raise ArgumentError(f"{who}: {missing} is missing; {self.name} has no default for it")
        try:
            call = self.contract(*shapes, **plain(dict(attributes)))
        except ByhandError as error:
            raise type(error)(f"{who}: {error}") from None
        for name, value in call.attributes.items():
            if unfit := [n for n in tree_leaves([value]) if isinstance(n, int) and abs(n) > MAX_INTEGER]:
                raise ArgumentError(f"{who}: {name} is {unfit[0]}; expected at most {MAX_INTEGER:,}")
        return call

    def hand(self, name: str) -> Hand:
        """Return one of the op's hands by name."""
        if name not in self.hands:
            raise UnknownNameError("hand", name, self.hands)
        return self.hands[name]

    def allocate(self, call: CallSpec, dtype: npt.DTypeLike) -> dict[str, Array]:
        """Return an uninitialized array for every output of a call; raises ArgumentError where memory is too small for it."""
        item = np.dtype(dtype).itemsize
        for name, shape in call.shapes.items():
            if (size := item * prod(shape)) > UNCHECKED_BYTES:  # the text of an error costs a call of microseconds
                check_memory(size, f"{self.name}: {name} of the shape {shape}", ArgumentError)
        return {name: memory.empty(shape, self.dtypes.get(name, dtype)) for name, shape in call.shapes.items()}

    def algorithms(self, shapes: Sequence[InputShape], call: CallSpec, itemsize: int) -> dict[str, str]:
        """Return which algorithm the compiled hand takes to write each output and gradient; empty where it has but one."""
        return {} if self._algorithms is None else self._algorithms(shapes, call, itemsize)

    def _inputs_by_name(self, inputs: tuple[Any, ...], attributes: Attributes) -> dict[str, Any]:
        """Return the inputs of a call by name; those given as keywords are taken out of the attributes."""
        found = dict(zip(self.inputs, inputs))
        if repeated := next((name for name in found if name in attributes), None):
            raise ArgumentError(f"{self.name}: {repeated} is given twice; it takes {', '.join(self.inputs)}")
        found |= {name: attributes.pop(name) for name in self.inputs if name in attributes}
        missing = [name for name in self.inputs if found.get(name) is None and name not in self.optional]
        if len(inputs) > len(self.inputs) or missing:
            problem = f"{missing[0]} is missing" if missing else f"got {len(inputs):d} inputs"
            raise ArgumentError(f"{self.name}: {problem}; it takes {', '.join(self.inputs)}")
        return {name: found.get(name) for name in self.inputs}

    def _as_arrays(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], np.dtype[Any]]:
        """Convert inputs to arrays: floating-point inputs to one dtype (integers become float64), the others as declared."""
        arrays = {name: None if value is None else self._as_array(name, value) for name, value in inputs.items()}
        floats = tree_leaves(value for name, value in arrays.items() if name not in self.dtypes)
        dtypes = [a.dtype if a.dtype in (np.float32, np.float64) else np.dtype(np.float64) for a in floats]
        dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
        for name, value in arrays.items():
            expected = self.dtypes.get(name, dtype)
            if isinstance(value, tuple):
                arrays[name] = tuple(a.astype(expected, copy=False) for a in value)
            elif value is not None:  # no copy where the dtype is right: state is written in place
                arrays[name] = value.astype(expected, copy=name in self.state and not value.flags.writeable)
        return arrays, dtype

    def _as_array(self, name: str, value: Any) -> Any:
        """Convert one input to an array, `xs` to a tuple of arrays."""
        if name == "xs":
            if not isinstance(value, (tuple, list)) and getattr(value, "ndim", 0) == 0:
                raise ArgumentError(f"{self.name}: xs is {value!r}; expected a list of arrays")
            return tuple(self._as_array("one of xs", item) for item in value)
        try:
            array = np.asarray(value)
        except ValueError:
            raise ArgumentError(f"{self.name}: {name} has rows of different lengths; expected an array") from None
        integers = np.issubdtype(self.dtypes.get(name, np.float64), np.integer)
        if array.dtype.kind not in ("iu" if integers else "fiub"):
            kind = "whole numbers" if integers else "numbers"
            raise ArgumentError(f"{self.name}: {name} holds {array.dtype}; expected {kind}")
        return np.atleast_1d(array) if name in self.state else array

    def _write_state(self, name: str, state: Array, updated: Array) -> None:
        """Write an updated state into the caller's array; raise an ArgumentError where that is read-only and out of date."""
        if state.flags.writeable:
            state[...] = updated
        elif not np.array_equal(state, updated, equal_nan=True):
            raise ArgumentError(f"{self.name}: {name} is read-only, and is to be updated; pass a copy of it")

    def _check_values(self, arrays: dict[str, Any]) -> None:
        """Raise an error for values that the op does not take, such as a label that is no class."""
        try:
            if self.check is not None:
                self.check(arrays)
        except ByhandError as error:
            raise type(error)(f"{self.name}: {error}") from None

    def _hand_for(self, name: str, arrays: Mapping[str, Input]) -> Hand:
        """Return a hand by name; the arrays hand where there is no compiled one, or where an array is empty."""
        empty = any(array.size == 0 for array in tree_leaves(arrays.values()))
        return self.hand("arrays" if name == "compiled" and (empty or name not in self.hands) else name)

    def _check_signatures(self) -> None:
        """Raise a TypeError unless contract and hands agree on the names of the arguments."""
        grads = {f"grad_{name}" for name in self.inputs + self.outputs}
        if self.forward_arguments[: len(self.inputs)] != self.inputs or not self.outputs:
            raise TypeError(f"{self.name}: forward takes {self.forward_arguments}, the contract {self.inputs}")
        if unknown := set(self.backward_arguments) - set(self.forward_arguments) - grads:
            raise TypeError(f"{self.name}: backward takes {unknown}, which is no input, output or gradient")
        if self.backward_arguments[-len(self.differentiable) :] != tuple(f"grad_{i}" for i in self.differentiable):
            raise TypeError(
                f"{self.name}: backward takes {self.backward_arguments}; the gradients it writes must come last, in order"
            )
        for hand, pair in self.hands.items():
            for function, reference in zip(pair, self.hands["arrays"]):
                if _argument_names(function) != _argument_names(reference):
                    raise TypeError(f"{self.name}: the {hand} and arrays hands differ in their arguments")

    def _docstring(self) -> str:
        """Return the docstring: that of the contract, what backward returns, and the equations in the file's docstring."""
        grads = ", ".join(f"grad_{name}" for name in self.differentiable)
        backward = f"{self.name}.backward(grad_{self.outputs[0]}, {', '.join(self.inputs)}, ...) returns {grads}."
        backward += " The compiled hand treats subnormal numbers (in float32 below 1.2e-38) as 0."
        family = sys.modules[self.contract.__module__].__doc__ or ""
        return "\n\n".join([cleandoc(self.contract.__doc__ or ""), backward, family.strip()])

    def __getattr__(self, name: str) -> Signature:
        """Return `__signature__`, which editors and notebooks show: the contract's arguments and `hand`."""
        if name != "__signature__":
            raise AttributeError(name)
        hand = Parameter("hand", Parameter.KEYWORD_ONLY, default=DEFAULT_HAND)
        arguments = [
            argument.replace(annotation=Parameter.empty) for argument in signature(self.contract).parameters.values()
        ]
        return Signature([*arguments, hand])  # annotated, the inputs would be shapes


def get(name: str) -> Op:
    """Return an op by name."""
    if name not in REGISTRY:
        raise UnknownNameError("op", name, REGISTRY)
    return REGISTRY[name]


def positional(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the positional arguments, a hand's arrays, in order."""
    return _argument_names(function)[0]


def keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the keyword-only arguments, a hand's attributes, in order."""
    return _argument_names(function)[1]


def _argument_names(function: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of positional and of keyword-only arguments.

    `inspect.signature` knows them too, but would take most of the time of `import byhand`.
    """
    function = unwrapped(function)
    declared: Signature | None = getattr(function, "__signature__", None)  # of a hand that `composed` derives
    if declared is not None:
        names = {kind: tuple(p.name for p in declared.parameters.values() if p.kind is kind) for kind in ARGUMENT_KINDS}
        return names[Parameter.POSITIONAL_OR_KEYWORD], names[Parameter.KEYWORD_ONLY]
    code = function.__code__
    count = code.co_argcount
    return code.co_varnames[:count], code.co_varnames[count : count + code.co_kwonlyargcount]


def unwrapped(function: Any) -> Any:
    """Return the function as it was written, without the wrapper of a compiled hand."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def tree_leaves(values: Iterable[Any]) -> list[Any]:
    """Return the tensors among inputs as one list: without None, and with the members of a list (`xs`)."""
    groups = (value if isinstance(value, (tuple, list)) else [value] for value in values if value is not None)
    return [tensor for group in groups for tensor in group]


def shape_of(value: Any) -> Any:
    """Return the shape of an array, of each array of a tuple, or None."""
    return tuple(array.shape for array in value) if isinstance(value, (tuple, list)) else getattr(value, "shape", None)


def empty_like(value: Any) -> Any:
    """Return an uninitialized array like an input, a tuple of them for `xs`, or None."""
    if isinstance(value, tuple):
        return tuple(map(memory.empty_like, value))
    return None if value is None else memory.empty_like(value)
