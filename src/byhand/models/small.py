"""small: seven 3x3 convolutions and two shortcuts, for small images on a laptop's CPU.

byhand 2026: no paper's network, but one chosen by measurement from the ideas of these. Only 3x3 convolutions (Simonyan &
Zisserman 2014, arXiv 1409.1556), norms in place of biases (Ioffe & Szegedy 2015, arXiv 1502.03167), shortcuts (He, Zhang, Ren
& Sun 2015, arXiv 1512.03385), means of all pixels in place of large matrices (Lin, Chen & Yan 2013, arXiv 1312.4400), and
pooling between a convolution and its norm (as in Jordan 2024, arXiv 2404.00498): the pooling is then part of the
convolution's kernel, and the norm sees a quarter of the numbers. Filters come in multiples of 16, which a tile takes at once.

    network                   parameters   MFLOPs   time   CIFAR-10, 2 epochs   5 epochs   MNIST, 3 epochs
    lenet5                        83,126      1.8    1                             65.0 %            99.09 %
    plain, 16-32-64               24,346      5.6    2.7                           71.2 %            99.04 %
    without shortcuts             70,618      8.0    3.4                 69.8 %
    small                        116,890     10.4    4.2                 71.9 %    77.9 %            99.35 %
    plain, 32-64-128              94,762     20.7    6.7                 69.9 %
    wider, 16-48-96              258,042     20.4    7.7                 74.3 %
    one shortcut, 32-64-96       149,930     27.8    9.2                 73.5 %
    stride for pooling           233,066     29.1    9.1                 75.1 %
    resnet20_cifar               269,722     81.6   33

Accuracies on 10,000 test images, one seed each, so that half a point says little; every training has a cycle of the learning
rate of its own, up to 0.1; CIFAR-10, from a copy in JPEG, is shifted by 2 pixels at most and mirrored. On MNIST, small and the
plain one had pixels scaled to mean 0 and variance 1, lenet5, which then failed at that rate, to -0.5 to 0.5. Time: a training
step on CIFAR's images, in lenet5's, which is some 125 us an image on one core of a Zen 3 with AVX2; medians, all in turn,
twice.

small's 5 epochs took that core 146 s; the 2 of those below it took 98 to 128 s, and one of resnet20_cifar, to 63.2 %, 207 s.
Plain: a convolution for each halving, no more; without shortcuts: with one more a stage, where small has two. Depthwise
separable convolutions, at 13.2 MFLOPs, took 10 times lenet5's. `scripts/choose_small.py` measures most of this again.
"""

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import CIFAR, Architecture
from byhand.models.blocks import conv_norm


def small(images: Tensor, classes: int) -> Tensor:
    """Return the logits: of photographs, whose kinds take two million parameters to tell apart."""
    return network(images, classes, 64, (128, 256))


def tiny(images: Tensor, classes: int) -> Tensor:
    """Return the logits of small with a quarter of its filters, a fifteenth of the work: for digits, or a microcontroller."""
    return network(images, classes, 16, (32, 64))


def network(images: Tensor, classes: int, stem: int, stages: tuple[int, ...]) -> Tensor:
    """Return the logits of a network of so many filters, in its first layer and in each stage."""
    x = halve(images, stem, "stem")  # (32, 32, 3) -> (16, 16, 64)
    for stage, filters in enumerate(stages, 1):  # -> (8, 8, 128) -> (4, 4, 256)
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
    y = conv_norm(y, filters, 3, (f"{name}_unit2_conv", f"{name}_unit2_bn"))
    return x + y


ARCHITECTURES = {
    "small": Architecture(small, 2026, "byhand", "small photographs on a CPU, by accuracy against seconds", **CIFAR),
    "tiny": Architecture(
        tiny, 2026, "byhand", "small with a quarter of its filters: digits, microcontrollers", **CIFAR
    ),
}
