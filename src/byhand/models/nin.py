"""NiN, network in network: 1x1 convolutions between the others, and global average pooling in place of dense layers.

Lin, Chen & Yan 2013, "Network in network", arXiv 1312.4400. What was new: the 1x1 convolution (a small network at every pixel)
and the global average of a class's map as its logit. Nearly all later networks have both.

    name    for                       parameters
    nin     CIFAR-10, 32x32 images    966,986 at 10 classes

This is the network that the authors published for Caffe, with its layers' names: pooling windows may hang over the edge, and
dropout follows each pooling. As in the paper, a ReLU precedes the average, so that no logit is negative.
"""

from functools import partial
from typing import Any

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import cifar_architecture
from byhand.ops.op import Array
from byhand.shapes import Shape


def nin(images: Tensor, classes: int) -> Tensor:
    """Return the logits."""
    conv = partial(nn.Conv2d, initializer=narrow)
    return nn.Sequential(
        conv(192, 5, padding=2, name="conv1"), nn.ReLU(),  # (32, 32, 3) -> (32, 32, 192)
        conv(160, 1, name="cccp1"), nn.ReLU(),  # in the paper: cascaded cross channel parametric pooling
        conv(96, 1, name="cccp2"), nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True), nn.Dropout(),  # -> (16, 16, 96)
        conv(192, 5, padding=2, name="conv2"), nn.ReLU(),
        conv(192, 1, name="cccp3"), nn.ReLU(),
        conv(192, 1, name="cccp4"), nn.ReLU(),
        nn.AvgPool2d(3, stride=2, ceil_mode=True), nn.Dropout(),  # -> (8, 8, 192)
        conv(192, 3, padding=1, name="conv3"), nn.ReLU(),
        conv(192, 1, name="cccp5"), nn.ReLU(),
        conv(classes, 1, name="cccp6"), nn.ReLU(),  # -> (8, 8, classes)
        nn.GlobalAvgPool2d(),
    )(images)  # fmt: skip


def narrow(rng: Any, shape: Shape) -> Array:
    """Normal, standard deviation 0.05, as for the 1x1 convolutions of the authors' Caffe networks.

    The first logits are then small. With He's initializer they are so large that the ReLU before the average soon outputs 0.
    """
    return rng.standard_normal(shape) * 0.05  # type: ignore[no-any-return]


ARCHITECTURES = {
    "nin": cifar_architecture(
        nin, 2013, "arXiv 1312.4400", "1x1 convolutions, and global averages for fully connected layers"
    )
}
