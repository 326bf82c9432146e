"""The layers of an image classifier, a class an op: convolutions, linear, norms, dropout, pooling, sums and products.

`base.py` has the base class, `activations.py` the activations, `movement.py` the layers that move elements. An op that has no
class is a layer itself: `nn.Sequential(nn.Conv2d(8), bh.softplus)`.
"""

from byhand import ops
from byhand.errors import ArgumentError
from byhand.graph import Graph, Tensor
from byhand.nn import init
from byhand.nn.base import Layer
from byhand.nn.init import Initializer
from byhand.shapes import Padding, Shape, Size2d, integer, number, pair


class WeightedLayer(Layer):
    """A layer whose op takes x, a weight and, where it has one, a bias of a number for each output channel."""

    bias: bool
    initializer: str | Initializer

    def add_weighted(self, graph: Graph, name: str, x: Tensor, shape: Shape, channels: int) -> Tensor:
        """Add the node, with a weight of this shape; return its output."""
        wanted: dict[str, tuple[Shape, str | Initializer]] = {"weight": (shape, self.initializer)}
        if self.bias:
            wanted["bias"] = ((channels,), init.zeros)
        parameters = self.tensors(graph, wanted, name, "parameter")
        return graph.add(self.op, {"x": x, "bias": None} | parameters, self.attributes, name)


