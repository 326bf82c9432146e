"""ShuffleNet V2: a block changes half of the channels; a channel shuffle then interleaves the halves.

Ma, Zhang, Zheng & Sun 2018, "ShuffleNet V2: Practical guidelines for efficient CNN architecture design", arXiv 1807.11164.
What was new: a design by measured speed on phones, which depends on memory traffic more than on multiplications: layers of
equal width, no grouped 1x1 convolutions, few branches, a channel split in place of a shortcut that adds.

    name                what differs: maps of the stages     parameters at 1,000 classes
    shufflenet_v2_x0_5  48, 96, 192, 1024                    1,366,792
    shufflenet_v2_x1_0  116, 232, 464, 1024                  2,278,604
    shufflenet_v2_x1_5  176, 352, 704, 1024                  3,503,624
    shufflenet_v2_x2_0  244, 488, 976, 2048                  7,393,996
"""

from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture
from byhand.models.blocks import conv_norm

BLOCKS = (4, 8, 4)  # of stages 2, 3 and 4
WIDTHS = {
    "shufflenet_v2_x0_5": (48, 96, 192, 1024),
    "shufflenet_v2_x1_0": (116, 232, 464, 1024),
    "shufflenet_v2_x1_5": (176, 352, 704, 1024),
    "shufflenet_v2_x2_0": (244, 488, 976, 2048),
}


def shufflenet_v2(images: Tensor, classes: int, widths: tuple[int, int, int, int]) -> Tensor:
    """Return the logits."""
    x = conv_norm(images, 24, 3, ("conv1_0", "conv1_1"), stride=2)  # (224, 224, 3) -> (112, 112, 24)
    x = nn.MaxPool2d(3, stride=2, padding=1)(x)  # -> (56, 56, 24)
    # x1.0: -> (28, 28, 116), (14, 14, 232), (7, 7, 464)
    for stage, (blocks, maps) in enumerate(zip(BLOCKS, widths), 2):
        x = shrink(x, maps, f"stage{stage}_0")
        for number in range(1, blocks):
            x = unit(x, f"stage{stage}_{number}")
    x = conv_norm(x, widths[-1], 1, ("conv5_0", "conv5_1"))  # -> (7, 7, 1024)
    return nn.Linear(classes, name="fc")(nn.GlobalAvgPool2d()(x))


def unit(x: Tensor, name: str) -> Tensor:
    """Return the paper's figure 3c: one half as it is, the other through a branch, then shuffled."""
    half = x.shape[-1] // 2
    left, right = nn.Slice(-1, 0, half)(x), nn.Slice(-1, half)(x)
    x = nn.Concat()(left, branch(right, half, 1, f"{name}_branch2"))
    return nn.ChannelShuffle(2, name=name)(x)


def shrink(x: Tensor, maps: int, name: str) -> Tensor:
    """Return figure 3d: all maps through two branches that halve the image."""
    first, before = f"{name}_branch1", x.shape[-1]
    left = conv_norm(x, before, 3, (f"{first}_0", f"{first}_1"), None, stride=2, groups=before)
    left = conv_norm(left, maps // 2, 1, (f"{first}_2", f"{first}_3"))
    x = nn.Concat()(left, branch(x, maps // 2, 2, f"{name}_branch2"))
    return nn.ChannelShuffle(2, name=name)(x)


def branch(x: Tensor, maps: int, stride: int, name: str) -> Tensor:
    """Return a 1x1 convolution, a depthwise one without activation, another 1x1: all of one width."""
    x = conv_norm(x, maps, 1, (f"{name}_0", f"{name}_1"))
    x = conv_norm(x, maps, 3, (f"{name}_3", f"{name}_4"), None, stride=stride, groups=maps)
    return conv_norm(x, maps, 1, (f"{name}_5", f"{name}_6"))


ARCHITECTURES = {
    name: Architecture(
        partial(shufflenet_v2, widths=widths),
        year=2018,
        paper="arXiv 1807.11164",
        new="maps split and shuffled, blocks shaped by measured speed",
    )
    for name, widths in WIDTHS.items()
}
