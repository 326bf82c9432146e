"""A data set that is there as arrays: MNIST, IDX files, an .npz; nothing about it has to be found out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.data.dataset import Dataset
from byhand.data.sets import Sets, check_classes
from byhand.errors import ArgumentError


@dataclass(frozen=True)
class Whole:
    """The sets of a data set by part, as arrays; a `Listing` answers the same questions of pictures in files."""

    parts: Mapping[str, Dataset]
    photos = False  # nothing is known of what they were

    @property
    def name(self) -> str:
        """What the data set is called."""
        return self.parts["train"].name

    @property
    def shape(self) -> tuple[int, int, int]:
        """One image's shape, (H, W, C)."""
        return self.parts["train"].shape

    @property
    def channels(self) -> int:
        """How many numbers a pixel has."""
        return self.shape[2]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many images each class has, by part."""
        return {
            part: dict(zip(one.classes, np.bincount(one.labels, minlength=len(one.classes)).tolist()))
            for part, one in self.parts.items()
        }

    def sets(
        self,
        shape: tuple[int, int, int] | None = None,
        crop: float = 1.0,
        *,
        stream: bool | None = None,
        tell: Any = None,
    ) -> Sets:
        """Return the sets. Raises ArgumentError for another shape: arrays are taken as they are."""
        if shape is not None and shape != self.shape:
            ours, wanted = (" x ".join(map(str, one)) for one in (self.shape, shape))
            raise ArgumentError(f"the images of {self.name} are {ours}; arrays are not made into {wanted}")
        check_classes(self.parts["train"].labels, self.parts["train"].classes, self.name)
        return Sets(self.parts["train"], self.parts.get("val"), self.parts.get("test"))
