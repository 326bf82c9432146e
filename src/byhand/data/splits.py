"""The splits of a data set (train, val, test), and warnings about them: empty classes, duplicates, conflicting labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np

from byhand.data.dataset import Dataset
from byhand.data.lazy_images import LazyImages
from byhand.data.preprocessing import Preprocessing
from byhand.data.stratified_split import stratified_split
from byhand.errors import ArgumentError
from byhand.shapes import Array
from byhand.text import abbreviate

VALIDATION_FRACTION = 0.2  # of a set without splits


@dataclass(frozen=True)
class Splits:
    """The splits of a data set: to train on, to validate on while training, to test on at the end.

    notes: what was found and done, a line each; bad: files that can't be used, with the reason; preprocessing: how
    a file becomes such an image (mean and std are the network's); digests: of each image, by split, where it stays in its
    file.
    """

    train: Dataset
    val: Dataset | None = None
    test: Dataset | None = None
    notes: tuple[str, ...] = ()
    bad: tuple[tuple[str, str], ...] = ()
    preprocessing: Preprocessing = Preprocessing(crop_pct=1.0)  # noqa: RUF009  (frozen)
    digests: Mapping[str, Sequence[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, dataset in self.parts.items():
            object.__setattr__(self, name, replace(dataset, preprocessing=self.preprocessing))

    @property
    def held_out(self) -> Dataset | None:
        """The set that training is evaluated on: the validation set, else the test set."""
        return self.val or self.test

    @property
    def parts(self) -> dict[str, Dataset]:
        """The splits that exist, by name."""
        splits = {"train": self.train, "val": self.val, "test": self.test}
        return {name: dataset for name, dataset in splits.items() if dataset is not None}

    def digest(self) -> str:
        """Return a digest of all images and labels, by which a resumed training recognizes its data."""
        digest = sha256()
        for part, dataset in self.parts.items():
            if part in self.digests:
                digest.update(b"".join(self.digests[part]))
            else:
                digest.update(memoryview(np.ascontiguousarray(dataset.images)))  # type: ignore[arg-type]
            digest.update(memoryview(np.ascontiguousarray(dataset.labels)))  # type: ignore[arg-type]
        return digest.hexdigest()

    def split(self, fraction: float, seed: int) -> "Splits":
        """Return these splits with a fraction of each class moved from train to val; copies of an image stay together."""
        digests = self.digests.get("train") or image_digests(self.train.images)
        stay, held_out = stratified_split(self.train.labels, fraction, seed, digests)
        if not len(held_out):
            note = "no class has two images: nothing could be set aside to validate on"
            return replace(self, notes=(*self.notes, note))
        counts = f"{len(held_out):,} of {len(self.train):,}"
        note = f"{counts} were set aside to validate on: {fraction:.0%} of each class, seed {seed}"
        kept = {name: values for name, values in self.digests.items() if name != "train"}
        for name, rows in (("train", stay), ("val", held_out)):
            kept[name] = [digests[row] for row in rows]
        return replace(
            self, train=self.train.rows(stay), val=self.train.rows(held_out), notes=(*self.notes, note), digests=kept
        )


def image_digests(images: Any) -> list[bytes]:
    """Return a digest of each image's pixels."""
    if isinstance(images, LazyImages):
        raise ArgumentError("images are LazyImages; expected an array (the digests of files are in Splits.digests)")
    flat = np.ascontiguousarray(images).reshape(len(images), -1).view(np.uint8)
    return [sha256(row.tobytes()).digest()[:16] for row in flat]


def data_warnings(sets: Splits) -> tuple[str, ...]:
    """Return warnings: classes without images, images in two splits, copies with different labels."""
    notes, classes = [], sets.train.classes
    for part, dataset in sets.parts.items():
        counts = np.bincount(dataset.labels, minlength=len(classes))
        if missing := [classes[k] for k in np.flatnonzero(counts == 0)]:
            notes.append(f"{part} holds no image of {abbreviate(missing)}; labels are by name, so that nothing shifts")
    owners: dict[bytes, tuple[str, int]] = {}  # the first image with a digest: its split, its row
    across: dict[tuple[str, str], list[str]] = {}
    conflicting: list[str] = []
    for part, dataset in sets.parts.items():
        for row, digest in enumerate(sets.digests.get(part) or image_digests(dataset.images)):
            first, first_row = owners.setdefault(digest, (part, row))
            if (first, first_row) == (part, row):
                continue
            names = f"{_name(sets.parts[first], first_row)} = {_name(dataset, row)}"
            if first != part:
                across.setdefault((first, part), []).append(names)
            if sets.parts[first].labels[first_row] != dataset.labels[row]:
                conflicting.append(names)
    for (first, part), copies in across.items():
        verb = "image stands" if len(copies) == 1 else "images stand"
        notes.append(
            f"{len(copies):,} {verb} both in {first} and in {part}, which flatters the accuracy: {abbreviate(copies, 3)}"
        )
    if conflicting:
        verb = "image has" if len(conflicting) == 1 else "images have"
        notes.append(f"{len(conflicting):,} {verb} a copy with another label: {abbreviate(conflicting, 3)}")
    return tuple(notes)


def _name(dataset: Dataset, row: int) -> str:
    return dataset.files[row] if dataset.files else f"image {row}"


def check_classes(labels: Array, classes: Sequence[str], where: str) -> None:
    """Raise an ArgumentError for fewer than two classes."""
    present = np.unique(labels)
    if len(present) < 2:
        only = f"only the class {classes[int(present[0])]!r}" if len(present) else "no image"
        raise ArgumentError(f"{where} has {only}; a classifier needs two classes or more to tell apart")
