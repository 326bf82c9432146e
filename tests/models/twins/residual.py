"""ResNet, its CIFAR and pre-activation forms, small and tiny, DenseNet and ConvNeXt: networks with skip connections."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn


def projection(channels, filters, stride):
    """Return the shortcut of torchvision: the identity, or option B of the paper, a 1x1 convolution and a norm."""
    if channels == filters and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))


class ZeroPadding(nn.Module):
    """The shortcut of option A of the paper: every second pixel, new channels of zeros on both sides."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.stride, self.pad = stride, (filters - channels) // 2

    def forward(self, x):
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))


class Basic(nn.Module):
    expansion = 1

    def __init__(self, channels, filters, stride, shortcut=projection):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = shortcut(channels, filters, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.downsample(x)).relu()


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv3 = nn.Conv2d(filters, 4 * filters, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * filters)
        self.downsample = projection(channels, 4 * filters, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        y = self.bn3(self.conv3(y))
        return (y + self.downsample(x)).relu()


class ResNet(nn.Module):
    def __init__(self, unit, units, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, count in enumerate(units):
            filters, modules = 64 * 2**stage, []
            for i in range(count):
                modules.append(unit(channels, filters, 2 if i == 0 and stage else 1))
                channels = unit.expansion * filters
            setattr(self, f"layer{stage + 1}", nn.Sequential(*modules))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class ResNetCifar(nn.Module):
    """Shortcuts of option A, under the module names of the weights that are published."""

    def __init__(self, units, classes=10):
        super().__init__()
        unit = partial(Basic, shortcut=ZeroPadding)
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(unit(16, 16, 1) for _ in range(units)))
        self.layer2 = nn.Sequential(unit(16, 32, 2), *(unit(32, 32, 1) for _ in range(units - 1)))
        self.layer3 = nn.Sequential(unit(32, 64, 2), *(unit(64, 64, 1) for _ in range(units - 1)))
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
        return self.linear(x.mean((2, 3)))


class PreActUnit(nn.Module):
    """Norms before convolutions; strided: the index of the convolution that has the stride; first: the input is activated."""

    def __init__(self, channels, widths, kernels, strided, stride, first):
        super().__init__()
        self.count, self.first, inputs = len(widths), first, [channels, *widths]
        for i, kernel in enumerate(kernels):
            if i or not first:
                setattr(self, f"bn{i + 1}", nn.BatchNorm2d(inputs[i]))
            conv = nn.Conv2d(inputs[i], inputs[i + 1], kernel, stride if i == strided else 1, kernel // 2, bias=False)
            setattr(self, f"conv{i + 1}", conv)
        if stride > 1 or channels != widths[-1]:
            self.downsample = nn.Conv2d(channels, widths[-1], 1, stride, bias=False)

    def forward(self, x):
        activated = x if self.first else self.bn1(x).relu()
        y = self.conv1(activated)
        for i in range(2, self.count + 1):
            y = getattr(self, f"conv{i}")(getattr(self, f"bn{i}")(y).relu())
        return y + (self.downsample(activated) if hasattr(self, "downsample") else x)


def preact_basic(channels, width, stride, first):
    return PreActUnit(channels, [width, width], [3, 3], 0, stride, first)


def preact_bottleneck(channels, width, stride, first):
    return PreActUnit(channels, [width, width, 4 * width], [1, 3, 1], 1, stride, first)


class PreActResNet(nn.Module):
    def __init__(self, unit, expansion, widths, units, cifar=False, classes=1000):
        super().__init__()
        channels, self.cifar = widths[0], cifar
        self.conv1 = nn.Conv2d(3, channels, 3 if cifar else 7, 1 if cifar else 2, 1 if cifar else 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for stage, (width, count) in enumerate(zip(widths, units)):
            modules = []
            for i in range(count):
                modules.append(unit(channels, width, 2 if stage and not i else 1, not stage and not i))
                channels = expansion * width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*modules))
        self.count = len(units)
        self.bn = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = x if self.cifar else F.max_pool2d(x, 3, 2, 1)
        for stage in range(self.count):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(self.bn(x).relu().mean((2, 3)))


class ConvNorm(nn.Module):
    def __init__(self, channels, filters, pool=False):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(filters)
        self.pool = pool

    def forward(self, x):
        x = self.conv(x)
        return self.bn(F.max_pool2d(x, 2) if self.pool else x)


class SmallStage(nn.Module):
    def __init__(self, channels, filters):
        super().__init__()
        self.down = ConvNorm(channels, filters, pool=True)
        self.unit1 = ConvNorm(filters, filters)
        self.unit2 = ConvNorm(filters, filters)

    def forward(self, x):
        x = self.down(x).relu()
        return self.unit2(self.unit1(x).relu()).relu() + x


class Small(nn.Module):
    """byhand's own, under byhand's layer names."""

    def __init__(self, filters, classes=10, channels=3):
        super().__init__()
        self.stem = ConvNorm(channels, filters[0], pool=True)
        self.stage1 = SmallStage(*filters[:2])
        self.stage2 = SmallStage(*filters[1:])
        self.head = nn.Linear(filters[2], classes)

    def forward(self, x):
        return self.head(self.stage2(self.stage1(self.stem(x).relu())).mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 128, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(128)
        self.conv2 = nn.Conv2d(128, 32, 3, padding=1, bias=False)

    def forward(self, maps):
        x = self.conv1(self.norm1(torch.cat(maps, 1)).relu())
        return self.conv2(self.norm2(x).relu())


class DenseBlock(nn.ModuleDict):
    def __init__(self, channels, layers):
        super().__init__({f"denselayer{i + 1}": DenseLayer(channels + 32 * i) for i in range(layers)})

    def forward(self, x):
        maps = [x]
        for layer in self.values():
            maps.append(layer(maps))
        return torch.cat(maps, 1)


class Transition(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        return self.pool(self.conv(self.norm(x).relu()))


class DenseNet(nn.Module):
    def __init__(self, blocks, classes=1000):
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, 64, 7, 2, 3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(64))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        channels = 64
        for i, layers in enumerate(blocks, start=1):
            self.features.add_module(f"denseblock{i}", DenseBlock(channels, layers))
            channels += 32 * layers
            if i < len(blocks):
                self.features.add_module(f"transition{i}", Transition(channels))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        return self.classifier(self.features(x).relu().mean((2, 3)))


class LayerNorm2d(nn.LayerNorm):
    """Over the channels of NCHW images."""

    def forward(self, x):
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class Permute(nn.Module):
    def __init__(self, *order):
        super().__init__()
        self.order = order

    def forward(self, x):
        return x.permute(self.order)


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), 1e-6))

    def forward(self, x):
        return x + self.layer_scale * self.block(x)


