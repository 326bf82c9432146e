"""Architectures by name, a file a family, with its paper on top.

>>> import byhand as bh
>>> bh.models.create("lenet5", seed=0)
<model lenet5: (28, 28, 1) -> 10 classes, 61,706 parameters>
>>> bh.models.create("resnet20_cifar", classes=["cat", "dog"])
<model resnet20_cifar: (32, 32, 3) -> 2 classes, 269,202 parameters>
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from byhand.errors import ArgumentError, UnknownNameError
from byhand.models.architecture import Architecture
from byhand.nn import Input, Model
from byhand.shapes import integer

FAMILIES = (  # modules here, as the years went
    "lenet", "alexnet", "zfnet", "nin", "vgg", "googlenet", "inception_v3", "resnet", "resnet_cifar", "preact_resnet",
    "squeezenet", "densenet", "mobilenet_v1", "mobilenet_v2", "shufflenet_v2", "mobilenet_v3", "efficientnet", "article",
    "convnext", "small",
)  # fmt: skip
ARCHITECTURES: dict[str, Architecture] = {
    name: one for family in FAMILIES for name, one in import_module(f"byhand.models.{family}").ARCHITECTURES.items()
}


WEIGHTS = Path(__file__).with_name("weights")  # of networks that come trained, with the names of their classes
TRAINED = {"efficientnet_lite0": ("efficientnet_lite0.safetensors", "imagenet_classes.txt")}


def names() -> list[str]:
    """Return the name of every architecture."""
    return sorted(ARCHITECTURES)


def create(
    name: str,
    classes: int | Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    seed: int | None = 0,
    *,
    variant: str | None = None,
    auxiliary: bool = False,
    **settings: Any,
) -> Model:
    """Return a new model: an architecture for images of (H, W, C) and a number of classes (or their names).

    classes, input_shape: by default what the architecture was made for; seed: the first parameters come from it, and stay
    zeros where it is None; variant: "paper" for the paper's own network, where torchvision's differs and byhand has both;
    auxiliary: with the heads that helped it train, where it has any; settings: `dtype`, `mean`, `std` of `nn.Model`.
    Raises UnknownNameError, or ShapeError where the images are too small for the architecture.
    """
    if name not in ARCHITECTURES:
        raise UnknownNameError("model", name, ARCHITECTURES)
    one = ARCHITECTURES[name]
    if variant is not None and variant not in one.variants:
        having = ", ".join(
            f"{key} ({', '.join(other.variants)})" for key, other in ARCHITECTURES.items() if other.variants
        )
        raise ArgumentError(f"{name} has no variant {variant!r}; these have some: {having}")
    one = one if variant is None else one.variants[variant]
    shape = one.image if input_shape is None else input_shape
    if not isinstance(shape, (tuple, list)) or len(shape) != 3:
        raise ArgumentError(f"input_shape is {input_shape!r}; expected (H, W, C)")
    classes = one.classes if classes is None else classes
    named = classes if isinstance(classes, (tuple, list)) else None
    count = integer("classes", classes) if named is None else len(named)
    if shape[2] == one.image[2]:
        settings = {"mean": one.mean, "std": one.std} | settings
    images = Input(*shape)
    if auxiliary and not one.auxiliary:
        having = ", ".join(sorted(key for key, other in ARCHITECTURES.items() if other.auxiliary))
        raise ArgumentError(f"{name} has no auxiliary heads; these have: {having}")
    logits, heads = one.build(images, count, auxiliary=True) if auxiliary else (one.build(images, count), ())
    seed = None if seed is None else integer("seed", seed, 0)
    return Model(images, logits, name=name, seed=seed, classes=named, auxiliary=heads, **settings)


def pretrained(name: str, **settings: Any) -> Model:
    """Return a network of this package that knows ImageNet's 1,000 classes.

    settings: as `create` takes them, `dtype` for one. Raises UnknownNameError for a name that has no weights here.

    >>> import byhand as bh
    >>> bh.models.pretrained("efficientnet_lite0")
    <model efficientnet_lite0: (224, 224, 3) -> 1000 classes, 4,652,008 parameters>
    """
    if name not in TRAINED:
        raise UnknownNameError("trained model", name, TRAINED)
    weights, classes = (WEIGHTS / file for file in TRAINED[name])
    model = create(name, classes.read_text(encoding="utf-8").splitlines(), seed=None, **settings)
    model.load_torchvision(weights)
    return model
