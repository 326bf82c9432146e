"""`Layer`, the base class of all layers; `Input` and `Sequential`.

A layer adds a node, and the parameters that it needs, to the graph of the tensor it is called on.
A layer that is called twice in one network uses the same parameters twice. Names come from the layer (`name=`) or are counted:
conv1, conv2, pool1, ... A parameter is named after its layer: conv1_weight.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from byhand.errors import ArgumentError, UnknownArgumentError
from byhand.graph import Graph, Tensor
from byhand.hints import hinted, unknown_attribute, unknown_keyword, warn
from byhand.hints.attributes import LAYER_NAMES
from byhand.nn import init
from byhand.ops.op import Array, Op
from byhand.shapes import Shape, integer

COLORS = (1, 3)  # channels of gray and of color images
MIN_CHANNELS_FIRST_SIZE = 15  # pixels; a square of more is an image whose channels come first


@hinted
def Input(*shape: int, name: str = "images") -> Tensor:
    """Return the symbolic input of a new network: one example's shape, without the batch.

    >>> from byhand import nn
    >>> nn.Conv2d(8, 3)(nn.Input(28, 28, 1))
    <value conv1 (N, 26, 26, 8)>
    """
    first: Any = shape[0] if shape else None
    if isinstance(first, (tuple, list)):
        raise ArgumentError(f"Input: got {first!r}; write nn.Input({', '.join(map(str, first))})")
    shape = tuple(integer("Input's shape", size) for size in shape)
    if len(shape) == 3 and shape[0] in COLORS and shape[1] == shape[2] > MIN_CHANNELS_FIRST_SIZE:
        warn(
            f"nn.Input{shape} is {shape[0]} high, {shape[1]} wide and has {shape[2]} channels; channels come last here: "
            f"for images write nn.Input({shape[1]}, {shape[2]}, {shape[0]})"
        )
    return Graph().add_input(shape, name)


class Layer:
    """A layer: an op with a name, attributes, and parameters that are made once for each graph.

    A layer without parameters is a subclass with an `op`. label: the first part of counted names, by default the op's name.

    >>> from byhand import ops
    >>> class Softplus(Layer):
    ...     op = ops.softplus
    >>> Softplus()(Input(10))
    <value softplus1 (N, 10)>
    """

    op: ClassVar[Op]
    label: ClassVar[str] = ""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "__init__" in vars(cls):
            cls.__init__ = hinted(cls.__init__)  # type: ignore[method-assign]

    @hinted
    def __init__(self, *, name: str | None = None, **attributes: Any) -> None:
        if unknown := next((key for key in attributes if key not in self.op.attributes), None):
            raise UnknownArgumentError(unknown_keyword(type(self).__name__, unknown, [*self.op.attributes, "name"]))
        self.name, self.attributes = name, attributes

    if not TYPE_CHECKING:  # else type checkers would take any name for one that is there

        def __getattr__(self, name):
            raise unknown_attribute(type(self).__name__, name, vars(self), LAYER_NAMES)

    def __call__(self, *inputs: Any) -> Tensor:
        """Add the layer's node; return its output. A call that fails leaves the graph as it was."""
        graph = self.graph_of(*inputs)
        with graph.rollback_on_error():
            return self.add_to(graph, self.node_name(graph), *inputs)

    def add_to(self, graph: Graph, name: str, *inputs: Any) -> Tensor:
        """Add the layer's node under a name, and before it the parameters that it needs."""
        names = dict(zip(self.op.inputs, (list(inputs),) if self.op.inputs == ("xs",) else inputs))
        return graph.add(self.op, names, self.attributes, name)

    def __repr__(self) -> str:
        own = {key: value for key, value in vars(self).items() if key not in ("name", "attributes")}
        settings = own | self.attributes | ({} if self.name is None else {"name": self.name})
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"

    def graph_of(self, *inputs: Any) -> Graph:
        """Return the graph that the inputs belong to."""
        takes = 1 if self.op.inputs[0] == "x" else len(self.op.inputs)  # what else the op takes is the layer's own
        if not inputs or (len(inputs) != takes and self.op.inputs != ("xs",)):
            expected = "one or more" if self.op.inputs == ("xs",) else takes
            raise ArgumentError(f"{type(self).__name__} was called on {len(inputs)} tensors; expected {expected}")
        for tensor in inputs:
            if not isinstance(tensor, Tensor):
                raise ArgumentError(
                    f"{type(self).__name__} was called on a {type(tensor).__name__}; "
                    f"expected a tensor that comes from nn.Input (for arrays, call the op: bh.{self.op.name})"
                )
        return inputs[0].graph  # type: ignore[no-any-return]

    def node_name(self, graph: Graph) -> str:
        """Return the name for the layer's next node: its own at the first call, else the next number of its label."""
        first = id(self) not in graph.layers
        graph.layers.setdefault(id(self), (self, {}))
        named = self.name is not None and first
        return str(self.name) if named else graph.free_name(self.label or self.op.name)

    def tensors(
        self, graph: Graph, wanted: Mapping[str, tuple[Shape, str | Callable[..., Array]]], name: str, kind: str
    ) -> dict[str, Tensor]:
        """Return the layer's parameters (or states) in a graph, which the first call makes.

        wanted: the shape and the initializer of each, by its suffix: "weight" becomes `<name>_weight`.
        """
        _, mine = graph.layers.setdefault(id(self), (self, {}))
        for suffix, (shape, initializer) in wanted.items():
            if suffix not in mine:
                dtype = np.uint64 if initializer is init.random_key else None
                mine[suffix] = graph.add_tensor(f"{name}_{suffix}", shape, kind, dtype, init.get(initializer))
            elif mine[suffix].shape != shape:
                raise ArgumentError(
                    f"{mine[suffix].name} has the shape {mine[suffix].shape}, but here the layer needs {shape}; "
                    "a layer that is used twice needs inputs of the same shape"
                )
        return {suffix: mine[suffix] for suffix in wanted}


class Sequential:
    """Layers one after the other; itself a layer, so that blocks can be composed. Ops and functions of a tensor count too.

    >>> from byhand import nn
    >>> nn.Sequential(nn.Conv2d(8, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(10))(nn.Input(28, 28, 1))
    <value fc1 (N, 10)>
    """

    @hinted
    def __init__(self, *layers: Callable[[Tensor], Tensor]) -> None:
        for layer in layers:
            if isinstance(layer, type):
                raise ArgumentError(f"Sequential got the class {layer.__name__}; write {layer.__name__}()")
        for kind in (type(layer).__name__ for layer in layers if not callable(layer)):
            hint = ": nn.Sequential(*layers)" if kind in ("list", "tuple") else ""
            raise ArgumentError(f"Sequential got a {kind}; expected layers{hint}")
        self.layers = layers

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            raise unknown_attribute("Sequential", name, vars(self), LAYER_NAMES)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: Any) -> Any:
        """Return a layer by its index; of a slice, a Sequential."""
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __call__(self, x: Tensor) -> Tensor:
        """Add every layer in turn; return the last one's output."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"
