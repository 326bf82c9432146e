"""Fixtures of the export tests: MNIST and networks trained for one epoch."""

import pytest

import byhand as bh


@pytest.fixture(scope="session")
def digits():
    return bh.data.load("mnist")


def trained(name, digits, count):
    """Return a network after one short epoch."""
    model = bh.models.create(name, input_shape=(28, 28, 1), classes=10)
    bh.Trainer(model, bh.SGD(lr=0.05, momentum=0.9)).fit(digits[0].take(count), epochs=1, quiet=True)
    return model


@pytest.fixture(scope="session")
def lenet5(digits):
    return trained("lenet5", digits, 20_000)


@pytest.fixture(scope="session")
def tiny(digits):
    return trained("tiny", digits, 6_000)