class Conv2d(WeightedLayer):
    """Convolution with `filters` filters: (N, H, W, C) -> (N, H', W', filters); see `bh.conv2d`.

    kernel, stride, dilation: pixels, a number or (height, width); padding: "valid", "same", a number, (height, width) or
    (top, bottom, left, right); groups: the channels are split into so many groups, each with filters of its own (as many as
    channels: a depthwise convolution); initializer: a name in `nn.INITIALIZERS`, or a function (generator, shape) -> array.
    Parameters: weight (R, S, C / groups, filters), bias (filters,).
    Raises ArgumentError or ShapeError where the input does not fit.

    >>> from byhand import nn
    >>> nn.Conv2d(64, 7, stride=2, padding=3)(nn.Input(224, 224, 3))
    <value conv1 (N, 112, 112, 64)>
    """

    op, label = ops.conv2d, "conv"

    def __init__(
        self,
        filters: int,
        kernel: Size2d = 3,
        *,
        stride: Size2d = 1,
        padding: Padding = "valid",
        dilation: Size2d = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: str | Initializer = "he",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, stride=stride, padding=padding, dilation=dilation, groups=groups)
        self.filters, self.kernel = integer("Conv2d: filters", filters), pair("Conv2d: kernel", kernel)
        self.bias, self.initializer = bias, initializer

    def add_to(self, graph: Graph, name: str, x: Tensor) -> Tensor:
        """Add the convolution; return its output."""
        groups = integer(f"{name}: groups", self.attributes["groups"])
        if len(x.shape) != 4 or x.shape[-1] % groups:
            raise ArgumentError(f"{name}: got {x!r}; expected (N, H, W, C) with a multiple of {groups} channels")
        return self.add_weighted(graph, name, x, (*self.kernel, x.shape[-1] // groups, self.filters), self.filters)


class ConvTranspose2d(WeightedLayer):
    """Transposed convolution: (N, H, W, C) -> (N, H', W', filters), a larger image; see `bh.conv_transpose2d`.

    Settings as those of `Conv2d`; output_padding: rows and columns added at the bottom and right of the result.

    >>> from byhand import nn
    >>> nn.ConvTranspose2d(32, 4, stride=2, padding=1)(nn.Input(7, 7, 64))
    <value conv1 (N, 14, 14, 32)>
    """

    op, label = ops.conv_transpose2d, "conv"

    def __init__(
        self,
        filters: int,
        kernel: Size2d = 3,
        *,
        stride: Size2d = 1,
        padding: Padding = 0,
        output_padding: Size2d = 0,
        dilation: Size2d = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: str | Initializer = "he",
        name: str | None = None,
    ) -> None:
        more = {"output_padding": output_padding, "dilation": dilation, "groups": groups}
        super().__init__(name=name, stride=stride, padding=padding, **more)
        self.filters = integer("ConvTranspose2d: filters", filters)
        self.kernel, self.bias, self.initializer = pair("ConvTranspose2d: kernel", kernel), bias, initializer

    def add_to(self, graph: Graph, name: str, x: Tensor) -> Tensor:
        """Add the convolution; return its output."""
        groups = integer(f"{name}: groups", self.attributes["groups"])
        if self.filters % groups:
            raise ArgumentError(f"{name}: got {self.filters} filters; expected a multiple of {groups}, its groups")
        return self.add_weighted(graph, name, x, (*self.kernel, self.filters // groups, x.shape[-1]), self.filters)


class Linear(WeightedLayer):
    """A fully connected layer, y = x weight + bias: (N, D) -> (N, units); see `bh.linear`.

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

    def add_to(self, graph: Graph, name: str, x: Tensor) -> Tensor:
        """Add the layer; return its output."""
        if len(x.shape) != 2:
            raise ArgumentError(f"{name}: got {x!r}; expected (N, D): put nn.Flatten() before it")
        return self.add_weighted(graph, name, x, (x.shape[-1], self.units), self.units)


class BatchNorm(Layer):
    """Normalize each channel over the batch: (N, ..., C) -> the same; see `bh.batch_norm`.

    y = gamma (x - mean) / sqrt(var + eps) + beta, with the batch's mean and variance in training, the running ones in
    inference. momentum: the weight of the batch's statistics in the running ones (PyTorch's meaning). training=False uses the
    running statistics also while the network trains, and leaves them unchanged.
    Source: Ioffe & Szegedy 2015, arXiv 1502.03167.

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

    def add_to(self, graph: Graph, name: str, x: Tensor) -> Tensor:
        """Add the norm; return its output."""
        channels = x.shape[-1:]
        scale = self.tensors(graph, {"gamma": (channels, init.ones), "beta": (channels, init.zeros)}, name, "parameter")
        running = {"running_mean": (channels, init.zeros), "running_var": (channels, init.ones)}
        return graph.add(self.op, {"x": x} | scale | self.tensors(graph, running, name, "state"), self.attributes, name)


class LayerNorm(Layer):
    """Normalize the last `axes` axes of each example, (x - mean) / sqrt(var + eps) gamma + beta; see `bh.layer_norm`.

    Source: Ba, Kiros & Hinton 2016, arXiv 1607.06450.

    >>> from byhand import nn
    >>> nn.LayerNorm()(nn.Input(7, 7, 96))
    <value norm1 (N, 7, 7, 96)>
    """

    op, label = ops.layer_norm, "norm"

    def __init__(self, *, axes: int = 1, eps: float = 1e-5, name: str | None = None) -> None:
        super().__init__(name=name, eps=eps)
        self.axes = integer("LayerNorm: axes", axes)

    def add_to(self, graph: Graph, name: str, x: Tensor) -> Tensor:
        """Add the norm; return its output."""
        features = x.shape[-self.axes :]
        wanted = {"gamma": (features, init.ones), "beta": (features, init.zeros)}
        return graph.add(self.op, {"x": x} | self.tensors(graph, wanted, name, "parameter"), self.attributes, name)


class Dropout(Layer):
    """Set elements to 0 with probability `rate` in training, and divide the others by 1 - rate; see `bh.dropout`.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15.

    >>> from byhand import nn
    >>> nn.Dropout(0.25)(nn.Input(128))
    <value dropout1 (N, 128)>
    """

    op = ops.dropout

    def __init__(self, rate: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name=name, rate=rate)

    def add_to(self, graph: Graph, name: str, x: Tensor) -> Tensor:
        """Add the dropout; return its output."""
        key = self.tensors(graph, {"key": ((1,), init.random_key)}, name, "state")
        return graph.add(self.op, {"x": x} | key, self.attributes, name)


class MaxPool2d(Layer):
    """The maximum of every window of each channel: (N, H, W, C) -> (N, H', W', C); see `bh.max_pool`.

    kernel, stride, padding, dilation: as those of `Conv2d`; stride: by default the kernel. ceil_mode: windows may hang over
    the edge of the image.

    >>> from byhand import nn
    >>> nn.MaxPool2d(2)(nn.Input(26, 26, 8))
    <value pool1 (N, 13, 13, 8)>
    """

    op, label = ops.max_pool, "pool"

    def __init__(
        self,
        kernel: Size2d = 2,
        *,
        stride: Size2d | None = None,
        padding: Padding = "valid",
        dilation: Size2d = 1,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(
            name=name, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        )


class AvgPool2d(Layer):
    """The mean of every window of each channel: (N, H, W, C) -> (N, H', W', C); see `bh.avg_pool`.

    Settings as those of `MaxPool2d`; count_include_pad: whether padding counts as zeros in the mean.

    >>> from byhand import nn
    >>> nn.AvgPool2d(2)(nn.Input(28, 28, 6))
    <value pool1 (N, 14, 14, 6)>
    """

    op, label = ops.avg_pool, "pool"

    def __init__(
        self,
        kernel: Size2d = 2,
        *,
        stride: Size2d | None = None,
        padding: Padding = "valid",
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        name: str | None = None,
    ) -> None:
        counts = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
        super().__init__(name=name, kernel=kernel, stride=stride, padding=padding, **counts)


class GlobalAvgPool2d(Layer):
    """The mean of each channel over the image: (N, H, W, C) -> (N, C), with keepdims (N, 1, 1, C); see `bh.global_avg_pool`.

    >>> from byhand import nn
    >>> nn.GlobalAvgPool2d()(nn.Input(7, 7, 512))
    <value pool1 (N, 512)>
    """

    op, label = ops.global_avg_pool, "pool"

    def __init__(self, *, keepdims: bool = False, name: str | None = None) -> None:
        super().__init__(name=name, keepdims=keepdims)


class Add(Layer):
    """y = a + b, with broadcasting: two tensors (N, ...) -> (N, ...); `a + b` of two tensors is the same.

    >>> from byhand import nn
    >>> x = nn.Input(28, 28, 8)
    >>> nn.Add()(x, nn.ReLU()(x))
    <value add1 (N, 28, 28, 8)>
    """

    op = ops.add


class Multiply(Layer):
    """y = a * b, with broadcasting: two tensors (N, ...) -> (N, ...); `a * b` of two tensors is the same.

    >>> from byhand import nn
    >>> x = nn.Input(28, 28, 8)
    >>> nn.Multiply()(x, nn.Sigmoid()(x))
    <value multiply1 (N, 28, 28, 8)>
    """

    op = ops.multiply


class Scale(Layer):
    """Multiply each channel by a learned number: (N, ..., C) -> the same. initial: its first value.

    >>> from byhand import nn
    >>> nn.Scale(1e-6)(nn.Input(7, 7, 96))
    <value scale1 (N, 7, 7, 96)>
    """

    op, label = ops.multiply, "scale"

    def __init__(self, initial: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.initial = number("Scale: initial", initial)

    def graph_of(self, *inputs: Tensor) -> Graph:
        """Return the graph of the input; the op's second input is the layer's own parameter."""
        if len(inputs) != 1:
            raise ArgumentError(f"Scale was called on {len(inputs)} tensors; expected 1")
        return super().graph_of(*inputs, *inputs)

    def add_to(self, graph: Graph, name: str, x: Tensor) -> Tensor:
        """Add the product; return it."""
        wanted = {"scale": (x.shape[-1:], init.constant(self.initial))}
        scale = self.tensors(graph, wanted, name, "parameter")["scale"]
        return graph.add(self.op, {"a": x, "b": scale}, {}, name)
