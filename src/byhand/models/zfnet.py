"""ZFNet: AlexNet with smaller filters and strides in its first layers, chosen from visualizations of the filters.

Zeiler & Fergus 2013, "Visualizing and understanding convolutional networks", arXiv 1311.2901. What was new: images of what a
unit responds to. They showed that 11x11 filters at stride 4 miss the middle frequencies and alias; 7x7 filters at stride 2 do
not.

    name     filters                    parameters at 1,000 classes
    zfnet    96, 256, 384, 384, 256     62,357,608

This is figure 3 of the paper without its contrast normalization across maps, which later networks leave out. Pooling windows
may hang over the edge, which gives the figure's 55, 13 and 6 pixels.
"""

from byhand import nn
from byhand.graph import Tensor
from byhand.models.alexnet import classifier
from byhand.models.architecture import Architecture


def zfnet(images: Tensor, classes: int) -> Tensor:
    """Return the logits."""
    x = nn.Sequential(
        nn.Conv2d(96, 7, stride=2, padding=1, name="conv1"), nn.ReLU(),  # (224, 224, 3) -> (110, 110, 96)
        nn.MaxPool2d(3, stride=2, ceil_mode=True),  # -> (55, 55, 96)
        nn.Conv2d(256, 5, stride=2, name="conv2"), nn.ReLU(),  # -> (26, 26, 256)
        nn.MaxPool2d(3, stride=2, ceil_mode=True),  # -> (13, 13, 256)
        nn.Conv2d(384, 3, padding=1, name="conv3"), nn.ReLU(),
        nn.Conv2d(384, 3, padding=1, name="conv4"), nn.ReLU(),
        nn.Conv2d(256, 3, padding=1, name="conv5"), nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),  # -> (6, 6, 256)
    )(images)  # fmt: skip
    return classifier(x, classes)


ARCHITECTURES = {"zfnet": Architecture(zfnet, 2013, "arXiv 1311.2901", "filters chosen by looking at what they learn")}
