"""ShuffleNet V2 in plain PyTorch, its modules named as in torchvision."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F


def conv(before, after, kernel, stride=1, groups=1):
    return nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)


class InvertedResidual(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.stride, half = stride, after // 2
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(
                conv(before, before, 3, stride, before), nn.BatchNorm2d(before),
                conv(before, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
            )  # fmt: skip
        self.branch2 = nn.Sequential(
            conv(before if stride > 1 else half, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
            conv(half, half, 3, stride, half), nn.BatchNorm2d(half),
            conv(half, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x):
        left, right = x.chunk(2, 1) if self.stride == 1 else (x, x)
        return F.channel_shuffle(torch.cat([self.branch1(left), self.branch2(right)], 1), 2)


class ShuffleNetV2(nn.Module):
    def __init__(self, maps, classes=1000):
        super().__init__()
        self.conv1 = nn.Sequential(conv(3, 24, 3, 2), nn.BatchNorm2d(24), nn.ReLU())
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = 24
        for stage, repeats, after in zip((2, 3, 4), (4, 8, 4), maps):
            more = [InvertedResidual(after, after, 1) for _ in range(repeats - 1)]
            setattr(self, f"stage{stage}", nn.Sequential(InvertedResidual(before, after, 2), *more))
            before = after
        self.conv5 = nn.Sequential(conv(before, maps[-1], 1), nn.BatchNorm2d(maps[-1]), nn.ReLU())
        self.fc = nn.Linear(maps[-1], classes)

    def forward(self, x):
        x = self.stage4(self.stage3(self.stage2(self.maxpool(self.conv1(x)))))
        return self.fc(self.conv5(x).mean((2, 3)))


TWINS = {
    "shufflenet_v2_x0_5": partial(ShuffleNetV2, (48, 96, 192, 1024)),
    "shufflenet_v2_x1_0": partial(ShuffleNetV2, (116, 232, 464, 1024)),
    "shufflenet_v2_x1_5": partial(ShuffleNetV2, (176, 352, 704, 1024)),
    "shufflenet_v2_x2_0": partial(ShuffleNetV2, (244, 488, 976, 2048)),
}
