"""Inception v3: large filters factorized into small ones, a 7x7 into a 1x7 and a 7x1.

Szegedy, Vanhoucke, Ioffe, Shlens & Wojna 2015, "Rethinking the inception architecture for computer vision", arXiv
1512.00567. What was new: factorized filters, reduction by a convolution and a pooling side by side, an auxiliary
classifier with batch norm, label smoothing.

    name          what differs                                  parameters at 1,000 classes
    inception_v3                                                23,834,568
                  auxiliary=True: one more head, weight 0.4     27,161,264

Images are 299x299. This is torchvision's network, which follows TensorFlow's: its first layers are not those of the paper's
table 1, which has three 3x3 convolutions in place of a 1x1, a 3x3 and the second pooling.
"""

from functools import partial
from typing import Any

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture
from byhand.models.blocks import conv_norm

Heads = list[tuple[Tensor, float]]
max_pool = partial(nn.MaxPool2d, 3, stride=2)


def inception_v3(images: Tensor, classes: int, auxiliary: bool = False) -> Tensor | tuple[Tensor, Heads]:
    """Return the logits; with auxiliary=True (logits, [(auxiliary logits, their weight)])."""
    x = conv_bn_relu(images, 32, 3, "Conv2d_1a_3x3", stride=2, padding=0)  # (299, 299, 3) -> (149, 149, 32)
    x = conv_bn_relu(x, 32, 3, "Conv2d_2a_3x3", padding=0)  # -> (147, 147, 32)
    x = conv_bn_relu(x, 64, 3, "Conv2d_2b_3x3")
    x = max_pool()(x)  # -> (73, 73, 64)
    x = conv_bn_relu(x, 80, 1, "Conv2d_3b_1x1")
    x = conv_bn_relu(x, 192, 3, "Conv2d_4a_3x3", padding=0)  # -> (71, 71, 192)
    x = max_pool()(x)  # -> (35, 35, 192)
    x = inception_a(x, 32, "Mixed_5b")  # -> (35, 35, 256)
    x = inception_a(x, 64, "Mixed_5c")  # -> (35, 35, 288)
    x = inception_a(x, 64, "Mixed_5d")
    x = inception_b(x, "Mixed_6a")  # -> (17, 17, 768)
    x = inception_c(x, 128, "Mixed_6b")
    x = inception_c(x, 160, "Mixed_6c")
    x = inception_c(x, 160, "Mixed_6d")
    x = middle = inception_c(x, 192, "Mixed_6e")
    x = inception_d(x, "Mixed_7a")  # -> (8, 8, 1280)
    x = inception_e(x, "Mixed_7b")  # -> (8, 8, 2048)
    x = inception_e(x, "Mixed_7c")
    x = nn.Dropout(0.5)(nn.GlobalAvgPool2d()(x))
    logits = nn.Linear(classes, name="fc")(x)
    return (logits, [(auxiliary_head(middle, classes, "AuxLogits"), 0.4)]) if auxiliary else logits


def conv_bn_relu(x: Tensor, filters: int, kernel: Any, name: str, **settings: Any) -> Tensor:
    """Return a convolution, a batch norm, a ReLU."""
    return conv_norm(x, filters, kernel, (f"{name}_conv", f"{name}_bn"), eps=1e-3, **settings)


def conv_chain(x: Tensor, name: str, *layers: tuple[int, Any], stride: int = 1) -> Tensor:
    """Return convolutions one after the other, name_1, name_2, ..., of (filters, kernel); the last may have a stride."""
    for number, (filters, kernel) in enumerate(layers, 1):
        last = {"stride": stride, "padding": 0} if number == len(layers) and stride > 1 else {}
        x = conv_bn_relu(x, filters, kernel, f"{name}_{number}", **last)
    return x


def pool_branch(x: Tensor, filters: int, name: str) -> Tensor:
    """Return the branch of a 3x3 average pooling and a 1x1 convolution."""
    return conv_bn_relu(nn.AvgPool2d(3, stride=1, padding=1)(x), filters, 1, f"{name}_branch_pool")


