"""The network that the tests of `byhand read` use: LeNet-5 after three epochs of MNIST's first images."""

from functools import cache

import byhand as bh

TRAINING_IMAGES = 20_000  # it reads photos as well as one that was trained on all 60,000


@cache
def reader():
    """Return LeNet-5 after three epochs."""
    train = bh.data.load("mnist")[0].take(TRAINING_IMAGES)
    model = bh.models.create("lenet5")
    bh.Trainer(model, bh.SGD(lr=0.1, momentum=0.9), schedule=bh.OneCycle()).fit(train, epochs=3, quiet=True)
    return model
