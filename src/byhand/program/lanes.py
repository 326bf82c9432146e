"""Lanes: a batch of a small network in parts, each of which goes through all layers by itself.

Layer by layer, every activation of the whole batch travels to memory and back, and threads wait for each other after each
layer. A lane takes some images through forward and backward while all it touches stays in one core's L2 cache, and sums a
gradient of its own; lanes are added up in a fixed order, so that their number, not the threads', decides the bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np

from byhand.graph import Graph
from byhand.kernels import lane
from byhand.kernels.host import cache_size
from byhand.kernels.memory import empty
from byhand.program.buffers import allocate, views

LEAST, MOST = 4, 1024  # lanes: what four threads can share; a larger batch than these can hold goes layer by layer
MOST_GRADIENTS = 4 * 1024 * 1024  # bytes of all lanes' gradients: more cost more than the activations they save
OWN = {"lanes", "lane_gradients", "lane_losses"}  # names in the arena: a layer whose output is there too goes without
MIXING = ("batch_norm", "dropout", "transpose", "slice", "reduce_")  # how ops begin in which images may meet, or move


def count(graph: Graph, output: str, batch: int, arena: int, parameters: int) -> int:
    """Return how many lanes serve a batch whose arena and gradients take so many bytes; 1: layer by layer."""
    if any(node.op.name.startswith(MIXING) for node in graph.nodes) or graph.of_kind("state") or output in OWN:
        return 1
    for lanes in range(LEAST, min(batch, MOST) + 1):
        if batch % lanes == 0 and lanes * parameters <= MOST_GRADIENTS and arena // lanes <= cache_size(2):
            return lanes
    return 1


class Lanes:
    """The lanes of a program: in each its `images`, its gradient `g`, and an `arena` of its own."""

    def __init__(self, lanes: list[SimpleNamespace]) -> None:
        self.lanes = lanes

    def __iter__(self) -> Iterator[SimpleNamespace]:
        for one in self.lanes:
            with lane():
                yield one


def arena(source: Any, outputs: dict[str, Any], parameters: Any, dtype: Any) -> SimpleNamespace:
    """Return a program's arena: its lanes, and over all of them the gradients, the losses and the last layer's outputs."""
    size, count = source.images, source.lanes
    losses = np.zeros((count, 1), dtype)
    gradients = empty((count, sum(prod(t.shape) for t in parameters)), dtype)
    made = []
    for i in range(count):
        images = slice(i * size, (i + 1) * size)
        own: dict[str, Any] = allocate(source.arena, source.places)
        own |= {name: array[images] if array.ndim else losses[i].reshape(()) for name, array in outputs.items()}
        g = views(parameters, dtype, "grad_", gradients[i])
        made.append(SimpleNamespace(images=images, g=g, arena=SimpleNamespace(**own)))
    return SimpleNamespace(lanes=Lanes(made), lane_gradients=gradients, lane_losses=losses, **outputs)
