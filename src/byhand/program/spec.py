"""The specification from which a program is written: a graph, and how it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy.typing as npt

from byhand.graph import Graph, Tensor
from byhand.kernels.conv.problem import FLOAT32


@dataclass(frozen=True)
class Update:
    """The update of an optimizer in a training program: the functions it calls, and the calls as text."""

    functions: tuple[Callable[..., None], ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class ProgramSpec:
    """A graph and its output, and how a program runs them.

    losses: the weight of each loss in the sum that is differentiated, by name; none: inference. input_gradient: also the
    gradient of the images. keep: one op a layer, none fused, and no array shares memory with
    another. precision: of the products, as this CPU computes them (precision.py).
    """

    title: str
    graph: Graph
    output: Tensor
    batch: int
    hand: str
    dtype: npt.DTypeLike
    losses: Mapping[str, float] = field(default_factory=dict)
    update: Update | None = None
    input_gradient: bool = False
    keep: bool = False
    micro_batches: int = 1
    precision: str = FLOAT32