def inception_a(x: Tensor, filters: int, name: str) -> Tensor:
    """Return the paper's figure 5, torchvision's InceptionA: 1x1, 5x5, two 3x3, average pooling. filters: of the last."""
    return nn.Concat(name=name)(
        conv_bn_relu(x, 64, 1, f"{name}_branch1x1"),
        conv_chain(x, f"{name}_branch5x5", (48, 1), (64, 5)),
        conv_chain(x, f"{name}_branch3x3dbl", (64, 1), (96, 3), (96, 3)),
        pool_branch(x, filters, name),
    )


def inception_b(x: Tensor, name: str) -> Tensor:
    """Return figure 10, InceptionB: half the size, by convolutions and by pooling side by side."""
    return nn.Concat(name=name)(
        conv_bn_relu(x, 384, 3, f"{name}_branch3x3", stride=2, padding=0),
        conv_chain(x, f"{name}_branch3x3dbl", (64, 1), (96, 3), (96, 3), stride=2),
        max_pool()(x),
    )


def inception_c(x: Tensor, width: int, name: str) -> Tensor:
    """Return figure 6, InceptionC: 7x7 filters as 1x7 and 7x1. width: filters before the last of a branch."""
    row, column = (1, 7), (7, 1)
    return nn.Concat(name=name)(
        conv_bn_relu(x, 192, 1, f"{name}_branch1x1"),
        conv_chain(x, f"{name}_branch7x7", (width, 1), (width, row), (192, column)),
        conv_chain(x, f"{name}_branch7x7dbl", (width, 1), (width, column), (width, row), (width, column), (192, row)),
        pool_branch(x, 192, name),
    )


def inception_d(x: Tensor, name: str) -> Tensor:
    """Return half the size again, InceptionD: figure 10 with a factorized 7x7."""
    return nn.Concat(name=name)(
        conv_chain(x, f"{name}_branch3x3", (192, 1), (320, 3), stride=2),
        conv_chain(x, f"{name}_branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3), stride=2),
        max_pool()(x),
    )


def inception_e(x: Tensor, name: str) -> Tensor:
    """Return figure 7, InceptionE: 1x3 and 3x1 filters side by side, on the smallest maps."""
    single = conv_bn_relu(x, 384, 1, f"{name}_branch3x3_1")
    double = conv_chain(x, f"{name}_branch3x3dbl", (448, 1), (384, 3))
    return nn.Concat(name=name)(
        conv_bn_relu(x, 320, 1, f"{name}_branch1x1"),
        conv_bn_relu(single, 384, (1, 3), f"{name}_branch3x3_2a"),
        conv_bn_relu(single, 384, (3, 1), f"{name}_branch3x3_2b"),
        conv_bn_relu(double, 384, (1, 3), f"{name}_branch3x3dbl_3a"),
        conv_bn_relu(double, 384, (3, 1), f"{name}_branch3x3dbl_3b"),
        pool_branch(x, 192, name),
    )


def auxiliary_head(x: Tensor, classes: int, name: str) -> Tensor:
    """Return the logits of the auxiliary head (figure 8)."""
    x = nn.AvgPool2d(5, stride=3)(x)  # (17, 17, 768) -> (5, 5, 768)
    x = conv_bn_relu(x, 128, 1, f"{name}_conv0")
    x = conv_bn_relu(x, 768, 5, f"{name}_conv1", padding=0)  # -> (1, 1, 768)
    return nn.Linear(classes, name=f"{name}_fc")(nn.GlobalAvgPool2d()(x))


ARCHITECTURES = {
    "inception_v3": Architecture(
        inception_v3,
        year=2015,
        paper="arXiv 1512.00567",
        new="large filters factorized into small ones",
        image=(299, 299, 3),
        mean=0.5,
        std=0.5,
        auxiliary=True,
    ),
}
