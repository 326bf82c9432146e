"""Images that stay in their files: an array (N, H, W, C) that decodes the rows that are indexed."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from byhand.data.preprocessing import Preprocessing
from byhand.shapes import Array, Shape


class LazyImages:
    """Image files as an array of uint8: `images[rows]` decodes those, each resized and center-cropped to (H, W), gray or RGB.

    preprocessing: how a file is read, by default as a picture of which the whole shorter side is kept.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (64, 48), (255, 0, 0)).save(f"{folder}/red.png")
    ...     images = LazyImages([f"{folder}/red.png"] * 3, (32, 32, 3))
    ...     images.shape, images[:2].shape, images[0, 0, 0]
    ((3, 32, 32, 3), (2, 32, 32, 3), array([255,   0,   0], dtype=uint8))
    """

    ndim, dtype = 4, np.dtype(np.uint8)

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        shape: Shape,
        preprocessing: Preprocessing = Preprocessing(crop_pct=1.0),  # noqa: B008  (frozen)
    ) -> None:
        self.paths, self.preprocessing = [Path(path) for path in paths], preprocessing
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
        return self.preprocessing.read(self.paths[row], self.shape[1:])

    def take(self, rows: Any) -> "LazyImages":
        """Return the images of some of the files."""
        chosen = np.arange(len(self))[rows]
        return LazyImages([self.paths[row] for row in chosen], self.shape[1:], self.preprocessing)
