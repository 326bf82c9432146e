"""The image files that cells of a table name: by paths of this or another machine, by names without folder or ending."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePath
from urllib.parse import unquote

from byhand.data.folder_tree import is_image_name, read_folder_tree
from byhand.data.split_names import split_of
from byhand.errors import FileError
from byhand.text import printable, shorten

SCHEME = re.compile(
    r"(?:file:/+(?=/|[A-Za-z]:)|[a-z][a-z0-9+.-]*://[^/]*/)", re.IGNORECASE
)  # file:///, gs://bucket/, https://host/
DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
DIRECT_FRACTION = 0.5  # of a column's cells: where as many are paths from the folder, the others are missing files
Parts = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a column's images are: what is dropped at the beginning of a path, the folder, the ending that is added."""

    dropped: Parts
    folder: Parts
    ending: str


class ImageFinder:
    """Finds the files that cells name below a folder, and never outside of it.

    hint: a word for the folder that is meant where two hold the same names: `train.csv` is about `train/`.
    """

    def __init__(self, root: Path, hint: str = "") -> None:
        self.root, self.hint = root, hint
        self.real_root = root.resolve()
        self.outside = cache(self._outside)
        self.names = cache(self._names)

    def count(self, cells: Sequence[str]) -> int:
        """Return how many of the cells name a file, wherever it is below the folder."""
        return sum(bool(cell) and (self.direct(cell) is not None or bool(self._candidates(cell))) for cell in cells)

    def direct(self, cell: str) -> Path | None:
        """Return the file of a path that starts from the folder; upper and lower case may differ in its name."""
        if "\0" in cell:
            return None
        for text in (cell, cell.replace("\\", "/")):
            path = self.root / text
            names = self.names(path.parent)
            found = names.get(path.name) or names.get(_key(path.name))
            if found is not None and not path.parent.joinpath(found).is_dir():
                return path.parent / found
        return None

    def find(self, cells: Sequence[str], rows: Sequence[Sequence[str]], table: str) -> list[Path | None]:
        """Return the file of each cell, or None; rows: the cells' rows, which may name the folder by class or split.

        Raises FileError where a name may be either of two files.
        """
        found = [self.direct(cell) for cell in cells]
        hits = sum(path is not None for path in found)
        if hits >= DIRECT_FRACTION * len(cells):
            return found
        places = self._places(cells)
        searched = self._searched(cells, rows, places, table)
        return searched if sum(path is not None for path in searched) > hits else found

    def leads_out(self, path: Path) -> bool:
        """Return whether a file lies outside of the folder, by its path or by a link."""
        return self.outside(path.parent) or (path.is_symlink() and not path.resolve().is_relative_to(self.real_root))

    def _outside(self, folder: Path) -> bool:
        try:
            return not folder.resolve().is_relative_to(self.real_root)
        except (OSError, RuntimeError):  # a circle of links
            return True

    def _names(self, folder: Path) -> dict[str, str]:
        """Return the files of a folder by their names, and by their names in lower case where only one has it."""
        if self.outside(folder):
            return {}
        try:
            names = [path.name for path in folder.iterdir()]
        except (OSError, ValueError):
            return {}
        counts = Counter(_key(name) for name in names)
        return {key: name for name in names if counts[key := _key(name)] == 1} | {name: name for name in names}

    def spellings(self) -> list[Callable[[str], str]]:
        """Return the ways in which other programs write a file's name, each a function that undoes it.

        An address escapes letters and ends in a query, a table of numbers loses zeros and adds a fraction, and a file may
        have been saved in another format.
        """
        stems = [path.stem for path in read_folder_tree(self.root).root.images_below()]
        widths = Counter(len(stem) for stem in stems if stem.isdecimal())
        width = widths.most_common(1)[0][0] if widths else 0
        return [
            lambda cell: unquote(re.split(r"[?#]", cell, maxsplit=1)[0]),
            lambda cell: re.sub(r"^(\d+)\.0*$", r"\1", cell),
            lambda cell: number[1].zfill(width) if (number := re.fullmatch(r"(\d+)(?:\.0*)?", cell)) else cell,
            lambda cell: cell[: -len(PurePath(cell).suffix)] if is_image_name(cell) else cell,
        ]

    # search -----------------------------------------------------------------------------------------------------------

    @cached_property
    def _index(self) -> dict[str, list[Parts]]:
        """The paths of the images below the folder, by name, and by name without ending."""
        index: dict[str, list[Parts]] = defaultdict(list)
        for path in read_folder_tree(self.root).root.images_below():
            parts = path.relative_to(self.root).parts
            index[_key(parts[-1])].append(parts)
            stem = path.stem
            index[_key(stem)].append(parts)
            while is_image_name(stem):  # 1.jpg.png
                stem = Path(stem).stem
                index[_key(stem)].append(parts)
        return index

    def _candidates(self, cell: str) -> list[tuple[int, Parts, str]]:
        """Return (parts that agree, path, ending that was added) of the files that a cell may name, the best ones."""
        parts = path_parts(cell)
        if not parts:
            return []
        whole = is_image_name(parts[-1])
        scored = []
        for path in self._index.get(_key(parts[-1]), ()):
            ending = "" if whole else _key(path[-1])[len(_key(parts[-1])) :]
            if whole and _key(path[-1]) != _key(parts[-1]):  # the name of another file without its ending
                continue
            agree = 1
            while agree < min(len(parts), len(path)) and _key(parts[-1 - agree]) == _key(path[-1 - agree]):
                agree += 1
            scored.append((agree, path, ending))
        best = max((agree for agree, _, _ in scored), default=0)
        return [found for found in scored if found[0] == best]

    def _places(self, cells: Sequence[str]) -> list[tuple[Parts, list[Place]]]:
        """Return what is dropped from the cells' paths, most frequent first, and the places that each such beginning has."""
        counts: Counter[Place] = Counter()
        for cell in cells:
            parts = path_parts(cell)
            for agree, path, ending in self._candidates(cell):
                counts[Place(parts[: len(parts) - agree], path[: len(path) - agree], ending)] += 1
        places: dict[Parts, list[Place]] = {}
        for place, _ in counts.most_common():
            if not any(place.dropped[: len(known)] == known and place.dropped != known for known in places):
                places.setdefault(place.dropped, []).append(place)
        return list(places.items())

    def _searched(
        self,
        cells: Sequence[str],
        rows: Sequence[Sequence[str]],
        places: Sequence[tuple[Parts, list[Place]]],
        table: str,
    ) -> list[Path | None]:
        """Return each cell's file in the one place that has it."""
        several = [self._files(path_parts(cell), places) for cell in cells]
        if any(len(files) > 1 for files in several) and self.hint:
            hinted = [
                (dropped, [place for place in group if self.hint in map(split_of, place.folder)] or group)
                for dropped, group in places
            ]
            several = [self._files(path_parts(cell), hinted) for cell in cells]
        found: list[Path | None] = []
        for cell, row, files in zip(cells, rows, several):
            if len(files) > 1:  # the folder of the class, or of the split
                names = {_key(other) for other in row if other and other != cell}
                agree = [len(names.intersection(map(_key, path.relative_to(self.root).parts))) for path in files]
                files = [path for path, count in zip(files, agree) if count == max(agree)]
            if len(files) > 1:
                shown = " or ".join(printable(str(path.relative_to(self.root))) for path in files[:2])
                raise FileError(
                    f"{table}: {shorten(cell, 120)!r} may be {shown}; give the folder that is meant: --image-folder"
                )
            found.append(files[0] if files else None)
        return found

    def _files(self, parts: Parts, places: Sequence[tuple[Parts, list[Place]]]) -> list[Path]:
        for dropped, group in places:
            if parts and parts[: len(dropped)] == dropped:
                rest = parts[len(dropped) :]
                wanted = {
                    (*map(_key, place.folder), *map(_key, rest[:-1]), _key(rest[-1]) + place.ending)
                    for place in group
                    if rest
                }
                paths = self._index.get(_key(parts[-1]), ())
                return [self.root.joinpath(*path) for path in paths if tuple(map(_key, path)) in wanted]
        return []


def path_parts(cell: str) -> Parts:
    """Return the folders and the name in a path of any system, or in the address of a file.

    >>> path_parts("C:\\\\data\\\\cat\\\\1.png"), path_parts("gs://bucket/cat/1.png"), path_parts("./1.png")
    (('data', 'cat', '1.png'), ('cat', '1.png'), ('1.png',))
    """
    text = DRIVE.sub("", SCHEME.sub("", cell)).replace("\\", "/")
    return tuple(part for part in text.split("/") if part not in ("", "."))


def _key(name: str) -> str:
    """Return a name as it is compared: the same letters, in either case."""
    return unicodedata.normalize("NFC", name).casefold()
