"""Inference with classic networks: float32 images in memory, of the network's own size."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from byhand import models
from byhand.bench.check import Check, Session
from byhand.bench.timing import seconds_per_call
from byhand.nn import Model
from byhand.ops.op import Array

NETWORKS = (
    "resnet50",
    "vgg19",
    "alexnet",
    "squeezenet1_1",
    "densenet121",
    "mobilenet_v2",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "resnet18",
    "googlenet",
    "convnext_tiny",
    "mobilenet_v3_small",
)
BATCH_NETWORKS = NETWORKS[:8]  # of which a batch is measured too
SMALL_NETWORKS = ("article", "lenet5", "resnet20_cifar", "mobilenet_v3_small", "shufflenet_v2_x1_0")

Predict = Callable[[], Array]  # a call that returns the logits of images given before


class InferencePeer(Protocol):
    """A framework that runs a network forward."""

    def predictor(self, model: Model, images: Array) -> Predict:
        """Return the call that returns the logits of float32 images (N, H, W, C)."""


def lines(names: tuple[str, ...], batch: int, unit: float) -> dict[str, Callable[[InferencePeer], Session]]:
    """Return the sessions of some networks, by name; unit: of the time of an image, in seconds."""
    return {name: partial(session, name, batch, unit) for name in names}


def session(name: str, batch: int, unit: float, peer: InferencePeer) -> Session:
    """Yield, for each turn, how long an image takes.

    The first call of a turn is not measured: the weights aren't in the caches, and another peer's threads may still spin.
    """
    model = models.create(name)
    images = np.random.default_rng(0).standard_normal((batch, *model.input_shape), np.float32)
    predict = peer.predictor(model, images)
    logits = predict()
    seconds = yield Check([logits[i].tolist() for i in sorted({0, batch - 1})], model.summary().flops)
    while True:
        predict()
        seconds = yield seconds_per_call(predict, seconds) / batch / unit
