"""AlexNet, ZFNet, Network in network, VGG and SqueezeNet: layers and modules one after the other."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn


class AlexNet(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, classes),
        )

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class ZFNet(nn.Module):
    def __init__(self, classes=1000, maps=6 * 6):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 96, 7, 2, 1), nn.Conv2d(96, 256, 5, 2)
        self.conv3, self.conv4 = nn.Conv2d(256, 384, 3, 1, 1), nn.Conv2d(384, 384, 3, 1, 1)
        self.conv5 = nn.Conv2d(384, 256, 3, 1, 1)
        self.fc6, self.fc7, self.fc8 = nn.Linear(256 * maps, 4096), nn.Linear(4096, 4096), nn.Linear(4096, classes)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x).relu(), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.conv2(x).relu(), 3, 2, ceil_mode=True)
        x = self.conv5(self.conv4(self.conv3(x).relu()).relu()).relu()
        x = F.max_pool2d(x, 3, 2, ceil_mode=True).flatten(1)
        return self.fc8(self.fc7(self.fc6(x).relu()).relu())


class NiN(nn.Module):
    """Under the layer names of the authors' Caffe network."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv1, self.cccp1, self.cccp2 = nn.Conv2d(3, 192, 5, 1, 2), nn.Conv2d(192, 160, 1), nn.Conv2d(160, 96, 1)
        self.conv2, self.cccp3, self.cccp4 = nn.Conv2d(96, 192, 5, 1, 2), nn.Conv2d(192, 192, 1), nn.Conv2d(192, 192, 1)
        self.conv3, self.cccp5 = nn.Conv2d(192, 192, 3, 1, 1), nn.Conv2d(192, 192, 1)
        self.cccp6 = nn.Conv2d(192, classes, 1)

    def forward(self, x):
        x = self.cccp2(self.cccp1(self.conv1(x).relu()).relu()).relu()
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = self.cccp4(self.cccp3(self.conv2(x).relu()).relu()).relu()
        x = F.avg_pool2d(x, 3, 2, ceil_mode=True)
        x = self.cccp6(self.cccp5(self.conv3(x).relu()).relu()).relu()
        return x.mean((2, 3))


# torchvision's own notation: a number is a convolution's filters, M a pool
VGG_LAYERS = {
    "vgg11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "vgg13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "vgg19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


class VGG(nn.Module):
    """Feature maps smaller than 7x7 are not averaged: the classifier takes them as they are."""

    def __init__(self, layers, norm, classes=1000, maps=7 * 7):
        super().__init__()
        modules, channels = [], 3
        for layer in layers.split():
            if layer == "M":
                modules.append(nn.MaxPool2d(2, 2))
                continue
            modules.append(nn.Conv2d(channels, int(layer), 3, padding=1))
            modules += [nn.BatchNorm2d(int(layer))] if norm else []
            modules.append(nn.ReLU())
            channels = int(layer)
        self.features = nn.Sequential(*modules)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7)) if maps == 7 * 7 else nn.Identity()
        self.classifier = nn.Sequential(
            nn.Linear(512 * maps, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class Fire(nn.Module):
    def __init__(self, channels, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


class SqueezeNet(nn.Module):
    """filters, kernel: of the first convolution; fires: (squeeze, expand) each, None for a pool."""

    def __init__(self, filters, kernel, fires, classes=1000):
        super().__init__()
        modules, channels = [nn.Conv2d(3, filters, kernel, 2), nn.ReLU()], filters
        for fire in fires:
            modules.append(nn.MaxPool2d(3, 2, ceil_mode=True) if fire is None else Fire(channels, *fire))
            channels = channels if fire is None else 2 * fire[1]
        self.features = nn.Sequential(*modules)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(512, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x):
        return self.classifier(self.features(x)).flatten(1)


FIRES_1_0 = (
    *(None, (16, 64), (16, 64), (32, 128)),
    *(None, (32, 128), (48, 192), (48, 192), (64, 256)),
    *(None, (64, 256)),
)
FIRES_1_1 = (
    *(None, (16, 64), (16, 64)),
    *(None, (32, 128), (32, 128)),
    *(None, (48, 192), (48, 192), (64, 256), (64, 256)),
)
TWINS = {
    "alexnet": AlexNet,
    "zfnet": ZFNet,
    "nin": NiN,
    "squeezenet1_0": partial(SqueezeNet, 96, 7, FIRES_1_0),
    "squeezenet1_1": partial(SqueezeNet, 64, 3, FIRES_1_1),
}
for name, layers in VGG_LAYERS.items():
    TWINS |= {name: partial(VGG, layers, norm=False), f"{name}_bn": partial(VGG, layers, norm=True)}
