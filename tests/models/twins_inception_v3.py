"""Inception v3 with its auxiliary head in plain PyTorch, its modules named as in torchvision."""

import torch
from torch import nn
from torch.nn import functional as F


class Basic(nn.Module):
    def __init__(self, before, after, kernel, padding=0, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=1e-3)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


def mean3(x):
    return F.avg_pool2d(x, 3, 1, 1)


class A(nn.Module):
    def __init__(self, before, pooled):
        super().__init__()
        self.branch1x1 = Basic(before, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Basic(before, 48, 1), Basic(48, 64, 5, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Basic(before, 64, 1), Basic(64, 96, 3, 1)
        self.branch3x3dbl_3 = Basic(96, 96, 3, 1)
        self.branch_pool = Basic(before, pooled, 1)

    def forward(self, x):
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(mean3(x))], 1)


class B(nn.Module):
    def __init__(self, before):
        super().__init__()
        self.branch3x3 = Basic(before, 384, 3, stride=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Basic(before, 64, 1), Basic(64, 96, 3, 1)
        self.branch3x3dbl_3 = Basic(96, 96, 3, stride=2)

    def forward(self, x):
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class C(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.branch1x1 = Basic(768, 192, 1)
        self.branch7x7_1 = Basic(768, c, 1)
        self.branch7x7_2 = Basic(c, c, (1, 7), (0, 3))
        self.branch7x7_3 = Basic(c, 192, (7, 1), (3, 0))
        self.branch7x7dbl_1 = Basic(768, c, 1)
        self.branch7x7dbl_2 = Basic(c, c, (7, 1), (3, 0))
        self.branch7x7dbl_3 = Basic(c, c, (1, 7), (0, 3))
        self.branch7x7dbl_4 = Basic(c, c, (7, 1), (3, 0))
        self.branch7x7dbl_5 = Basic(c, 192, (1, 7), (0, 3))
        self.branch_pool = Basic(768, 192, 1)

    def forward(self, x):
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(mean3(x))], 1)


class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Basic(768, 192, 1), Basic(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Basic(768, 192, 1)
        self.branch7x7x3_2 = Basic(192, 192, (1, 7), (0, 3))
        self.branch7x7x3_3 = Basic(192, 192, (7, 1), (3, 0))
        self.branch7x7x3_4 = Basic(192, 192, 3, stride=2)

    def forward(self, x):
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)


class E(nn.Module):
    def __init__(self, before):
        super().__init__()
        self.branch1x1 = Basic(before, 320, 1)
        self.branch3x3_1 = Basic(before, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = Basic(384, 384, (1, 3), (0, 1)), Basic(384, 384, (3, 1), (1, 0))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Basic(before, 448, 1), Basic(448, 384, 3, 1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = Basic(384, 384, (1, 3), (0, 1)), Basic(384, 384, (3, 1), (1, 0))
        self.branch_pool = Basic(before, 192, 1)

    def forward(self, x):
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        branches += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(mean3(x))]
        return torch.cat(branches, 1)


class Head(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv0, self.conv1, self.fc = Basic(768, 128, 1), Basic(128, 768, 5), nn.Linear(768, classes)

    def forward(self, x):
        return self.fc(self.conv1(self.conv0(F.avg_pool2d(x, 5, 3))).mean((2, 3)))


class InceptionV3(nn.Module):
    def __init__(self, classes=1000, heads=False):
        super().__init__()
        self.Conv2d_1a_3x3 = Basic(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3, self.Conv2d_2b_3x3 = Basic(32, 32, 3), Basic(32, 64, 3, 1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Basic(64, 80, 1), Basic(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = A(192, 32), A(256, 64), A(288, 64)
        self.Mixed_6a = B(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = C(128), C(160), C(160), C(192)
        if heads:
            self.AuxLogits = Head(classes)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = D(), E(1280), E(2048)
        self.fc = nn.Linear(2048, classes)

    def forward(self, x):
        return self.all_logits(x, heads=False)[0]

    def all_logits(self, x, heads=True):
        x = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        middle = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(middle)))
        logits = self.fc(F.dropout(x.mean((2, 3)), 0.5, self.training))
        return (logits, self.AuxLogits(middle)) if heads else (logits,)


TWINS = {"inception_v3": InceptionV3}
