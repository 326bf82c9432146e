"""VGG in plain PyTorch, under torchvision's module names."""

from functools import partial

from torch import nn

# torchvision's own notation: a number is a convolution's filters, M a pool
LAYERS = {
    "vgg11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "vgg13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "vgg19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


class VGG(nn.Module):
    def __init__(self, layers, norm, classes=1000):
        super().__init__()
        made, channels = [], 3
        for one in layers.split():
            if one == "M":
                made.append(nn.MaxPool2d(2, 2))
                continue
            made.append(nn.Conv2d(channels, int(one), 3, padding=1))
            made += [nn.BatchNorm2d(int(one))] if norm else []
            made.append(nn.ReLU())
            channels = int(one)
        self.features = nn.Sequential(*made)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


TWINS = {name + end: partial(VGG, layers, bool(end)) for name, layers in LAYERS.items() for end in ("", "_bn")}
