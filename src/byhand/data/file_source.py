"""A data set of image files: inspected without decoding (sizes, classes, color, unreadable files), then decoded to splits."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from byhand.data import image_decoding
from byhand.data.class_names import natural_key
from byhand.data.dataset import Dataset
from byhand.data.discovered_files import DiscoveredFiles
from byhand.data.image_source import ProgressCallback
from byhand.data.lazy_images import LazyImages
from byhand.data.pixel_range import (
    STATE_IT,
    TOLD_MAX_PEAK,
    UNIT_OVERSHOOT,
    PixelExtent,
    PixelRange,
    check_splits,
    describe,
    is_dim,
    is_stated,
    join,
    range_of_set,
)
from byhand.data.prefetch import Prefetcher
from byhand.data.preprocessing import DIGIT_SHAPE, Preprocessing
from byhand.data.splits import Splits, check_classes
from byhand.errors import ArgumentError, FileError
from byhand.files import available_memory, check_memory
from byhand.shapes import Shape
from byhand.text import abbreviate

MAX_DECODED_PIXELS = 64 * 64  # a smaller image is decoded when it is inspected
MAX_DEFAULT_SIDE = 128  # pixels of a side, of the images of a new network
MIN_PHOTO_SIDE = 64  # pixels of the shorter side, of a color image that counts as a photo
BYTES = (0.0, 255.0)  # a pixel range
MEMORY_FRACTION = 0.25  # of the memory that is free, for decoded images
DECODE_GROUP = 16  # images that a thread decodes at a time


@dataclass
class FileSource:
    """The image files of a data set, not decoded except small ones; `ArraySource` has the same interface."""

    found: DiscoveredFiles
    infos: dict[Path, image_decoding.ImageInfo] = field(default_factory=dict)
    given_range: PixelRange | None = None  # of --pixel-range
    reader: str = "picture"

    @classmethod
    def of(
        cls,
        found: DiscoveredFiles,
        progress: ProgressCallback | None = None,
        *,
        pixel_range: PixelRange | None = None,
        reader: str | None = None,
    ) -> "FileSource":
        """Inspect every file; what can't be read goes into `found.bad`, with the reason.

        Files of more than 8 bits a channel are decoded: their smallest and largest value decide the pixel range of all.
        Raises FileError where they do not, and no `pixel_range` is given.
        """
        listing = cls(found, given_range=pixel_range, reader=reader or "picture")
        paths = [path for several in found.parts.values() for path, _ in several]
        for done, path in enumerate(paths):
            if progress and done % DECODE_GROUP == 0:
                progress(done, len(paths), "looking at images")
            try:
                listing.infos[path] = image_decoding.inspect_image(path, MAX_DECODED_PIXELS)
            except FileError as error:
                listing._bad(path, error)
        if not listing.infos:
            first = f"; the first: {': '.join(found.bad[0])}" if found.bad else ""
            raise FileError(f"{found.root}: none of {len(paths):,} images can be read{first}")
        try:
            listing.pixel_range  # noqa: B018  (resolved now, before anything is decoded)
        except ArgumentError as error:
            raise FileError(f"{found.root}: {error}") from None
        return listing

    @cached_property
    def extent(self) -> PixelExtent | None:
        """The extent of the pixels of all files whose range is unknown: of more than 8 bits, or floating point."""
        return join(info.extent for info in self.infos.values() if info.extent is not None)

    @cached_property
    def pixel_range(self) -> PixelRange | None:
        """The values of black and white of these pixels, None where there are none. Raises ArgumentError if not clear."""
        if self.extent is None:
            return None
        chosen = range_of_set(self.extent, self.given_range)
        if not is_stated(chosen):
            splits = {part: join(self._extents(pairs).values()) for part, pairs in self.found.parts.items()}
            check_splits({part: extent for part, extent in splits.items() if extent is not None}, chosen)
            for name, extent in self._extents(chain(*self.found.parts.values())).items():
                if chosen == BYTES and extent.kind == "float" and 0 < extent.high <= UNIT_OVERSHOOT[1]:
                    raise ArgumentError(
                        f"{name} holds {extent}, others go up to 255; scale them alike; else {STATE_IT}"
                    )
        return chosen

    def _extents(self, pairs: Iterable[tuple[Path, str]]) -> dict[str, PixelExtent]:
        """Return the extents of files by the names that are shown, of those whose range is unknown."""
        known = {path: self.infos[path].extent for path, _ in pairs if path in self.infos}
        return {self.found.shown(path): extent for path, extent in known.items() if extent is not None}

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.found.name

    @property
    def bad(self) -> list[tuple[str, str]]:
        """The files that can't be read, and why."""
        return self.found.bad

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of images of each class, by split."""
        return {
            part: dict(sorted(Counter(label for path, label in pairs if path in self.infos).items(), key=_by_name))
            for part, pairs in self.found.parts.items()
        }

    @cached_property
    def sizes(self) -> Counter[tuple[int, int]]:
        """The number of images of each size (height, width)."""
        return Counter(info.size for info in self.infos.values())

    @cached_property
    def channels(self) -> int:
        """1 where every image is gray, else 3."""
        return 1 if self.reader == "digit" or all(info.gray for info in self.infos.values()) else 3

    @property
    def photos(self) -> bool:
        """Whether they are in color, and most larger than 64 pixels."""
        sides = [min(info.size) for info in self.infos.values()]
        return self.channels == 3 and median(sides) > MIN_PHOTO_SIDE

    @property
    def shape(self) -> tuple[int, int, int]:
        """The input shape (H, W, C) of a new network: theirs, where all have the same and it is not large."""
        if self.reader == "digit":
            return DIGIT_SHAPE
        if len(self.sizes) == 1 and max(size := next(iter(self.sizes))) <= MAX_DEFAULT_SIDE:
            return (*size, self.channels)
        side = int(min(MAX_DEFAULT_SIDE, median(min(size) for size in self.sizes.elements())))
        side = side // 8 * 8 or side
        return side, side, self.channels

    def about(self, shape: Shape, crop: float) -> list[str]:
        """Return how the files become images of a shape, a line each."""
        lines, count, (height, width, channels) = [], len(self.infos), shape
        told = [f"{h} x {w}" for h, w in sorted(self.sizes, key=lambda size: (size[0] * size[1], size))]
        if self.reader == "digit":
            lines.append("each image is one digit, centered as in MNIST: bright ink on black")
        elif set(self.sizes) == {(height, width)} and crop == 1:
            lines.append(f"every image is {told[0]}, taken as it is")
        else:
            of = told[0] if len(told) == 1 else f"{len(told):,} sizes, {told[0]} to {told[-1]}"
            size = f"{height} x {width}"
            lines.append(
                f"images of {of}: resized so that {size} takes all of the shorter side, the rest cut off"
                if crop == 1
                else f"images of {of}: resized so that {size} takes {crop:.1%} of the shorter side, the rest cut off"
            )
        gray = sum(info.gray for info in self.infos.values())
        if channels == 3 and gray:
            lines.append(f"{gray:,} of {count:,} are gray: made color, three times the same channel")
        if channels == 1 and gray < count:
            lines.append(f"{count - gray:,} of {count:,} are in color: made gray")
        counted = Counter(note for info in self.infos.values() for note in info.notes)
        lines += [f"{number:,} of {count:,}: {note}" for note, number in counted.most_common()]
        if self.extent is not None and self.pixel_range is not None:
            deep = sum(info.extent is not None for info in self.infos.values())
            deep_note = describe(self.extent, self.pixel_range, given=self.given_range is not None)
            lines.append(f"{deep:,} of {count:,} have more than 8 bits: {deep_note}" if deep < count else deep_note)
            extents = [info.extent for info in self.infos.values() if info.extent is not None]
            if dim := sum(extent.high > 0 and is_dim(extent, self.pixel_range) for extent in extents):
                lines.append(f"{dim:,} of {count:,} are darker than a sixteenth of that range: are they of fewer bits?")
        return lines

    def sets(
        self,
        shape: Shape | None = None,
        crop: float = 1.0,
        *,
        stream: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> Splits:
        """Decode every file once, and return the splits; what can't be read is left out and listed.

        shape: of an image, by default `self.shape`; crop: the fraction of the shorter side that is kept; stream: leave images
        in their files, to be decoded again in each epoch (by default, where they would not fit in memory).
        Raises ArgumentError where fewer than two classes are left.
        """
        shape = shape or self.shape
        record = Preprocessing(self.reader, crop, self.pixel_range)
        if self.reader == "digit" and shape != DIGIT_SHAPE:
            raise ArgumentError(
                f"--reader digit gives images of 28 x 28 x 1; the network takes {' x '.join(map(str, shape))}"
            )
        if stream is None:
            stream = len(self.infos) * prod(shape) > MEMORY_FRACTION * available_memory()
        notes, parts = [*self.found.notes, *self.about(shape, crop)], {}
        for part, pairs in self.found.parts.items():
            parts[part] = self._decoded(
                [pair for pair in pairs if pair[0] in self.infos], shape, record, stream, progress
            )
        first = "train" if "train" in parts else "all"
        if first not in parts or not parts[first][0]:
            reason = ": ".join(self.bad[0]) if self.bad else "there are none"
            raise FileError(f"{self.found.root}: no image to train on can be read ({reason})")
        classes = tuple(sorted({label for _, label in parts[first][0]}, key=natural_key))
        place = {name: number for number, name in enumerate(classes)}
        made: dict[str, Dataset] = {}
        digests: dict[str, list[bytes]] = {}
        for part, (pairs, images) in parts.items():
            known = [row for row, (_, label) in enumerate(pairs) if label in place]
            if others := sorted({label for _, label in pairs} - set(classes), key=natural_key):
                notes.append(
                    f"{part} has {abbreviate(others)}, which {first} has not: {len(pairs) - len(known):,} left out"
                )
                images = images.take(known) if isinstance(images, LazyImages) else images[known]
            if not known:
                continue
            part = "train" if part == "all" else part
            labels = np.array([place[pairs[row][1]] for row in known], np.int64)
            files = tuple(self.found.shown(pairs[row][0]) for row in known)
            made[part] = Dataset(images, labels, classes, self.name, files)
            if stream:
                digests[part] = [self.infos[pairs[row][0]].digest for row in known]
        peak = 255 if stream else int(made["train"].images.max())
        if 0 < peak <= TOLD_MAX_PEAK and not self.extent:
            notes.append(f"no training image is brighter than {peak} of 255; save masks of 0 and 1 as 0 and 255")
        check_classes(made["train"].labels, classes, str(self.found.root))
        if stream:
            notes.append("the images stay in their files and are decoded while training, ahead of it")
        untouched = set(self.sizes) == {shape[:2]} and crop == 1
        record = replace(record, crop_pct=1.0 if untouched else crop)
        return Splits(**made, notes=tuple(notes), bad=tuple(self.bad), preprocessing=record, digests=digests)

    def _decoded(
        self,
        pairs: list[tuple[Path, str]],
        shape: Shape,
        record: Preprocessing,
        stream: bool,
        progress: ProgressCallback | None,
    ) -> tuple[list[tuple[Path, str]], Any]:
        """Return the files that can be decoded, and their images: an array, or LazyImages."""
        files = LazyImages([path for path, _ in pairs], shape, record)
        if not stream:
            advice = "leave them in their files: sets(stream=True)"
            check_memory(prod(files.shape), f"the {len(pairs):,} decoded images of {self.found.root}", advice=advice)
        images = None if stream else np.empty(files.shape, np.uint8)
        good: list[int] = []

        def work(rows: range) -> list[tuple[int, Any]]:
            return [(row, self._image(files, row)) for row in rows]

        small = all(self.infos[path].pixels is not None for path, _ in pairs)  # copying is too short a task for threads
        groups = (range(start, min(start + DECODE_GROUP, len(pairs))) for start in range(0, len(pairs), DECODE_GROUP))
        for group in Prefetcher(work, groups, threads=1 if small else None):
            for row, image in group:
                if isinstance(image, FileError):
                    self._bad(pairs[row][0], image)
                    continue
                if images is not None:
                    images[len(good)] = image
                good.append(row)
            if progress:
                progress(group[-1][0] + 1, len(pairs), "decoding images")
        kept = [pairs[row] for row in good]
        return kept, files.take(good) if images is None else images[: len(good)]

    def _image(self, files: LazyImages, row: int) -> Any:
        """Return one image, or the FileError of decoding it."""
        pixels = self.infos[files.paths[row]].pixels if self.reader == "picture" else None
        if pixels is not None and pixels.shape[:2] == files.shape[1:3] and files.preprocessing.crop_pct == 1:
            gray = pixels.ndim == 2
            if gray or files.shape[3] == 3:
                return pixels[..., None] if gray else pixels
        try:
            return files.decode(row)
        except FileError as error:
            return error

    def _bad(self, path: Path, error: FileError) -> None:
        reason = str(error)
        for name in (str(path), str(FileError(path))):  # as it is, and as messages show it
            reason = reason.replace(name, "").strip()
        self.infos.pop(path, None)
        self.found.bad.append((self.found.shown(path), reason.removeprefix("can't read : ").strip()))


def _by_name(item: tuple[str, int]) -> Any:
    return natural_key(item[0])
