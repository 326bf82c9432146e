"""A data-parallel training step: forward and backward on one shard of the batch, one all-reduce, the same update on each rank.

The loss of a batch is the mean over its images. Its gradient is therefore the mean of the shards' gradients, each weighted by
the number of its images. One all-reduced buffer holds the weighted gradient, the weighted changes of the running statistics (so
that all ranks end with their mean), the loss, the number of correct answers, and whether any rank received a stop signal.

The step is captured as on one process, with breakpoints where ranks communicate. Dropout draws for each image the numbers that
a single rank would draw: a shard begins in the random sequence where its first image does. (Two layers that share one key use
the sequence in another order.)

Source: Goyal et al. 2017, arXiv 1706.02677, section 3 (the loss, and the mean of the gradient, over all workers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from byhand.kernels import cdiv
from byhand.kernels.conv import tuning
from byhand.nn import Model
from byhand.ops import dropout
from byhand.ops.op import Array
from byhand.ops.regularization.dropout import GOLDEN_GAMMA
from byhand.program import Program
from byhand.train.distributed.breakpoints import SegmentedReplay, at_breakpoint
from byhand.train.distributed.gradient_overlap import BUCKET_BYTES, GradientOverlap, can_overlap
from byhand.train.distributed.sync_batch_norm import SyncBatchNorm
from byhand.train.optim import update_function
from byhand.train.optim.hyperparameters import Scheduled

if TYPE_CHECKING:
    from byhand.train.trainer import Trainer

SCALARS = 3  # at the start of the buffer: loss, correct, stop
CACHE_LINE_FLOATS = 16  # float32 elements in a cache line

ApplyUpdate = Callable[[Array, Scheduled, Scheduled], None]  # of the optimizer: gradient, learning rate, step number


class DataParallelStep:
    """One update of a trainer's model by all ranks.

    update: the optimizer's, called with the reduced gradient, the learning rate and the number of the step;
    stop_requested: a function that tells whether this rank received a stop signal;
    stopped: whether any rank had received one before the latest step.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.model, self.comm, self.hand, self.precision = trainer.model, trainer.comm, trainer.hand, trainer.precision
        self.tuning, self.loss, model, comm = trainer.tuning, trainer.loss, trainer.model, trainer.comm
        self.update: ApplyUpdate = update_function(
            trainer.optimizer, trainer.clip_norm, self.hand, model.p, trainer.buffer_namespace
        )
        self.stop_requested: Callable[[], bool] = lambda: False
        self.stopped = False
        self.sync = SyncBatchNorm(comm, self.hand) if trainer.sync_batchnorm else None
        self._running = [value for value in vars(model.state).values() if value.dtype.kind == "f"]
        running = sum(value.size for value in self._running)
        first = cdiv(SCALARS + running, CACHE_LINE_FLOATS) * CACHE_LINE_FLOATS  # the gradient begins with a cache line
        self.buffer = np.zeros(first + model.p.flat.size, model.p.flat.dtype)
        self.gradient, self._running_change = self.buffer[first:], self.buffer[SCALARS : SCALARS + running]
        self._scalars = self.buffer[:SCALARS]
        self._captured: dict[int, CapturedStep] = {}  # by the size of the shard
        self.overlap: GradientOverlap | None = None
        # On one machine MPI would take time from the kernels.
        if comm.multi_node and model.p.flat.nbytes >= BUCKET_BYTES:
            self.overlap_with_backward()
        self._before, self._weight = self._statistics(), 1.0
        self._keys = _dropout_keys(model)

    def overlap_with_backward(self, bucket_bytes: int | None = BUCKET_BYTES) -> None:
        """Send the gradient in buckets while backward runs; None: all at once at its end."""
        self.overlap = None
        if bucket_bytes is not None and can_overlap(self.model):
            self.overlap = GradientOverlap(self.model, self.comm, self.gradient, self._pack, bucket_bytes)
        self._captured.clear()

    def program(self, batch: int) -> Program:
        """Return the program of this rank's shard of a batch: forward and backward."""
        shard = self.comm.shard_or_first(batch)
        images = shard.stop - shard.start
        settings = self.loss.program_settings
        with tuning.using(self.tuning):
            return self.model.program(images, train=True, hand=self.hand, precision=self.precision, **settings)

    def __call__(
        self, images: Array, labels: Array, rows: Array | None, batch: int, learning_rate: float, t: int
    ) -> tuple[float, int]:
        """Do one update on a batch of so many images, given this rank's shard; return the batch's loss and correct answers."""
        shard, program = self.comm.shard(batch), self.program(batch)
        captured = self._captured.get(len(labels))
        if captured is None or captured.program is not program:
            captured = self._captured[len(labels)] = CapturedStep(self, program, self.loss.targets(labels))
        self.model.prepare(images, rows, out=program.images[0], hand=self.hand)
        captured.labels, captured.targets[...] = labels, self.loss.targets(labels)
        self._weight = (shard.stop - shard.start) / batch
        if self.sync is not None:
            self.sync.weight, self.sync.has_images = self._weight, shard.stop > shard.start
        self._before = self._statistics()
        with self._shifted_dropout(shard.start):
            captured.run(learning_rate, t)
        self._set_statistics(self._before + self._running_change)
        loss, correct, stop = self._scalars.tolist()
        self.stopped = stop > 0
        return loss, round(correct)

    def reduce(self, loss: float, correct: int) -> None:
        """Fill the buffer with this rank's contribution, and replace it by the sum over all ranks."""
        remaining = self.gradient.size if self.overlap is None else self.overlap.remaining
        self._pack(slice(0, remaining))
        self._write_weighted(self._statistics() - self._before, self._running_change)
        counted = (loss * self._weight, correct) if self._weight else (0, 0)
        self._scalars[...] = (*counted, self.stop_requested())
        self.comm.all_reduce(self.buffer[: self.buffer.size - self.gradient.size + remaining])
        if self.overlap is not None:
            self.overlap.wait()

    def _pack(self, part: slice) -> None:
        self._write_weighted(self.model.g.flat[part], self.gradient[part])

    def _write_weighted(self, values: Array, out: Array) -> None:
        """Write values times the weight of the shard; zeros for a weight of 0, whatever the values (NaN included)."""
        if self._weight:
            np.multiply(values, self._weight, out=out)
        else:
            out[...] = 0

    def _statistics(self) -> Array:
        return np.concatenate([self._running_change[:0], *(value.reshape(-1) for value in self._running)])

    def _set_statistics(self, statistics: Array) -> None:
        start = 0
        for value in self._running:
            value.reshape(-1)[...] = statistics[start : start + value.size]
            start += value.size

    @contextmanager
    def _shifted_dropout(self, first: int) -> Iterator[None]:
        """Begin dropout's sequences at image `first`; leave the keys as a rank leaves them that ran the whole batch."""
        after = []
        for key, numbers, uses in self._keys:
            advanced = key.copy()
            for _ in range(uses):
                dropout(np.empty(0), advanced)
            after.append(advanced)
            key[0] = (int(key[0]) + first * numbers * GOLDEN_GAMMA) % 2**64
        yield
        for (key, _, _), advanced in zip(self._keys, after):
            key[...] = advanced


