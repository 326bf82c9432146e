"""A data set that is stored as arrays: MNIST, IDX files, an .npz."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from byhand.data.dataset import Dataset
from byhand.data.image_source import ProgressCallback
from byhand.data.mnist import is_mnist
from byhand.data.pixel_range import PixelRange
from byhand.data.preprocessing import DIGIT_SHAPE, Preprocessing
from byhand.data.splits import Splits, check_classes
from byhand.errors import ArgumentError
from byhand.shapes import Shape
from byhand.text import class_keys


@dataclass(frozen=True)
class ArraySource:
    """The splits of a data set as arrays; `FileSource` has the same interface for image files."""

    parts: Mapping[str, Dataset]
    pixel_range: PixelRange | None = None  # of the arrays that were not uint8
    notes: tuple[str, ...] = ()
    preprocessing: Preprocessing = Preprocessing(crop_pct=1.0)  # noqa: RUF009  (frozen)
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
            known = train.preprocessing is not None and train.preprocessing.reader == "digit"
            reader = "digit" if known or is_mnist(train.images) else "picture"
        if reader == "digit" and train.shape != DIGIT_SHAPE:
            raise ArgumentError(f"--reader digit gives images of 28 x 28 x 1; those of {train.name} are {train.shape}")
        if reader == "picture" and train.shape == DIGIT_SHAPE and train.classes == tuple("0123456789"):
            notes = (*notes, "image files are read as they are; --reader digit centers each digit as in MNIST")
        return cls(parts, pixel_range, notes, Preprocessing(reader, 1.0, pixel_range))

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
        return {part: dict(zip(class_keys(images.classes), _count(images))) for part, images in self.parts.items()}

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
        val, test = self.parts.get("val"), self.parts.get("test")
        return Splits(self.parts["train"], val, test, self.notes, preprocessing=self.preprocessing)


def _count(images: Dataset) -> list[int]:
    """Return the number of images of each class."""
    return np.bincount(images.labels, minlength=len(images.classes)).tolist()  # type: ignore[no-any-return]
