"""MobileNet: depthwise separable convolutions, at an eighth of the work of ordinary ones.

Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto & Adam 2017, "MobileNets: Efficient convolutional neural networks
for mobile vision applications", arXiv 1704.04861. What was new: a network built almost wholly of depthwise separable
convolutions (one filter for each channel, then 1x1 filters over all channels), and a width multiplier to fit a phone.

    name          what differs              parameters at 1,000 classes
    mobilenet_v1  the paper's, of width 1   4,231,976

torchvision has no such network; the names of the layers are byhand's own.
"""

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture
from byhand.models.blocks import conv_norm

# the paper's table 1, of each depthwise separable convolution: filters, stride
BLOCKS = (
    (64, 1),  # (112, 112, 32) -> (112, 112, 64)
    (128, 2), (128, 1),  # -> (56, 56, 128)
    (256, 2), (256, 1),  # -> (28, 28, 256)
    (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),  # -> (14, 14, 512)
    (1024, 2), (1024, 1),  # -> (7, 7, 1024)
)  # fmt: skip


def mobilenet_v1(images: Tensor, classes: int) -> Tensor:
    """Return the logits."""
    x = conv_norm(images, 32, 3, ("features_0_conv", "features_0_bn"), stride=2)  # (224, 224, 3) -> (112, 112, 32)
    for number, (filters, stride) in enumerate(BLOCKS, 1):
        x = separable(x, filters, stride, f"features_{number}")
    return nn.Linear(classes, name="classifier")(nn.GlobalAvgPool2d()(x))


def separable(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Return a depthwise separable convolution: a 3x3 filter for each channel, then 1x1 filters over all."""
    maps = x.shape[-1]
    x = conv_norm(x, maps, 3, (f"{name}_depthwise", f"{name}_bn1"), stride=stride, groups=maps)
    return conv_norm(x, filters, 1, (f"{name}_pointwise", f"{name}_bn2"))


ARCHITECTURES = {
    "mobilenet_v1": Architecture(
        mobilenet_v1, year=2017, paper="arXiv 1704.04861", new="depthwise separable convolutions all the way"
    ),
}
