"""SqueezeNet: AlexNet's accuracy with a fiftieth of its parameters.

Iandola, Han, Moskewicz, Ashraf, Dally & Keutzer 2016, arXiv 1602.07360. What was new: the fire module, in which 1x1
convolutions squeeze the channels before 1x1 and 3x3 convolutions expand them; and a classifier without fully connected layers,
a convolution with a filter for each class, averaged over the image.

    name            differs                                                       parameters at 1,000 classes
    squeezenet1_0   7x7 first, pools after fire 3, 7 (the paper's fire 4, 8)       1,248,424
    squeezenet1_1   3x3 first, pools earlier: 2.4 times less to compute            1,235,496

The authors published 1.1 with their code, after the paper. Pooling windows may hang over the edge, as in Caffe.
"""

from collections.abc import Sequence
from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture

FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))  # squeezed, expanded


def squeezenet(images: Tensor, classes: int, filters: int, kernel: int, pools: Sequence[int]) -> Tensor:
    """Return the logits; filters, kernel: of the first convolution; pools: before which fire modules the image is halved."""
    x = nn.ReLU()(nn.Conv2d(filters, kernel, stride=2, name="features_0")(images))  # (224, 224, 3) -> (111, 111, 64)
    place = 2  # torchvision counts the first convolution and ReLU, then pools and modules
    for i, (squeezed, expanded) in enumerate(FIRES):  # 111 -> 55 -> 27 -> 13 pixels, 64 -> 512 channels
        if i in pools:
            x, place = nn.MaxPool2d(3, stride=2, ceil_mode=True, name=f"features_{place}")(x), place + 1
        x, place = fire(x, squeezed, expanded, f"features_{place}"), place + 1
    x = nn.Conv2d(classes, 1, name="classifier_1")(nn.Dropout()(x))  # (13, 13, 512) -> (13, 13, classes)
    return nn.GlobalAvgPool2d()(nn.ReLU()(x))


def fire(x: Tensor, squeezed: int, expanded: int, name: str) -> Tensor:
    """Add a fire module: (H, W, C) -> (H, W, squeezed) -> (H, W, 2 expanded)."""
    x = nn.ReLU()(nn.Conv2d(squeezed, 1, name=f"{name}_squeeze")(x))
    x1 = nn.ReLU()(nn.Conv2d(expanded, 1, name=f"{name}_expand1x1")(x))
    x3 = nn.ReLU()(nn.Conv2d(expanded, 3, padding=1, name=f"{name}_expand3x3")(x))
    return nn.Concat(name=name)(x1, x3)


PAPER = "arXiv 1602.07360"
NEW = "fire modules: squeeze with 1x1 convolutions, then expand"
ARCHITECTURES = {
    "squeezenet1_0": Architecture(partial(squeezenet, filters=96, kernel=7, pools=(0, 3, 7)), 2016, PAPER, NEW),
    "squeezenet1_1": Architecture(partial(squeezenet, filters=64, kernel=3, pools=(0, 2, 4)), 2016, PAPER, NEW),
}
