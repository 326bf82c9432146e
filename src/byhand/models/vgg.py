"""VGG: 3x3 convolutions only, five poolings, and three fully connected layers.

Simonyan & Zisserman 2014, "Very deep convolutional networks for large-scale image recognition", arXiv 1409.1556. What was new:
depth from small filters; two 3x3 convolutions have the receptive field of one 5x5, fewer parameters and one more ReLU.

    name        paper    convolutions a stage    parameters at 1,000 classes
    vgg11       A        1, 1, 2, 2, 2           132,863,336
    vgg13       B        2, 2, 2, 2, 2           133,047,848
    vgg16       D        2, 2, 3, 3, 3           138,357,544
    vgg19       E        2, 2, 4, 4, 4           143,667,240
    vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn       132,868,840, 133,053,736, 138,365,992, 143,678,248

The batch norms of `_bn` are torchvision's. The paper is older than batch norm: it trained the shallow networks first and
initialized the deep ones with their weights.
"""

from collections.abc import Sequence
from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.alexnet import average_to_size
from byhand.models.architecture import Architecture

FILTERS = (64, 128, 256, 512, 512)  # of a stage's convolutions


def vgg(images: Tensor, classes: int, stages: Sequence[int], norm: bool = False) -> Tensor:
    """Return the logits; stages: how many convolutions before each of the five pools; norm: a batch norm after each."""
    x, place = images, 0  # torchvision counts convolutions, norms, ReLUs and pools alike
    for filters, convolutions in zip(FILTERS, stages):  # 224 -> 112 -> 56 -> 28 -> 14 -> 7 pixels
        for _ in range(convolutions):
            x = nn.Conv2d(filters, 3, padding=1, name=f"features_{place}")(x)
            x = nn.BatchNorm(name=f"features_{place + 1}")(x) if norm else x
            x, place = nn.ReLU()(x), place + (3 if norm else 2)
        x, place = nn.MaxPool2d(2, name=f"features_{place}")(x), place + 1
    return nn.Sequential(
        nn.Flatten(),  # (7, 7, 512) -> (25088,)
        nn.Linear(4096, name="classifier_0"),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, name="classifier_3"),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(classes, name="classifier_6"),
    )(average_to_size(x, 7))


PAPER = "arXiv 1409.1556"
NEW = "depth: 3x3 convolutions only, up to nineteen layers"
STAGES = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
ARCHITECTURES = {
    name + end: Architecture(partial(vgg, stages=stages, norm=bool(end)), 2014, PAPER, NEW)
    for end in ("", "_bn")
    for name, stages in STAGES.items()
}
