"""Steps that are taken back: a learning rate is found, a budget is planned, and the trainer is as it was."""

import numpy as np
import pytest

import byhand as bh
from byhand.data import Augment, Dataset
from byhand.errors import DivergedError
from byhand.train.trial import find_rate, plan, seconds_a_step
from tests.train.small import bits, network, stripes

TRAIN, TEST = stripes(300, seed=1), stripes(100, seed=2)


def trainer(**settings):
    return bh.Trainer(network(dropout=0, mean=0.3), bh.SGD(lr=0.1, momentum=0.9), batch_size=20, **settings)


@pytest.mark.parametrize("augment", ["none", "flip,mixup=0.3"])
def test_everything_is_taken_back(augment):
    one, other = (trainer(augment=Augment.parse(augment)) for _ in range(2))
    find_rate(one, TRAIN)
    seconds_a_step(one, TRAIN)
    assert bits(one) == bits(other) and one.steps == 0
    assert one.fit(TRAIN, epochs=2, quiet=True) == other.fit(TRAIN, epochs=2, quiet=True)


def test_the_rate_that_is_found_learns_and_a_hundred_times_it_does_not():
    found = find_rate(trainer(), TRAIN)
    assert found == find_rate(trainer(), TRAIN)
    assert found.rates[0] < found.rate < found.rates[-1] and len(found.rates) == len(found.losses)

    def accuracy(rate):
        one = bh.Trainer(
            network(dropout=0, mean=0.3), bh.SGD(lr=rate, momentum=0.9), batch_size=20, schedule=bh.OneCycle()
        )
        try:
            one.fit(TRAIN, epochs=5, quiet=True)
        except DivergedError:
            return 0.0
        return one.evaluate(TEST)["accuracy"]

    best = max(accuracy(found.rate * factor) for factor in (0.1, 1, 10))
    assert accuracy(found.rate) > best - 0.03 > 0.8
    assert accuracy(found.rate / 1000) < accuracy(found.rate) - 0.2


def test_a_loss_that_is_no_number_from_the_start_is_told():
    broken = Dataset(np.full((40, 6, 6, 1), np.nan, np.float32), TRAIN.labels[:40], TRAIN.classes)
    with pytest.raises(DivergedError, match="no number from the first step on"):
        find_rate(trainer(), broken)


def test_a_step_takes_time():
    assert 0 < seconds_a_step(trainer(), TRAIN) < 1


@pytest.mark.parametrize(
    ("seconds", "step", "images", "batch", "judging", "expected"),
    [
        (60, 0.01, 6400, 64, 0.5, (40, 6400)),
        (60, 0.01, 6401, 64, 0.5, (39, 6401)),
        (1.5, 0.01, 6400, 64, 0.5, (1, 6400)),
        (1.49, 0.01, 6400, 64, 0.5, (1, 99 * 64)),
        (0.1, 1, 6400, 64, 0.5, (1, 64)),
    ],
)
def test_a_plan_fits_its_budget(seconds, step, images, batch, judging, expected):
    epochs, size = plan(seconds, step, images, batch, judging)
    assert (epochs, size) == expected
