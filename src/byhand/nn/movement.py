"""The layers that move elements and compute none, but for Resize and Upsample, which interpolate."""

from collections.abc import Sequence
from typing import Any

from byhand import ops
from byhand.errors import ArgumentError
from byhand.graph import Graph, Tensor
from byhand.nn.base import Layer
from byhand.shapes import Padding, normal_axis, number


class Flatten(Layer):
    """Give each example one axis: (N, ...) -> (N, D).

    >>> from byhand import nn
    >>> nn.Flatten()(nn.Input(13, 13, 8))
    <value flatten1 (N, 1352)>
    """

    op = ops.flatten


class Reshape(Layer):
    """Give each example another shape: (N, ...) -> (N, *shape); one size may be -1, and follows from the others.

    >>> from byhand import nn
    >>> nn.Reshape(8, -1)(nn.Input(1352))
    <value reshape1 (N, 8, 169)>
    """

    op = ops.reshape

    def __init__(self, *shape: int, name: str | None = None) -> None:
        super().__init__(name=name, shape=shape)


class Transpose(Layer):
    """Permute the axes, the batch being axis 0; see `bh.transpose`.

    >>> from byhand import nn
    >>> nn.Transpose(0, 3, 1, 2)(nn.Input(28, 28, 3))
    <value transpose1 (N, 3, 28, 28)>
    """

    op = ops.transpose

    def __init__(self, *axes: int, name: str | None = None) -> None:
        super().__init__(name=name, axes=axes)


class Pad2d(Layer):
    """Pad images with `value`; padding: a number, (height, width) or (top, bottom, left, right).

    >>> from byhand import nn
    >>> nn.Pad2d(2)(nn.Input(28, 28, 1))
    <value pad1 (N, 32, 32, 1)>
    """

    op = ops.pad

    def __init__(self, padding: Padding, *, value: float = 0.0, name: str | None = None) -> None:
        super().__init__(name=name, padding=padding, value=value)


class Slice(Layer):
    """The elements of an axis from `start` up to `stop`, negative ones counted from the end; see `bh.slice`.

    >>> from byhand import nn
    >>> nn.Slice(-1, 4, 8)(nn.Input(7, 7, 8))
    <value slice1 (N, 7, 7, 4)>
    """

    op = ops.slice

    def __init__(self, axis: int, start: int = 0, stop: int | None = None, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.axis, self.start, self.stop = axis, start, stop

    def add_to(self, graph: Graph, name: str, x: Tensor) -> Tensor:
        """Add the slice; return its output."""
        if normal_axis(self.axis, len(x.shape)) == 0:
            raise ArgumentError(f"{name}: axis is {self.axis}, the batch, which stays whole; expected another one")
        attributes = {"starts": (self.start,), "stops": (self.stop,), "axes": (self.axis,)}
        return graph.add(self.op, {"x": x}, attributes, name)


class ChannelShuffle(Layer):
    """Interleave the channels of `groups` groups; see `bh.channel_shuffle`.

    Source: Zhang et al. 2017, "ShuffleNet", arXiv 1707.01083.

    >>> from byhand import nn
    >>> nn.ChannelShuffle(2)(nn.Input(7, 7, 8))
    <value shuffle1 (N, 7, 7, 8)>
    """

    op, label = ops.channel_shuffle, "shuffle"

    def __init__(self, groups: int, *, name: str | None = None) -> None:
        super().__init__(name=name, groups=groups)


class Concat(Layer):
    """Concatenate tensors along an axis: `nn.Concat()(a, b, c)`.

    >>> from byhand import nn
    >>> x = nn.Input(7, 7, 8)
    >>> nn.Concat()(x, nn.ReLU()(x))
    <value concat1 (N, 7, 7, 16)>
    """

    op = ops.concat

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name=name, axis=axis)


class Resize(Layer):
    """Resize images to (height, width): (N, H, W, C) -> (N, H', W', C); other settings are those of `bh.resize`.

    >>> from byhand import nn
    >>> nn.Resize((224, 224), "linear", antialias=True)(nn.Input(480, 640, 3))
    <value resize1 (N, 224, 224, 3)>
    """

    op = ops.resize

    def __init__(self, size: Sequence[int], mode: str = "nearest", *, name: str | None = None, **settings: Any) -> None:
        super().__init__(name=name, size=size, mode=mode, **settings)


class Upsample(Layer):
    """Enlarge images by `scale`, a number or (height, width); other settings are those of `bh.resize`.

    >>> from byhand import nn
    >>> nn.Upsample(2)(nn.Input(13, 13, 256))
    <value upsample1 (N, 26, 26, 256)>
    """

    op, label = ops.resize, "upsample"

    def __init__(
        self, scale: float | Sequence[float] = 2, mode: str = "nearest", *, name: str | None = None, **settings: Any
    ) -> None:
        super().__init__(name=name, mode=mode, **settings)
        self.scale = scale

    def add_to(self, graph: Graph, name: str, x: Tensor) -> Tensor:
        """Add the resized image; return it."""
        scales = tuple(self.scale) if isinstance(self.scale, (tuple, list)) else (self.scale, self.scale)
        if len(scales) != 2 or len(x.shape) != 4:
            raise ArgumentError(
                f"{name}: got {x!r} and a scale of {self.scale!r}; expected (N, H, W, C) and (height, width)"
            )
        scales = tuple(number(f"{name}: scale", scale, 0) for scale in scales)
        size = tuple(int(old * scale) for old, scale in zip(x.shape[1:3], scales))
        return graph.add(self.op, {"x": x}, self.attributes | {"size": size, "scales": scales}, name)
