"""The tutorial article's network: one convolution, one pooling, one softmax layer.

28 x 28 x 1 -> 26 x 26 x 8 -> 13 x 13 x 8 -> 1352 -> 10, without activations; `byhand.tutorial` is the article's own program for
it. Its weights are initialized as in the article: normal, divided by fan_in.
"""

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture


def article(images: Tensor, classes: int) -> Tensor:
    """Return the logits."""
    return nn.Sequential(
        nn.Conv2d(8, 3, bias=False, initializer="article"),  # (28, 28, 1) -> (26, 26, 8)
        nn.MaxPool2d(2),  # -> (13, 13, 8)
        nn.Flatten(),  # -> (1352,)
        nn.Linear(classes, initializer="article"),
    )(images)


ARCHITECTURES = {
    "article": Architecture(
        article,
        year=2019,
        paper="Zhou, CNNs, Part 1, victorzhou.com",
        new="every derivative by hand",
        image=(28, 28, 1),
        classes=10,
        mean=0.5,
        std=1.0,
    ),
}
