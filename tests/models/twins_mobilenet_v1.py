"""MobileNet (the first) in plain PyTorch; torchvision has none, and the names are byhand's."""

from itertools import pairwise

from torch import nn


class ConvBN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Separable(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.pointwise = nn.Conv2d(before, after, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x):
        return self.bn2(self.pointwise(self.bn1(self.depthwise(x)).relu())).relu()


class MobileNetV1(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        maps = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
        blocks = [Separable(a, b, 2 if i in (1, 3, 5, 11) else 1) for i, (a, b) in enumerate(pairwise(maps))]
        self.features = nn.Sequential(ConvBN(), *blocks)
        self.classifier = nn.Linear(1024, classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


TWINS = {"mobilenet_v1": MobileNetV1}
