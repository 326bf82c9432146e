"""EfficientNet-B0 and Lite0 in plain PyTorch, their modules named as in torchvision and in Lite0's port."""

from torch import nn
from torch.nn import functional as F

STAGES = [  # expansion, kernel, stride, maps in, maps out, blocks
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
]


def conv_bn(before, after, kernel, stride=1, groups=1, act=True):
    conv = nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), *([nn.SiLU()] if act else []))


class SqueezeExcitation(nn.Module):
    def __init__(self, wide, squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(wide, squeezed, 1), nn.Conv2d(squeezed, wide, 1)

    def forward(self, x):
        scale = self.fc2(F.silu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * scale.sigmoid()


class MBConv(nn.Module):
    def __init__(self, expansion, kernel, stride, before, after):
        super().__init__()
        wide = before * expansion
        self.residual = stride == 1 and before == after
        self.block = nn.Sequential(
            *([conv_bn(before, wide, 1)] if expansion != 1 else []),
            conv_bn(wide, wide, kernel, stride, wide),
            SqueezeExcitation(wide, max(1, before // 4)),
            conv_bn(wide, after, 1, act=False),
        )

    def forward(self, x):
        return self.block(x) + x if self.residual else self.block(x)


class EfficientNetB0(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        layers = [conv_bn(3, 32, 3, 2)]
        for expansion, kernel, stride, before, after, blocks in STAGES:
            first = MBConv(expansion, kernel, stride, before, after)
            more = [MBConv(expansion, kernel, 1, after, after) for _ in range(blocks - 1)]
            layers.append(nn.Sequential(first, *more))
        self.features = nn.Sequential(*layers, conv_bn(320, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class SameConv2d(nn.Conv2d):
    """Padded as TensorFlow pads: an odd pixel goes below and to the right."""

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size, self.stride):
            total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, None, self.stride, 0, 1, self.groups)


def norm(maps):
    return nn.BatchNorm2d(maps, 1e-3, 0.01)


class LiteBlock(nn.Module):
    def __init__(self, expansion, kernel, stride, before, after):
        super().__init__()
        wide = before * expansion
        self.expands, self.residual = expansion != 1, stride == 1 and before == after
        if self.expands:
            self._expand_conv, self._bn0 = SameConv2d(before, wide, 1, bias=False), norm(wide)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = norm(wide)
        self._project_conv, self._bn2 = SameConv2d(wide, after, 1, bias=False), norm(after)

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return y + x if self.residual else y


class EfficientNetLite0(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.conv_stem, self.bn0 = SameConv2d(3, 32, 3, 2, bias=False), norm(32)
        blocks = []
        for expansion, kernel, stride, before, after, repeats in STAGES:
            blocks.append(LiteBlock(expansion, kernel, stride, before, after))
            blocks += [LiteBlock(expansion, kernel, 1, after, after) for _ in range(repeats - 1)]
        self.blocks = nn.ModuleList(blocks)
        self.conv_head, self.bn1 = SameConv2d(320, 1280, 1, bias=False), norm(1280)
        self.fc = nn.Linear(1280, classes)

    def forward(self, x):
        x = F.relu6(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        x = F.relu6(self.bn1(self.conv_head(x)))
        return self.fc(F.dropout(x.mean((2, 3)), 0.2, self.training))


TWINS = {"efficientnet_b0": EfficientNetB0, "efficientnet_lite0": EfficientNetLite0}
