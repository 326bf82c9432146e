"""ZFNet in plain PyTorch."""

import torch.nn.functional as F
from torch import nn


class ZFNet(nn.Module):
    def __init__(self, classes=1000, maps=36):
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
