"""small and tiny in plain PyTorch, under the layer names of byhand's."""

import torch.nn.functional as F
from torch import nn


class ConvNorm(nn.Module):
    def __init__(self, channels, filters, pool=False):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(filters)
        self.pool = pool

    def forward(self, x):
        x = self.conv(x)
        return self.bn(F.max_pool2d(x, 2) if self.pool else x)


class Stage(nn.Module):
    def __init__(self, channels, filters):
        super().__init__()
        self.down = ConvNorm(channels, filters, pool=True)
        self.unit1 = ConvNorm(filters, filters)
        self.unit2 = ConvNorm(filters, filters)

    def forward(self, x):
        x = self.down(x).relu()
        return self.unit2(self.unit1(x).relu()).relu() + x


class Small(nn.Module):
    def __init__(self, channels=3, classes=10, filters=(64, 128, 256)):
        super().__init__()
        self.stem = ConvNorm(channels, filters[0], pool=True)
        self.stage1 = Stage(*filters[:2])
        self.stage2 = Stage(*filters[1:])
        self.head = nn.Linear(filters[2], classes)

    def forward(self, x):
        return self.head(self.stage2(self.stage1(self.stem(x).relu())).mean((2, 3)))
