"""The networks of the benchmarks: those of `byhand.models`, PyTorch's MNIST example, and ResNets for 32x32 images."""

from byhand import models, nn
from byhand.graph import Tensor
from byhand.nn import Model


def article() -> Model:
    """Return the article's network."""
    return models.create("article")


def lenet5() -> Model:
    """Return LeNet-5."""
    return models.create("lenet5")


def mnist_example(dropout: bool = True) -> Model:
    """Return the network of PyTorch's own MNIST example (github.com/pytorch/examples, mnist/main.py)."""
    images = nn.Input(28, 28, 1)
    layers = nn.Sequential(
        nn.Conv2d(32, 3),  # (28, 28, 1) -> (26, 26, 32)
        nn.ReLU(),
        nn.Conv2d(64, 3),  # -> (24, 24, 64)
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (12, 12, 64)
        *([nn.Dropout(0.25)] if dropout else []),
        nn.Flatten(),  # -> (9216,)
        nn.Linear(128),
        nn.ReLU(),
        *([nn.Dropout(0.5)] if dropout else []),
        nn.Linear(10),
    )
    return Model(images, layers(images), name="mnist_example")


def resnet20() -> Model:
    """Return ResNet-20 for 32x32 images: He, Zhang, Ren & Sun 2015, section 4.2, arXiv 1512.03385."""
    return _resnet("resnet20", stages=(16, 32, 64), blocks=3)


def resnet18() -> Model:
    """Return ResNet-18 (the same paper, table 1) with the usual first layer for 32x32 images: 3x3, no pooling."""
    return _resnet("resnet18", stages=(64, 128, 256, 512), blocks=2)


def _resnet(name: str, stages: tuple[int, ...], blocks: int) -> Model:
    images = nn.Input(32, 32, 3)
    x = nn.ReLU()(_conv_bn(images, stages[0], 3))
    for filters in stages:
        for block in range(blocks):
            x = _block(x, filters, stride=2 if block == 0 and filters != stages[0] else 1)
    return Model(images, nn.Linear(10)(nn.GlobalAvgPool2d()(x)), name=name)


def _block(x: Tensor, filters: int, stride: int) -> Tensor:
    """Add a residual block of two convolutions; where the shape changes, its shortcut is a 1x1 convolution."""
    shortcut = x if x.shape[-1] == filters and stride == 1 else _conv_bn(x, filters, 1, stride)
    y = nn.ReLU()(_conv_bn(x, filters, 3, stride))
    return nn.ReLU()(_conv_bn(y, filters, 3) + shortcut)


def _conv_bn(x: Tensor, filters: int, kernel: int, stride: int = 1) -> Tensor:
    return nn.BatchNorm()(nn.Conv2d(filters, kernel, stride=stride, padding=kernel // 2, bias=False)(x))
