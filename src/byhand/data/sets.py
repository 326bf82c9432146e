"""What a training needs of its data: the sets, and all that must be told of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np

from byhand.data.collection import Collection
from byhand.data.dataset import Array, Dataset
from byhand.data.files import some
from byhand.data.split import stratified
from byhand.errors import ArgumentError

HELD_OUT = 0.2  # of what is not split: set aside to validate


@dataclass(frozen=True)
class Sets:
    """The sets of a data set: to train on, to validate on while training, to test on at the end.

    notes: what was found and done, a line each; bad: files that can't be used, with the reason; crop: how much of a
    picture's shorter side an image shows, None where no picture was resized or cut; digest: of all that can be learned.
    """

    train: Dataset
    val: Dataset | None = None
    test: Dataset | None = None
    notes: tuple[str, ...] = ()
    bad: tuple[tuple[str, str], ...] = ()
    crop: float | None = None
    digests: Mapping[str, Sequence[bytes]] = field(default_factory=dict)  # of each image, by part

    @property
    def held_out(self) -> Dataset | None:
        """The set that training is judged by: what is there to validate, else to test."""
        return self.val or self.test

    @property
    def parts(self) -> dict[str, Dataset]:
        """Those sets that are there, by name."""
        return {name: one for name in ("train", "val", "test") if (one := getattr(self, name)) is not None}

    def digest(self) -> str:
        """Return a digest of every image and label, so that a resumed training knows its data again."""
        digest = sha256()
        for part, one in self.parts.items():
            if part in self.digests:
                digest.update(b"".join(self.digests[part]))
            else:
                digest.update(memoryview(np.ascontiguousarray(one.images)))  # type: ignore[arg-type]
            digest.update(memoryview(np.ascontiguousarray(one.labels)))  # type: ignore[arg-type]
        return digest.hexdigest()

    def split(self, share: float, seed: int) -> "Sets":
        """Return these sets with a share of each class set aside from training, to validate on; copies stay together."""
        digests = self.digests.get("train") or image_digests(self.train.images)
        stay, aside = stratified(self.train.labels, share, seed, digests)
        if not len(aside):
            note = "no class has two images: nothing could be set aside to validate on"
            return replace(self, notes=(*self.notes, note))
        note = f"{len(aside):,} of {len(self.train):,} were set aside to validate on: {share:.0%} of each class, seed {seed}"
        kept = {name: values for name, values in self.digests.items() if name != "train"}
        for name, rows in (("train", stay), ("val", aside)):
            kept[name] = [digests[row] for row in rows]
        return replace(
            self, train=self.train.rows(stay), val=self.train.rows(aside), notes=(*self.notes, note), digests=kept
        )


def image_digests(images: Any) -> list[bytes]:
    """Return what tells images apart: a digest of each one's pixels, or of its file."""
    if isinstance(images, Collection):
        raise ArgumentError("the digests of files come from looking at them")
    flat = np.ascontiguousarray(images).reshape(len(images), -1).view(np.uint8)
    return [sha256(row.tobytes()).digest()[:16] for row in flat]


def told(sets: Sets) -> tuple[str, ...]:
    """Return what must be told of finished sets: classes without images, copies across sets, copies with two labels."""
    notes, classes = [], sets.train.classes
    for part, one in sets.parts.items():
        counts = np.bincount(one.labels, minlength=len(classes))
        if missing := [classes[k] for k in np.flatnonzero(counts == 0)]:
            notes.append(f"{part} holds no image of {some(missing)}; labels are by name, so that nothing shifts")
    owners: dict[bytes, tuple[str, int]] = {}  # the first image with these pixels: its part, its row
    across: dict[tuple[str, str], list[str]] = {}
    torn: list[str] = []
    for part, one in sets.parts.items():
        for row, digest in enumerate(sets.digests.get(part) or image_digests(one.images)):
            first, where = owners.setdefault(digest, (part, row))
            if (first, where) == (part, row):
                continue
            names = f"{_name(sets.parts[first], where)} = {_name(one, row)}"
            if first != part:
                across.setdefault((first, part), []).append(names)
            if sets.parts[first].labels[where] != one.labels[row]:
                torn.append(names)
    for (first, part), copies in across.items():
        verb = "image stands" if len(copies) == 1 else "images stand"
        notes.append(
            f"{len(copies):,} {verb} both in {first} and in {part}, which flatters the accuracy: {some(copies, 3)}"
        )
    if torn:
        verb = "image has" if len(torn) == 1 else "images have"
        notes.append(f"{len(torn):,} {verb} a copy with another label: {some(torn, 3)}")
    return tuple(notes)


def _name(one: Dataset, row: int) -> str:
    return one.files[row] if one.files else f"image {row}"


def check_classes(labels: Array, classes: Sequence[str], where: str) -> None:
    """Raise an ArgumentError where there is nothing to tell apart."""
    there = np.unique(labels)
    if len(there) < 2:
        only = f"only the class {classes[int(there[0])]!r}" if len(there) else "no image"
        raise ArgumentError(f"{where} has {only}; a classifier needs two classes or more to tell apart")
