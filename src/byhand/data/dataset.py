"""`Dataset`: images in memory or in files, a label for each, and the names of the classes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.data.lazy_images import LazyImages
from byhand.data.preprocessing import Preprocessing
from byhand.errors import ArgumentError, ShapeError
from byhand.hints import Hinted, hinted_class
from byhand.shapes import Array


@hinted_class
@dataclass(frozen=True, repr=False, eq=False)
class Dataset(Hinted):
    """Images (N, H, W, C) in uint8 or float32, labels (N,) in int64, and the name of each class.

    Labels of another integer type are converted. They may also be floating-point targets: soft labels or several labels an
    image, (N, classes); of two classes also the probability of the second, (N, 1); or, without classes, numbers (N, ...).
    Images are taken as they are, without resizing, cropping or scaling; they may also be `LazyImages`, which are decoded when
    they are indexed. files: their names, or empty; preprocessing: how a file becomes such an image, where it is known (mean
    and std are the network's).

    Raises ShapeError for wrong axes or lengths, ArgumentError for a wrong type, label or class name.

    >>> import numpy as np
    >>> Dataset(np.zeros((3, 28, 28, 1), np.uint8), np.array([1, 0, 1]), ("cat", "dog"), "pets")
    Dataset 'pets': 3 images 28x28x1 uint8, 2 classes
    """

    images: Any
    labels: Array
    classes: tuple[str, ...]
    name: str = ""
    files: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None

    def __post_init__(self) -> None:
        images = self.images if isinstance(self.images, LazyImages) else np.asarray(self.images)
        labels = np.asarray(self.labels)
        names: Any = self.classes
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ArgumentError(f"Dataset: classes must be a tuple of str, got {names!r:.60}")
        if images.ndim != 4 or 0 in images.shape[1:]:
            raise ShapeError(
                f"Dataset: images must be (N, H, W, C), got shape {images.shape}; "
                "gray images (N, H, W) get their channel with images[..., None]"
            )
        if images.dtype not in (np.uint8, np.float32):
            raise ArgumentError(f"Dataset: images must be uint8 or float32, got {images.dtype}; convert them first")
        axes = ((len(names),), (1,)) if len(names) == 2 else ((len(names),),)  # of targets
        if labels.dtype.kind == "f" and (labels.ndim > 1 or not names):  # targets: soft labels, or numbers
            if labels.shape[:1] != images.shape[:1] or (names and labels.shape[1:] not in axes):
                raise ShapeError(
                    f"Dataset: {len(images)} images of {len(names)} classes need targets of shape ({len(images)}, "
                    f"{len(names) or '...'}), got {labels.shape}"
                )
        elif labels.shape != images.shape[:1]:
            raise ShapeError(f"Dataset: {len(images)} images need labels of shape ({len(images)},), got {labels.shape}")
        elif labels.dtype.kind not in "iu":
            raise ArgumentError(f"Dataset: labels must be integers, class numbers from 0, got {labels.dtype}")
        elif labels.size and not 0 <= labels.min() <= labels.max() < len(names):
            raise ArgumentError(
                f"Dataset: labels go from {labels.min()} to {labels.max()}, but there are {len(names)} classes, "
                "numbered from 0; give a name for every label"
            )
        if len(self.files) not in (0, len(images)):
            raise ArgumentError(
                f"Dataset: {len(images)} images have {len(self.files)} files; expected one each, or none"
            )
        for field, value in (
            ("images", images),
            ("labels", labels.astype(np.float32 if labels.dtype.kind == "f" else np.int64, copy=False)),
            ("classes", tuple(names)),
        ):
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: Any) -> Any:
        """Return (image, label) of one example; of a slice, or of an array of indices, a Dataset.

        >>> from byhand.data import mnist
        >>> image, label = mnist.load()[0][0]
        >>> image.shape, label
        ((28, 28, 1), 5)
        """
        if not hasattr(row, "__index__"):
            return self.rows(row)
        label = self.labels[row]
        return self.images[row], int(label) if label.ndim == 0 and label.dtype.kind in "iu" else label

    def __iter__(self) -> Iterator[tuple[Array, Any]]:
        """Yield (image, label) of each example."""
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        size = "x".join(map(str, self.images.shape[1:]))
        name = f" {self.name!r}" if self.name else ""
        return f"Dataset{name}: {len(self)} images {size} {self.images.dtype}, {len(self.classes)} classes"

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image, (H, W, C)."""
        return self.images.shape[1:]  # type: ignore[no-any-return]

    def take(self, n: int) -> "Dataset":
        """Return the first `n` examples, as views of the arrays.

        Raises ArgumentError for an `n` below 1 or above the number of examples.

        >>> from byhand.data import mnist
        >>> mnist.load()[0].take(1000)
        Dataset 'mnist': 1000 images 28x28x1 uint8, 10 classes
        """
        if not hasattr(n, "__index__") or not 1 <= n <= len(self):
            raise ArgumentError(f"Dataset.take: n={n}, but there are {len(self)} examples; take 1 to {len(self)}")
        return self.rows(slice(n))

    def rows(self, rows: Any) -> "Dataset":
        """Return examples by a slice (views) or by their indices (copies of the images, unless they are in files)."""
        images = self.images.take(rows) if isinstance(self.images, LazyImages) else self.images[rows]
        files = tuple(np.asarray(self.files, object)[rows]) if self.files else ()
        return Dataset(images, self.labels[rows], self.classes, self.name, files, self.preprocessing)
