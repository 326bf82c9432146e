"""The record of an architecture: the function that builds it, its paper, and the images and classes it was designed for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

# Of the pixels / 255 of a channel: ImageNet's as in torchvision, and CIFAR-10's.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR_STD = (0.2470, 0.2435, 0.2616)


@dataclass(frozen=True)
class Architecture:
    """An architecture: `build(images, classes)` returns the logits.

    paper: where it was published; new: its contribution, in a few words; image, classes: of its paper's data; mean, std: of
    the normalization of such images; auxiliary: whether `build` takes `auxiliary=True` and then returns (logits,
    [(auxiliary logits, weight), ...]); variants: other networks of the same name, for instance `variant="paper"`.
    """

    build: Callable[..., Any]
    year: int
    paper: str
    new: str
    image: tuple[int, int, int] = (224, 224, 3)
    classes: int = 1000
    mean: float | tuple[float, ...] = IMAGENET_MEAN
    std: float | tuple[float, ...] = IMAGENET_STD
    auxiliary: bool = False
    variants: Mapping[str, "Architecture"] = field(default_factory=dict)


# An architecture for CIFAR-10: `cifar_architecture(build, year, paper, new)`.
cifar_architecture = partial(Architecture, image=(32, 32, 3), classes=10, mean=CIFAR_MEAN, std=CIFAR_STD)