class ConvNeXtTiny(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        layers, channels = [nn.Sequential(nn.Conv2d(3, 96, 4, 4), LayerNorm2d(96, eps=1e-6))], 96
        for filters, blocks in ((96, 3), (192, 3), (384, 9), (768, 3)):
            if filters != channels:
                layers.append(nn.Sequential(LayerNorm2d(channels, eps=1e-6), nn.Conv2d(channels, filters, 2, 2)))
            layers.append(nn.Sequential(*(ConvNeXtBlock(filters) for _ in range(blocks))))
            channels = filters
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(LayerNorm2d(768, eps=1e-6), nn.Flatten(), nn.Linear(768, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3), keepdim=True))


WIDTHS, CIFAR_WIDTHS = (64, 128, 256, 512), (16, 32, 64)
TWINS = {
    "resnet18": partial(ResNet, Basic, (2, 2, 2, 2)),
    "resnet34": partial(ResNet, Basic, (3, 4, 6, 3)),
    "resnet50": partial(ResNet, Bottleneck, (3, 4, 6, 3)),
    "resnet101": partial(ResNet, Bottleneck, (3, 4, 23, 3)),
    "resnet152": partial(ResNet, Bottleneck, (3, 8, 36, 3)),
    "resnet20_cifar": partial(ResNetCifar, 3),
    "resnet32_cifar": partial(ResNetCifar, 5),
    "resnet44_cifar": partial(ResNetCifar, 7),
    "resnet56_cifar": partial(ResNetCifar, 9),
    "resnet110_cifar": partial(ResNetCifar, 18),
    "preact_resnet18": partial(PreActResNet, preact_basic, 1, WIDTHS, (2, 2, 2, 2)),
    "preact_resnet50": partial(PreActResNet, preact_bottleneck, 4, WIDTHS, (3, 4, 6, 3)),
    "preact_resnet164_cifar": partial(
        PreActResNet, preact_bottleneck, 4, CIFAR_WIDTHS, (18, 18, 18), cifar=True, classes=10
    ),
    "small": partial(Small, (64, 128, 256)),
    "tiny": partial(Small, (16, 32, 64)),
    "densenet121": partial(DenseNet, (6, 12, 24, 16)),
    "densenet169": partial(DenseNet, (6, 12, 32, 32)),
    "densenet201": partial(DenseNet, (6, 12, 48, 32)),
    "convnext_tiny": ConvNeXtTiny,
}
