"""What an op is: a contract, and the hands that fulfil it.

The signature is the contract. A forward hand takes the op's inputs, then the arrays it writes its outputs into, then its
attributes by name; a backward hand takes what it needs of those, then `grad_<output>`, then the `grad_<input>` arrays it
writes (None where nobody wants one):

    forward (x, weight, bias, y, *, stride, ...)
    backward(x, weight, grad_y, grad_x, grad_weight, grad_bias, *, stride, ...)

All hands of an op have the same signature; `Op` refuses anything else. From the names alone the program writes its calls,
and the conformance test holds the hands together.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, Signature, cleandoc, signature
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from byhand.errors import ArgumentError, ByhandError, ShapeError, UnknownNameError
from byhand.kernels import memory
from byhand.shapes import Shape, Window

Array = npt.NDArray[Any]
HANDS = ("loops", "arrays", "compiled")
DEFAULT_HAND = "compiled"
REGISTRY: dict[str, Op] = {}


class Hand(NamedTuple):
    """One way of computing an op."""

    forward: Callable[..., None]
    backward: Callable[..., None]


@dataclass(frozen=True)
class Call:
    """What a contract says of one call: the shape of every output, the attributes as the hands take them, the work."""

    shapes: dict[str, Shape]
    attributes: dict[str, Any] = field(default_factory=dict)
    flops: int = 0  # a multiply and an add are two
    window: Window | None = None


class Draw(Protocol):
    """Where an op's `sample` takes its choices from; the conformance test hands in one that hypothesis drives."""

    def integer(self, least: int, most: int) -> int:
        """Return a whole number from least to most."""

    def choice(self, options: Sequence[Any]) -> Any:
        """Return one of the options."""

    def array(self, *shape: int) -> Array:
        """Return floating point numbers."""

    def integers(self, *shape: int, below: int) -> Array:
        """Return whole numbers, 0 up to `below`."""


