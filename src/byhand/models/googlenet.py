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


class Config(NamedTuple):
    """The differences between torchvision's network and the paper's."""

    conv: Callable[..., Tensor]  # a convolution and what follows it
    large: int  # size of a module's large filters
    local_norm: Callable[[Tensor], Tensor]  # after the first pooling and before the second
    window: int  # of the fourth pooling
    dropout: float


def googlenet(images: Tensor, classes: int, auxiliary: bool = False) -> Tensor | tuple[Tensor, Heads]:
    """Return the logits; with auxiliary=True (logits, [(auxiliary logits, their weight), ...])."""
    return network(
        images, classes, auxiliary, Config(conv=conv_bn_relu, large=3, local_norm=lambda x: x, window=2, dropout=0.2)
    )


def paper(images: Tensor, classes: int, auxiliary: bool = False) -> Tensor | tuple[Tensor, Heads]:
    """Return the logits of the paper's network, its table 1, as `googlenet` does."""
    return network(
        images,
        classes,
        auxiliary,
        Config(conv=conv_relu, large=5, local_norm=local_response_norm, window=3, dropout=0.4),
    )


def network(images: Tensor, classes: int, auxiliary: bool, config: Config) -> Tensor | tuple[Tensor, Heads]:
    """Return the logits; with auxiliary=True also those of the auxiliary heads."""
    conv, module = config.conv, partial(inception, config)
    max_pool = partial(nn.MaxPool2d, 3, stride=2, ceil_mode=True)
    x = conv(images, 64, 7, "conv1", stride=2)  # (224, 224, 3) -> (112, 112, 64)
    x = config.local_norm(max_pool()(x))  # -> (56, 56, 64)
    x = conv(x, 64, 1, "conv2")
    x = config.local_norm(conv(x, 192, 3, "conv3"))
    x = max_pool()(x)  # -> (28, 28, 192)
    x = module(x, 64, (96, 128), (16, 32), 32, "inception3a")  # -> (28, 28, 256)
    x = module(x, 128, (128, 192), (32, 96), 64, "inception3b")  # -> (28, 28, 480)
    x = max_pool()(x)  # -> (14, 14, 480)
    x = early = module(x, 192, (96, 208), (16, 48), 64, "inception4a")  # -> (14, 14, 512)
    x = module(x, 160, (112, 224), (24, 64), 64, "inception4b")
    x = module(x, 128, (128, 256), (24, 64), 64, "inception4c")
    x = late = module(x, 112, (144, 288), (32, 64), 64, "inception4d")  # -> (14, 14, 528)
    x = module(x, 256, (160, 320), (32, 128), 128, "inception4e")  # -> (14, 14, 832)
    x = nn.MaxPool2d(config.window, stride=2, ceil_mode=True)(x)  # -> (7, 7, 832)
    x = module(x, 256, (160, 320), (32, 128), 128, "inception5a")
    x = module(x, 384, (192, 384), (48, 128), 128, "inception5b")  # -> (7, 7, 1024)
    x = nn.Dropout(config.dropout)(nn.GlobalAvgPool2d()(x))
    logits = nn.Linear(classes, name="fc")(x)
    if not auxiliary:
        return logits
    return logits, [
        (auxiliary_head(early, classes, "aux1", conv), 0.3),
        (auxiliary_head(late, classes, "aux2", conv), 0.3),
    ]


def conv_bn_relu(x: Tensor, filters: int, kernel: int, name: str, stride: int = 1) -> Tensor:
    """Return a convolution, a batch norm, a ReLU."""
    return conv_norm(x, filters, kernel, (f"{name}_conv", f"{name}_bn"), stride=stride, eps=1e-3)


def conv_relu(x: Tensor, filters: int, kernel: int, name: str, stride: int = 1) -> Tensor:
    """Return a convolution with a bias, a ReLU."""
    return nn.ReLU()(nn.Conv2d(filters, kernel, stride=stride, padding=kernel // 2, name=f"{name}_conv")(x))


def local_response_norm(x: Tensor) -> Tensor:
    """Return a local response normalization."""
    return nn.LRN(5)(x)


def inception(
    config: Config, x: Tensor, single: int, three: tuple[int, int], large: tuple[int, int], pooled: int, name: str
) -> Tensor:
    """Return an inception module: four branches of the same maps, concatenated.

    single: filters of the 1x1 branch; three, large: filters of a 1x1 reduction and of the convolution after it; pooled: filters
    of the branch with a pooling.
    """
    conv, pool = config.conv, nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True)(x)
    return nn.Concat(name=name)(
        conv(x, single, 1, f"{name}_branch1"),
        conv(conv(x, three[0], 1, f"{name}_branch2_0"), three[1], 3, f"{name}_branch2_1"),
        conv(conv(x, large[0], 1, f"{name}_branch3_0"), large[1], config.large, f"{name}_branch3_1"),
        conv(pool, pooled, 1, f"{name}_branch4_1"),
    )


def auxiliary_head(x: Tensor, classes: int, name: str, conv: Callable[..., Tensor]) -> Tensor:
    """Return the logits of an auxiliary classifier; maps under 5x5, of small images, are not averaged."""
    height, width = x.shape[1:3]
    if height % 4 == 0 and width % 4 == 0:
        x = nn.AvgPool2d((height // 4, width // 4))(x)
    elif min(height, width) >= 5:
        x = nn.AvgPool2d(5, stride=3)(x)  # (14, 14, 512) -> (4, 4, 512)
    x = conv(x, 128, 1, f"{name}_conv")
    x = nn.ReLU()(nn.Linear(1024, name=f"{name}_fc1")(nn.Flatten()(x)))
    return nn.Linear(classes, name=f"{name}_fc2")(nn.Dropout(0.7)(x))


NEW = "filters of several sizes side by side, auxiliary heads"
GOOGLENET = Architecture(googlenet, 2014, "arXiv 1409.4842", NEW, mean=0.5, std=0.5, auxiliary=True)
ARCHITECTURES = {"googlenet": replace(GOOGLENET, variants={"paper": replace(GOOGLENET, build=paper)})}
