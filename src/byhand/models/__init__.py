"""Architectures by name. Each family is one file with its paper on top; a new file that defines ARCHITECTURES is found.

>>> import byhand as bh
>>> bh.models.create("lenet5", seed=0)
<model lenet5: (28, 28, 1) -> 10 classes, 61,706 parameters>
>>> bh.models.create("resnet20_cifar", classes=["cat", "dog"])
<model resnet20_cifar: (32, 32, 3) -> 2 classes, 269,202 parameters>
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from byhand.errors import ArgumentError, UnknownNameError
from byhand.hints import hinted, unknown_attribute
from byhand.hints.attributes import MODULE_NAMES
from byhand.models.architecture import Architecture
from byhand.nn import Input, Model
from byhand.shapes import integer


def _find_architectures() -> dict[str, Architecture]:
    """Return the architectures of all modules of this package, by year."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = {name: value for module in modules for name, value in getattr(module, "ARCHITECTURES", {}).items()}
    return dict(sorted(found.items(), key=lambda item: item[1].year))


ARCHITECTURES = _find_architectures()
WEIGHTS = Path(__file__).with_name("weights")  # of the trained networks, with the names of their classes
CROP_PCT = 0.875  # of their evaluation on ImageNet
TRAINED = {"efficientnet_lite0": ("efficientnet_lite0.safetensors", "imagenet_classes.txt")}


def names() -> list[str]:
    """Return the name of every architecture."""
    return sorted(ARCHITECTURES)


@hinted
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

    classes, input_shape: by default those of the architecture's paper; seed: of the parameters' first values, None for zeros;
    variant: "paper" for the paper's own network, where torchvision's differs and byhand has both; auxiliary: with the
    auxiliary classifiers that help it train, where it has any; settings: `dtype`, `mean`, `std` of `nn.Model`.
    Raises UnknownNameError, or ShapeError where the images are too small for the architecture.

    >>> import byhand as bh
    >>> bh.models.create("resnet18", classes=["ant", "bee"], input_shape=(64, 64, 3))
    <model resnet18: (64, 64, 3) -> 2 classes, 11,177,538 parameters>
    """
    if name not in ARCHITECTURES:
        raise UnknownNameError("model", name, ARCHITECTURES, "`byhand models` lists them")
    architecture = ARCHITECTURES[name]
    if variant is not None and variant not in architecture.variants:
        having = ", ".join(
            f"{key} ({', '.join(other.variants)})" for key, other in ARCHITECTURES.items() if other.variants
        )
        raise ArgumentError(f"{name} has no variant {variant!r}; these have some: {having}")
    architecture = architecture if variant is None else architecture.variants[variant]
    shape = architecture.image if input_shape is None else input_shape
    if not isinstance(shape, (tuple, list)) or len(shape) != 3:
        raise ArgumentError(f"input_shape is {input_shape!r}; expected (H, W, C)")
    classes = architecture.classes if classes is None else classes
    named = classes if isinstance(classes, (tuple, list)) else None
    count = integer("classes", classes) if named is None else len(named)
    if shape[2] == architecture.image[2]:
        settings = {"mean": architecture.mean, "std": architecture.std} | settings
    images = Input(*shape)
    if auxiliary and not architecture.auxiliary:
        having = ", ".join(sorted(key for key, other in ARCHITECTURES.items() if other.auxiliary))
        raise ArgumentError(f"{name} has no auxiliary heads; these have: {having}")
    build = architecture.build
    logits, heads = build(images, count, auxiliary=True) if auxiliary else (build(images, count), ())
    seed = None if seed is None else integer("seed", seed, 0)
    return Model(images, logits, name=name, seed=seed, classes=named, auxiliary=heads, **settings)


@hinted
def pretrained(name: str, **settings: Any) -> Model:
    """Return a network of this package that is trained on ImageNet's 1,000 classes.

    settings: those of `create`, for instance `dtype`. Raises UnknownNameError for a name that has no weights here.

    >>> import byhand as bh
    >>> bh.models.pretrained("efficientnet_lite0")
    <model efficientnet_lite0: (224, 224, 3) -> 1000 classes, 4,652,008 parameters>
    """
    if name not in TRAINED:
        if name in ARCHITECTURES:
            raise ArgumentError(
                f"pretrained: this package holds the weights of {', '.join(TRAINED)} alone; for torchvision's of {name}: "
                f"bh.models.create({name!r}), then model.load_torchvision(file)"
            )
        raise UnknownNameError("trained model", name, TRAINED)
    weights, classes = (WEIGHTS / file for file in TRAINED[name])
    settings = {"crop_pct": CROP_PCT} | settings
    model = create(name, classes.read_text(encoding="utf-8").splitlines(), seed=None, **settings)
    model.load_torchvision(weights)
    return model


if not TYPE_CHECKING:  # else type checkers would take any name for one that is there

    def __getattr__(name):
        """Raise the error for a name that there is not: it says what to write."""
        hints = MODULE_NAMES | {known: f"write bh.models.create('{known}')" for known in ARCHITECTURES}
        raise unknown_attribute("byhand.models", name, ["create", "names", "pretrained", *ARCHITECTURES], hints)
