"""Convolutions of well-known networks: forward, backward_data and backward_weights, in GFLOP/s."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from byhand.bench.check import Check, Session
from byhand.bench.timing import seconds_per_call
from byhand.kernels.conv.problem import PASSES
from byhand.ops import conv2d
from byhand.ops.op import Array
from byhand.shapes import Shape

Passes = dict[str, Callable[[], npt.ArrayLike]]  # a function for each pass; its result is in byhand's layout
COMPARED_NUMBERS = 1000  # of each result
TURN_FRACTION = 1 / 6  # of a turn, for each pass


@dataclass(frozen=True)
class ConvCase:
    """A square convolution, padded so that stride 1 keeps the image's size."""

    network: str
    batch: int
    size: int
    depth: int
    filters: int
    kernel: int
    stride: int = 1
    groups: int = 1

    def __str__(self) -> str:
        how = f" /{self.stride}" if self.stride > 1 else ""
        kind = "depthwise" if self.groups > 1 else f"{self.depth}->{self.filters}"
        return f"{self.network} {self.size}x{self.size} {kind} {self.kernel}x{self.kernel}{how}"

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of byhand's conv2d."""
        return {"stride": self.stride, "padding": self.kernel // 2, "groups": self.groups}

    @property
    def flops(self) -> int:
        """The FLOPs of any one pass: a multiplication and an addition are two."""
        _, weight, grad = self.shapes()
        return 2 * int(np.prod(grad)) * int(np.prod(weight[:3]))

    @property
    def passes(self) -> tuple[str, ...]:
        """The passes that training needs: a first layer needs no gradient of the images."""
        return ("forward", "backward_weights") if self.depth == 3 else PASSES

    def shapes(self) -> tuple[Shape, Shape, Shape]:
        """Return the shapes of x, weight and y."""
        x = (self.batch, self.size, self.size, self.depth)
        weight = (self.kernel, self.kernel, self.depth // self.groups, self.filters)
        return x, weight, conv2d.infer([x, weight, None], self.attributes).shapes["y"]

    def arrays(self) -> tuple[Array, Array, Array]:
        """Return x, weight and a gradient of y."""
        rng = np.random.default_rng(0)
        x, weight, grad_y = (rng.standard_normal(shape, np.float32) for shape in self.shapes())
        return x, weight, grad_y


CASES = (
    ConvCase("VGG", 2, 224, 3, 64, 3),
    ConvCase("VGG", 1, 224, 64, 64, 3),
    ConvCase("VGG", 2, 56, 128, 256, 3),
    ConvCase("VGG", 8, 14, 512, 512, 3),
    ConvCase("ResNet", 4, 224, 3, 64, 7, stride=2),
    ConvCase("ResNet", 8, 56, 64, 256, 1),
    ConvCase("ResNet", 8, 56, 256, 512, 1, stride=2),
    ConvCase("ResNet", 8, 56, 128, 128, 3, stride=2),
    ConvCase("ResNet", 16, 7, 512, 512, 3),
    ConvCase("MobileNet", 8, 112, 32, 32, 3, groups=32),
    ConvCase("MobileNet", 8, 56, 128, 128, 3, stride=2, groups=128),
    ConvCase("MobileNet", 8, 14, 512, 512, 1),
)
# 3x3, stride 1, 32 channels or more: what Winograd is made for.
CASES_3X3 = (
    ConvCase("VGG", 1, 224, 64, 64, 3),
    ConvCase("VGG", 2, 56, 128, 256, 3),
    ConvCase("ResNet", 16, 56, 64, 64, 3),
    ConvCase("ResNet", 16, 28, 128, 128, 3),
    ConvCase("ResNet", 16, 14, 256, 256, 3),
    ConvCase("ResNet", 16, 7, 512, 512, 3),
    ConvCase("CIFAR", 64, 16, 32, 32, 3),
    ConvCase("CIFAR", 64, 8, 64, 64, 3),
    ConvCase("CIFAR", 64, 4, 512, 512, 3),
)


class ConvolutionPeer(Protocol):
    """A framework that has convolutions."""

    def convolution(self, case: ConvCase) -> Passes:
        """Return a function for each pass of a convolution."""


def lines(cases: Iterable[ConvCase], names: Iterable[str] = PASSES) -> dict[str, Callable[[ConvolutionPeer], Session]]:
    """Return the sessions of some passes of convolutions, by name; a case that lacks a pass is left out."""
    return {f"{case}, {name}": partial(session, case, name) for case in cases for name in names if name in case.passes}


def session(case: ConvCase, name: str, peer: ConvolutionPeer) -> Session:
    """Yield numbers of the result to compare, then for each turn the GFLOP/s."""
    run = peer.convolution(case)[name]
    seconds = yield Check([_sample(run())], 1)
    while True:
        run()
        seconds = yield case.flops / seconds_per_call(run, seconds * TURN_FRACTION) / 1e9


def _sample(result: npt.ArrayLike) -> list[float]:
    """Return COMPARED_NUMBERS numbers of a result, evenly spaced."""
    numbers = np.ascontiguousarray(result).ravel()
    return numbers[:: max(1, numbers.size // COMPARED_NUMBERS)].astype(float).tolist()  # type: ignore[no-any-return]
