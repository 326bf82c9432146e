"""The interface of a peer's network: training steps, a whole training, logits."""

from abc import ABC, abstractmethod
from typing import Protocol, SupportsFloat

import numpy as np

from byhand.data import Dataset
from byhand.kernels import cdiv
from byhand.nn import Model
from byhand.ops.op import Array
from byhand.train.schedule import Constant, Schedule

EVALUATION_BATCH = 250  # images


class NetworkPeer(Protocol):
    """A framework that has networks."""

    def network(self, model: Model, lr: float, momentum: float) -> "PeerNetwork":
        """Return the model as the framework has it, with the same weights and SGD with momentum."""


class PeerNetwork(ABC):
    """A peer's network with its optimizer, SGD with momentum."""

    lr = 0.0
    steps = 0

    @abstractmethod
    def step(self, images: Array, labels: Array) -> SupportsFloat:
        """Do one update at the learning rate `lr`: uint8 images (N, H, W, C), labels (N,); return the loss before it."""

    @abstractmethod
    def logits(self, images: Array) -> Array:
        """Return the logits (N, classes) of uint8 images (N, H, W, C)."""

    def fit(self, train: Dataset, epochs: int, batch: int, schedule: Schedule | None = None) -> None:
        """Train, with the images in the order that byhand's Trainer draws, at its learning rates."""
        first, done, highest, schedule = self.steps, 0, self.lr, schedule or Constant()
        total = epochs * cdiv(len(train), batch)
        loss: SupportsFloat = 0.0
        for epoch in range(epochs):
            order = np.random.default_rng([0, first, epoch]).permutation(len(train))
            for start in range(0, len(train), batch):
                chosen = order[start : start + batch]
                self.lr = highest * schedule(done / total)
                loss = self.step(train.images[chosen], train.labels[chosen])
                done += 1
        float(loss)  # waits: a framework may compute asynchronously
        self.lr, self.steps = highest, first + done

    def loss_and_accuracy(self, test: Dataset) -> tuple[float, float]:
        """Return the mean loss and the accuracy on a data set."""
        starts = range(0, len(test), EVALUATION_BATCH)
        parts = [self.logits(test.images[start : start + EVALUATION_BATCH]) for start in starts]
        logits = np.concatenate(parts).astype(np.float64)
        logits -= logits.max(1, keepdims=True)
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), test.labels]
        return float(losses.mean()), float((logits.argmax(1) == test.labels).mean())
