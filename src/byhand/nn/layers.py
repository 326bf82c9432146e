"""The layers that people compose, a class an op; `layer.py` says what all of them do, activations.py has the rest."""

from typing import Any

from byhand import ops
from byhand.errors import ArgumentError
from byhand.graph import Graph, Tensor
from byhand.nn import init
from byhand.nn.init import Initializer
from byhand.nn.layer import Layer
from byhand.shapes import Shape, integer, normal_axis, number, pair


class Conv2d(Layer):
    """Convolution with `filters` filters: (N, H, W, C) -> (N, H', W', filters); see `bh.conv2d`.

    kernel, stride, dilation: pixels, a number or (down, across); padding: "valid", "same", a number, (down, across) or
    (top, bottom, left, right); initializer: see `nn.INITIALIZERS`.

    >>> from byhand import nn
    >>> nn.Conv2d(64, 7, stride=2, padding=3)(nn.Input(224, 224, 3))
    <value conv1 (N, 112, 112, 64)>
    """

    op, label = ops.conv2d, "conv"

    def __init__(
        self,
        filters: int,
        kernel: Any = 3,
        *,
        stride: Any = 1,
        padding: Any = "valid",
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: str | Initializer = "he",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, stride=stride, padding=padding, dilation=dilation, groups=groups)
        self.filters, self.kernel = integer("Conv2d: filters", filters), pair("Conv2d: kernel", kernel)
        self.bias, self.initializer = bias, initializer

    def add_to(self, graph: Graph, name: str, x: Any) -> Tensor:
        """Add the convolution; return its output."""
        groups = integer(f"{name}: groups", self.attributes["groups"])
        if len(x.shape) != 4 or x.shape[-1] % groups:
            raise ArgumentError(f"{name}: got {x!r}; expected (N, H, W, C) with a multiple of {groups} channels")
        wanted: dict[str, tuple[Shape, Any]] = {
            "weight": ((*self.kernel, x.shape[-1] // groups, self.filters), self.initializer)
        }
        if self.bias:
            wanted["bias"] = ((self.filters,), init.zeros)
        parameters = self.tensors(graph, wanted, name, "parameter")
        return graph.add(self.op, {"x": x, "bias": None} | parameters, self.attributes, name)


class ConvTranspose2d(Layer):
    """Transposed convolution, to larger images: (N, H, W, C) -> (N, H', W', filters); see `bh.conv_transpose2d`.

    >>> from byhand import nn
    >>> nn.ConvTranspose2d(32, 4, stride=2, padding=1)(nn.Input(7, 7, 64))
    <value conv1 (N, 14, 14, 32)>
    """

    op, label = ops.conv_transpose2d, "conv"

    def __init__(
        self,
        filters: int,
        kernel: Any = 3,
        *,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: str | Initializer = "he",
        name: str | None = None,
    ) -> None:
        more = {"output_padding": output_padding, "dilation": dilation, "groups": groups}
        super().__init__(name=name, stride=stride, padding=padding, **more)
        self.filters = integer("ConvTranspose2d: filters", filters)
        self.kernel, self.bias, self.initializer = pair("ConvTranspose2d: kernel", kernel), bias, initializer

    def add_to(self, graph: Graph, name: str, x: Any) -> Tensor:
        """Add the convolution; return its output."""
        groups = integer(f"{name}: groups", self.attributes["groups"])
        if self.filters % groups:
            raise ArgumentError(f"{name}: got {self.filters} filters; expected a multiple of {groups}, its groups")
        shape = (*self.kernel, self.filters // groups, x.shape[-1])
        wanted: dict[str, tuple[Shape, Any]] = {"weight": (shape, self.initializer)}
        if self.bias:
            wanted["bias"] = ((self.filters,), init.zeros)
        parameters = self.tensors(graph, wanted, name, "parameter")
        return graph.add(self.op, {"x": x, "bias": None} | parameters, self.attributes, name)


class Linear(Layer):
    """A fully connected layer: (N, D) -> (N, units); see `bh.linear`.

    >>> from byhand import nn
    >>> nn.Linear(10)(nn.Input(1352))
    <value fc1 (N, 10)>
    """

    op, label = ops.linear, "fc"

    def __init__(
        self, units: int, *, bias: bool = True, initializer: str | Initializer = "he", name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.units, self.bias, self.initializer = integer("Linear: units", units), bias, initializer

    def add_to(self, graph: Graph, name: str, x: Any) -> Tensor:
        """Add the layer; return its output."""
        if len(x.shape) != 2:
            raise ArgumentError(f"{name}: got {x!r}; expected (N, D): put nn.Flatten() before it")
        wanted: dict[str, tuple[Shape, Any]] = {"weight": ((x.shape[-1], self.units), self.initializer)}
        if self.bias:
            wanted["bias"] = ((self.units,), init.zeros)
        return graph.add(self.op, {"x": x, "bias": None} | self.tensors(graph, wanted, name, "parameter"), {}, name)


class BatchNorm(Layer):
    """Normalise each channel over the batch: (N, ..., C) -> the same; see `bh.batch_norm`.

    momentum: how far a running statistic moves towards the batch's at each step (PyTorch's meaning). training=False keeps
    the running statistics as they are, also while the network trains.

    >>> from byhand import nn
    >>> nn.BatchNorm()(nn.Input(26, 26, 8))
    <value norm1 (N, 26, 26, 8)>
    """

    op, label = ops.batch_norm, "norm"

    def __init__(
        self, *, eps: float = 1e-5, momentum: float = 0.1, training: bool | None = None, name: str | None = None
    ) -> None:
        fixed = {} if training is None else {"training": training}
        super().__init__(name=name, eps=eps, momentum=momentum, **fixed)

    def add_to(self, graph: Graph, name: str, x: Any) -> Tensor:
        """Add the norm; return its output."""
        channels = x.shape[-1:]
        scale = self.tensors(graph, {"gamma": (channels, init.ones), "beta": (channels, init.zeros)}, name, "parameter")
        running = {"running_mean": (channels, init.zeros), "running_var": (channels, init.ones)}
        return graph.add(self.op, {"x": x} | scale | self.tensors(graph, running, name, "state"), self.attributes, name)


class LayerNorm(Layer):
    """Normalise the last `axes` axes of each example; see `bh.layer_norm`.

    >>> from byhand import nn
    >>> nn.LayerNorm()(nn.Input(7, 7, 96))
    <value norm1 (N, 7, 7, 96)>
    """

    op, label = ops.layer_norm, "norm"

    def __init__(self, axes: int = 1, *, eps: float = 1e-5, name: str | None = None) -> None:
        super().__init__(name=name, eps=eps)
        self.axes = integer("LayerNorm: axes", axes)

    def add_to(self, graph: Graph, name: str, x: Any) -> Tensor:
        """Add the norm; return its output."""
        features = x.shape[-self.axes :]
        wanted = {"gamma": (features, init.ones), "beta": (features, init.zeros)}
        return graph.add(self.op, {"x": x} | self.tensors(graph, wanted, name, "parameter"), self.attributes, name)


class Dropout(Layer):
    """Leave numbers out at random while training; see `bh.dropout`.

    >>> from byhand import nn
    >>> nn.Dropout(0.25)(nn.Input(128))
    <value dropout1 (N, 128)>
    """

    op = ops.dropout

    def __init__(self, rate: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name=name, rate=rate)

    def add_to(self, graph: Graph, name: str, x: Any) -> Tensor:
        """Add the dropout; return its output."""
        key = self.tensors(graph, {"key": ((1,), init.random_key)}, name, "state")
        return graph.add(self.op, {"x": x} | key, self.attributes, name)


class MaxPool2d(Layer):
    """Keep the largest pixel of every window: (N, H, W, C) -> (N, H', W', C); see `bh.max_pool`.

    >>> from byhand import nn
    >>> nn.MaxPool2d(2)(nn.Input(26, 26, 8))
    <value pool1 (N, 13, 13, 8)>
    """

    op, label = ops.max_pool, "pool"

    def __init__(
        self,
        kernel: Any = 2,
        *,
        stride: Any = None,
        padding: Any = "valid",
        dilation: Any = 1,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(
            name=name, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        )


class AvgPool2d(Layer):
    """Average every window: (N, H, W, C) -> (N, H', W', C); see `bh.avg_pool`.

    >>> from byhand import nn
    >>> nn.AvgPool2d(2)(nn.Input(28, 28, 6))
    <value pool1 (N, 14, 14, 6)>
    """

    op, label = ops.avg_pool, "pool"

    def __init__(
        self,
        kernel: Any = 2,
        *,
        stride: Any = None,
        padding: Any = "valid",
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        name: str | None = None,
    ) -> None:
        counts = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
        super().__init__(name=name, kernel=kernel, stride=stride, padding=padding, **counts)


class GlobalAvgPool2d(Layer):
    """Average the whole image: (N, H, W, C) -> (N, C), or (N, 1, 1, C) with keepdims; see `bh.global_avg_pool`.

    >>> from byhand import nn
    >>> nn.GlobalAvgPool2d()(nn.Input(7, 7, 512))
    <value pool1 (N, 512)>
    """

    op, label = ops.global_avg_pool, "pool"

    def __init__(self, *, keepdims: bool = False, name: str | None = None) -> None:
        super().__init__(name=name, keepdims=keepdims)


class Flatten(Layer):
    """Lay each example out in one row: (N, ...) -> (N, D).

    >>> from byhand import nn
    >>> nn.Flatten()(nn.Input(13, 13, 8))
    <value flatten1 (N, 1352)>
    """

    op = ops.flatten


class Reshape(Layer):
    """Lay each example out anew: (N, ...) -> (N, *shape); one size may be -1.

    >>> from byhand import nn
    >>> nn.Reshape(8, -1)(nn.Input(1352))
    <value reshape1 (N, 8, 169)>
    """

    op = ops.reshape

    def __init__(self, *shape: int, name: str | None = None) -> None:
        super().__init__(name=name, shape=shape)


class Transpose(Layer):
    """Reorder axes, the batch being axis 0; see `bh.transpose`.

    >>> from byhand import nn
    >>> nn.Transpose(0, 3, 1, 2)(nn.Input(28, 28, 3))
    <value transpose1 (N, 3, 28, 28)>
    """

    op = ops.transpose

    def __init__(self, *axes: int, name: str | None = None) -> None:
        super().__init__(name=name, axes=axes)


class Pad2d(Layer):
    """Put a frame of `value` around images; padding: a number, (down, across) or (top, bottom, left, right).

    >>> from byhand import nn
    >>> nn.Pad2d(2)(nn.Input(28, 28, 1))
    <value pad1 (N, 32, 32, 1)>
    """

    op = ops.pad

    def __init__(self, padding: Any, *, value: float = 0.0, name: str | None = None) -> None:
        super().__init__(name=name, padding=padding, value=value)


class Slice(Layer):
    """Keep the part of an axis from `start` up to `stop`, negative ones counted from the end; see `bh.slice`.

    >>> from byhand import nn
    >>> nn.Slice(-1, 4, 8)(nn.Input(7, 7, 8))
    <value slice1 (N, 7, 7, 4)>
    """

    op = ops.slice

    def __init__(self, axis: int, start: int = 0, stop: int | None = None, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.axis, self.start, self.stop = axis, start, stop

    def add_to(self, graph: Graph, name: str, x: Any) -> Tensor:
        """Add the slice; return its output."""
        if normal_axis(self.axis, len(x.shape)) == 0:
            raise ArgumentError(f"{name}: axis is {self.axis}, the batch, which stays whole; expected another one")
        attributes = {"starts": (self.start,), "stops": (self.stop,), "axes": (self.axis,)}
        return graph.add(self.op, {"x": x}, attributes, name)


class ChannelShuffle(Layer):
    """Deal the channels of `groups` groups out in turn; see `bh.channel_shuffle`.

    >>> from byhand import nn
    >>> nn.ChannelShuffle(2)(nn.Input(7, 7, 8))
    <value shuffle1 (N, 7, 7, 8)>
    """

    op, label = ops.channel_shuffle, "shuffle"

    def __init__(self, groups: int, *, name: str | None = None) -> None:
        super().__init__(name=name, groups=groups)


class Add(Layer):
    """Add two tensors; `a + b` is the same."""

    op = ops.add


class Multiply(Layer):
    """Multiply two tensors; `a * b` is the same."""

    op = ops.multiply


class Scale(Layer):
    """Multiply each channel by a number that is learned: (N, ..., C) -> the same. initial: the first of them.

    >>> from byhand import nn
    >>> nn.Scale(1e-6)(nn.Input(7, 7, 96))
    <value scale1 (N, 7, 7, 96)>
    """

    op, label = ops.multiply, "scale"

    def __init__(self, initial: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.initial = number("Scale: initial", initial)

    def graph_of(self, *inputs: Any) -> Graph:
        """Return the graph that the input belongs to; what it is multiplied by is the layer's own."""
        if len(inputs) != 1:
            raise ArgumentError(f"Scale was called on {len(inputs)} tensors; expected 1")
        return super().graph_of(*inputs, *inputs)

    def add_to(self, graph: Graph, name: str, x: Any) -> Tensor:
        """Add the product; return it."""
        wanted = {"scale": (x.shape[-1:], init.constant(self.initial))}
        scale = self.tensors(graph, wanted, name, "parameter")["scale"]
        return graph.add(self.op, {"a": x, "b": scale}, {}, name)


class Concat(Layer):
    """Put tensors one behind the other along an axis: `nn.Concat()(a, b, c)`.

    >>> from byhand import nn
    >>> x = nn.Input(7, 7, 8)
    >>> nn.Concat()(x, nn.ReLU()(x))
    <value concat1 (N, 7, 7, 16)>
    """

    op = ops.concat

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name=name, axis=axis)
