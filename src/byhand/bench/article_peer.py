"""The article's own program, `byhand.tutorial`, as a peer of the bench: loops, or NumPy arrays."""

import numpy as np

from byhand import tutorial
from byhand.bench.peer_network import PeerNetwork
from byhand.nn import Model
from byhand.ops.op import Array


class Peer:
    """The article's program; hand: a name in `tutorial.HANDS`."""

    def __init__(self, hand: str) -> None:
        self.hand = hand

    def network(self, model: Model, lr: float, momentum: float) -> "ArticleNetwork":
        """Return the article's three layers, with the model's weights."""
        return ArticleNetwork(model, lr, self.hand)


class ArticleNetwork(PeerNetwork):
    """The article's three layers."""

    def __init__(self, model: Model, lr: float, hand: str) -> None:
        make_conv, make_pool, make_softmax = tutorial.layers(hand)
        self.conv, self.pool, self.softmax, self.lr = make_conv(8), make_pool(), make_softmax(1352, 10), lr
        filters, weights = (value for name, value in model.parameters.items() if name.endswith("weight"))
        self.conv.filters[...] = filters[:, :, 0].transpose(2, 0, 1)
        self.softmax.weights[...] = weights

    def step(self, images: Array, labels: Array) -> float:
        """Do one update on a batch of one image."""
        out, label = self._probabilities(images[0]), labels[0]
        gradient = np.zeros(10)
        gradient[label] = -1 / out[label]
        gradient = self.softmax.backprop(gradient, self.lr)
        self.conv.backprop(self.pool.backprop(gradient), self.lr)
        return -float(np.log(out[label]))

    def logits(self, images: Array) -> Array:
        """Return the logarithms of the probabilities, which differ from the logits by a number an image."""
        return np.log([self._probabilities(image) for image in images])

    def _probabilities(self, image: Array) -> Array:
        return self.softmax.forward(self.pool.forward(self.conv.forward(image[..., 0] / 255 - 0.5)))
