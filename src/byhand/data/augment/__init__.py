"""Augmentation: random changes of training images that keep their class.

    policy.py      `Augment`: which augmentations are applied, and how strongly; `suggest`
    registry.py    what an augmentation is, and the table of all
    mixup.py  geometry.py  color.py  cutout.py    the augmentations, each a function with `@augmentation`

A new augmentation is one such function, in one of these files or a new one.
"""

from importlib import import_module
from pkgutil import iter_modules

from byhand.data.augment.policy import Augment, suggest


def _register_all() -> None:
    """Import every module of this package: each registers its augmentations."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")


_register_all()

__all__ = ["Augment", "suggest"]
