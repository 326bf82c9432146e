"""The batches of a training: drawn from a set, varied, and where that takes time made ahead of the training."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from byhand.data.ahead import Ahead
from byhand.data.augment import Augment
from byhand.data.collection import Collection
from byhand.data.dataset import Array, Dataset

T = TypeVar("T")


@dataclass(frozen=True)
class Draw:
    """Which images a batch holds, the uniform numbers that vary each, and the images that they are mixed with."""

    rows: Array
    uniforms: Array
    partners: Array | None = None


@dataclass(frozen=True)
class Batch:
    """Images and their labels; rows: which of the images are meant, where they are all of a set."""

    images: Any
    labels: Array
    rows: Array | None = None


class Feed(Generic[T]):
    """Iterates over (batch, what came with its draw); `waited` counts the seconds until batches were there."""

    def __init__(self, train: Dataset, augment: Augment, draws: Iterable[tuple[Draw, T]]) -> None:
        self._train, self._augment = train, augment
        made = isinstance(train.images, Collection) or augment != Augment()
        self._ahead = Ahead(self._make, draws) if made else None
        self._batches = iter(self._ahead) if self._ahead else self._as_it_is(draws)

    @property
    def waited(self) -> float:
        """Seconds."""
        return self._ahead.waited if self._ahead else 0.0

    def __next__(self) -> tuple[Batch, T]:
        return next(self._batches)

    def close(self) -> None:
        """Make nothing more."""
        if self._ahead:
            self._ahead.close()

    def _as_it_is(self, draws: Iterable[tuple[Draw, T]]) -> Iterator[tuple[Batch, T]]:
        for draw, more in draws:
            yield Batch(self._train.images, self._train.labels[draw.rows], draw.rows), more

    def _make(self, item: tuple[Draw, T]) -> tuple[Batch, T]:
        (draw, more), images = item, self._train.images
        mixed = None if draw.partners is None else images[draw.partners]
        varied = self._augment(images[draw.rows], draw.uniforms, mixed)
        return Batch(varied, self._train.labels[draw.rows]), more
