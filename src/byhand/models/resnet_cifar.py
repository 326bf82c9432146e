"""ResNet for CIFAR's small images: three stages of equal depth, and shortcuts without parameters.

He, Zhang, Ren & Sun 2015, "Deep residual learning for image recognition", section 4.2, arXiv 1512.03385. What was new, beside
`resnet.py`: that depth helps here too, from 20 layers to 110 (6 n + 2, with n units a stage), at a hundredth of the size.

    name              units a stage    parameters at 10 classes
    resnet20_cifar     3                 269,722
    resnet32_cifar     5                 464,154
    resnet44_cifar     7                 658,586
    resnet56_cifar     9                 853,018
    resnet110_cifar   18               1,727,962

Where a unit halves the image and doubles the channels, the shortcut is the paper's option A: every second pixel, and zeros for
the new channels. The paper does not say on which side; here half of them are on each, as in the common PyTorch weights
(github.com/akamaster/pytorch_resnet_cifar10, whose module names these are).
"""

from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import cifar_architecture
from byhand.models.blocks import conv_norm


def resnet_cifar(images: Tensor, classes: int, units: int) -> Tensor:
    """Return the logits; units: how many in each of the three stages."""
    x = conv_norm(images, 16, 3, ("conv1", "bn1"))  # (32, 32, 3) -> (32, 32, 16)
    for stage, filters in enumerate((16, 32, 64)):  # 32 -> 16 -> 8 pixels
        for i in range(units):
            x = unit(x, filters, 2 if i == 0 and stage > 0 else 1, f"layer{stage + 1}_{i}")
    return nn.Linear(classes, name="linear")(nn.GlobalAvgPool2d()(x))


def unit(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Add a unit of two 3x3 convolutions: (H, W, C) -> (H / stride, W / stride, filters)."""
    y = conv_norm(x, filters, 3, (f"{name}_conv1", f"{name}_bn1"), stride=stride)
    y = conv_norm(y, filters, 3, (f"{name}_conv2", f"{name}_bn2"), None)
    return nn.ReLU(name=name)(y + shortcut(x, filters, stride))


def shortcut(x: Tensor, filters: int, stride: int) -> Tensor:
    """Return x, or, where the unit changes its shape, every second pixel with zeros for the new channels: option A."""
    if stride > 1:
        x = nn.AvgPool2d(1, stride=stride)(x)
    _, height, width, channels = x.shape
    if channels == filters:
        return x
    new = filters - channels
    # A pad works on the two middle axes: the channels become one of them.
    rows = nn.Reshape(height * width, channels, 1)(x)
    rows = nn.Pad2d((0, 0, new // 2, new - new // 2))(rows)
    return nn.Reshape(height, width, filters)(rows)


PAPER = "arXiv 1512.03385"
NEW = "shortcuts without parameters: small images, up to 110 layers"
ARCHITECTURES = {
    f"resnet{6 * units + 2}_cifar": cifar_architecture(partial(resnet_cifar, units=units), 2015, PAPER, NEW)
    for units in (3, 5, 7, 9, 18)
}
