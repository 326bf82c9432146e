"""Inference with classic networks: float32 images in memory, of the network's own size, in batches of 1 and 16."""

from collections.abc import Callable, Generator
from typing import Protocol

import numpy as np

from byhand import models
from byhand.bench.timing import seconds_per_call
from byhand.nn import Model
from byhand.ops.op import Array

NETWORKS = (
    "alexnet",
    "vgg19",
    "resnet50",
    "squeezenet1_1",
    "densenet121",
    "mobilenet_v2",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
)
BATCHES = (1, 16)
LINES = tuple(f"{name}, batch {batch}" for name in NETWORKS for batch in BATCHES)
COMPARED_LOGITS = 8  # of each network

Predict = Callable[[], Array]  # a call that returns the logits of images given before


class InferencePeer(Protocol):
    """A framework that runs a network forward."""

    def predictor(self, model: Model) -> Callable[[Array], Predict]:
        """Return a function: float32 images (N, H, W, C) -> the call that returns their logits."""


def inference(peer: InferencePeer) -> Generator[list[list[float]] | list[float], float]:
    """Yield, for each turn, how long an image takes in each network and batch, in milliseconds.

    The first call of a network in a turn is not measured: its weights aren't in the caches, and another peer's threads may
    still spin.
    """
    calls: list[Predict] = []
    checked: list[list[float]] = []
    rng = np.random.default_rng(0)
    for name in NETWORKS:
        model = models.create(name)
        predictor = peer.predictor(model)
        for batch in BATCHES:
            images = rng.standard_normal((batch, *model.input_shape), np.float32)
            calls.append(predictor(images))
            checked.append(calls[-1]()[0, :COMPARED_LOGITS].tolist())
    seconds = yield checked
    while True:
        turn = seconds / len(calls)
        seconds = yield [1000 / len(call()) * seconds_per_call(call, turn) for call in calls]
