"""ResNet: residual units, which add a correction to their input, so that a hundred layers train.

He, Zhang, Ren & Sun 2015, "Deep residual learning for image recognition", arXiv 1512.03385. What was new: the shortcut. A unit
learns F in y = x + F(x). Gradients reach the first layers through the sums, and depth does no harm.

    name        units a stage    unit        parameters at 1,000 classes
    resnet18    2, 2, 2, 2       basic        11,689,512
    resnet34    3, 4, 6, 3       basic        21,797,672
    resnet50    3, 4, 6, 3       bottleneck   25,557,032
    resnet101   3, 4, 23, 3      bottleneck   44,549,160
    resnet152   3, 8, 36, 3      bottleneck   60,192,808

As in torchvision, a bottleneck halves the image in its 3x3 convolution; the paper's does so in the 1x1 convolution before it,
which never reads three quarters of the pixels. Where a unit changes the shape, the shortcut has a 1x1 convolution: the paper's
option B, in all variants. `resnet_cifar.py` has the paper's networks for small images.
"""

from collections.abc import Callable, Sequence
from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture
from byhand.models.blocks import conv_norm


def resnet(
    images: Tensor, classes: int, unit: Callable[[Tensor, int, int, str], Tensor], units: Sequence[int]
) -> Tensor:
    """Return the logits: a stem, four stages of units, an average, a classifier."""
    x = conv_norm(images, 64, 7, ("conv1", "bn1"), None, stride=2)  # (224, 224, 3) -> (112, 112, 64)
    x = nn.MaxPool2d(3, stride=2, padding=1, name="maxpool")(nn.ReLU(name="relu")(x))  # -> (56, 56, 64)
    for stage, count in enumerate(units):  # 56 -> 28 -> 14 -> 7 pixels, 64 -> 128 -> 256 -> 512 filters
        for i in range(count):
            x = unit(x, 64 * 2**stage, 2 if i == 0 and stage > 0 else 1, f"layer{stage + 1}_{i}")
    return nn.Linear(classes, name="fc")(nn.GlobalAvgPool2d(name="avgpool")(x))


def basic(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Add a unit of two 3x3 convolutions: (H, W, C) -> (H / stride, W / stride, filters)."""
    y = conv_norm(x, filters, 3, (f"{name}_conv1", f"{name}_bn1"), stride=stride)
    y = conv_norm(y, filters, 3, (f"{name}_conv2", f"{name}_bn2"), None)
    return nn.ReLU(name=name)(y + shortcut(x, filters, stride, name))


def bottleneck(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Add a unit whose 3x3 convolution works on a quarter of the channels: (H, W, C) -> (H / stride, W / stride, 4 filters)."""
    y = conv_norm(x, filters, 1, (f"{name}_conv1", f"{name}_bn1"))  # fewer channels
    y = conv_norm(y, filters, 3, (f"{name}_conv2", f"{name}_bn2"), stride=stride)
    y = conv_norm(y, 4 * filters, 1, (f"{name}_conv3", f"{name}_bn3"), None)  # and back
    return nn.ReLU(name=name)(y + shortcut(x, 4 * filters, stride, name))


def shortcut(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Return x as it is, or, where the unit changes its shape, through a 1x1 convolution."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    return conv_norm(x, filters, 1, (f"{name}_downsample_0", f"{name}_downsample_1"), None, stride=stride)


PAPER = "arXiv 1512.03385"
NEW = "shortcuts: units learn a correction to their input"
ARCHITECTURES = {
    "resnet18": Architecture(partial(resnet, unit=basic, units=(2, 2, 2, 2)), 2015, PAPER, NEW),
    "resnet34": Architecture(partial(resnet, unit=basic, units=(3, 4, 6, 3)), 2015, PAPER, NEW),
    "resnet50": Architecture(partial(resnet, unit=bottleneck, units=(3, 4, 6, 3)), 2015, PAPER, NEW),
    "resnet101": Architecture(partial(resnet, unit=bottleneck, units=(3, 4, 23, 3)), 2015, PAPER, NEW),
    "resnet152": Architecture(partial(resnet, unit=bottleneck, units=(3, 8, 36, 3)), 2015, PAPER, NEW),
}
