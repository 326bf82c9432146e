"""Pre-activation ResNet in plain PyTorch; each unit has its list of convolutions, and norms before them."""

from functools import partial

from torch import nn


class Unit(nn.Module):
    """kernels: of its convolutions, of which the one of `strided` takes the stride; first: its input is activated already."""

    def __init__(self, channels, widths, kernels, strided, stride, first):
        super().__init__()
        self.count, self.first, inside = len(widths), first, [channels, *widths]
        for i, kernel in enumerate(kernels):
            if i or not first:
                setattr(self, f"bn{i + 1}", nn.BatchNorm2d(inside[i]))
            one = nn.Conv2d(inside[i], inside[i + 1], kernel, stride if i == strided else 1, kernel // 2, bias=False)
            setattr(self, f"conv{i + 1}", one)
        if stride > 1 or channels != widths[-1]:
            self.downsample = nn.Conv2d(channels, widths[-1], 1, stride, bias=False)

    def forward(self, x):
        ready = x if self.first else self.bn1(x).relu()
        y = self.conv1(ready)
        for i in range(2, self.count + 1):
            y = getattr(self, f"conv{i}")(getattr(self, f"bn{i}")(y).relu())
        return y + (self.downsample(ready) if hasattr(self, "downsample") else x)


def basic(channels, width, stride, first):
    return Unit(channels, [width, width], [3, 3], 0, stride, first)


def bottleneck(channels, width, stride, first):
    return Unit(channels, [width, width, 4 * width], [1, 3, 1], 1, stride, first)


class PreActResNet(nn.Module):
    def __init__(self, unit, wider, widths, units, cifar=False, classes=1000):
        super().__init__()
        channels, self.cifar = widths[0], cifar
        self.conv1 = nn.Conv2d(3, channels, 3 if cifar else 7, 1 if cifar else 2, 1 if cifar else 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for stage, (width, count) in enumerate(zip(widths, units)):
            made = []
            for i in range(count):
                made.append(unit(channels, width, 2 if stage and not i else 1, not stage and not i))
                channels = wider * width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.count = len(units)
        self.bn = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = x if self.cifar else nn.functional.max_pool2d(x, 3, 2, 1)
        for stage in range(self.count):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(self.bn(x).relu().mean((2, 3)))


TWINS = {
    "preact_resnet18": partial(PreActResNet, basic, 1, (64, 128, 256, 512), (2, 2, 2, 2)),
    "preact_resnet50": partial(PreActResNet, bottleneck, 4, (64, 128, 256, 512), (3, 4, 6, 3)),
    "preact_resnet164_cifar": partial(PreActResNet, bottleneck, 4, (16, 32, 64), (18, 18, 18), cifar=True, classes=10),
}
