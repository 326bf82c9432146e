"""The interface of a data set whose images are not decoded yet: an `ArraySource` or a `FileSource`, as `data.find` returns."""

from collections.abc import Callable
from typing import Protocol

from byhand.data.pixel_range import PixelRange
from byhand.data.splits import Splits
from byhand.shapes import Shape

ProgressCallback = Callable[[int, int, str], None]  # called with (done, total, what)


class ImageSource(Protocol):
    """A data set that was found; `sets` decodes it."""

    @property
    def name(self) -> str:
        """The data set's name."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """The input shape (H, W, C) of a new network."""

    @property
    def channels(self) -> int:
        """1 where every image is gray, else 3."""

    @property
    def photos(self) -> bool:
        """Whether the images are photos in color."""

    @property
    def pixel_range(self) -> PixelRange | None:
        """The values of black and white of pixels that are not uint8; None where all are."""

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of images of each class, by split."""

    def sets(
        self,
        shape: Shape | None = None,
        crop: float = 1.0,
        *,
        stream: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> Splits:
        """Return the splits with images of a shape; stream: decode images when they are used; progress: as in `find`."""
