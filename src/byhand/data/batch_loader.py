"""The batches of a training: picked from a set, augmented, and prefetched where that takes time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from byhand.data.augment import Augment
from byhand.data.dataset import Dataset
from byhand.data.lazy_images import LazyImages
from byhand.data.prefetch import Prefetcher
from byhand.shapes import Array

T = TypeVar("T")


@dataclass(frozen=True)
class BatchSpec:
    """The specification of a batch: rows of the set, uniforms of their augmentation, partners: the rows mixed in by mixup."""

    rows: Array
    uniforms: Array
    partners: Array | None = None


@dataclass(frozen=True)
class Batch:
    """Images and their labels; rows: the rows of the batch, where `images` is the whole set."""

    images: Any
    labels: Array
    rows: Array | None = None


class BatchLoader(Generic[T]):
    """Iterates over (batch, what came with its spec)."""

    def __init__(self, train: Dataset, augment: Augment, specs: Iterable[tuple[BatchSpec, T]]) -> None:
        self._train, self._augment = train, augment
        takes_time = isinstance(train.images, LazyImages) or augment != Augment()
        self._prefetcher = Prefetcher(self._load, specs) if takes_time else None
        self._batches = iter(self._prefetcher) if self._prefetcher else self._views(specs)

    @property
    def wait_seconds(self) -> float:
        """How long the training has waited for batches."""
        return self._prefetcher.wait_seconds if self._prefetcher else 0.0

    def __next__(self) -> tuple[Batch, T]:
        return next(self._batches)

    def close(self) -> None:
        """Stop prefetching."""
        if self._prefetcher:
            self._prefetcher.close()

    def _views(self, specs: Iterable[tuple[BatchSpec, T]]) -> Iterator[tuple[Batch, T]]:
        """Yield batches that refer to rows of the set: nothing is copied."""
        for spec, extra in specs:
            yield Batch(self._train.images, self._train.labels[spec.rows], spec.rows), extra

    def _load(self, item: tuple[BatchSpec, T]) -> tuple[Batch, T]:
        """Return a batch of augmented images."""
        (spec, extra), images = item, self._train.images
        others = None if spec.partners is None else images[spec.partners]
        augmented = self._augment(images[spec.rows], spec.uniforms, others)
        return Batch(augmented, self._train.labels[spec.rows]), extra
