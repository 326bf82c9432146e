"""The layers that resize images."""

from typing import Any

from byhand import ops
from byhand.errors import ArgumentError
from byhand.graph import Graph, Tensor
from byhand.nn.layer import Layer
from byhand.shapes import number


class Resize(Layer):
    """Resize images to (height, width): (N, H, W, C) -> (N, H', W', C); `how` are the settings of `bh.resize`.

    >>> from byhand import nn
    >>> nn.Resize((224, 224), "linear", antialias=True)(nn.Input(480, 640, 3))
    <value resize1 (N, 224, 224, 3)>
    """

    op = ops.resize

    def __init__(self, size: Any, mode: str = "nearest", *, name: str | None = None, **how: Any) -> None:
        super().__init__(name=name, size=size, mode=mode, **how)


class Upsample(Layer):
    """Enlarge images by `scale`, a number or (down, across); `how` are the settings of `bh.resize`.

    >>> from byhand import nn
    >>> nn.Upsample(2)(nn.Input(13, 13, 256))
    <value upsample1 (N, 26, 26, 256)>
    """

    op, label = ops.resize, "upsample"

    def __init__(self, scale: Any = 2, mode: str = "nearest", *, name: str | None = None, **how: Any) -> None:
        super().__init__(name=name, mode=mode, **how)
        self.scale = scale

    def add_to(self, graph: Graph, name: str, x: Any) -> Tensor:
        """Add the resized image; return it."""
        scales = tuple(self.scale) if isinstance(self.scale, (tuple, list)) else (self.scale, self.scale)
        if len(scales) != 2 or len(x.shape) != 4:
            raise ArgumentError(
                f"{name}: got {x!r} and a scale of {self.scale!r}; expected (N, H, W, C) and (down, across)"
            )
        scales = tuple(number(f"{name}: scale", scale, 0) for scale in scales)
        size = tuple(int(old * scale) for old, scale in zip(x.shape[1:3], scales))
        return graph.add(self.op, {"x": x}, self.attributes | {"size": size, "scales": scales}, name)
