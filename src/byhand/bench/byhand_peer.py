"""byhand as a peer of the bench, with one of its hands."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from byhand.bench.convolutions import ConvCase, Passes
from byhand.bench.inference import Predict
from byhand.bench.peer_network import PeerNetwork
from byhand.bench.peers import FLOAT32
from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.kernels.conv import algorithm
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
        compile_model = getattr(model, "compile", None)  # its weights do not change, as those of its peers
        if compile_model and self.hand == DEFAULT_HAND and takes_precision(compile_model, self.precision):
            compiled = compile_model(batch=len(images), **precision_argument(compile_model, self.precision))
            return partial(compiled.logits_of, images)
        return partial(model.logits_of, images, hand=self.hand, **precision_argument(model.logits_of, self.precision))

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


def takes_precision(function: Callable[..., object], precision: str) -> bool:
    """Tell whether a function can compute in a precision."""
    return precision == FLOAT32 or "precision" in inspect.signature(function).parameters


def precision_argument(function: Callable[..., object], precision: str) -> dict[str, Any]:
    """Return the argument that makes a function compute in a precision; float32 needs none."""
    if not takes_precision(function, precision):
        raise ArgumentError(f"this version of byhand has no {precision} here")
    return {} if precision == FLOAT32 else {"precision": precision}


class ByhandNetwork(PeerNetwork):
    """A model and its trainer."""

    def __init__(self, model: Model, lr: float, momentum: float, hand: str, precision: str) -> None:
        self.model, self.optimizer = model, SGD(lr=lr, momentum=momentum)
        self.settings = {"hand": hand, **precision_argument(Trainer, precision)}
        self.logits_settings = {"hand": hand, **precision_argument(model.logits_of, precision)}
        self.trainer = Trainer(model, self.optimizer, **self.settings)

    def step(self, images: Array, labels: Array) -> float:
        """Do one update."""
        return self.trainer.step(images, labels)

    def logits(self, images: Array) -> Array:
        """Return the logits."""
        return self.model.logits_of(images, **self.logits_settings)

    def fit(self, train: Dataset, epochs: int, batch: int, schedule: Schedule | None = None) -> None:
        """Train with the Trainer."""
        if (self.trainer.batch_size, self.trainer.schedule) != (batch, schedule or self.trainer.schedule):
            self.trainer = Trainer(self.model, self.optimizer, batch_size=batch, schedule=schedule, **self.settings)
        self.trainer.fit(train, epochs=epochs, quiet=True)