class CapturedStep:
    """The step on a shard of one size: its program, its labels, and its captured launches."""

    def __init__(self, step: DataParallelStep, program: Program, targets: Array) -> None:
        self.step, self.program, self._images = step, program, program.images[0]
        self.labels, self.targets = targets, np.zeros_like(targets)
        self._learning_rate, self._t = np.zeros(1), np.zeros(1)
        callees = program.callees
        if step.sync is not None:
            callees = step.sync.with_synchronized_batch_norm(callees)
        if step.overlap is not None:
            callees = step.overlap.with_reports(callees)
        self._forward_backward = program.load(callees).step
        self._replay = SegmentedReplay(program.choices()(self._whole), step.hand)

    def run(self, learning_rate: float, t: int) -> None:
        """Do one update."""
        self._learning_rate[0], self._t[0] = learning_rate, t
        self._replay()

    def _whole(self) -> None:
        step, model = self.step, self.step.model
        if step.overlap is not None:
            step.overlap.begin()
        self._forward_backward(self._images, self.targets, model.p, model.g, model.state, self.program.arena)
        at_breakpoint(self._reduce)
        if step.hand == "compiled":  # captured: each launch reads the arrays again
            step.update(step.gradient, self._learning_rate, self._t)
        else:
            step.update(step.gradient, float(self._learning_rate[0]), float(self._t[0]))

    def _reduce(self) -> None:
        losses, predictions, *_ = self.program.outputs.values()
        right = self.step.loss.correct(predictions[0], self.labels)
        self.step.reduce(float(losses[0]), 0 if right is None else int(right.sum()))


class DropoutKey(NamedTuple):
    """A random key, how many numbers it gives for each image, and how often a step uses it."""

    key: Array
    numbers: int
    uses: int


def _dropout_keys(model: Model) -> list[DropoutKey]:
    found: dict[str, DropoutKey] = {}
    for node in model.graph.nodes:
        if node.op is dropout and node.attributes.get("training") is not False:
            name, numbers = node.inputs["key"].name, prod(node.inputs["x"].shape[1:])
            uses = found[name].uses if name in found else 0
            found[name] = DropoutKey(vars(model.state)[name], numbers, uses + 1)
    return list(found.values())
