"""LeNet-5: two convolutions, each followed by a pooling, then three fully connected layers.

LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition", Proc. IEEE 86(11). What was
new: 5x5 filters, shared over the image, learned end to end from pixels, on real documents.

name          what differs from the paper                                        parameters
lenet5        as in today's textbooks: ReLU for tanh, max pooling for averages        61,706
lenet5_1998   average pooling without the paper's weight and bias for each map        61,706

Both end in a softmax, where the paper has radial basis functions, and connect every map of the second convolution to all six of
the first, where the paper connects only some.
"""

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture


def lenet5(images: Tensor, classes: int) -> Tensor:
    """Return the logits; 28x28 images get two pixels of padding, to the paper's 32x32."""
    return nn.Sequential(
        nn.Conv2d(6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # (28, 28, 1) -> (14, 14, 6)
        nn.Conv2d(16, 5), nn.ReLU(), nn.MaxPool2d(2),  # -> (5, 5, 16)
        nn.Flatten(),  # -> (400,)
        nn.Linear(120), nn.ReLU(),
        nn.Linear(84), nn.ReLU(),
        nn.Linear(classes),
    )(images)  # fmt: skip


def lenet5_1998(images: Tensor, classes: int) -> Tensor:
    """Return the logits, with the paper's tanh and average pooling."""
    return nn.Sequential(
        nn.Conv2d(6, 5, padding=2, initializer="glorot"), nn.Tanh(), nn.AvgPool2d(2),  # C1, S2: -> (14, 14, 6)
        nn.Conv2d(16, 5, initializer="glorot"), nn.Tanh(), nn.AvgPool2d(2),  # C3, S4: -> (5, 5, 16)
        nn.Flatten(),
        nn.Linear(120, initializer="glorot"), nn.Tanh(),  # C5: a 5x5 convolution over a 5x5 image
        nn.Linear(84, initializer="glorot"), nn.Tanh(),  # F6
        nn.Linear(classes, initializer="glorot"),
    )(images)  # fmt: skip


PAPER = "Proc. IEEE 86(11)"
NEW = "filters learned end to end"
ARCHITECTURES = {
    build.__name__: Architecture(build, 1998, PAPER, NEW, image=(28, 28, 1), classes=10, mean=0.5, std=1.0)
    for build in (lenet5, lenet5_1998)
}
