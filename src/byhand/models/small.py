"""small: seven 3x3 convolutions and two shortcuts, for small images on a laptop's CPU.

byhand 2026. arXiv
"""

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import CIFAR, Architecture
from byhand.models.blocks import conv_norm

STEM, STAGES = 16, (32, 64)  # filters


def small(images: Tensor, classes: int) -> Tensor:
    """Return the logits."""
    x = halve(images, STEM, "stem")  # (32, 32, 3) -> (16, 16, 16)
    for stage, filters in enumerate(STAGES, 1):  # -> (8, 8, 32) -> (4, 4, 64)
        x = halve(x, filters, f"stage{stage}_down")
        x = unit(x, filters, f"stage{stage}")
    return nn.Linear(classes, name="head")(nn.GlobalAvgPool2d()(x))


def halve(x: Tensor, filters: int, name: str) -> Tensor:
    """Return a convolution and the maxima of its 2x2 pixels, then norm and ReLU: (H, W, C) -> (H / 2, W / 2, filters)."""
    x = nn.Conv2d(filters, 3, padding=1, bias=False, name=f"{name}_conv")(x)
    x = nn.MaxPool2d(2)(x)  # before the norm, which then has a quarter of the numbers to see to
    return nn.ReLU(name=name)(nn.BatchNorm(name=f"{name}_bn")(x))


def unit(x: Tensor, filters: int, name: str) -> Tensor:
    """Return x with two 3x3 convolutions added to it, of the same shape."""
    y = conv_norm(x, filters, 3, (f"{name}_unit1_conv", f"{name}_unit1_bn"))
    y = conv_norm(y, filters, 3, (f"{name}_unit2_conv", f"{name}_unit2_bn"), None)
    return nn.ReLU(name=name)(y + x)


ARCHITECTURES = {
    "small": Architecture(small, 2026, "byhand", "small images on a CPU: chosen by accuracy against seconds", **CIFAR),
}
