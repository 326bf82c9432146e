"""A data set that is stored as arrays: MNIST, IDX files, an .npz."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from byhand.data.dataset import Dataset
from byhand.data.image_source import ProgressCallback
from byhand.data.mnist import is_mnist
from byhand.data.pixel_range import PixelRange
from byhand.data.preprocessing import DIGIT_SHAPE, Preprocessing
from byhand.data.splits import Splits, check_classes
from byhand.errors import ArgumentError
from byhand.shapes import Shape


@dataclass(frozen=True)
class ArraySource:
    """The splits of a data set as arrays; `FileSource` has the same interface for image files."""

    parts: Mapping[str, Dataset]
    pixel_range: PixelRange | None = None  # of the arrays that were not uint8
    notes: tuple[str, ...] = ()
    photos = False  # arrays don't tell whether they were photos

    @classmethod
    def of(
        cls,
        parts: Mapping[str, Dataset],
        reader: str | None = None,
        pixel_range: PixelRange | None = None,
        notes: tuple[str, ...] = (),
    ) -> "ArraySource":
        """Return a source of arrays of uint8.

        reader: how a file becomes such an image; by default "digit" for MNIST's images, wherever they come from, else
        "picture"; pixel_range: that the arrays had before.
        """
        train = parts["train"]
        if reader is None:
            reader = "digit" if train.reader == "digit" or is_mnist(train.images) else "picture"
        if reader == "digit" and train.shape != DIGIT_SHAPE:
            raise ArgumentError(f"--reader digit gives images of 28 x 28 x 1; those of {train.name} are {train.shape}")
        if reader == "picture" and train.shape == DIGIT_SHAPE and train.classes == tuple("0123456789"):
            notes = (*notes, "image files are read as they are; --reader digit centers each digit as in MNIST")
        return cls({part: replace(dataset, reader=reader) for part, dataset in parts.items()}, pixel_range, notes)

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.parts["train"].name

    @property
    def shape(self) -> tuple[int, int, int]:
        """One image's shape, (H, W, C)."""
        return self.parts["train"].shape

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.shape[2]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of images of each class, by split."""
        return {
            part: dict(zip(dataset.classes, np.bincount(dataset.labels, minlength=len(dataset.classes)).tolist()))
            for part, dataset in self.parts.items()
        }

    def sets(
        self,
        shape: Shape | None = None,
        crop: float = 1.0,
        *,
        stream: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> Splits:
        """Return the splits. Raises ArgumentError for another shape: arrays are not resized."""
        if shape is not None and shape != self.shape:
            ours, wanted = (" x ".join(map(str, sizes)) for sizes in (self.shape, shape))
            raise ArgumentError(f"the images of {self.name} are {ours}; arrays are not made into {wanted}")
        check_classes(self.parts["train"].labels, self.parts["train"].classes, self.name)
        train = self.parts["train"]
        record = Preprocessing(train.reader, 1.0, self.pixel_range)
        return Splits(train, self.parts.get("val"), self.parts.get("test"), self.notes, preprocessing=record)
