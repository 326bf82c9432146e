"""DenseNet: every layer reads the maps of all layers before it.

Huang, Liu, van der Maaten & Weinberger 2016, "Densely connected convolutional networks", arXiv 1608.06993. What was new: a
dense layer does not add to its input, as a residual unit does, but appends 32 maps to it. All later layers reuse them.

    name          layers a block    parameters at 1,000 classes
    densenet121   6, 12, 24, 16      7,978,856
    densenet169   6, 12, 32, 32     14,149,480
    densenet201   6, 12, 48, 32     20,013,928

All are the paper's DenseNet-BC: a 1x1 convolution before each 3x3 one (B), and half the maps after a block (C).
"""

from collections.abc import Sequence
from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture

GROWTH = 32  # maps that a layer adds


def densenet(images: Tensor, classes: int, blocks: Sequence[int]) -> Tensor:
    """Return the logits; blocks: how many layers in each."""
    x = nn.Conv2d(2 * GROWTH, 7, stride=2, padding=3, bias=False, name="features_conv0")(images)  # -> (112, 112, 64)
    x = nn.ReLU(name="features_relu0")(nn.BatchNorm(name="features_norm0")(x))
    x = nn.MaxPool2d(3, stride=2, padding=1, name="features_pool0")(x)  # -> (56, 56, 64)
    for i, layers in enumerate(blocks, start=1):  # 56 -> 28 -> 14 -> 7 pixels
        for j in range(1, layers + 1):  # (H, W, C) -> (H, W, C + 32 layers)
            x = nn.Concat()(x, dense_layer(x, f"features_denseblock{i}_denselayer{j}"))
        if i < len(blocks):
            x = transition(x, f"features_transition{i}")
    x = nn.ReLU()(nn.BatchNorm(name="features_norm5")(x))
    return nn.Linear(classes, name="classifier")(nn.GlobalAvgPool2d()(x))


def dense_layer(x: Tensor, name: str) -> Tensor:
    """Return a layer's new maps, given all maps before it: (H, W, C) -> (H, W, 128) -> (H, W, 32)."""
    x = nn.ReLU()(nn.BatchNorm(name=f"{name}_norm1")(x))
    x = nn.Conv2d(4 * GROWTH, 1, bias=False, name=f"{name}_conv1")(x)
    x = nn.ReLU()(nn.BatchNorm(name=f"{name}_norm2")(x))
    return nn.Conv2d(GROWTH, 3, padding=1, bias=False, name=f"{name}_conv2")(x)


def transition(x: Tensor, name: str) -> Tensor:
    """Halve the maps and the image: (H, W, C) -> (H / 2, W / 2, C / 2)."""
    x = nn.ReLU()(nn.BatchNorm(name=f"{name}_norm")(x))
    x = nn.Conv2d(x.shape[-1] // 2, 1, bias=False, name=f"{name}_conv")(x)
    return nn.AvgPool2d(2, name=f"{name}_pool")(x)


PAPER = "arXiv 1608.06993"
NEW = "every layer reads the maps of all before it"
ARCHITECTURES = {
    "densenet121": Architecture(partial(densenet, blocks=(6, 12, 24, 16)), 2016, PAPER, NEW),
    "densenet169": Architecture(partial(densenet, blocks=(6, 12, 32, 32)), 2016, PAPER, NEW),
    "densenet201": Architecture(partial(densenet, blocks=(6, 12, 48, 32)), 2016, PAPER, NEW),
}
