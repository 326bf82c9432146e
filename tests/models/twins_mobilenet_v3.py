"""MobileNetV3, large and small, in plain PyTorch, its modules named as in torchvision."""

from functools import partial

from torch import nn

R, H = nn.ReLU, nn.Hardswish
LARGE = [  # maps in, kernel, inside, out, gate's maps, activation, stride
    (16, 3, 16, 16, 0, R, 1), (16, 3, 64, 24, 0, R, 2), (24, 3, 72, 24, 0, R, 1), (24, 5, 72, 40, 24, R, 2),
    (40, 5, 120, 40, 32, R, 1), (40, 5, 120, 40, 32, R, 1), (40, 3, 240, 80, 0, H, 2), (80, 3, 200, 80, 0, H, 1),
    (80, 3, 184, 80, 0, H, 1), (80, 3, 184, 80, 0, H, 1), (80, 3, 480, 112, 120, H, 1), (112, 3, 672, 112, 168, H, 1),
    (112, 5, 672, 160, 168, H, 2), (160, 5, 960, 160, 240, H, 1), (160, 5, 960, 160, 240, H, 1),
]  # fmt: skip
SMALL = [
    (16, 3, 16, 16, 8, R, 2), (16, 3, 72, 24, 0, R, 2), (24, 3, 88, 24, 0, R, 1), (24, 5, 96, 40, 24, H, 2),
    (40, 5, 240, 40, 64, H, 1), (40, 5, 240, 40, 64, H, 1), (40, 5, 120, 48, 32, H, 1), (48, 5, 144, 48, 40, H, 1),
    (48, 5, 288, 96, 72, H, 2), (96, 5, 576, 96, 144, H, 1), (96, 5, 576, 96, 144, H, 1),
]  # fmt: skip


def conv_bn(before, after, kernel, stride=1, groups=1, act=None):
    conv = nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after, 1e-3, 0.01), *([act()] if act else []))


class SqueezeExcitation(nn.Module):
    def __init__(self, wide, squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(wide, squeezed, 1), nn.Conv2d(squeezed, wide, 1)

    def forward(self, x):
        scale = self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu())
        return x * nn.functional.hardsigmoid(scale)


class InvertedResidual(nn.Module):
    def __init__(self, before, kernel, wide, after, squeezed, act, stride):
        super().__init__()
        layers = [conv_bn(before, wide, 1, act=act)] if wide != before else []
        layers.append(conv_bn(wide, wide, kernel, stride, wide, act))
        layers += [SqueezeExcitation(wide, squeezed)] if squeezed else []
        self.block = nn.Sequential(*layers, conv_bn(wide, after, 1))
        self.residual = stride == 1 and before == after

    def forward(self, x):
        return x + self.block(x) if self.residual else self.block(x)


class MobileNetV3(nn.Module):
    def __init__(self, settings, units, classes=1000):
        super().__init__()
        last = settings[-1][3]
        blocks = [InvertedResidual(*setting) for setting in settings]
        self.features = nn.Sequential(conv_bn(3, 16, 3, 2, act=H), *blocks, conv_bn(last, 6 * last, 1, act=H))
        layers = nn.Linear(6 * last, units), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(units, classes)
        self.classifier = nn.Sequential(*layers)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


TWINS = {
    "mobilenet_v3_large": partial(MobileNetV3, LARGE, 1280),
    "mobilenet_v3_small": partial(MobileNetV3, SMALL, 1024),
}
