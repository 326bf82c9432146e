"""MobileNet V1 to V3, ShuffleNet V2 and EfficientNet: depthwise convolutions for small devices."""

from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from scripts.efficientnet_lite0_torch import STAGES as EFFICIENTNET_STAGES
from scripts.efficientnet_lite0_torch import EfficientNetLite0


def conv_bn(channels, filters, kernel, stride=1, groups=1, act=None, **norm):
    conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(filters, **norm), *([act()] if act else []))


class SqueezeExcitation(nn.Module):
    def __init__(self, channels, squeezed, act, gate):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.act, self.gate = act, gate

    def forward(self, x):
        return x * self.gate(self.fc2(self.act(self.fc1(x.mean((2, 3), keepdim=True)))))


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Separable(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, filters, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)

    def forward(self, x):
        return self.bn2(self.pointwise(self.bn1(self.depthwise(x)).relu())).relu()


class MobileNetV1(nn.Module):
    """torchvision has none: the names are byhand's."""

    def __init__(self, classes=1000):
        super().__init__()
        widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
        blocks = [Separable(a, b, 2 if i in (1, 3, 5, 11) else 1) for i, (a, b) in enumerate(pairwise(widths))]
        self.features = nn.Sequential(Stem(), *blocks)
        self.classifier = nn.Linear(1024, classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class InvertedResidual(nn.Module):
    """MobileNetV2's block."""

    def __init__(self, channels, filters, stride, expansion):
        super().__init__()
        hidden = channels * expansion
        layers = [conv_bn(channels, hidden, 1, act=nn.ReLU6)] if expansion > 1 else []
        layers += [
            conv_bn(hidden, hidden, 3, stride, hidden, act=nn.ReLU6),
            nn.Conv2d(hidden, filters, 1, bias=False),
            nn.BatchNorm2d(filters),
        ]
        self.conv, self.residual = nn.Sequential(*layers), stride == 1 and channels == filters

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        layers, channels = [conv_bn(3, 32, 3, 2, act=nn.ReLU6)], 32
        for expansion, filters, repeats, stride in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ):
            for i in range(repeats):
                layers.append(InvertedResidual(channels, filters, stride if i == 0 else 1, expansion))
                channels = filters
        self.features = nn.Sequential(*layers, conv_bn(channels, 1280, 1, act=nn.ReLU6))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


R, H = nn.ReLU, nn.Hardswish
V3_LARGE = [  # channels, kernel, hidden channels, filters, squeezed channels, activation, stride
    (16, 3, 16, 16, 0, R, 1),
    (16, 3, 64, 24, 0, R, 2),
    (24, 3, 72, 24, 0, R, 1),
    (24, 5, 72, 40, 24, R, 2),
    (40, 5, 120, 40, 32, R, 1),
    (40, 5, 120, 40, 32, R, 1),
    (40, 3, 240, 80, 0, H, 2),
    (80, 3, 200, 80, 0, H, 1),
    (80, 3, 184, 80, 0, H, 1),
    (80, 3, 184, 80, 0, H, 1),
    (80, 3, 480, 112, 120, H, 1),
    (112, 3, 672, 112, 168, H, 1),
    (112, 5, 672, 160, 168, H, 2),
    (160, 5, 960, 160, 240, H, 1),
    (160, 5, 960, 160, 240, H, 1),
]
V3_SMALL = [
    (16, 3, 16, 16, 8, R, 2),
    (16, 3, 72, 24, 0, R, 2),
    (24, 3, 88, 24, 0, R, 1),
    (24, 5, 96, 40, 24, H, 2),
    (40, 5, 240, 40, 64, H, 1),
    (40, 5, 240, 40, 64, H, 1),
    (40, 5, 120, 48, 32, H, 1),
    (48, 5, 144, 48, 40, H, 1),
    (48, 5, 288, 96, 72, H, 2),
    (96, 5, 576, 96, 144, H, 1),
    (96, 5, 576, 96, 144, H, 1),
]
v3_conv_bn = partial(conv_bn, eps=1e-3, momentum=0.01)


