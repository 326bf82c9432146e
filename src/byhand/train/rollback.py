"""`rollback`: a context manager that undoes training steps, for the learning-rate range test and for step timing."""

from collections.abc import Iterator
from contextlib import contextmanager

from byhand.train.trainer import Trainer

RESTORED_ATTRIBUTES = ("steps", "state", "history", "curve", "images_per_second", "data_wait_fraction")  # of a Trainer


@contextmanager
def rollback(trainer: Trainer) -> Iterator[None]:
    """Restore the model, the optimizer's buffers and the state of a trainer at the end of the block."""
    arrays = [*trainer.state_arrays().values(), *trainer.buffers.values()]
    copies = [array.copy() for array in arrays]
    before = {name: getattr(trainer, name) for name in RESTORED_ATTRIBUTES}
    try:
        yield
    finally:
        for array, copy in zip(arrays, copies):
            array[...] = copy
        vars(trainer).update(before)
