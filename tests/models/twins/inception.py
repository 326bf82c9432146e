"""GoogLeNet and Inception v3, with their auxiliary heads: branches side by side, joined over the channels."""

import torch
from torch import nn
from torch.nn import functional as F


class ConvBN(nn.Module):
    def __init__(self, channels, filters, kernel, padding=0, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(filters, eps=1e-3)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Inception(nn.Module):
    """GoogLeNet's module; reduce3, reduce5: the 1x1 convolutions before the 3x3 ones."""

    def __init__(self, channels, conv1, reduce3, conv3, reduce5, conv5, pooled):
        super().__init__()
        self.branch1 = ConvBN(channels, conv1, 1)
        self.branch2 = nn.Sequential(ConvBN(channels, reduce3, 1), ConvBN(reduce3, conv3, 3, 1))
        self.branch3 = nn.Sequential(ConvBN(channels, reduce5, 1), ConvBN(reduce5, conv5, 3, 1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), ConvBN(channels, pooled, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNetHead(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv, self.fc1, self.fc2 = ConvBN(channels, 128, 1), nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, x):
        x = self.conv(F.avg_pool2d(x, 5, 3)).flatten(1)
        return self.fc2(F.dropout(self.fc1(x).relu(), 0.7, self.training))


class GoogLeNet(nn.Module):
    def __init__(self, classes=1000, heads=False):
        super().__init__()
        self.conv1 = ConvBN(3, 64, 7, 3, 2)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.conv3 = ConvBN(64, 64, 1), ConvBN(64, 192, 3, 1)
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
            self.aux1, self.aux2 = GoogLeNetHead(512, classes), GoogLeNetHead(528, classes)
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


def mean3(x):
    return F.avg_pool2d(x, 3, 1, 1)


class A(nn.Module):
    def __init__(self, channels, pooled):
        super().__init__()
        self.branch1x1 = ConvBN(channels, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = ConvBN(channels, 48, 1), ConvBN(48, 64, 5, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = ConvBN(channels, 64, 1), ConvBN(64, 96, 3, 1)
        self.branch3x3dbl_3 = ConvBN(96, 96, 3, 1)
        self.branch_pool = ConvBN(channels, pooled, 1)

    def forward(self, x):
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(mean3(x))], 1)


class B(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.branch3x3 = ConvBN(channels, 384, 3, stride=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = ConvBN(channels, 64, 1), ConvBN(64, 96, 3, 1)
        self.branch3x3dbl_3 = ConvBN(96, 96, 3, stride=2)

    def forward(self, x):
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class C(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.branch1x1 = ConvBN(768, 192, 1)
        self.branch7x7_1 = ConvBN(768, c, 1)
        self.branch7x7_2 = ConvBN(c, c, (1, 7), (0, 3))
        self.branch7x7_3 = ConvBN(c, 192, (7, 1), (3, 0))
        self.branch7x7dbl_1 = ConvBN(768, c, 1)
        self.branch7x7dbl_2 = ConvBN(c, c, (7, 1), (3, 0))
        self.branch7x7dbl_3 = ConvBN(c, c, (1, 7), (0, 3))
        self.branch7x7dbl_4 = ConvBN(c, c, (7, 1), (3, 0))
        self.branch7x7dbl_5 = ConvBN(c, 192, (1, 7), (0, 3))
        self.branch_pool = ConvBN(768, 192, 1)

    def forward(self, x):
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(mean3(x))], 1)


class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = ConvBN(768, 192, 1), ConvBN(192, 320, 3, stride=2)
        self.branch7x7x3_1 = ConvBN(768, 192, 1)
        self.branch7x7x3_2 = ConvBN(192, 192, (1, 7), (0, 3))
        self.branch7x7x3_3 = ConvBN(192, 192, (7, 1), (3, 0))
        self.branch7x7x3_4 = ConvBN(192, 192, 3, stride=2)

    def forward(self, x):
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)


class E(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.branch1x1 = ConvBN(channels, 320, 1)
        self.branch3x3_1 = ConvBN(channels, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = ConvBN(384, 384, (1, 3), (0, 1)), ConvBN(384, 384, (3, 1), (1, 0))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = ConvBN(channels, 448, 1), ConvBN(448, 384, 3, 1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = ConvBN(384, 384, (1, 3), (0, 1)), ConvBN(384, 384, (3, 1), (1, 0))
        self.branch_pool = ConvBN(channels, 192, 1)

    def forward(self, x):
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        branches += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(mean3(x))]
        return torch.cat(branches, 1)


class InceptionHead(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv0, self.conv1, self.fc = ConvBN(768, 128, 1), ConvBN(128, 768, 5), nn.Linear(768, classes)

    def forward(self, x):
        return self.fc(self.conv1(self.conv0(F.avg_pool2d(x, 5, 3))).mean((2, 3)))


class InceptionV3(nn.Module):
    def __init__(self, classes=1000, heads=False):
        super().__init__()
        self.Conv2d_1a_3x3 = ConvBN(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3, self.Conv2d_2b_3x3 = ConvBN(32, 32, 3), ConvBN(32, 64, 3, 1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = ConvBN(64, 80, 1), ConvBN(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = A(192, 32), A(256, 64), A(288, 64)
        self.Mixed_6a = B(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = C(128), C(160), C(160), C(192)
        if heads:
            self.AuxLogits = InceptionHead(classes)
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


TWINS = {"googlenet": GoogLeNet, "inception_v3": InceptionV3}