class V3Block(nn.Module):
    def __init__(self, channels, kernel, hidden, filters, squeezed, act, stride):
        super().__init__()
        layers = [v3_conv_bn(channels, hidden, 1, act=act)] if hidden != channels else []
        layers.append(v3_conv_bn(hidden, hidden, kernel, stride, hidden, act))
        layers += [SqueezeExcitation(hidden, squeezed, F.relu, F.hardsigmoid)] if squeezed else []
        self.block = nn.Sequential(*layers, v3_conv_bn(hidden, filters, 1))
        self.residual = stride == 1 and channels == filters

    def forward(self, x):
        return x + self.block(x) if self.residual else self.block(x)


class MobileNetV3(nn.Module):
    def __init__(self, settings, units, classes=1000):
        super().__init__()
        last = settings[-1][3]
        blocks = [V3Block(*setting) for setting in settings]
        self.features = nn.Sequential(v3_conv_bn(3, 16, 3, 2, act=H), *blocks, v3_conv_bn(last, 6 * last, 1, act=H))
        layers = nn.Linear(6 * last, units), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(units, classes)
        self.classifier = nn.Sequential(*layers)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def conv(channels, filters, kernel, stride=1, groups=1):
    return nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False)


class ShuffleUnit(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.stride, half = stride, filters // 2
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(
                conv(channels, channels, 3, stride, channels),
                nn.BatchNorm2d(channels),
                conv(channels, half, 1),
                nn.BatchNorm2d(half),
                nn.ReLU(),
            )
        self.branch2 = nn.Sequential(
            conv(channels if stride > 1 else half, half, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            conv(half, half, 3, stride, half),
            nn.BatchNorm2d(half),
            conv(half, half, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
        )

    def forward(self, x):
        left, right = x.chunk(2, 1) if self.stride == 1 else (x, x)
        return F.channel_shuffle(torch.cat([self.branch1(left), self.branch2(right)], 1), 2)


class ShuffleNetV2(nn.Module):
    def __init__(self, widths, classes=1000):
        super().__init__()
        self.conv1 = conv_bn(3, 24, 3, 2, act=nn.ReLU)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 24
        for stage, repeats, filters in zip((2, 3, 4), (4, 8, 4), widths):
            units = [ShuffleUnit(filters, filters, 1) for _ in range(repeats - 1)]
            setattr(self, f"stage{stage}", nn.Sequential(ShuffleUnit(channels, filters, 2), *units))
            channels = filters
        self.conv5 = conv_bn(channels, widths[-1], 1, act=nn.ReLU)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x):
        x = self.stage4(self.stage3(self.stage2(self.maxpool(self.conv1(x)))))
        return self.fc(self.conv5(x).mean((2, 3)))


class MBConv(nn.Module):
    def __init__(self, expansion, kernel, stride, channels, filters):
        super().__init__()
        hidden = channels * expansion
        self.residual = stride == 1 and channels == filters
        self.block = nn.Sequential(
            *([conv_bn(channels, hidden, 1, act=nn.SiLU)] if expansion != 1 else []),
            conv_bn(hidden, hidden, kernel, stride, hidden, act=nn.SiLU),
            SqueezeExcitation(hidden, max(1, channels // 4), F.silu, torch.sigmoid),
            conv_bn(hidden, filters, 1),
        )

    def forward(self, x):
        return self.block(x) + x if self.residual else self.block(x)


class EfficientNetB0(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        layers = [conv_bn(3, 32, 3, 2, act=nn.SiLU)]
        for expansion, kernel, stride, channels, filters, repeats in EFFICIENTNET_STAGES:
            blocks = [MBConv(expansion, kernel, 1, filters, filters) for _ in range(repeats - 1)]
            layers.append(nn.Sequential(MBConv(expansion, kernel, stride, channels, filters), *blocks))
        self.features = nn.Sequential(*layers, conv_bn(320, 1280, 1, act=nn.SiLU))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


TWINS = {
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v3_large": partial(MobileNetV3, V3_LARGE, 1280),
    "mobilenet_v3_small": partial(MobileNetV3, V3_SMALL, 1024),
    "shufflenet_v2_x0_5": partial(ShuffleNetV2, (48, 96, 192, 1024)),
    "shufflenet_v2_x1_0": partial(ShuffleNetV2, (116, 232, 464, 1024)),
    "shufflenet_v2_x1_5": partial(ShuffleNetV2, (176, 352, 704, 1024)),
    "shufflenet_v2_x2_0": partial(ShuffleNetV2, (244, 488, 976, 2048)),
    "efficientnet_b0": EfficientNetB0,
    "efficientnet_lite0": EfficientNetLite0,
}
