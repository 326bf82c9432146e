"""A model's arrays by name, as attributes (`model.p`) and as a dict (`model.parameters`): what is assigned is copied into them.

The arrays are views of one buffer, which generated programs read. An assignment that replaced one would be without effect, so
it writes into the array, or raises where the name or the shape is another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.graph import Graph, Tensor
from byhand.hints import unknown_attribute
from byhand.ops.op import Array


class NamedArrays(SimpleNamespace):
    """Arrays as attributes; assigning to one writes into it.

    >>> arrays = NamedArrays(bias=np.zeros(2))
    >>> arrays.bias = [1, 2]
    >>> arrays.bias
    array([1., 2.])
    """

    def __setattr__(self, name: str, value: Any) -> None:
        write(vars(self), name, value)

    def __delattr__(self, name: str) -> None:
        raise ArgumentError(f"{name} can't be deleted: a network needs all of its arrays")

    def __getattr__(self, name: str) -> Any:
        raise unknown_attribute("the model", name, [key for key in vars(self) if key != "flat"], {})


class ParameterDict(dict[str, Array]):
    """Arrays by name; assigning an item, or an update, writes into the arrays. A call iterates over them, as in PyTorch.

    >>> parameters = ParameterDict(bias=np.zeros(2))
    >>> bias = parameters["bias"]
    >>> parameters["bias"] = [1, 2]
    >>> bias
    array([1., 2.])
    """

    def __call__(self) -> Iterator[Array]:
        """Yield the arrays."""
        return iter(self.values())

    def __setitem__(self, name: str, value: Any) -> None:
        write(self, name, value)

    def update(self, *others: Any, **named: Any) -> None:
        """Write several arrays: all of them, or none where a name or a shape does not fit."""
        values = dict(*others, **named)
        for name, value in values.items():
            check(self, name, value)
        for name, value in values.items():
            write(self, name, value)

    def __ior__(self, other: Any) -> ParameterDict:  # type: ignore[override,misc]
        self.update(other)
        return self

    def __reduce__(self) -> Any:
        """Copy and pickle as a new dict of the arrays; only a call of the class fills one."""
        return type(self), (dict(self),)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        """Raise an error: the names are fixed."""
        raise ArgumentError("a model's parameters can't be removed or added; replace_head makes another network")

    __delitem__ = pop = popitem = clear = setdefault = _refuse


def layer_hints(graph: Graph) -> dict[str, str]:
    """Return what to write for the name of each layer, which is no attribute of the model: its weight, or its output."""
    weights = {tensor.name for tensor in graph.of_kind("parameter")}
    hints = {}
    for node in graph.nodes:
        for tensor in node.outputs.values():
            weight = f"model.p.{tensor.name}_weight is its weight, " if f"{tensor.name}_weight" in weights else ""
            hints[tensor.name] = f"it is a layer: {weight}model.trace(images)['{tensor.name}'] its output"
    return hints


def initialize(tensors: Sequence[Tensor], arrays: NamedArrays, rng: np.random.Generator) -> None:
    """Write the first values of tensors into the arrays of their names, in order."""
    for tensor in tensors:
        assert tensor.initializer is not None
        vars(arrays)[tensor.name][...] = tensor.initializer(rng, tensor.shape)


def check(arrays: Mapping[str, Array], name: str, value: Any) -> Array:
    """Return a value as an array that may be written into the array of that name.

    Raises UnknownNameError for a name that there is not, ShapeError for another shape, ArgumentError for what holds no numbers.
    """
    if name not in arrays:
        raise UnknownNameError("parameter", name, [key for key in arrays if key != "flat"])
    target = arrays[name]
    try:
        array = np.asarray(value)
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ):  # rows of different lengths; a PyTorch tensor that requires a gradient
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        raise ArgumentError(f"{name}: got a {type(value).__name__}; expected an array of numbers {target.shape}")
    if array.shape != target.shape:
        raise ShapeError(f"{name}: got the shape {array.shape}; expected {target.shape}")
    return array


def write(arrays: Mapping[str, Array], name: str, value: Any) -> None:
    """Copy a value into the array of that name; raise as `check` does."""
    array = check(arrays, name, value)
    if array is not arrays[name]:  # an augmented assignment, `p.bias += 1`, has written it
        arrays[name][...] = array


def load_arrays(arrays: Mapping[str, Array], given: Mapping[str, Any], strict: bool) -> None:
    """Copy arrays by name, all or none; strict: exactly these names, else those that both sides have."""
    if not isinstance(given, Mapping):
        raise ArgumentError(f"load_state_dict: got a {type(given).__name__}; expected a dict, as state_dict returns")
    if strict and given.keys() != arrays.keys():
        unknown = sorted(given.keys() - arrays.keys())
        missing = sorted(arrays.keys() - given.keys())
        what = f"'{missing[0]}' is missing" if missing else f"'{unknown[0]}' is none of the model's"
        raise ArgumentError(
            f"load_state_dict: {what} ({len(missing)} missing, {len(unknown)} unknown); strict=False takes those that fit; "
            "for the weights of torchvision: model.load_torchvision"
        )
    names = [name for name in arrays if name in given]
    for name in names:
        check(arrays, name, given[name])
    for name in names:
        write(arrays, name, given[name])
