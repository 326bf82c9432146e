"""byhand as a peer of the bench, with one of its hands."""

from functools import partial

import numpy as np

from byhand.bench.convolutions import ConvCase, Passes
from byhand.bench.inference import Predict
from byhand.bench.peer_network import PeerNetwork
from byhand.data import Dataset
from byhand.kernels.conv import algorithm
from byhand.kernels.conv.problem import FLOAT32
from byhand.nn import Model
from byhand.ops import DEFAULT_HAND, conv2d
from byhand.ops.op import Array, HandFunction
from byhand.train import SGD, Trainer
from byhand.train.schedule import Schedule


class Peer:
    """byhand; hand: "loops", "arrays" or "compiled"; precision: "float32" or "bf16"; threads: as its environment says."""

    package = "byhand"
    predict_program = """
from byhand.cli.app import main
sys.argv[:] = ["byhand", "predict", *sys.argv[1:3]]
main()
"""

    def __init__(self, hand: str, precision: str = FLOAT32, threads: int | None = None) -> None:
        self.hand, self.precision = hand, precision

    def network(self, model: Model, lr: float, momentum: float) -> "ByhandNetwork":
        """Return the model, ready to be trained."""
        return ByhandNetwork(model, lr, momentum, self.hand, self.precision)

    def predictor(self, model: Model, images: Array) -> Predict:
        """Return the call that returns the logits of images."""
        if self.hand == DEFAULT_HAND:  # compiled: the weights do not change, as those of its peers
            return partial(model.compile(batch=len(images), precision=self.precision).logits_of, images)
        return partial(model.logits_of, images, hand=self.hand)

    def convolution(self, case: ConvCase) -> Passes:
        """Return a function for each pass of a convolution."""
        x, weight, grad = case.arrays()
        call = conv2d.infer([x.shape, weight.shape, None], case.attributes)
        y, grad_x, grad_weight = np.empty_like(grad), np.empty_like(x), np.empty_like(weight)
        hand = conv2d.hand(self.hand)

        def run(function: HandFunction, *arguments: Array | None, result: Array) -> Array:
            with algorithm.with_precision(self.precision):
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

    def __init__(self, model: Model, lr: float, momentum: float, hand: str, precision: str) -> None:
        self.model, self.optimizer = model, SGD(lr=lr, momentum=momentum)
        self.hand, self.precision = hand, precision
        self.trainer = Trainer(model, self.optimizer, hand=hand, precision=precision)

    def step(self, images: Array, labels: Array) -> float:
        """Do one update."""
        return self.trainer.step(images, labels)

    def logits(self, images: Array) -> Array:
        """Return the logits."""
        return self.model.logits_of(images, hand=self.hand, precision=self.precision)

    def fit(self, train: Dataset, epochs: int, batch: int, schedule: Schedule | None = None) -> None:
        """Train with the Trainer."""
        if (self.trainer.batch_size, self.trainer.schedule) != (batch, schedule or self.trainer.schedule):
            self.trainer = Trainer(
                self.model,
                self.optimizer,
                batch_size=batch,
                schedule=schedule,
                hand=self.hand,
                precision=self.precision,
            )
        self.trainer.fit(train, epochs=epochs, quiet=True)
