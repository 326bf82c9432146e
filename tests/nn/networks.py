"""Networks that several test modules share."""

import numpy as np

from byhand import nn


def everything(**settings):
    """Return a network with every layer that has parameters or a state, a residual, branches, and layers used twice."""
    x = nn.Input(8, 8, 2, name="pixels")
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(4, 3, padding="same", bias=False)(x)))
    y = y + nn.Conv2d(4, 3, padding="same", groups=2)(y)
    y = nn.Concat()(nn.MaxPool2d()(y), nn.AvgPool2d()(y))
    shared = nn.Linear(6, name="shared")
    y = nn.LayerNorm()(nn.ChannelShuffle(2)(y))
    y = nn.Dropout(0.3)(nn.Tanh()(shared(nn.Linear(6)(nn.GlobalAvgPool2d()(y)))))
    y = nn.Linear(3)(shared(y) * nn.Sigmoid()(y))
    return nn.Model(x, y, **{"name": "everything", "dtype": np.float64, "seed": 2} | settings)


def plain(**settings):
    """Return a network of layers whose result for an image depends on that image alone, as micro-batches need it."""
    x = nn.Input(8, 8, 2)
    y = nn.MaxPool2d(2)(nn.ReLU()(nn.Conv2d(5, 3, padding="same")(x)))
    y = y + nn.ReLU()(nn.Conv2d(5, 3, padding="same")(y))
    y = nn.Concat()(nn.ReLU()(nn.MaxPool2d(2)(nn.Conv2d(3, 1)(y))), nn.AvgPool2d(2)(y))
    y = nn.LayerNorm()(nn.ReLU()(nn.Linear(12)(nn.Flatten()(y))))
    return nn.Model(x, nn.Linear(4)(y), **{"name": "plain", "dtype": np.float64, "seed": 3} | settings)


def small(*last, **settings):
    x = nn.Input(6, 6, 2)
    net = nn.Sequential(nn.Conv2d(3, 3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(4), *last)
    return nn.Model(x, net, **settings)
