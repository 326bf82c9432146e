"""small and tiny: seven 3x3 convolutions and two shortcuts, for small images on a laptop's CPU.

byhand 2026: no paper's networks, but chosen by measurement, with ideas of these papers: only 3x3 convolutions (Simonyan &
Zisserman 2014, arXiv 1409.1556), norms in place of biases (Ioffe & Szegedy 2015, arXiv 1502.03167), shortcuts (He, Zhang, Ren
& Sun 2015, arXiv 1512.03385) that add after the ReLU (Page 2018, "How to train your ResNet"), global average pooling in place
of dense layers (Lin, Chen & Yan 2013, arXiv 1312.4400), and pooling between a convolution and its norm (as in Jordan 2024,
arXiv 2404.00498): the pooling is then part of the convolution's kernel, and the norm works on a quarter of the elements. The
numbers of filters are multiples of 16, the width of the microkernel's tile. Every network below then trains at the same speed,
some 200 GFLOP/s on two cores, and a training costs the FLOPs of all its images, once forward and twice backward.

    filters               parameters   MFLOPs   epochs   TFLOPs   CIFAR-10   flip TTA
    32-64-128                464,170     39.6        4       24      83.1%      84.5%
                                                    10       59      85.3%      86.1%
    48-96-192              1,041,850     87.7        6       79      86.0%      87.1%
                                                    12      158      87.3%      88.0%
    small, 64-128-256      1,849,930    154.7        4       93      84.9%      85.9%
                                                     7      162      87.0%      87.6%
                                                    30      696      89.2%      90.1%
    tiny, 16-32-64           116,890     10.4

Trained with Muon, batch 256, on a copy in JPEG (quality 75), flipped and shifted; from 7 epochs on with label smoothing, the
wider two with cutout too; one seed each, so that half a point is within the noise. "flip TTA": `Model.with_flip_tta`. Up to 160
TFLOPs the narrower networks are level or ahead; a higher accuracy takes more filters. Tried at 4 epochs, with a gain under half
a point: whitened first filters, a first layer at full size, GELU, global max pooling, a higher learning rate for biases,
batches of 64 to 512. `scripts/choose_small.py` compares them at equal times.
"""

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import cifar_architecture
from byhand.models.blocks import conv_norm


def small(images: Tensor, classes: int) -> Tensor:
    """Return the logits of small: two million parameters, for small photographs."""
    return network(images, classes, 64, (128, 256))


def tiny(images: Tensor, classes: int) -> Tensor:
    """Return the logits of tiny: a quarter of the filters of small, a fifteenth of the work, for digits or a small device."""
    return network(images, classes, 16, (32, 64))


def network(images: Tensor, classes: int, stem: int, stages: tuple[int, ...]) -> Tensor:
    """Return the logits; stem, stages: the number of filters in the first layer and in each stage."""
    x = downsample_block(images, stem, "stem")  # (32, 32, 3) -> (16, 16, 64)
    for stage, filters in enumerate(stages, 1):  # -> (8, 8, 128) -> (4, 4, 256)
        x = downsample_block(x, filters, f"stage{stage}_down")
        x = residual_block(x, filters, f"stage{stage}")
    return nn.Linear(classes, name="head")(nn.GlobalAvgPool2d()(x))


def downsample_block(x: Tensor, filters: int, name: str) -> Tensor:
    """Return a convolution, 2x2 max pooling, norm and ReLU: (H, W, C) -> (H / 2, W / 2, filters); a side of 1 stays 1."""
    x = nn.Conv2d(filters, 3, padding=1, bias=False, name=f"{name}_conv")(x)
    x = halve(x)  # before the norm, which then works on a quarter of the elements
    return nn.ReLU(name=name)(nn.BatchNorm(name=f"{name}_bn")(x))


def halve(x: Tensor) -> Tensor:
    """Return 2x2 max pooling, of the sides that are longer than one pixel: images of any size pass."""
    height, width = (min(2, side) for side in x.shape[1:3])
    if height == width:
        return nn.MaxPool2d(2)(x) if height == 2 else x
    return nn.MaxPool2d((height, width))(x)


def residual_block(x: Tensor, filters: int, name: str) -> Tensor:
    """Return x with two 3x3 convolutions added to it, of the same shape."""
    y = conv_norm(x, filters, 3, (f"{name}_unit1_conv", f"{name}_unit1_bn"))
    y = conv_norm(y, filters, 3, (f"{name}_unit2_conv", f"{name}_unit2_bn"))
    return x + y


ARCHITECTURES = {
    "small": cifar_architecture(small, 2026, "byhand", "small photographs on a CPU, by accuracy against seconds"),
    "tiny": cifar_architecture(tiny, 2026, "byhand", "small with a quarter of its filters: digits, microcontrollers"),
}
