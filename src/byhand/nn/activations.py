"""Activations, element by element, and the two layers that work across the channels of a pixel: Softmax and LRN."""

from byhand import ops
from byhand.nn.base import Layer


class ReLU(Layer):
    """y = max(x, 0); x, y: any shape.

    >>> from byhand import nn
    >>> nn.ReLU()(nn.Input(28, 28, 8))
    <value relu1 (N, 28, 28, 8)>
    """

    op = ops.relu


class LeakyReLU(Layer):
    """y = x where x > 0, else slope * x; x, y: any shape.

    >>> from byhand import nn
    >>> nn.LeakyReLU(0.1)(nn.Input(28, 28, 8))
    <value leaky_relu1 (N, 28, 28, 8)>
    """

    op = ops.leaky_relu

    def __init__(self, slope: float = 0.01, *, name: str | None = None) -> None:
        super().__init__(name=name, slope=slope)


class ReLU6(Layer):
    """y = min(max(x, 0), 6); x, y: any shape.

    >>> from byhand import nn
    >>> nn.ReLU6()(nn.Input(28, 28, 8))
    <value relu6_1 (N, 28, 28, 8)>
    """

    op, label = ops.relu6, "relu6_"


class Sigmoid(Layer):
    """y = 1 / (1 + e^-x); x, y: any shape.

    >>> from byhand import nn
    >>> nn.Sigmoid()(nn.Input(10))
    <value sigmoid1 (N, 10)>
    """

    op = ops.sigmoid


class SiLU(Layer):
    """y = x sigmoid(x); x, y: any shape.

    >>> from byhand import nn
    >>> nn.SiLU()(nn.Input(28, 28, 8))
    <value silu1 (N, 28, 28, 8)>
    """

    op = ops.silu


class Tanh(Layer):
    """y = tanh(x); x, y: any shape.

    >>> from byhand import nn
    >>> nn.Tanh()(nn.Input(10))
    <value tanh1 (N, 10)>
    """

    op = ops.tanh


class GELU(Layer):
    """y = x (1 + erf(x / sqrt 2)) / 2; x, y: any shape.

    >>> from byhand import nn
    >>> nn.GELU()(nn.Input(7, 7, 96))
    <value gelu1 (N, 7, 7, 96)>
    """

    op = ops.gelu


class HardSigmoid(Layer):
    """y = min(max(alpha x + beta, 0), 1); x, y: any shape.

    >>> from byhand import nn
    >>> nn.HardSigmoid()(nn.Input(1, 1, 16))
    <value hard_sigmoid1 (N, 1, 1, 16)>
    """

    op = ops.hard_sigmoid

    def __init__(self, *, alpha: float = 1 / 6, beta: float = 0.5, name: str | None = None) -> None:
        super().__init__(name=name, alpha=alpha, beta=beta)


class HardSwish(Layer):
    """y = x min(max(x + 3, 0), 6) / 6; x, y: any shape.

    >>> from byhand import nn
    >>> nn.HardSwish()(nn.Input(28, 28, 8))
    <value hard_swish1 (N, 28, 28, 8)>
    """

    op = ops.hard_swish


class Softmax(Layer):
    """y = e^x / sum e^x along the last axis: (N, ..., C) -> the same shape.

    At the end of a network it is part of the loss in training, which is numerically stable.

    >>> from byhand import nn
    >>> nn.Softmax()(nn.Input(10))
    <value softmax1 (N, 10)>
    """

    op = ops.softmax


class LRN(Layer):
    """Local response normalization over `size` neighboring channels: (N, H, W, C) -> the same shape; see `bh.lrn`.

    Source: Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks".

    >>> from byhand import nn
    >>> nn.LRN(5)(nn.Input(27, 27, 96))
    <value lrn1 (N, 27, 27, 96)>
    """

    op = ops.lrn

    def __init__(
        self, size: int, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, name: str | None = None
    ) -> None:
        super().__init__(name=name, size=size, alpha=alpha, beta=beta, bias=bias)
