"""byhand as a peer of the bench, with one of its hands."""

from collections.abc import Callable
from functools import partial

import numpy as np

from byhand.bench.convolutions import ConvCase, Passes
from byhand.bench.inference import Predict
from byhand.bench.peer_network import PeerNetwork
from byhand.data import Dataset
from byhand.nn import Model
from byhand.ops import conv2d
from byhand.ops.op import Array, HandFunction
from byhand.train import SGD, Trainer
from byhand.train.schedule import Schedule


class Peer:
    """byhand; hand: "loops", "arrays" or "compiled"."""

    package = "byhand"

    def __init__(self, hand: str) -> None:
        self.hand = hand

    def network(self, model: Model, lr: float, momentum: float) -> "ByhandNetwork":
        """Return the model, ready to be trained."""
        return ByhandNetwork(model, lr, momentum, self.hand)

    def predictor(self, model: Model) -> Callable[[Array], Predict]:
        """Return a function: images -> the call that returns their logits."""
        return lambda images: partial(model.logits_of, images, hand=self.hand)

    def convolution(self, case: ConvCase) -> Passes:
        """Return a function for each pass of a convolution."""
        x, weight, grad = case.arrays()
        call = conv2d.infer([x.shape, weight.shape, None], case.attributes)
        y, grad_x, grad_weight = np.empty_like(grad), np.empty_like(x), np.empty_like(weight)
        hand = conv2d.hand(self.hand)

        def run(function: HandFunction, *arguments: Array | None, result: Array) -> Array:
            function(*arguments, **call.attributes)
            return result

        back = partial(run, hand.backward, x, weight, grad)
        return {
            "forward": partial(run, hand.forward, x, weight, None, y, result=y),
            "backward_data": partial(back, grad_x, None, None, result=grad_x),
            "backward_weights": partial(back, None, grad_weight, None, result=grad_weight),
        }


class ByhandNetwork(PeerNetwork):
    """A model and its trainer."""

    def __init__(self, model: Model, lr: float, momentum: float, hand: str) -> None:
        self.model, self.hand, self.optimizer = model, hand, SGD(lr=lr, momentum=momentum)
        self.trainer = Trainer(model, self.optimizer, hand=hand)

    def step(self, images: Array, labels: Array) -> float:
        """Do one update."""
        return self.trainer.step(images, labels)

    def logits(self, images: Array) -> Array:
        """Return the logits."""
        return self.model.logits_of(images, hand=self.hand)

    def fit(self, train: Dataset, epochs: int, batch: int, schedule: Schedule | None = None) -> None:
        """Train with the Trainer."""
        if (self.trainer.batch_size, self.trainer.schedule) != (batch, schedule or self.trainer.schedule):
            self.trainer = Trainer(self.model, self.optimizer, batch_size=batch, schedule=schedule, hand=self.hand)
        self.trainer.fit(train, epochs=epochs, quiet=True)
