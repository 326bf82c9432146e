"""Micro-batches: the parts of a batch that a small network's program takes through all its layers, one after the other.

Layer by layer, the activations of a whole batch are written to memory and read back, and threads wait for each other after
each layer. A micro-batch goes depth-first through forward and backward while its activations stay in one core's L2 cache. Each
sums a gradient of its own; these are added up in a fixed order. Their number depends on sizes alone, never on the number of
threads, and so do the bits of the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from byhand.graph import Graph, Tensor
from byhand.kernels import micro_batch
from byhand.kernels.memory import empty
from byhand.kernels.runtime.cpu import cache_size
from byhand.ops.op import Array
from byhand.program.buffers import allocate, flat_views
from byhand.program.generated_file import GeneratedFile

MIN_MICRO_BATCHES = 4  # so that four threads have work
MAX_MICRO_BATCHES = 1024  # a batch that needs more runs layer by layer
# Of all micro-batches; beyond it, summing the gradients costs more than keeping activations in the L2 cache saves.
MAX_GRADIENT_BYTES = 4 * 1024 * 1024
# Attributes of the arena: no output may have one of these names.
ARENA_NAMES = ("micro_batches", "micro_batch_gradients", "micro_batch_losses")
BATCH_OPS = ("batch_norm", "dropout", "transpose", "slice", "reduce_")  # prefixes of ops that may mix or move images


def micro_batch_count(graph: Graph, output: str, batch: int, arena_bytes: int, gradient_bytes: int) -> int:
    """Return the number of micro-batches for a batch whose arena and gradients take so many bytes; 1: layer by layer."""
    if (
        any(node.op.name.startswith(BATCH_OPS) for node in graph.nodes)
        or graph.of_kind("state")
        or output in ARENA_NAMES
    ):
        return 1
    for count in range(MIN_MICRO_BATCHES, min(batch, MAX_MICRO_BATCHES) + 1):
        fits = count * gradient_bytes <= MAX_GRADIENT_BYTES and arena_bytes // count <= cache_size(2)
        if batch % count == 0 and fits:
            return count
    return 1


class MicroBatches:
    """A program's micro-batches: of each the rows of its `images`, its gradient `g`, and an `arena` of its own."""

    def __init__(self, parts: list[SimpleNamespace]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[SimpleNamespace]:
        """Yield each, and mark what is launched until the next as independent of the others."""
        for part in self.parts:
            with micro_batch():
                yield part


def micro_batch_arena(
    file: GeneratedFile, outputs: Mapping[str, Array], parameters: Sequence[Tensor], dtype: npt.DTypeLike
) -> SimpleNamespace:
    """Return a program's arena: its micro-batches, and over all of them the gradients, losses and last layer's outputs."""
    size, count = file.micro_batch_size, file.micro_batches
    losses = np.zeros((count, 1), dtype)
    gradients = empty((count, sum(prod(tensor.shape) for tensor in parameters)), dtype)
    parts = []
    for i in range(count):
        images = slice(i * size, (i + 1) * size)
        arrays = allocate(file.arrays, file.offsets)
        arrays |= {name: array[images] if array.ndim else losses[i].reshape(()) for name, array in outputs.items()}
        g = flat_views(parameters, dtype, "grad_", gradients[i])
        parts.append(SimpleNamespace(images=images, g=g, arena=SimpleNamespace(**arrays)))
    return SimpleNamespace(
        micro_batches=MicroBatches(parts), micro_batch_gradients=gradients, micro_batch_losses=losses, **outputs
    )
