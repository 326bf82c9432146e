"""GoogLeNet with its auxiliary heads in plain PyTorch, its modules named as in torchvision."""

import torch
from torch import nn
from torch.nn import functional as F


class BasicConv2d(nn.Module):
    def __init__(self, before, after, kernel, stride=1, padding=0):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(before, after, kernel, stride, padding, bias=False), nn.BatchNorm2d(after, 1e-3)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Inception(nn.Module):
    def __init__(self, before, one, three_less, three, five_less, five, pooled):
        super().__init__()
        self.branch1 = BasicConv2d(before, one, 1)
        self.branch2 = nn.Sequential(BasicConv2d(before, three_less, 1), BasicConv2d(three_less, three, 3, 1, 1))
        self.branch3 = nn.Sequential(BasicConv2d(before, five_less, 1), BasicConv2d(five_less, five, 3, 1, 1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), BasicConv2d(before, pooled, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Head(nn.Module):
    def __init__(self, before, classes):
        super().__init__()
        self.conv, self.fc1, self.fc2 = BasicConv2d(before, 128, 1), nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, x):
        x = self.conv(F.avg_pool2d(x, 5, 3)).flatten(1)
        return self.fc2(F.dropout(self.fc1(x).relu(), 0.7, self.training))


class GoogLeNet(nn.Module):
    def __init__(self, classes=1000, heads=False):
        super().__init__()
        self.conv1 = BasicConv2d(3, 64, 7, 2, 3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.conv3 = BasicConv2d(64, 64, 1), BasicConv2d(64, 192, 3, 1, 1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        if heads:
            self.aux1, self.aux2 = Head(512, classes), Head(528, classes)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x):
        return self.all_logits(x, heads=False)[0]

    def all_logits(self, x, heads=True):
        x = self.conv3(self.conv2(self.maxpool1(self.conv1(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(self.maxpool2(x))))
        early = self.inception4a(x)
        late = self.inception4d(self.inception4c(self.inception4b(early)))
        x = self.inception5b(self.inception5a(self.maxpool4(self.inception4e(late))))
        logits = self.fc(F.dropout(x.mean((2, 3)), 0.2, self.training))
        return (logits, self.aux1(early), self.aux2(late)) if heads else (logits,)


TWINS = {"googlenet": GoogLeNet}
