"""Augmentation: random changes of training images that keep their class.

    policy.py      `Augment`: which augmentations are applied, and how strongly; `suggest`
    registry.py    what an augmentation is, and the table of all
    mixup.py  geometry.py  color.py  cutout.py    the augmentations, each a function with `@augmentation`

A new augmentation is one such function, in a file that is imported here.
"""

# In this order settings are shown.
import byhand.data.augment.geometry  # isort: skip
import byhand.data.augment.color  # isort: skip
import byhand.data.augment.cutout  # isort: skip
import byhand.data.augment.mixup  # noqa: F401  # isort: skip
from byhand.data.augment.policy import Augment, suggest

__all__ = ["Augment", "suggest"]
