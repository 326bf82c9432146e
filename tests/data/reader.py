"""The network that the tests of `byhand read` use: LeNet-5 after three epochs of MNIST."""

from functools import cache

import byhand as bh


@cache
def reader(images=60_000):
    """Return LeNet-5 after three epochs of MNIST's first images. A few thousand do for large, clear digits."""
    train = bh.data.load("mnist")[0].take(images)
    model = bh.models.create("lenet5")
    bh.Trainer(model, bh.SGD(lr=0.1, momentum=0.9), schedule=bh.OneCycle()).fit(train, epochs=3, quiet=True)
    return model
