"""Architectures by name, a file each, with its paper on top.

>>> import byhand as bh
>>> bh.models.names()
['article', 'lenet5']
>>> bh.models.create("lenet5", classes=10, input_shape=(28, 28, 1), seed=0)
<model lenet5: (28, 28, 1) -> 10 classes, 61,706 parameters>
"""

from collections.abc import Callable, Sequence
from typing import Any

from byhand.errors import ArgumentError, UnknownNameError
from byhand.graph import Tensor
from byhand.models.article import article
from byhand.models.lenet import lenet5
from byhand.nn import Input, Model
from byhand.shapes import integer

ARCHITECTURES: dict[str, Callable[[Tensor, int], Tensor]] = {"article": article, "lenet5": lenet5}


def names() -> list[str]:
    """Return the name of every architecture."""
    return sorted(ARCHITECTURES)


def create(
    name: str,
    classes: int | Sequence[str] = 10,
    input_shape: Sequence[int] = (28, 28, 1),
    seed: int = 0,
    **settings: Any,
) -> Model:
    """Return a new model: an architecture for images of (H, W, C) and a number of classes (or their names).

    seed: the first parameters come from it; settings: `dtype`, `mean`, `std`, as `nn.Model` takes them.
    Raises UnknownNameError, or ShapeError where the images are too small for the architecture.
    """
    if name not in ARCHITECTURES:
        raise UnknownNameError("model", name, ARCHITECTURES)
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise ArgumentError(f"input_shape is {input_shape!r}; expected (H, W, C)")
    count = integer("classes", classes) if not isinstance(classes, (tuple, list)) else len(classes)
    named = classes if isinstance(classes, (tuple, list)) else None
    images = Input(*input_shape)
    return Model(
        images, ARCHITECTURES[name](images, count), name=name, seed=integer("seed", seed, 0), classes=named, **settings
    )
