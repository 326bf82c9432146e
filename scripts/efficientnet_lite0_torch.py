"""EfficientNet-Lite0 in PyTorch, its modules named as in the published weights: what measure_photos.py compares byhand with."""

from torch import nn
from torch.nn import functional as F

STAGES = [  # expansion, kernel, stride, channels in, channels out, blocks
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
]


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding: an odd pixel goes below and to the right."""

    def forward(self, x):
        """Return the convolution of the padded image."""
        pads = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size, self.stride):
            total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, None, self.stride, 0, 1, self.groups)


def norm(channels):
    """Return a batch norm with the network's settings."""
    return nn.BatchNorm2d(channels, 1e-3, 0.01)


class Block(nn.Module):
    """An inverted bottleneck: expand, depthwise, project."""

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
        """Return the block's result."""
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return y + x if self.residual else y


class EfficientNetLite0(nn.Module):
    """The network, for images (N, 3, 224, 224)."""

    def __init__(self, classes=1000):
        super().__init__()
        self.conv_stem, self.bn0 = SameConv2d(3, 32, 3, 2, bias=False), norm(32)
        blocks = []
        for expansion, kernel, stride, before, after, repeats in STAGES:
            blocks.append(Block(expansion, kernel, stride, before, after))
            blocks += [Block(expansion, kernel, 1, after, after) for _ in range(repeats - 1)]
        self.blocks = nn.ModuleList(blocks)
        self.conv_head, self.bn1 = SameConv2d(320, 1280, 1, bias=False), norm(1280)
        self.fc = nn.Linear(1280, classes)

    def forward(self, x):
        """Return the logits."""
        x = F.relu6(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        x = F.relu6(self.bn1(self.conv_head(x)))
        return self.fc(F.dropout(x.mean((2, 3)), 0.2, self.training))
