"""Images that stay in their files: an array (N, H, W, C) that decodes the rows that are indexed."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from byhand.shapes import Array, Shape


class LazyImages:
    """Image files as an array of uint8: `images[rows]` decodes those, each resized and center-cropped to (H, W), gray or RGB.

    crop: the fraction of an image's shorter side that is kept, as `photos.from_file` takes it.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (64, 48), (255, 0, 0)).save(f"{folder}/red.png")
    ...     images = LazyImages([f"{folder}/red.png"] * 3, (32, 32, 3))
    ...     images.shape, images[:2].shape, images[0, 0, 0]
    ((3, 32, 32, 3), (2, 32, 32, 3), array([255,   0,   0], dtype=uint8))
    """

    ndim, dtype = 4, np.dtype(np.uint8)

    def __init__(self, paths: Sequence[str | os.PathLike[str]], shape: Shape, crop: float = 1.0) -> None:
        self.paths, self.crop = [Path(path) for path in paths], crop
        self.shape = (len(self.paths), *shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, tuple):
            many = np.ndim(np.arange(len(self))[rows[0]]) > 0
            return self[rows[0]][(slice(None), *rows[1:]) if many else rows[1:]]
        chosen = np.arange(len(self))[rows]
        if chosen.ndim == 0:
            return self.decode(int(chosen))
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for i, row in enumerate(chosen.tolist()):
            images[i] = self.decode(row)
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:] if dtype is None else self[:].astype(dtype)  # type: ignore[no-any-return]

    def decode(self, row: int) -> Array:
        """Return one image (H, W, C). Raises FileError where its file has changed or is gone."""
        from byhand.data import photos  # noqa: PLC0415  (Pillow takes as long to import as the rest of byhand)

        _, height, width, channels = self.shape
        return photos.from_file(self.paths[row], (height, width), channels, self.crop)

    def take(self, rows: Any) -> "LazyImages":
        """Return the images of some of the files."""
        chosen = np.arange(len(self))[rows]
        return LazyImages([self.paths[row] for row in chosen], self.shape[1:], self.crop)
