"""The order of a training: which images each step takes, with which random numbers, at which learning rate.

All of it follows from the seed, the epoch and the number of the step. A resumed training draws the same.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from byhand.data.augment import Augment
from byhand.data.batch_loader import BatchSpec
from byhand.nn import Model
from byhand.train.distributed.mpi import Communicator
from byhand.train.state import TrainingState

MAX_GROUP_FLOPS = 2e10  # of steps that run in one call: 0.1 to 2 seconds
STEP_PASSES = 3  # a step's FLOPs over those of its forward pass


def max_group_steps(model: Model, batch_size: int) -> int:
    """Return how many steps may run in one call: Ctrl-C, a time budget and the progress bar wait for them."""
    return max(1, int(MAX_GROUP_FLOPS / (STEP_PASSES * batch_size * max(1, model.summary().flops))))


class StepGroup(NamedTuple):
    """Consecutive steps of one epoch, which run in one call."""

    epoch: int  # from 0
    first: int  # step of the group, within its epoch, from 0
    batch_size: int  # images per step, of all ranks
    learning_rates: list[float]  # one per step


def step_groups(
    state: TrainingState,
    images: int,
    *,
    batch_size: int,
    seed: int,
    augment: Augment,
    comm: Communicator,
    learning_rate: Callable[[int], float],
    group_size: Callable[[int, int], int],
) -> Iterator[tuple[BatchSpec, StepGroup]]:
    """Yield the steps that are left, in groups: this rank's images of each, out of so many, and the group.

    learning_rate: of a step, given its number; group_size: how many steps run in one call, given the index of the first one
    within its epoch and its number.
    """
    total = state.total_steps(batch_size)
    step, steps_per_epoch, drawn_epoch = state.steps_done, total // state.epochs, -1
    while step < total:
        epoch, index = divmod(step, steps_per_epoch)
        if drawn_epoch != epoch:
            rng = np.random.default_rng([seed, state.first_step, epoch])
            order, drawn_epoch = rng.permutation(images)[: state.epoch_size], epoch
            uniforms = augment.draw(images, epoch, rng, [seed, state.first_step])
            partners = rng.permutation(images) if augment.mixup else None
        count = group_size(index, step)
        last = index + count == steps_per_epoch  # with all that is left
        rows = order[index * batch_size : None if last else (index + count) * batch_size]
        group = StepGroup(epoch, index, len(rows) // count, [learning_rate(step + i) for i in range(count)])
        rows = rows[comm.shard_or_first(len(rows))]
        yield BatchSpec(rows, uniforms[rows], None if partners is None else partners[rows]), group
        step += count
