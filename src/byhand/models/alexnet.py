"""AlexNet: five convolutions and three fully connected layers, trained on two GPUs.

Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks", NIPS 25 (no arXiv
number; the one tower is Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997).
What was new: ReLU, dropout, overlapping pooling, and the size of the network.

    name                               filters of the convolutions    parameters at 1,000 classes
    alexnet                             64-192-384-256-256            61,100,840
    alexnet, variant="paper"            96-256-384-384-256            60,965,224

The first is torchvision's, one tower for images of 224 pixels. The paper's network has two towers, one on each GPU: its second,
fourth and fifth convolutions read only their own GPU's half of the channels (`groups=2`), and local response normalization
follows the first two. Its first convolution has no padding, which takes images of 227 pixels, not the paper's 224.
"""

from functools import partial

from byhand import nn
from byhand.graph import Tensor
from byhand.models.architecture import Architecture


def alexnet(images: Tensor, classes: int) -> Tensor:
    """Return the logits."""
    x = nn.Sequential(
        nn.Conv2d(64, 11, stride=4, padding=2, name="features_0"), nn.ReLU(),  # (224, 224, 3) -> (55, 55, 64)
        nn.MaxPool2d(3, stride=2),  # -> (27, 27, 64): windows of three overlap
        nn.Conv2d(192, 5, padding=2, name="features_3"), nn.ReLU(),
        nn.MaxPool2d(3, stride=2),  # -> (13, 13, 192)
        nn.Conv2d(384, 3, padding=1, name="features_6"), nn.ReLU(),
        nn.Conv2d(256, 3, padding=1, name="features_8"), nn.ReLU(),
        nn.Conv2d(256, 3, padding=1, name="features_10"), nn.ReLU(),
        nn.MaxPool2d(3, stride=2),  # -> (6, 6, 256)
    )(images)  # fmt: skip
    return nn.Sequential(
        nn.Flatten(),  # -> (9216,)
        nn.Dropout(),
        nn.Linear(4096, name="classifier_1"),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, name="classifier_4"),
        nn.ReLU(),
        nn.Linear(classes, name="classifier_6"),
    )(average_to_size(x, 6))


def two_towers(images: Tensor, classes: int) -> Tensor:
    """Return the logits of the paper's network, figure 2; a tower is one half of the channels."""
    # n = 5, k = 2, alpha = 1e-4, beta = 0.75; the paper multiplies alpha by a sum over five channels, LRN by their mean
    normal = partial(nn.LRN, 5, alpha=5e-4, beta=0.75, bias=2.0)
    x = nn.Sequential(
        nn.Conv2d(96, 11, stride=4, name="conv1"), nn.ReLU(), normal(),  # (227, 227, 3) -> (55, 55, 96)
        nn.MaxPool2d(3, stride=2),  # -> (27, 27, 96)
        nn.Conv2d(256, 5, padding=2, groups=2, name="conv2"), nn.ReLU(), normal(),
        nn.MaxPool2d(3, stride=2),  # -> (13, 13, 256)
        nn.Conv2d(384, 3, padding=1, name="conv3"), nn.ReLU(),  # reads both towers
        nn.Conv2d(384, 3, padding=1, groups=2, name="conv4"), nn.ReLU(),
        nn.Conv2d(256, 3, padding=1, groups=2, name="conv5"), nn.ReLU(),
        nn.MaxPool2d(3, stride=2),  # -> (6, 6, 256)
    )(images)  # fmt: skip
    return classifier(x, classes)


def classifier(x: Tensor, classes: int) -> Tensor:
    """Return the logits of maps of 6 x 6 pixels: the three fully connected layers that AlexNet and ZFNet share."""
    return nn.Sequential(
        nn.Flatten(),  # -> (9216,)
        nn.Linear(4096, name="fc6"),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, name="fc7"),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(classes, name="fc8"),
    )(average_to_size(x, 6))


def average_to_size(x: Tensor, size: int) -> Tensor:
    """Return maps averaged to size x size pixels, the size that the classifier was designed for.

    Maps whose sides are no multiple of it are returned as they are, and the classifier has more or fewer weights.
    """
    height, width = x.shape[1:3]
    if height % size or width % size or (height, width) == (size, size):
        return x
    return nn.AvgPool2d((height // size, width // size), name="avgpool")(x)


NEW = "ReLU, dropout, overlapping pools; trained on two GPUs"
PAPER = Architecture(two_towers, 2012, "NIPS 25", NEW, image=(227, 227, 3))
ARCHITECTURES = {"alexnet": Architecture(alexnet, 2012, "NIPS 25", NEW, variants={"paper": PAPER})}
