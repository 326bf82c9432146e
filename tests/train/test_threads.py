"""A training has the same bits at 1, 2 and 4 threads."""

import numpy as np
import pytest

import byhand as bh
from byhand.kernels.runtime import thread_pool
from tests.program.test_memory import residual
from tests.train.small_training import bits, network, stripes

DATA = stripes(100, size=28, classes=("down", "across", "even"))


def lenet():
    """Return LeNet-5, whose batches run as micro-batches."""
    return bh.models.create("lenet5", classes=DATA.classes)


def norms():
    """Return a residual network with batch norm: sums over the whole batch, larger than a block."""
    return residual(28, (8, 16), 3, classes=DATA.classes)


def dropouts():
    return network(28, norm=False, dropout=0.4)


@pytest.mark.parametrize("make", [lenet, norms, dropouts])
def test_a_training_has_the_same_bits_at_any_number_of_threads(make):
    """By the trainer: steps in groups, a last batch that is smaller, the test set; the threads may outnumber the cores."""
    data, found = DATA, []
    if make is norms:
        data = type(DATA)(np.repeat(DATA.images, 3, axis=3), DATA.labels, DATA.classes)
    for number in (1, 2, 4, 2):
        with thread_pool.limit(number):
            trainer = bh.Trainer(make(), bh.SGD(0.05, 0.9), batch_size=32, hand="compiled", clip_norm=1.0)
            rows = trainer.fit(data, data.take(30), epochs=2, quiet=True)
            found.append(
                (rows, trainer.curve, bits(trainer), trainer.model.logits_of(data.images, hand="compiled").tobytes())
            )
    assert all(result == found[0] for result in found[1:])
    assert rows[1]["loss"] < rows[0]["loss"]


def test_threads_may_change_between_steps():
    """What was written down for one thread runs at four, and the other way round."""
    images, labels = np.repeat(DATA.images[:32], 3, axis=3), DATA.labels[:32]
    found = set()
    for counts in ((1, 1, 1), (1, 4, 2), (4, 1, 4)):
        trainer = bh.Trainer(norms(), bh.SGD(0.05, 0.9), hand="compiled")
        for number in counts:
            with thread_pool.limit(number):
                trainer.step(images, labels)
        found.add(bits(trainer))
    assert len(found) == 1
