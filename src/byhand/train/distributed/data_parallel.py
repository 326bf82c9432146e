"""A training step that ranks share: forward and backward on a share of the batch, one all-reduce, the same update on each.

The loss of a batch is the mean over its images, so that its gradient is the mean of the shares' gradients, each weighted by
its images. The all-reduce carries, in one buffer: the weighted gradient, by how much the running statistics moved (weighted
too: afterwards all ranks hold their mean), the loss, how many were right, and whether anyone was asked to stop.

The step is recorded as ever; where ranks have to talk, the recording pauses. Dropout draws for each image what one rank
would: a share begins in the sequence of random numbers where its first image does (a key that two layers share is used up
in another order).

Source: Goyal et al. 2017, arXiv 1706.02677, section 3 (the loss, and the gradient's mean, over all workers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from byhand.nn import Model
from byhand.ops import dropout
from byhand.ops.op import Array
from byhand.ops.regularization.dropout import GOLDEN_GAMMA
from byhand.program import Program
from byhand.program.source import Update
from byhand.train.distributed.breakpoints import Paused, pause
from byhand.train.distributed.gradient_overlap import PIECE, Overlap, possible
from byhand.train.distributed.mpi import Ranks
from byhand.train.distributed.sync_batch_norm import SyncNorm

NUMBERS = 3  # loss, right, stop


class SharedStep:
    """One update of a model, shared by ranks; `stopped`: whether any of them was asked to stop before the latest one."""

    def __init__(
        self, model: Model, ranks: Ranks, update: Update, optimizer: Any, *, hand: str, label_smoothing: float, sync: bool
    ) -> None:  # fmt: skip
        self.model, self.ranks, self.hand, self.label_smoothing = model, ranks, hand, label_smoothing
        self.optimizer, self._update = optimizer, _function(update, hand)
        self.asked: Callable[[], bool] = lambda: False  # whether this rank is to stop
        self.stopped = False
        self.norm = SyncNorm(ranks, hand) if sync else None
        self._made: dict[int, Recorded] = {}
        self._moving = [one for one in vars(model.state).values() if one.dtype.kind == "f"]
        moving = sum(one.size for one in self._moving)
        first = -(-(NUMBERS + moving) // 16) * 16  # the gradient begins with a cache line
        self.buffer = np.zeros(first + model.p.flat.size, model.p.flat.dtype)
        self.gradient, self._moved = self.buffer[first:], self.buffer[NUMBERS : NUMBERS + moving]
        self._numbers = self.buffer[:NUMBERS]
        self.overlap: Overlap | None = None
        if ranks.apart and model.p.flat.nbytes >= PIECE:  # on one machine, what talks would take time from what works
            self.send_early()
        self._before, self._weight = self._statistics(), 1.0
        self._keys = _keys(model)

    def send_early(self, piece: int | None = PIECE) -> None:
        """Let gradients be on their way while backward goes on, in pieces of so many bytes; None: all at once, at the end."""
        self.overlap = None
        if piece is not None and possible(self.model):
            self.overlap = Overlap(self.model, self.ranks, self.gradient, self._pack, piece)
        self._made.clear()

    def program(self, batch: int) -> Program:
        """Return the program of this rank's share of a batch: forward and backward."""
        own = self.ranks.some(batch)
        images, settings = own.stop - own.start, {"hand": self.hand, "label_smoothing": self.label_smoothing}
        return self.model.program(images, train=True, **settings)  # type: ignore[arg-type]

    def __call__(self, images: Any, labels: Array, rows: Any, batch: int, rate: float, t: int) -> tuple[float, int]:
        """Do one update on a batch, given this rank's share; return the loss of the whole batch and how many were right."""
        own, program = self.ranks.share(batch), self.program(batch)
        recorded = self._made.get(len(labels))
        if recorded is None or recorded.program is not program:
            recorded = self._made[len(labels)] = Recorded(self, program)
        self.model.prepare(images, rows, out=program.images[0], hand=self.hand)
        recorded.labels[...] = labels
        self._weight = (own.stop - own.start) / batch
        if self.norm is not None:
            self.norm.weight, self.norm.counts = self._weight, own.stop > own.start
        self._before = self._statistics()
        with self._random_numbers(own.start):
            recorded.run(rate, t)
        self._take(self._before + self._moved)
        loss, right, stop = self._numbers.tolist()
        self.stopped = stop > 0
        return loss, round(right)

    def reduce(self, loss: float, right: int) -> None:
        """Put this rank's numbers together, and the sums over all ranks in their place."""
        left = self.gradient.size if self.overlap is None else self.overlap.left
        self._pack(slice(0, left))
        self._weigh(self._statistics() - self._before, self._moved)
        self._numbers[...] = (*((loss * self._weight, right) if self._weight else (0, 0)), self.asked())
        self.ranks.all_reduce(self.buffer[: self.buffer.size - self.gradient.size + left])
        if self.overlap is not None:
            self.overlap.end()

    def _pack(self, part: slice) -> None:
        self._weigh(self.model.g.flat[part], self.gradient[part])

    def _weigh(self, values: Array, out: Array) -> None:
        """Write values as they count in the whole; what counts for nothing may be no number."""
        if self._weight:
            np.multiply(values, self._weight, out=out)
        else:
            out[...] = 0

    def update(self, lr: Any, t: Any) -> None:
        """Let the optimiser take the reduced gradient."""
        self._update(self.model.p, SimpleNamespace(flat=self.gradient), self.optimizer, lr=lr, t=t)

    def _statistics(self) -> Array:
        return np.concatenate([self._moved[:0], *(one.reshape(-1) for one in self._moving)])

    def _take(self, statistics: Array) -> None:
        at = 0
        for one in self._moving:
            one.reshape(-1)[...] = statistics[at : at + one.size]
            at += one.size

    @contextmanager
    def _random_numbers(self, first: int) -> Iterator[None]:
        """Let dropout draw for image 0 what one rank would for image `first`, and end with the key that one rank has."""
        after = []
        for key, size, uses in self._keys:
            moved = key.copy()
            for _ in range(uses):
                dropout(np.empty(0), moved)
            after.append(moved)
            key[0] = (int(key[0]) + first * size * GOLDEN_GAMMA) % 2**64
        yield
        for (key, _, _), moved in zip(self._keys, after):
            key[...] = moved


