"""Pre-activation ResNet: norm and ReLU precede each convolution, and the shortcuts are pure additions.

He, Zhang, Ren & Sun 2016, "Identity mappings in deep residual networks", arXiv 1603.05027. What was new: no op follows the
sum of a unit, so that signals and gradients pass from any unit to any other by additions alone; 1,001 layers train.

    name                     units a stage    unit          parameters
    preact_resnet18          2, 2, 2, 2       basic         11,687,720 at 1,000 classes
    preact_resnet50          3, 4, 6, 3       bottleneck    25,549,352
    preact_resnet164_cifar   18, 18, 18       bottleneck     1,703,258 at 10 classes

The last is the paper's for CIFAR (1.7 million parameters); for ImageNet the paper has 101, 152 and 200 layers, and 18 and 50
are smaller networks of the same kind. The stem activates the input of the first unit (the paper's appendix), and a 1x1
convolution on a shortcut reads the activated input, as in the authors' code.
"""

from collections.abc import Callable, Sequence
from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture, cifar_architecture

Unit = Callable[[Tensor, Tensor, int, int, str], Tensor]


def preact_resnet(images: Tensor, classes: int, unit: Unit, units: Sequence[int]) -> Tensor:
    """Return the logits: a stem, four stages of units, a last norm and ReLU, an average, a classifier."""
    x = norm_relu(conv(images, 64, 7, "conv1", stride=2), "bn1")  # (224, 224, 3) -> (112, 112, 64)
    x = nn.MaxPool2d(3, stride=2, padding=1)(x)  # -> (56, 56, 64)
    return head(stages(x, unit, (64, 128, 256, 512), units), classes)  # 56 -> 28 -> 14 -> 7 pixels


def preact_resnet_cifar(images: Tensor, classes: int, unit: Unit, units: Sequence[int]) -> Tensor:
    """Return the logits: the same for 32x32 images, in three stages."""
    x = norm_relu(conv(images, 16, 3, "conv1"), "bn1")  # (32, 32, 3) -> (32, 32, 16)
    return head(stages(x, unit, (16, 32, 64), units), classes)  # 32 -> 16 -> 8 pixels


def stages(x: Tensor, unit: Unit, filters: Sequence[int], units: Sequence[int]) -> Tensor:
    """Add the units; from the second stage on, the first of each halves the image. x is activated."""
    for stage, (width, count) in enumerate(zip(filters, units)):
        for i in range(count):
            name = f"layer{stage + 1}_{i}"
            activated = x if stage == i == 0 else norm_relu(x, f"{name}_bn1")
            x = unit(x, activated, width, 2 if i == 0 and stage > 0 else 1, name)
    return x


def basic(x: Tensor, activated: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Add a unit of two 3x3 convolutions: (H, W, C) -> (H / stride, W / stride, filters); activated: x after norm and ReLU."""
    y = conv(activated, filters, 3, f"{name}_conv1", stride=stride)
    y = conv(norm_relu(y, f"{name}_bn2"), filters, 3, f"{name}_conv2")
    return nn.Add(name=name)(y, shortcut(x, activated, filters, stride, name))


def bottleneck(x: Tensor, activated: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Add a unit whose 3x3 convolution works on a quarter of the channels: (H, W, C) -> (H / stride, W / stride, 4 filters)."""
    y = conv(activated, filters, 1, f"{name}_conv1")  # fewer channels
    y = conv(norm_relu(y, f"{name}_bn2"), filters, 3, f"{name}_conv2", stride=stride)
    y = conv(norm_relu(y, f"{name}_bn3"), 4 * filters, 1, f"{name}_conv3")  # and back
    return nn.Add(name=name)(y, shortcut(x, activated, 4 * filters, stride, name))


def shortcut(x: Tensor, activated: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Return x as it is, or, where the unit changes its shape, a 1x1 projection of the activated x."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    return conv(activated, filters, 1, f"{name}_downsample", stride=stride)


def head(x: Tensor, classes: int) -> Tensor:
    """Return the logits: the last sum is activated too."""
    return nn.Linear(classes, name="fc")(nn.GlobalAvgPool2d()(norm_relu(x, "bn")))


def norm_relu(x: Tensor, norm: str) -> Tensor:
    """Add a norm and a ReLU."""
    return nn.ReLU()(nn.BatchNorm(name=norm)(x))


def conv(x: Tensor, filters: int, kernel: int, name: str, stride: int = 1) -> Tensor:
    """Add a convolution that keeps the image's size but for its stride; a norm before or after it has the bias."""
    return nn.Conv2d(filters, kernel, stride=stride, padding=kernel // 2, bias=False, name=name)(x)


PAPER = "arXiv 1603.05027"
NEW = "norm and ReLU before the convolutions: nothing on the shortcut"
ARCHITECTURES = {
    "preact_resnet18": Architecture(partial(preact_resnet, unit=basic, units=(2, 2, 2, 2)), 2016, PAPER, NEW),
    "preact_resnet50": Architecture(partial(preact_resnet, unit=bottleneck, units=(3, 4, 6, 3)), 2016, PAPER, NEW),
    "preact_resnet164_cifar": cifar_architecture(
        partial(preact_resnet_cifar, unit=bottleneck, units=(18, 18, 18)), 2016, PAPER, NEW
    ),
}
