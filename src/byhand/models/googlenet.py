"""GoogLeNet: inception modules, with filters of several sizes side by side, in twenty-two layers.

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke & Rabinovich 2014, "Going deeper with convolutions", arXiv
1409.4842. What was new: the inception module, whose 1x1 convolutions keep wide layers cheap; global average pooling in place of
fully connected layers; auxiliary classifiers half way, whose losses reach the early layers in training.

    name                          what differs                    parameters at 1,000 classes
    googlenet                                                      6,624,904
                                  auxiliary=True: two more heads  13,004,888
    googlenet, variant="paper"                                     6,998,552
                                  auxiliary=True                  13,378,280

The first is torchvision's: batch norm after every convolution in place of the paper's local response normalization, 3x3 filters
where the paper has 5x5, dropout 0.2 in place of 0.4 before the last layer. The loss of each auxiliary classifier has the weight
0.3. Its maps are averaged from 14x14 to 4x4 with the paper's 5x5 windows; torchvision uses other windows.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture
from byhand.models.blocks import conv_norm

Heads = list[tuple[Tensor, float]]


class Parts(NamedTuple):
    """The differences between torchvision's network and the paper's."""

    basic: Callable[..., Tensor]  # a convolution and what follows it
    large: int  # size of a module's large filters
    normal: Callable[[Tensor], Tensor]  # after the first pooling and before the second
    window: int  # of the fourth pooling
    dropout: float


def googlenet(images: Tensor, classes: int, auxiliary: bool = False) -> Tensor | tuple[Tensor, Heads]:
    """Return the logits; with auxiliary=True (logits, [(auxiliary logits, their weight), ...])."""
    return network(images, classes, auxiliary, Parts(basic=normed, large=3, normal=lambda x: x, window=2, dropout=0.2))


def paper(images: Tensor, classes: int, auxiliary: bool = False) -> Tensor | tuple[Tensor, Heads]:
    """Return the logits of the paper's network, its table 1, as `googlenet` does."""
    return network(images, classes, auxiliary, Parts(basic=biased, large=5, normal=local, window=3, dropout=0.4))


def network(images: Tensor, classes: int, auxiliary: bool, parts: Parts) -> Tensor | tuple[Tensor, Heads]:
    """Return the logits, with auxiliary=True those of the heads too."""
    basic, inception = parts.basic, partial(module, parts)
    shrink = partial(nn.MaxPool2d, 3, stride=2, ceil_mode=True)
    x = basic(images, 64, 7, "conv1", stride=2)  # (224, 224, 3) -> (112, 112, 64)
    x = parts.normal(shrink()(x))  # -> (56, 56, 64)
    x = basic(x, 64, 1, "conv2")
    x = parts.normal(basic(x, 192, 3, "conv3"))
    x = shrink()(x)  # -> (28, 28, 192)
    x = inception(x, 64, (96, 128), (16, 32), 32, "inception3a")  # -> (28, 28, 256)
    x = inception(x, 128, (128, 192), (32, 96), 64, "inception3b")  # -> (28, 28, 480)
    x = shrink()(x)  # -> (14, 14, 480)
    x = early = inception(x, 192, (96, 208), (16, 48), 64, "inception4a")  # -> (14, 14, 512)
    x = inception(x, 160, (112, 224), (24, 64), 64, "inception4b")
    x = inception(x, 128, (128, 256), (24, 64), 64, "inception4c")
    x = late = inception(x, 112, (144, 288), (32, 64), 64, "inception4d")  # -> (14, 14, 528)
    x = inception(x, 256, (160, 320), (32, 128), 128, "inception4e")  # -> (14, 14, 832)
    x = nn.MaxPool2d(parts.window, stride=2, ceil_mode=True)(x)  # -> (7, 7, 832)
    x = inception(x, 256, (160, 320), (32, 128), 128, "inception5a")
    x = inception(x, 384, (192, 384), (48, 128), 128, "inception5b")  # -> (7, 7, 1024)
    x = nn.Dropout(parts.dropout)(nn.GlobalAvgPool2d()(x))
    logits = nn.Linear(classes, name="fc")(x)
    if not auxiliary:
        return logits
    return logits, [(head(early, classes, "aux1", basic), 0.3), (head(late, classes, "aux2", basic), 0.3)]


def normed(x: Tensor, filters: int, kernel: int, name: str, stride: int = 1) -> Tensor:
    """Return a convolution, a batch norm, a ReLU."""
    return conv_norm(x, filters, kernel, (f"{name}_conv", f"{name}_bn"), stride=stride, eps=1e-3)


def biased(x: Tensor, filters: int, kernel: int, name: str, stride: int = 1) -> Tensor:
    """Return a convolution with a bias, a ReLU."""
    return nn.ReLU()(nn.Conv2d(filters, kernel, stride=stride, padding=kernel // 2, name=f"{name}_conv")(x))


def local(x: Tensor) -> Tensor:
    """Return a local response normalization."""
    return nn.LRN(5)(x)


def module(
    parts: Parts, x: Tensor, single: int, three: tuple[int, int], large: tuple[int, int], pooled: int, name: str
) -> Tensor:
    """Return an inception module: four branches of the same maps, concatenated.

    single: filters of the 1x1 branch; three, large: filters of a 1x1 reduction and of the convolution after it; pooled: filters
    of the branch with a pooling.
    """
    basic, pool = parts.basic, nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True)(x)
    return nn.Concat(name=name)(
        basic(x, single, 1, f"{name}_branch1"),
        basic(basic(x, three[0], 1, f"{name}_branch2_0"), three[1], 3, f"{name}_branch2_1"),
        basic(basic(x, large[0], 1, f"{name}_branch3_0"), large[1], parts.large, f"{name}_branch3_1"),
        basic(pool, pooled, 1, f"{name}_branch4_1"),
    )


def head(x: Tensor, classes: int, name: str, basic: Callable[..., Tensor]) -> Tensor:
    """Return the logits of an auxiliary classifier; maps under 5x5, of small images, are not averaged."""
    height, width = x.shape[1:3]
    if height % 4 == 0 and width % 4 == 0:
        x = nn.AvgPool2d((height // 4, width // 4))(x)
    elif min(height, width) >= 5:
        x = nn.AvgPool2d(5, stride=3)(x)  # (14, 14, 512) -> (4, 4, 512)
    x = basic(x, 128, 1, f"{name}_conv")
    x = nn.ReLU()(nn.Linear(1024, name=f"{name}_fc1")(nn.Flatten()(x)))
    return nn.Linear(classes, name=f"{name}_fc2")(nn.Dropout(0.7)(x))


NEW = "filters of several sizes side by side, auxiliary heads"
GOOGLENET = Architecture(googlenet, 2014, "arXiv 1409.4842", NEW, mean=0.5, std=0.5, auxiliary=True)
ARCHITECTURES = {"googlenet": replace(GOOGLENET, variants={"paper": replace(GOOGLENET, build=paper)})}
