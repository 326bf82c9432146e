"""Pictures found in files, looked at: how many of each class, how large, grey or colour, which are bad; then made into sets."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from byhand.data import pictures
from byhand.data.ahead import Ahead
from byhand.data.collection import Collection
from byhand.data.dataset import Dataset
from byhand.data.files import Found, natural, some
from byhand.data.sets import Sets, check_classes
from byhand.errors import FileError

Tell = Callable[[int, int, str], None]  # how many are done, of how many, and of what
SMALL = 64 * 64  # pixels up to which a picture is decoded when it is looked at
LARGEST = 128  # pixels of a side that a network new to photos is given, where nothing is said
PHOTO = 64  # pixels of the shorter side above which a picture in colour is a photo
SHARE = 0.25  # of the machine's memory that decoded images may take
GROUP = 16  # pictures that a thread decodes at a time


@dataclass
class Listing:
    """The pictures of a data set, none of them decoded yet save small ones."""

    found: Found
    looks: dict[Path, pictures.Look] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Found, tell: Tell | None = None) -> "Listing":
        """Look at every picture that was found; what is bad goes into `found.bad`, with the reason."""
        listing = cls(found)
        paths = [path for several in found.parts.values() for path, _ in several]
        for done, path in enumerate(paths):
            if tell and done % GROUP == 0:
                tell(done, len(paths), "looking at pictures")
            try:
                listing.looks[path] = pictures.look(path, SMALL)
            except FileError as error:
                listing._bad(path, error)
        if not listing.looks:
            first = f"; the first: {': '.join(found.bad[0])}" if found.bad else ""
            raise FileError(f"{found.root}: none of {len(paths):,} pictures can be read{first}")
        return listing

    @property
    def name(self) -> str:
        """What the data set is called."""
        return self.found.name

    @property
    def bad(self) -> list[tuple[str, str]]:
        """What can't be read, and why."""
        return self.found.bad

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many pictures each class has, by part."""
        return {
            part: dict(sorted(Counter(label for path, label in pairs if path in self.looks).items(), key=_by_name))
            for part, pairs in self.found.parts.items()
        }

    @cached_property
    def sizes(self) -> Counter[tuple[int, int]]:
        """How many pictures have each size (height, width)."""
        return Counter(look.size for look in self.looks.values())

    @cached_property
    def channels(self) -> int:
        """1, where every picture is grey, else 3."""
        return 1 if all(look.grey for look in self.looks.values()) else 3

    @property
    def photos(self) -> bool:
        """Whether most are in colour and larger than small images are."""
        sides = [min(look.size) for look in self.looks.values()]
        return self.channels == 3 and median(sides) > PHOTO

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (H, W, C) that a network new to such pictures is given: theirs, where all have one that is not large."""
        if len(self.sizes) == 1 and max(size := next(iter(self.sizes))) <= LARGEST:
            return (*size, self.channels)
        side = int(min(LARGEST, median(min(size) for size in self.sizes.elements())))
        side = side // 8 * 8 or side
        return side, side, self.channels

    def about(self, shape: tuple[int, int, int], crop: float) -> list[str]:
        """Return what is done to the pictures to make them images of a shape, a line each."""
        lines, count, (height, width, channels) = [], len(self.looks), shape
        told = [f"{h} x {w}" for h, w in sorted(self.sizes, key=lambda size: (size[0] * size[1], size))]
        if set(self.sizes) == {(height, width)} and crop == 1:
            lines.append(f"every picture is {told[0]}, taken as it is")
        else:
            seen = "all" if crop == 1 else f"{crop:.1%}"
            of = told[0] if len(told) == 1 else f"{len(told):,} sizes, {told[0]} to {told[-1]}"
            lines.append(
                f"pictures of {of}: resized so that {height} x {width} takes {seen} of the shorter side, the rest cut off"
            )
        grey = sum(look.grey for look in self.looks.values())
        if channels == 3 and grey:
            lines.append(f"{grey:,} of {count:,} are grey: made colour, three times the same channel")
        if channels == 1 and grey < count:
            lines.append(f"{count - grey:,} of {count:,} are in colour: made grey")
        notes = Counter(look.note for look in self.looks.values() if look.note)
        return lines + [f"{number:,} of {count:,}: {note}" for note, number in notes.most_common()]

    def sets(
        self,
        shape: tuple[int, int, int] | None = None,
        crop: float = 1.0,
        *,
        stream: bool | None = None,
        tell: Tell | None = None,
    ) -> Sets:
        """Decode every picture once, and return the sets: what is bad is left out and listed.

        shape: of an image, by default `self.shape`; crop: how much of a picture's shorter side it shows; stream: leave the
        pictures in their files, to be decoded again in each epoch (by default, where they would not fit in memory).
        Raises ArgumentError where fewer than two classes are left.
        """
        shape = shape or self.shape
        room = SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 1 << 31
        stream = len(self.looks) * int(np.prod(shape)) > room if stream is None else stream
        notes, parts = [*self.found.notes, *self.about(shape, crop)], {}
        for part, pairs in self.found.parts.items():
            parts[part] = self._decoded([pair for pair in pairs if pair[0] in self.looks], shape, crop, stream, tell)
        first = "train" if "train" in parts else "all"
        if first not in parts or not parts[first][0]:
            raise FileError(f"{self.found.root}: no picture to train on can be read")
        classes = tuple(sorted({label for _, label in parts[first][0]}, key=natural))
        place = {name: number for number, name in enumerate(classes)}
        made: dict[str, Dataset] = {}
        digests: dict[str, list[bytes]] = {}
        for part, (pairs, images) in parts.items():
            known = [row for row, (_, label) in enumerate(pairs) if label in place]
            if others := sorted({label for _, label in pairs} - set(classes), key=natural):
                notes.append(f"{part} has {some(others)}, which {first} has not: {len(pairs) - len(known):,} left out")
                images = images.take(known) if isinstance(images, Collection) else images[known]
            if not known:
                continue
            part = "train" if part == "all" else part
            labels = np.array([place[pairs[row][1]] for row in known], np.int64)
            files = tuple(self.found.shown(pairs[row][0]) for row in known)
            made[part] = Dataset(images, labels, classes, self.name, files)
            if stream:
                digests[part] = [self.looks[pairs[row][0]].digest for row in known]
        check_classes(made["train"].labels, classes, str(self.found.root))
        if stream:
            notes.append("the images stay in their files and are decoded while training, ahead of it")
        untouched = set(self.sizes) == {shape[:2]} and crop == 1
        return Sets(**made, notes=tuple(notes), bad=tuple(self.bad), crop=1.0 if untouched else crop, digests=digests)

    def _decoded(
        self, pairs: list[tuple[Path, str]], shape: tuple[int, int, int], crop: float, stream: bool, tell: Tell | None
    ) -> tuple[list[tuple[Path, str]], Any]:
        """Return those pictures that can be decoded, and their images: an array, or a collection."""
        files = Collection([path for path, _ in pairs], shape, crop)
        images = None if stream else np.empty(files.shape, np.uint8)
        good: list[int] = []

        def work(rows: range) -> list[tuple[int, Any]]:
            return [(row, self._image(files, row)) for row in rows]

        small = all(self.looks[path].pixels is not None for path, _ in pairs)  # each thread would wait for the others
        groups = (range(start, min(start + GROUP, len(pairs))) for start in range(0, len(pairs), GROUP))
        for group in Ahead(work, groups, threads=1 if small else None):
            for row, image in group:
                if isinstance(image, FileError):
                    self._bad(pairs[row][0], image)
                    continue
                if images is not None:
                    images[len(good)] = image
                good.append(row)
            if tell:
                tell(group[-1][0] + 1, len(pairs), "decoding pictures")
        kept = [pairs[row] for row in good]
        return kept, files.take(good) if images is None else images[: len(good)]

    def _image(self, files: Collection, row: int) -> Any:
        """Return one image, or the FileError that tells why there is none."""
        pixels = self.looks[files.paths[row]].pixels
        if pixels is not None and pixels.shape[:2] == files.shape[1:3] and files.crop == 1:
            grey = pixels.ndim == 2
            if grey or files.shape[3] == 3:
                return pixels[..., None] if grey else pixels
        try:
            return files.decode(row)
        except FileError as error:
            return error

    def _bad(self, path: Path, error: FileError) -> None:
        reason = str(error).replace(str(path), "").strip()
        self.looks.pop(path, None)
        self.found.bad.append((self.found.shown(path), reason.removeprefix("can't read : ").strip()))


def _by_name(item: tuple[str, int]) -> Any:
    return natural(item[0])
