"""LeNet-5: two convolutions, each followed by a pooling, then three fully connected layers.

LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition", Proc. IEEE 86(11). What was
new: learned 5x5 filters end to end from pixels, shared over the image, on real documents.

This is the form that today's textbooks teach: ReLU for tanh, maxima for scaled averages, softmax for the paper's
radial-basis output, and every map of the second convolution connected to all six of the first.
"""

from byhand import nn
from byhand.graph import Tensor


def lenet5(images: Tensor, classes: int) -> Tensor:
    """Return the logits; 28x28 images get two pixels of padding, which makes them the paper's 32x32."""
    return nn.Sequential(
        nn.Conv2d(6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # (28, 28, 1) -> (14, 14, 6)
        nn.Conv2d(16, 5), nn.ReLU(), nn.MaxPool2d(2),  # -> (5, 5, 16)
        nn.Flatten(),  # -> (400,)
        nn.Linear(120), nn.ReLU(),
        nn.Linear(84), nn.ReLU(),
        nn.Linear(classes),
    )(images)  # fmt: skip