class Recorded:
    """The step on a share of a certain size: its program and its labels."""

    def __init__(self, step: SharedStep, program: Program) -> None:
        self.step, self.program = step, program
        images = program.images[0]
        self.labels = np.zeros(len(images), np.int64)
        self._lr, self._t = np.zeros(1), np.zeros(1)
        self._function = program.module.step
        hands = {} if step.norm is None else step.norm.hands(program.module)
        if step.overlap is not None:
            hands |= step.overlap.hands(program.module, hands)
        if hands:
            self._function = FunctionType(self._function.__code__, {**self._function.__globals__, **hands})
        self._images = images
        self._paused = Paused(self._whole, step.hand)

    def run(self, rate: float, t: int) -> None:
        """Do one update."""
        self._lr[0], self._t[0] = rate, t
        self._paused()

    def _whole(self) -> None:
        model, step = self.step.model, self.step
        if step.overlap is not None:
            step.overlap.begin()
        self._function(self._images, self.labels, model.p, model.g, model.state, self.program.arena)
        pause(self._reduce)
        plain = step.hand != "compiled"
        step.update(*(one.tolist()[0] if plain else one for one in (self._lr, self._t)))

    def _reduce(self) -> None:
        outputs = self.program.outputs
        right = int((outputs["probabilities"][0].argmax(1) == self.labels).sum())
        self.step.reduce(float(outputs["loss"][0]), right)


def _function(update: Update, hand: str) -> Callable[..., None]:
    """Return an update as a function of its own; within a program it is the last lines."""
    space: dict[str, Any] = {one.__name__.removesuffix(f"_{hand}"): one for one in update.functions}
    exec("\n    ".join(["def update(p, g, optimizer, *, lr, t):", *update.lines]), space)
    return space["update"]  # type: ignore[no-any-return]


def _keys(model: Model) -> list[tuple[Array, int, int]]:
    """Return the random keys, how many numbers each gives an image, and how often a step uses it."""
    found: dict[str, tuple[Array, int, int]] = {}
    for node in model.graph.nodes:
        if node.op is dropout and node.attributes.get("training") is not False:
            name, size = node.inputs["key"].name, prod(node.inputs["x"].shape[1:])
            found[name] = (vars(model.state)[name], size, found.get(name, (None, 0, 0))[2] + 1)
    return list(found.values())