class Op:
    """An op: call it on arrays, on symbolic tensors (`nn.Input`), or let a program call its hands.

    >>> import byhand as bh, numpy as np
    >>> bh.relu(np.array([-1.0, 2.0]), hand="loops")
    array([0., 2.])
    >>> bh.relu.backward(np.array([10.0, 10.0]), np.array([-1.0, 2.0]))
    array([ 0., 10.])
    """

    def __init__(
        self,
        name: str,
        contract: Callable[..., Call],
        *,
        loops: tuple[Callable[..., None], Callable[..., None]],
        arrays: tuple[Callable[..., None], Callable[..., None]],
        compiled: tuple[Callable[..., None], Callable[..., None]] | None = None,
        sample: Callable[[Draw], tuple[tuple[Any, ...], dict[str, Any]]],
        onnx: str | None = None,
        dtypes: Mapping[str, Any] | None = None,
        state: tuple[str, ...] = (),
        check: Callable[[dict[str, Any]], Any] | None = None,
        algorithms: Callable[[Sequence[Any], Call, int], dict[str, str]] | None = None,
    ) -> None:
        self.name, self.contract, self.onnx, self.sample = name, contract, onnx, sample
        self.dtypes = dict(dtypes or {})  # of the inputs and outputs that are not floating point
        self.state = state  # inputs that forward may also write: running statistics, a random key
        self.check = check  # raises for inputs whose numbers, not only their shapes, can be wrong
        self._algorithms = algorithms  # (input shapes, call, bytes of a number) -> as `algorithms` returns
        self.hands = {"loops": Hand(*loops), "arrays": Hand(*arrays)}
        if compiled is not None:
            self.hands["compiled"] = Hand(*compiled)
        self.inputs, self.attributes = positional(contract), keywords(contract)
        self.optional = self.inputs[len(self.inputs) - len(contract.__defaults__ or ()) :]
        self.required = tuple(name for name in self.attributes if name not in (contract.__kwdefaults__ or {}))
        forward, backward = (positional(hand) for hand in self.hands["arrays"])
        self.outputs = forward[len(self.inputs) :]
        self.forward_arguments, self.backward_arguments = forward, backward
        self.differentiable = tuple(i for i in self.inputs if f"grad_{i}" in backward)
        self._check_hands()
        self.__name__, self.__doc__ = name, self._explain()
        REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs + self.attributes)}) -> {', '.join(self.outputs)}>"

    def _explain(self) -> str:
        """Return what `help` and notebooks show: the contract, what backward returns, and the equations of the family."""
        grads = ", ".join(f"grad_{name}" for name in self.differentiable)
        backward = f"{self.name}.backward(grad_{self.outputs[0]}, {', '.join(self.inputs)}, ...) returns {grads}."
        family = sys.modules[self.contract.__module__].__doc__ or ""
        return "\n\n".join([cleandoc(self.contract.__doc__ or ""), backward, family.strip()])

    def __getattr__(self, name: str) -> Any:
        """Answer `inspect.signature`, and with it editors and notebooks, with the contract's arguments and `hand`."""
        if name != "__signature__":
            raise AttributeError(name)
        hand = Parameter("hand", Parameter.KEYWORD_ONLY, default=DEFAULT_HAND)
        return Signature([*signature(self.contract).parameters.values(), hand])

    def _check_hands(self) -> None:
        grads = {f"grad_{name}" for name in self.inputs + self.outputs}
        if self.forward_arguments[: len(self.inputs)] != self.inputs or not self.outputs:
            raise TypeError(f"{self.name}: forward takes {self.forward_arguments}, the contract {self.inputs}")
        if unknown := set(self.backward_arguments) - set(self.forward_arguments) - grads:
            raise TypeError(f"{self.name}: backward takes {unknown}, which is no input, output or gradient")
        if self.backward_arguments[-len(self.differentiable) :] != tuple(f"grad_{i}" for i in self.differentiable):
            raise TypeError(
                f"{self.name}: backward takes {self.backward_arguments}; what it writes must come last, in order"
            )
        for hand, pair in self.hands.items():
            for ours, first in zip(pair, self.hands["arrays"]):
                if positional(ours) != positional(first) or keywords(ours) != keywords(first):
                    raise TypeError(f"{self.name}: the {hand} and arrays hands differ in their arguments")

    def plan(self, shapes: Iterable[Any], attributes: Mapping[str, Any], who: str | None = None) -> Call:
        """Return the call that the contract makes of input shapes and attributes; an error begins with `who` asked."""
        who = who or self.name
        if unknown := next((key for key in attributes if key not in self.attributes), None):
            known = f"it has {', '.join(self.attributes)}" if self.attributes else "it has none"
            raise ArgumentError(f"{who}: {self.name} has no attribute '{unknown}'; {known}")
        if missing := next((key for key in self.required if key not in attributes), None):
            raise ArgumentError(f"{who}: {missing} is missing; {self.name} has no default for it")
        try:
            return self.contract(*shapes, **attributes)
        except ByhandError as error:
            raise type(error)(f"{who}: {error}") from None

    def algorithms(self, shapes: Sequence[Any], call: Call, itemsize: int) -> dict[str, str]:
        """Return which algorithm the compiled hand takes to write each output and gradient; empty where it has but one."""
        return {} if self._algorithms is None else self._algorithms(shapes, call, itemsize)

    def hand(self, name: str) -> Hand:
        """Return one of the op's hands by name."""
        if name not in self.hands:
            raise UnknownNameError("hand", name, self.hands)
        return self.hands[name]

    def _hand_for(self, name: str, arrays: Mapping[str, Any]) -> Hand:
        """Return a hand by name; NumPy's where there is no compiled one, or no element that a kernel could work on."""
        if name == "compiled" and (name not in self.hands or any(one.size == 0 for one in flat(arrays.values()))):
            name = "arrays"
        return self.hand(name)

    def allocate(self, call: Call, dtype: Any) -> dict[str, Array]:
        """Return an unwritten array for every output of a call."""
        return {name: memory.empty(shape, self.dtypes.get(name, dtype)) for name, shape in call.shapes.items()}

    def __call__(self, *inputs: Any, hand: str = DEFAULT_HAND, **attributes: Any) -> Any:
        """Return the op's result, the first of its outputs; a symbolic input gives a symbolic result."""
        tensors = self._bind(inputs, attributes)
        symbol = next((t for t in flat(tensors.values()) if hasattr(t, "apply_op")), None)
        if symbol is not None:
            if hand != DEFAULT_HAND:
                raise ArgumentError(f"{self.name}: a symbolic call takes no hand; the program that runs it does")
            return symbol.apply_op(self, tensors, attributes)
        arrays, dtype = self._as_arrays(tensors)
        call = self.plan(map(shape_of, arrays.values()), attributes)
        self._check_numbers(arrays)
        outputs = self.allocate(call, dtype)
        self._hand_for(hand, arrays).forward(*arrays.values(), *outputs.values(), **call.attributes)
        for name in self.state:  # in place, also where the hand got a copy of another type
            ours, theirs = arrays[name], tensors[name]
            if isinstance(theirs, np.ndarray) and np.can_cast(ours.dtype, theirs.dtype, "same_kind"):
                theirs[...] = ours.reshape(theirs.shape)
        return outputs[self.outputs[0]]

    def backward(self, grad: Any, *inputs: Any, hand: str = DEFAULT_HAND, **attributes: Any) -> Any:
        """Return the gradient of every differentiable input, given the result's: a tuple where there are several."""
        tensors, dtype = self._as_arrays(self._bind(inputs, attributes))
        call = self.plan(map(shape_of, tensors.values()), attributes)
        self._check_numbers(tensors)
        have: dict[str, Any] = dict(tensors)
        if set(self.outputs) & set(self.backward_arguments):  # it needs what forward saved
            have |= {name: np.array(tensors[name]) for name in self.state}  # forward may write these: keep the caller's
            have |= self.allocate(call, dtype)
            self._hand_for(hand, tensors).forward(*(have[name] for name in self.forward_arguments), **call.attributes)
        first = self.outputs[0]
        grad = np.asarray(grad, dtype)
        if grad.shape != call.shapes[first]:
            raise ShapeError(
                f"{self.name}: grad has the shape {grad.shape}; expected that of {first}, {call.shapes[first]}"
            )
        have[f"grad_{first}"] = grad
        grads = {f"grad_{name}": empty_like(tensors[name]) for name in self.differentiable}
        have |= grads
        self._hand_for(hand, tensors).backward(*(have[name] for name in self.backward_arguments), **call.attributes)
        return tuple(grads.values()) if len(grads) > 1 else next(iter(grads.values()))

    def _bind(self, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> dict[str, Any]:
        bound = dict(zip(self.inputs, inputs))
        if twice := next((name for name in bound if name in attributes), None):
            raise ArgumentError(f"{self.name}: {twice} is given twice; it takes {', '.join(self.inputs)}")
        bound |= {name: attributes.pop(name) for name in self.inputs if name in attributes}
        missing = [name for name in self.inputs if bound.get(name) is None and name not in self.optional]
        if len(inputs) > len(self.inputs) or missing:
            trouble = f"{missing[0]} is missing" if missing else f"got {len(inputs)} inputs"
            raise ArgumentError(f"{self.name}: {trouble}; it takes {', '.join(self.inputs)}")
        return {name: bound.get(name) for name in self.inputs}

    def _as_arrays(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Turn inputs into arrays: floating point ones of one type (whole numbers become float64), the rest as declared."""
        arrays = {name: None if value is None else self._as_array(name, value) for name, value in inputs.items()}
        floats = flat(value for name, value in arrays.items() if name not in self.dtypes)
        kinds = [a.dtype if a.dtype in (np.float32, np.float64) else np.dtype(np.float64) for a in floats]
        dtype = np.result_type(*kinds) if kinds else np.dtype(np.float64)
        for name, value in arrays.items():
            kind = self.dtypes.get(name, dtype)
            if isinstance(value, tuple):
                arrays[name] = tuple(a.astype(kind, copy=False) for a in value)
            elif value is not None:  # of the right type it stays the caller's own: state is written in place
                arrays[name] = value.astype(kind, copy=False)
        return arrays, dtype

    def _as_array(self, name: str, value: Any) -> Any:
        """Turn one input into an array, `xs` into a tuple of them."""
        if name == "xs":
            if not isinstance(value, (tuple, list)) and getattr(value, "ndim", 0) == 0:
                raise ArgumentError(f"{self.name}: xs is {value!r}; expected a list of arrays")
            return tuple(self._as_array("one of xs", one) for one in value)
        try:
            array = np.asarray(value)
        except ValueError:
            raise ArgumentError(f"{self.name}: {name} has rows of different lengths; expected an array") from None
        whole = np.issubdtype(self.dtypes.get(name, np.float64), np.integer)
        if array.dtype.kind not in ("iu" if whole else "fiub"):
            what = "whole numbers" if whole else "numbers"
            raise ArgumentError(f"{self.name}: {name} holds {array.dtype}; expected {what}")
        return np.atleast_1d(array) if name in self.state else array

    def _check_numbers(self, arrays: dict[str, Any]) -> None:
        try:
            if self.check is not None:
                self.check(arrays)
        except ByhandError as error:
            raise type(error)(f"{self.name}: {error}") from None


def get(name: str) -> Op:
    """Return an op by name."""
    if name not in REGISTRY:
        raise UnknownNameError("op", name, REGISTRY)
    return REGISTRY[name]


def positional(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a hand's arrays, in order."""
    code = written(function).__code__  # inspect.signature says the same, and takes most of the import's time
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount]
    return names


def written(function: Callable[..., Any]) -> Any:
    """Return the function as it was written, without what is wrapped around a compiled hand."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a hand's attributes, in order."""
    code = written(function).__code__
    names: tuple[str, ...] = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return names


def flat(values: Iterable[Any]) -> list[Any]:
    """Return the tensors among inputs: without None, and with a list of them (`xs`) laid open."""
    return [
        one for value in values if value is not None for one in (value if isinstance(value, (tuple, list)) else [value])
    ]


def shape_of(value: Any) -> Any:
    """Return the shape of an array, of each array of a tuple, or None."""
    return tuple(one.shape for one in value) if isinstance(value, (tuple, list)) else getattr(value, "shape", None)


def empty_like(value: Any) -> Any:
    """Return unwritten arrays in the shape of an input: one, a tuple of them, or None."""
    if isinstance(value, tuple):
        return tuple(map(memory.empty_like, value))
    return None if value is None else memory.empty_like(value)
