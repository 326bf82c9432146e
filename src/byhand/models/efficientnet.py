"""EfficientNet: a small network found by architecture search, and one rule that scales its depth, width and image size.

Tan & Le 2019, "EfficientNet: Rethinking model scaling for convolutional neural networks", arXiv 1905.11946; Lite: Liu & Tan
2020, "Higher accuracy on vision models with EfficientNet-Lite", the TensorFlow blog. What was new: depth, width and image
size grow together by fixed ratios; the smallest, B0, is what the others grow from.

    name                what differs                                                          parameters at 1,000 classes
    efficientnet_b0     squeeze-and-excitation in every block, SiLU                            5,288,548
    efficientnet_lite0  for phones: no squeeze-and-excitation, ReLU6, TensorFlow's padding     4,652,008

Both are stacks of inverted bottlenecks (MBConv, from MobileNetV2): a 1x1 convolution expands the channels, a depthwise
convolution filters each of them, a 1x1 convolution projects to few channels, and a shortcut joins the narrow ends.

Left out: stochastic depth, which drops whole blocks in training. Lite0's layers have the names of its PyTorch port.
"""

from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture
from byhand.models.blocks import conv_norm, squeeze_excite

# of each stage: expansion, kernel, stride of the first block, filters, blocks
STAGES = (
    (1, 3, 1, 16, 1),  # (112, 112, 32) -> (112, 112, 16)
    (6, 3, 2, 24, 2),  # -> (56, 56, 24)
    (6, 5, 2, 40, 2),  # -> (28, 28, 40)
    (6, 3, 2, 80, 3),  # -> (14, 14, 80)
    (6, 5, 1, 112, 3),  # -> (14, 14, 112)
    (6, 5, 2, 192, 4),  # -> (7, 7, 192)
    (6, 3, 1, 320, 1),  # -> (7, 7, 320)
)


def efficientnet_b0(images: Tensor, classes: int) -> Tensor:
    """Return the logits."""
    x = conv_norm(images, 32, 3, ("features_0_0", "features_0_1"), nn.SiLU, stride=2)  # (224, 224, 3) -> (112, 112, 32)
    for stage, (expansion, kernel, stride, filters, blocks) in enumerate(STAGES, 1):
        for block in range(blocks):
            x = mbconv(x, expansion, kernel, 1 if block else stride, filters, f"features_{stage}_{block}")
    x = conv_norm(x, 1280, 1, ("features_8_0", "features_8_1"), nn.SiLU)  # -> (7, 7, 1280)
    x = nn.Dropout(0.2)(nn.GlobalAvgPool2d()(x))
    return nn.Linear(classes, name="classifier_1")(x)


def mbconv(x: Tensor, expansion: int, kernel: int, stride: int, filters: int, name: str) -> Tensor:
    """Return an inverted bottleneck: expand, depthwise, squeeze-and-excitation, project."""
    shortcut, narrow = x, x.shape[-1]
    expanded = narrow * expansion
    steps = [f"{name}_block_{number}" for number in range(4)]
    if expansion > 1:
        step = steps.pop(0)
        x = conv_norm(x, expanded, 1, (f"{step}_0", f"{step}_1"), nn.SiLU)
    depthwise, gate, project = steps[:3]
    x = conv_norm(x, expanded, kernel, (f"{depthwise}_0", f"{depthwise}_1"), nn.SiLU, stride=stride, groups=expanded)
    x = squeeze_excite(x, max(1, narrow // 4), gate, nn.SiLU, nn.Sigmoid)
    x = conv_norm(x, filters, 1, (f"{project}_0", f"{project}_1"), None)
    return nn.Add(name=name)(x, shortcut) if stride == 1 and filters == narrow else x


lite_norm = partial(conv_norm, padding="same", eps=1e-3, momentum=0.01)


def efficientnet_lite0(images: Tensor, classes: int) -> Tensor:
    """Return the logits; at stride 2 the padding is at the bottom and the right, as in TensorFlow."""
    x = lite_norm(images, 32, 3, ("conv_stem", "bn0"), nn.ReLU6, stride=2)  # (224, 224, 3) -> (112, 112, 32)
    number = 0
    for expansion, kernel, stride, filters, blocks in STAGES:
        for block in range(blocks):
            x = lite_mbconv(x, expansion, kernel, 1 if block else stride, filters, f"blocks_{number}")
            number += 1
    x = lite_norm(x, 1280, 1, ("conv_head", "bn1"), nn.ReLU6)  # -> (7, 7, 1280)
    x = nn.Dropout(0.2)(nn.GlobalAvgPool2d()(x))
    return nn.Linear(classes, name="fc")(x)


def lite_mbconv(x: Tensor, expansion: int, kernel: int, stride: int, filters: int, name: str) -> Tensor:
    """Return an inverted bottleneck: expand, depthwise, project."""
    shortcut, narrow = x, x.shape[-1]
    expanded = narrow * expansion
    if expansion > 1:
        x = lite_norm(x, expanded, 1, (f"{name}_expand_conv", f"{name}_bn0"), nn.ReLU6)
    x = lite_norm(
        x, expanded, kernel, (f"{name}_depthwise_conv", f"{name}_bn1"), nn.ReLU6, stride=stride, groups=expanded
    )
    x = lite_norm(x, filters, 1, (f"{name}_project_conv", f"{name}_bn2"), None)
    return nn.Add(name=name)(x, shortcut) if stride == 1 and filters == narrow else x


ARCHITECTURES = {
    "efficientnet_b0": Architecture(
        efficientnet_b0, year=2019, paper="arXiv 1905.11946", new="depth, width and image size scaled together"
    ),
    "efficientnet_lite0": Architecture(
        efficientnet_lite0,
        year=2020,
        paper="arXiv 1905.11946",
        new="EfficientNet for phones: no gates, bounded activations",
        mean=0.498,
        std=0.502,
    ),
}
