"""Network in network in plain PyTorch, under the layer names of the authors' Caffe network."""

import torch.nn.functional as F
from torch import nn


class NiN(nn.Module):
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
