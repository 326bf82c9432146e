"""ConvNeXt-Tiny in plain PyTorch, its modules named as in torchvision."""

import torch
from torch import nn
from torch.nn import functional as F


class LayerNorm2d(nn.LayerNorm):
    """Over the channels of images that have them first."""

    def forward(self, x):
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class Permute(nn.Module):
    def __init__(self, *order):
        super().__init__()
        self.order = order

    def forward(self, x):
        return x.permute(self.order)


class Block(nn.Module):
    def __init__(self, maps):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(maps, maps, 7, padding=3, groups=maps),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(maps, eps=1e-6),
            nn.Linear(maps, 4 * maps),
            nn.GELU(),
            nn.Linear(4 * maps, maps),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((maps, 1, 1), 1e-6))

    def forward(self, x):
        return x + self.layer_scale * self.block(x)


class ConvNeXtTiny(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        layers, before = [nn.Sequential(nn.Conv2d(3, 96, 4, 4), LayerNorm2d(96, eps=1e-6))], 96
        for maps, blocks in ((96, 3), (192, 3), (384, 9), (768, 3)):
            if maps != before:
                layers.append(nn.Sequential(LayerNorm2d(before, eps=1e-6), nn.Conv2d(before, maps, 2, 2)))
            layers.append(nn.Sequential(*(Block(maps) for _ in range(blocks))))
            before = maps
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(LayerNorm2d(768, eps=1e-6), nn.Flatten(), nn.Linear(768, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3), keepdim=True))


TWINS = {"convnext_tiny": ConvNeXtTiny}
