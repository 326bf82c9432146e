"""The network that reads photos in tests: LeNet-5 on all of MNIST, as `byhand train` makes it, in fewer epochs."""

from functools import cache

import byhand as bh


@cache
def reader():
    train, _ = bh.data.load("mnist")
    model = bh.models.create("lenet5")
    bh.Trainer(model, bh.SGD(lr=0.1, momentum=0.9), schedule=bh.OneCycle()).fit(train, epochs=3, quiet=True)
    return model
