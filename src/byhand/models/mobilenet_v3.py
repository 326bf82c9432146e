"""MobileNetV3: MobileNetV2's blocks with squeeze-and-excitation and piecewise-linear activations, arranged by search.

Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le & Adam 2019, "Searching for MobileNetV3", arXiv
1905.02244. What was new: hard swish and hard sigmoid (piecewise-linear approximations, cheap on phones), squeeze-and-excitation
in the wide part of the inverted residual, a cheaper classifier, and an architecture search that times layers on a phone.

    name                what differs        parameters at 1,000 classes
    mobilenet_v3_large  15 blocks           5,483,032
    mobilenet_v3_small  11 blocks           2,542,856
"""

from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture
from byhand.models.blocks import conv_norm, squeeze_excite

Block = tuple[int, int, int, bool, str, int]
# the paper's tables 1 and 2, of each block:
# kernel, expanded channels, filters, squeeze-and-excitation, activation (ReLU or hard swish), stride
LARGE_BLOCKS: tuple[Block, ...] = (
    (3, 16, 16, False, "RE", 1),  # (112, 112, 16)
    (3, 64, 24, False, "RE", 2),  # -> (56, 56, 24)
    (3, 72, 24, False, "RE", 1),
    (5, 72, 40, True, "RE", 2),  # -> (28, 28, 40)
    (5, 120, 40, True, "RE", 1),
    (5, 120, 40, True, "RE", 1),
    (3, 240, 80, False, "HS", 2),  # -> (14, 14, 80)
    (3, 200, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 480, 112, True, "HS", 1),  # -> (14, 14, 112)
    (3, 672, 112, True, "HS", 1),
    (5, 672, 160, True, "HS", 2),  # -> (7, 7, 160)
    (5, 960, 160, True, "HS", 1),
    (5, 960, 160, True, "HS", 1),
)
SMALL_BLOCKS: tuple[Block, ...] = (
    (3, 16, 16, True, "RE", 2),  # (112, 112, 16) -> (56, 56, 16)
    (3, 72, 24, False, "RE", 2),  # -> (28, 28, 24)
    (3, 88, 24, False, "RE", 1),
    (5, 96, 40, True, "HS", 2),  # -> (14, 14, 40)
    (5, 240, 40, True, "HS", 1),
    (5, 240, 40, True, "HS", 1),
    (5, 120, 48, True, "HS", 1),  # -> (14, 14, 48)
    (5, 144, 48, True, "HS", 1),
    (5, 288, 96, True, "HS", 2),  # -> (7, 7, 96)
    (5, 576, 96, True, "HS", 1),
    (5, 576, 96, True, "HS", 1),
)
ACTIVATIONS = {"RE": nn.ReLU, "HS": nn.HardSwish}
norm = partial(conv_norm, eps=1e-3, momentum=0.01)


def mobilenet_v3(images: Tensor, classes: int, blocks: tuple[Block, ...], units: int) -> Tensor:
    """Return the logits; units: of the fully connected layer before the last."""
    x = norm(images, 16, 3, ("features_0_0", "features_0_1"), nn.HardSwish, stride=2)  # (224, 224, 3) -> (112, 112, 16)
    for number, block in enumerate(blocks, 1):
        x = inverted_residual(x, *block, name=f"features_{number}")
    last = f"features_{len(blocks) + 1}"
    x = norm(x, 6 * x.shape[-1], 1, (f"{last}_0", f"{last}_1"), nn.HardSwish)  # -> (7, 7, 960), small 576
    x = nn.HardSwish()(nn.Linear(units, name="classifier_0")(nn.GlobalAvgPool2d()(x)))
    return nn.Linear(classes, name="classifier_3")(nn.Dropout(0.2)(x))


def inverted_residual(
    x: Tensor, kernel: int, expanded: int, filters: int, gated: bool, activation: str, stride: int, name: str
) -> Tensor:
    """Return an inverted bottleneck: expand, depthwise, squeeze-and-excitation, project; a shortcut between its ends."""
    shortcut, narrow, act = x, x.shape[-1], ACTIVATIONS[activation]
    steps = [f"{name}_block_{number}" for number in range(4)]
    if expanded != narrow:
        step = steps.pop(0)
        x = norm(x, expanded, 1, (f"{step}_0", f"{step}_1"), act)
    step = steps.pop(0)
    x = norm(x, expanded, kernel, (f"{step}_0", f"{step}_1"), act, stride=stride, groups=expanded)
    if gated:
        x = squeeze_excite(x, multiple_of_8(expanded / 4), steps.pop(0), nn.ReLU, nn.HardSigmoid)
    step = steps.pop(0)
    x = norm(x, filters, 1, (f"{step}_0", f"{step}_1"), None)
    return nn.Add(name=name)(x, shortcut) if stride == 1 and filters == narrow else x


def multiple_of_8(maps: float) -> int:
    """Return a number of channels rounded to a multiple of 8: at least 8, and at least nine tenths of the number.

    >>> [multiple_of_8(maps) for maps in (4, 18, 22, 24)]
    [8, 24, 24, 24]
    """
    rounded = max(8, int(maps + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * maps else rounded


def mobilenet_v3_large(images: Tensor, classes: int) -> Tensor:
    """Return the logits of the larger network."""
    return mobilenet_v3(images, classes, LARGE_BLOCKS, 1280)


def mobilenet_v3_small(images: Tensor, classes: int) -> Tensor:
    """Return the logits of the smaller network."""
    return mobilenet_v3(images, classes, SMALL_BLOCKS, 1024)


NEW = "hard swish, squeeze-and-excitation, layers found by search"
ARCHITECTURES = {
    "mobilenet_v3_large": Architecture(mobilenet_v3_large, year=2019, paper="arXiv 1905.02244", new=NEW),
    "mobilenet_v3_small": Architecture(mobilenet_v3_small, year=2019, paper="arXiv 1905.02244", new=NEW),
}
