"""Trial steps leave the trainer unchanged: the learning-rate range test and step timing."""

import numpy as np
import pytest

import byhand as bh
from byhand.data import Augment, Dataset
from byhand.errors import DivergedError
from byhand.train.lr_finder import find_learning_rate
from byhand.train.time_budget import plan_epochs, seconds_per_step
from tests.train.small_training import bits, network, stripes

TRAIN, TEST = stripes(300, seed=1), stripes(100, seed=2)


def trainer(**settings):
    return bh.Trainer(network(dropout=0, mean=0.3), bh.SGD(lr=0.1, momentum=0.9), batch_size=20, **settings)


@pytest.mark.parametrize("augment", ["none", "flip,mixup=0.3"])
def test_the_trainer_is_left_unchanged(augment):
    first, other = (trainer(augment=Augment.parse(augment)) for _ in range(2))
    find_learning_rate(first, TRAIN)
    seconds_per_step(first, TRAIN)
    assert bits(first) == bits(other) and first.steps == 0
    assert first.fit(TRAIN, epochs=2, quiet=True) == other.fit(TRAIN, epochs=2, quiet=True)


def test_the_rate_that_is_found_learns_and_a_hundred_times_it_does_not():
    found = find_learning_rate(trainer(), TRAIN)
    assert found == find_learning_rate(trainer(), TRAIN)
    assert found.learning_rates[0] < found.learning_rate < found.learning_rates[-1] and len(
        found.learning_rates
    ) == len(found.losses)

    def accuracy(rate):
        fitted = bh.Trainer(
            network(dropout=0, mean=0.3), bh.SGD(lr=rate, momentum=0.9), batch_size=20, schedule=bh.OneCycle()
        )
        try:
            fitted.fit(TRAIN, epochs=5, quiet=True)
        except DivergedError:
            return 0.0
        return fitted.evaluate(TEST)["accuracy"]

    best = max(accuracy(found.learning_rate * factor) for factor in (0.1, 1, 10))
    assert accuracy(found.learning_rate) > best - 0.03 > 0.8
    assert accuracy(found.learning_rate / 1000) < accuracy(found.learning_rate) - 0.2


def test_a_loss_that_is_not_finite_from_the_start_is_an_error():
    broken = Dataset(np.full((40, 6, 6, 1), np.nan, np.float32), TRAIN.labels[:40], TRAIN.classes)
    with pytest.raises(DivergedError, match="not finite from the first step on"):
        find_learning_rate(trainer(), broken)


def test_a_step_takes_time():
    assert 0 < seconds_per_step(trainer(), TRAIN) < 1


@pytest.mark.parametrize(
    ("seconds", "step", "images", "batch", "evaluation", "expected"),
    [
        (60, 0.01, 6400, 64, 0.5, (40, 6400)),
        (60, 0.01, 6401, 64, 0.5, (40, 6401)),  # the last image joins a batch
        (60, 0.01, 6402, 64, 0.5, (39, 6402)),
        (1.5, 0.01, 6400, 64, 0.5, (1, 6400)),
        (1.49, 0.01, 6400, 64, 0.5, (1, 99 * 64)),
        (0.1, 1, 6400, 64, 0.5, (1, 64)),
    ],
)
def test_a_plan_fits_its_budget(seconds, step, images, batch, evaluation, expected):
    epochs, size = plan_epochs(
        seconds, step_seconds=step, images=images, batch_size=batch, evaluation_seconds=evaluation
    )
    assert (epochs, size) == expected
