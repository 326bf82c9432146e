"""MobileNetV2: inverted residual blocks, wide and depthwise inside, with shortcuts between their narrow ends.

Sandler, Howard, Zhu, Zhmoginov & Chen 2018, "MobileNetV2: Inverted residuals and linear bottlenecks", arXiv 1801.04381. What
was new: the inverted residual, whose shortcut joins the narrow ends, and the linear bottleneck, which no activation follows,
since a ReLU loses more information in few channels than in many.

    name          what differs                         parameters at 1,000 classes
    mobilenet_v2  the paper's, of width 1               3,504,872
"""

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture
from byhand.models.blocks import conv_norm

# the paper's table 2, of each stage: expansion, filters, blocks, stride of the first
STAGES = (
    (1, 16, 1, 1),  # (112, 112, 32) -> (112, 112, 16)
    (6, 24, 2, 2),  # -> (56, 56, 24)
    (6, 32, 3, 2),  # -> (28, 28, 32)
    (6, 64, 4, 2),  # -> (14, 14, 64)
    (6, 96, 3, 1),  # -> (14, 14, 96)
    (6, 160, 3, 2),  # -> (7, 7, 160)
    (6, 320, 1, 1),  # -> (7, 7, 320)
)


def mobilenet_v2(images: Tensor, classes: int) -> Tensor:
    """Return the logits."""
    # (224, 224, 3) -> (112, 112, 32)
    x = conv_norm(images, 32, 3, ("features_0_0", "features_0_1"), nn.ReLU6, stride=2)
    number = 1
    for expansion, filters, blocks, stride in STAGES:
        for block in range(blocks):
            x = inverted_residual(x, expansion, filters, 1 if block else stride, f"features_{number}")
            number += 1
    x = conv_norm(x, 1280, 1, ("features_18_0", "features_18_1"), nn.ReLU6)  # -> (7, 7, 1280)
    x = nn.Dropout(0.2)(nn.GlobalAvgPool2d()(x))
    return nn.Linear(classes, name="classifier_1")(x)


def inverted_residual(x: Tensor, expansion: int, filters: int, stride: int, name: str) -> Tensor:
    """Return an inverted bottleneck: expand, depthwise, project without an activation."""
    shortcut, narrow, step = x, x.shape[-1], 0
    expanded = narrow * expansion
    if expansion > 1:
        x = conv_norm(x, expanded, 1, (f"{name}_conv_0_0", f"{name}_conv_0_1"), nn.ReLU6)
        step = 1
    names = (f"{name}_conv_{step}_0", f"{name}_conv_{step}_1")
    x = conv_norm(x, expanded, 3, names, nn.ReLU6, stride=stride, groups=expanded)
    x = conv_norm(x, filters, 1, (f"{name}_conv_{step + 1}", f"{name}_conv_{step + 2}"), None)
    return nn.Add(name=name)(x, shortcut) if stride == 1 and filters == narrow else x


ARCHITECTURES = {
    "mobilenet_v2": Architecture(
        mobilenet_v2, year=2018, paper="arXiv 1801.04381", new="inverted residuals, bottlenecks without activation"
    ),
}
