"""The gradient on its way while backward goes on: what is finished is sent in pieces, from the last layer on.

Gradients lie in the order of the layers, and backward begins with the last one, so that what is finished is an end of the
buffer that grows. MPI moves a piece on when it is called; it is called after every backward op while a piece is under way.

Source: Li et al. 2020, "PyTorch distributed: experiences on accelerating data parallel training", arXiv 2006.15704.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from byhand.nn import Model
from byhand.ops.op import Array, flat
from byhand.train.distributed.breakpoints import pause
from byhand.train.distributed.mpi import Ranks

PIECE = 4 << 20  # bytes: a piece costs messages, a wait costs what no piece hides


class Overlap:
    """Sends a model's gradient, as `pack` lays it into `gradient`, in pieces of so many bytes; the caller sends what is left.

    left: how many numbers that is, from the first; pieces: how many were sent in the latest step.
    """

    def __init__(self, model: Model, ranks: Ranks, gradient: Array, pack: Callable[[slice], None], piece: int) -> None:
        self.ranks, self.gradient, self.pack, self.piece = ranks, gradient, pack, piece
        self.flat = model.g.flat
        self.left, self.pieces = self.gradient.size, 0
        self._written = self._sent = self.gradient.size
        self._parts: dict[int, int] = {}  # where each finished parameter's gradient begins: where it ends
        self._requests: list[Any] = []

    def hands(self, module: Any, others: dict[str, Callable[..., None]]) -> dict[str, Callable[..., None]]:
        """Return a program's backward functions that tell when they are done, by name; others: what takes their place."""
        names = [name for name in vars(module) if name.endswith("_backward")]
        return {name: self._telling(others.get(name, getattr(module, name))) for name in names}

    def begin(self) -> None:
        """Begin a step."""
        self._written = self._sent = self.gradient.size
        self._parts.clear()

    def _telling(self, function: Callable[..., None]) -> Callable[..., None]:
        def backward(*arrays: Any, **attributes: Any) -> None:
            function(*arrays, **attributes)
            self._finished(arrays)

        return backward

    def _finished(self, arrays: tuple[Any, ...]) -> None:
        """Take note of the gradients among arrays; send what is finished, if it is enough."""
        start, size = self.flat.ctypes.data, self.flat.itemsize
        for one in flat(arrays):
            if isinstance(one, np.ndarray) and 0 <= one.ctypes.data - start < self.flat.nbytes:
                first = (one.ctypes.data - start) // size
                self._parts[first + one.size] = first
        while self._written in self._parts:
            self._written = self._parts.pop(self._written)
        if (self._sent - self._written) * size >= self.piece:
            pause(partial(self._send, slice(self._written, self._sent)))
            self._sent = self._written
        elif self._sent < self.gradient.size:
            pause(self._move)

    def _send(self, part: slice) -> None:
        self.pack(part)
        self._requests.append(self.ranks.start_all_reduce(self.gradient[part]))
        self.left = part.start

    def _move(self) -> None:
        for one in self._requests:
            one.Test()

    def end(self) -> None:
        """Wait for what is under way."""
        for one in self._requests:
            one.Wait()
        self.pieces = len(self._requests)
        self._requests.clear()
        self.left = self.gradient.size


def possible(model: Model) -> bool:
    """Return whether each gradient is finished when it is written: not, where a parameter is used twice."""
    uses = Counter(t.name for node in model.graph.nodes for t in flat(node.inputs.values()) if t.kind == "parameter")
    return max(uses.values(), default=0) == 1
