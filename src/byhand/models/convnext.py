"""ConvNeXt: a ResNet modernized step by step with the design choices of vision transformers, without attention.

Liu, Mao, Wu, Feichtenhofer, Darrell & Xie 2022, "A ConvNet for the 2020s", arXiv 2201.03545. What was new: the sum of many
known changes, each measured: 7x7 depthwise convolutions, few norms and activations (layer norm, GELU), an inverted
bottleneck, and a stem of 4x4 patches.

    name           what differs                                               parameters at 1,000 classes
    convnext_tiny  blocks (3, 3, 9, 3), maps (96, 192, 384, 768)               28,589,128

Images have their channels last, so that layer norm over the channels is layer norm over the last axis, and a fully connected
layer at every pixel is a 1x1 convolution. Left out: stochastic depth, which drops whole blocks in training.
"""

from functools import partial

import numpy as np

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture
from byhand.ops.op import Array
from byhand.shapes import Shape

STAGES = ((3, 96), (3, 192), (9, 384), (3, 768))  # blocks, maps
LayerNorm = partial(nn.LayerNorm, eps=1e-6)


def normal(rng: np.random.Generator, shape: Shape) -> Array:
    """The paper's first weights: normal, of deviation 0.02."""
    return 0.02 * rng.standard_normal(shape)


Conv2d = partial(nn.Conv2d, initializer=normal)


def convnext_tiny(images: Tensor, classes: int) -> Tensor:
    """Return the logits."""
    x = Conv2d(96, 4, stride=4, name="features_0_0")(images)  # (224, 224, 3) -> (56, 56, 96)
    x = LayerNorm(name="features_0_1")(x)
    for stage, (blocks, maps) in enumerate(STAGES):  # -> (56, 56, 96) -> (28, 28, 192) -> (14, 14, 384) -> (7, 7, 768)
        if stage:
            x = LayerNorm(name=f"features_{2 * stage}_0")(x)
            x = Conv2d(maps, 2, stride=2, name=f"features_{2 * stage}_1")(x)
        for number in range(blocks):
            x = block(x, f"features_{2 * stage + 1}_{number}")
    x = LayerNorm(name="classifier_0")(nn.GlobalAvgPool2d()(x))
    return nn.Linear(classes, initializer=normal, name="classifier_2")(x)


def block(x: Tensor, name: str) -> Tensor:
    """Return a block: each map by itself, then all maps of a pixel, wide and narrow again; a shortcut past all of it.

    What the block adds starts as next to nothing: its scale, one number a map, is 1e-6 at first.
    """
    shortcut, maps = x, x.shape[-1]
    x = Conv2d(maps, 7, padding=3, groups=maps, name=f"{name}_block_0")(x)
    x = LayerNorm(name=f"{name}_block_2")(x)
    x = nn.GELU()(Conv2d(4 * maps, 1, name=f"{name}_block_3")(x))
    x = Conv2d(maps, 1, name=f"{name}_block_5")(x)
    x = nn.Scale(1e-6, name=f"{name}_layer")(x)  # its parameter is the block's layer_scale
    return nn.Add(name=name)(x, shortcut)


ARCHITECTURES = {
    "convnext_tiny": Architecture(
        convnext_tiny,
        year=2022,
        paper="arXiv 2201.03545",
        new="the design choices of vision transformers, without attention",
    ),
}
