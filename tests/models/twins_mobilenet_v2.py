"""MobileNetV2 in plain PyTorch, its modules named as in torchvision."""

from torch import nn


def conv_bn_relu6(before, after, kernel, stride=1, groups=1):
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, before, after, stride, expansion):
        super().__init__()
        wide = before * expansion
        layers = [conv_bn_relu6(before, wide, 1)] if expansion > 1 else []
        layers += [
            conv_bn_relu6(wide, wide, 3, stride, wide),
            nn.Conv2d(wide, after, 1, bias=False),
            nn.BatchNorm2d(after),
        ]
        self.conv, self.residual = nn.Sequential(*layers), stride == 1 and before == after

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        layers, before = [conv_bn_relu6(3, 32, 3, 2)], 32
        for expansion, after, repeats, stride in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
        ):  # fmt: skip
            for i in range(repeats):
                layers.append(InvertedResidual(before, after, stride if i == 0 else 1, expansion))
                before = after
        self.features = nn.Sequential(*layers, conv_bn_relu6(before, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


TWINS = {"mobilenet_v2": MobileNetV2}
