"""ResNet for CIFAR in plain PyTorch, shortcuts of option A, under the module names of the weights that go round."""

import torch.nn.functional as F
from torch import nn


class Unit(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.new = stride, filters - channels

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.new:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.new // 2, self.new // 2))
        return (y + x).relu()


class ResNetCifar(nn.Module):
    def __init__(self, units, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Unit(16, 16, 1) for _ in range(units)))
        self.layer2 = nn.Sequential(Unit(16, 32, 2), *(Unit(32, 32, 1) for _ in range(units - 1)))
        self.layer3 = nn.Sequential(Unit(32, 64, 2), *(Unit(64, 64, 1) for _ in range(units - 1)))
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
        return self.linear(x.mean((2, 3)))
