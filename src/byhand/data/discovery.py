"""Image files and their classes, from folders (a folder a class) or a CSV file; nothing is decoded here."""

import csv
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from byhand.data.image_formats import IMAGE_SUFFIXES
from byhand.errors import FileError
from byhand.text import printable

SPLITS = {  # of a data set, and the names of their folders
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "img", "picture")
LABEL_COLUMNS = ("label", "class", "classname", "class_name", "category", "target", "y")
SPLIT_COLUMNS = ("split", "part", "set", "subset", "fold")
LAYOUT = "a folder a class (FOLDER/cat/1.jpg), or train/, val/ and test/ with such folders"


@dataclass
class DiscoveredFiles:
    """Image files: (file, class) pairs by split; "all" where there are no splits."""

    name: str
    root: Path
    parts: dict[str, list[tuple[Path, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)  # what can't be read, and why

    def shown(self, path: Path) -> str:
        """Return a file's name for messages: relative to the data set's folder."""
        return printable(str(path.relative_to(self.root) if path.is_relative_to(self.root) else path))


def discover_folders(root: Path) -> DiscoveredFiles:
    """Return the images below a folder: `root/cat/*`, or `root/train/cat/*`, `root/val/cat/*` and `root/test/cat/*`.

    An image deeper down belongs to the class at the top. Links are followed, but never in a circle.
    Raises FileError where there is no image in a class's folder.
    """
    found = DiscoveredFiles(printable(root.resolve().name) or "images", root)
    folders, loose, _ = _entries(root, found)
    split_folders = {
        split: [folder for folder in folders if folder.name.lower() in names] for split, names in SPLITS.items()
    }
    if split_folders["train"]:
        used = {folder for group in split_folders.values() for folder in group}
        if others := [printable(folder.name) for folder in folders if folder not in used]:
            found.notes.append(f"beside train/ there is also {abbreviate(others)}: left out")
        for split, group in split_folders.items():
            for folder in group:
                _classes(folder, split, found)
    else:
        _classes(root, "all", found)
    if loose and split_folders["train"]:
        found.notes.append(f"{_count(loose)} directly in {found.name} {_belong(loose)} no class: left out")
    if not any(found.parts.values()):
        held = f"it holds {_count(loose)}, but no folder of a class" if loose else "no image is in a class's folder"
        raise FileError(f"{root} can't be trained on: {held}; expected {LAYOUT}")
    return found


def image_files_below(folder: Path) -> list[Path]:
    """Return every image file below a folder, in natural order."""
    return list(_below(folder, DiscoveredFiles(folder.name, folder), set(), Counter()))


def _classes(folder: Path, split: str, found: DiscoveredFiles) -> None:
    """Add the images of each class's folder."""
    folders, loose, _ = _entries(folder, found)
    pairs, others, seen = found.parts.setdefault(split, []), Counter[str](), {_identity(folder)}
    for class_folder in folders:
        label, before = class_name(class_folder.name), len(pairs)
        pairs += [(path, label) for path in _below(class_folder, found, seen, others)]
        if len(pairs) == before:
            found.notes.append(f"the folder {found.shown(class_folder)} holds no image: left out")
    if others:
        kinds = abbreviate([f"{count} {ending or 'without an ending'}" for ending, count in others.most_common()])
        found.notes.append(f"files that are no images by their names are left out: {kinds}")
    if loose:
        found.notes.append(f"{_count(loose)} directly in {printable(folder.name)} {_belong(loose)} no class: left out")


def _below(folder: Path, found: DiscoveredFiles, seen: set[tuple[int, int]], others: Counter[str]) -> Iterator[Path]:
    """Yield the images below a folder; each folder is entered once."""
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        if (identity := _identity(folder)) in seen:
            found.notes.append(f"the folder {found.shown(folder)} links to one that was seen already: left out")
            continue
        seen.add(identity)
        folders, images, rest = _entries(folder, found)
        yield from images
        others.update(path.suffix.lower() for path in rest)
        waiting += reversed(folders)


def _entries(folder: Path, found: DiscoveredFiles) -> tuple[list[Path], list[Path], list[Path]]:
    """Return what a folder holds, in natural order: folders, images, other files; what is hidden is passed over."""
    kinds: tuple[list[Path], list[Path], list[Path]] = [], [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((".", "__MACOSX")) or entry.name.lower() in ("thumbs.db", "desktop.ini"):
                    continue
                is_image = entry.name.lower().endswith(IMAGE_SUFFIXES)
                kinds[0 if entry.is_dir() else 1 if is_image else 2].append(folder / entry.name)
    except OSError as error:
        found.bad.append((found.shown(folder), f"the folder can't be read: {error.strerror or error}"))
    for group in kinds:
        group.sort(key=lambda path: natural_key(path.name))
    return kinds


def _identity(folder: Path) -> tuple[int, int]:
    try:
        facts = folder.stat()
    except OSError:
        return (0, hash(folder))
    return facts.st_dev, facts.st_ino


# CSV ------------------------------------------------------------------------------------------------------------------


def discover_csv(path: Path) -> DiscoveredFiles:
    """Return the images that a CSV file names: one path and one label per row, optionally a split.

    A path starts from the CSV's own folder, and one that leads out of it is refused. A first row of names is understood (path
    or file, label or class, split), so are semicolons and tabs. Raises FileError for a file that is no such table.
    """
    found = DiscoveredFiles(printable(path.stem), path.parent)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            _rows(file, path, found)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(
            f"can't read {path}: {getattr(error, 'strerror', None) or error}; expected CSV, UTF-8"
        ) from None
    if not any(found.parts.values()):
        why = f"; the first: {found.bad[0][0]} {found.bad[0][1]}" if found.bad else ""
        raise FileError(f"{path} names no image that is there; expected rows of a path and a label{why}")
    return found


def _rows(file: TextIO, path: Path, found: DiscoveredFiles) -> None:
    start = file.read(8192)
    file.seek(0)
    head = start.splitlines()[0] if start else ""
    rows = csv.reader(file, delimiter=max(",;\t", key=head.count))
    root, columns = path.parent.resolve(), None
    for number, row in enumerate(rows, 1):
        if not any(row):
            continue
        if columns is None:
            columns, named = _columns([cell.strip().lower() for cell in row])
            if named:
                continue
        try:
            name, label, *rest = (row[column].strip() for column in columns)
        except IndexError:
            found.bad.append((f"{path.name}, line {number}", f"has {len(row)} cells; expected a path and a label"))
            continue
        split = _split(rest[0]) if rest else "all"
        target = root / name
        if "\0" in name or not target.resolve().is_relative_to(root):
            found.bad.append((printable(name), "leads out of the CSV's folder; put the CSV beside its images"))
        elif split is None or not label:
            found.bad.append((printable(name), f"line {number} gives it no label, or an unknown split"))
        else:
            found.parts.setdefault(split, []).append((path.parent / name, class_name(label)))
    if "all" in found.parts and len(found.parts) > 1:
        found.parts.setdefault("train", []).extend(found.parts.pop("all"))


def _columns(cells: list[str]) -> tuple[list[int], bool]:
    """Return which columns hold the path, the label and the split, and whether the first row names them."""
    named = [
        next((cells.index(name) for name in names if name in cells), None)
        for names in (PATH_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)
    ]
    if named[0] is not None and named[1] is not None:
        return [column for column in named if column is not None], True
    return [0, 1], bool(cells) and not cells[0].endswith(IMAGE_SUFFIXES)


def _split(text: str) -> str | None:
    return next((split for split, names in SPLITS.items() if text.lower() in names), None if text else "all")


# names ----------------------------------------------------------------------------------------------------------------


def natural_key(text: str) -> tuple[object, ...]:
    """Return a key that sorts numbers in names by their value.

    >>> sorted(["10", "9", "cat", "b10", "b9"], key=natural_key)
    ['9', '10', 'b9', 'b10', 'cat']
    """
    parts = re.split(r"(\d{1,18})", text)
    return (*((part.lower(), 0) if i % 2 == 0 else ("", int(part)) for i, part in enumerate(parts)), (text, 0))


def class_name(text: str) -> str:
    """Return a class's name: the same letters are the same name, however a system spells them (NFC)."""
    return unicodedata.normalize("NFC", printable(text))


def abbreviate(names: list[str], max_names: int = 5) -> str:
    """Return the first few names of a list, and how many more there are."""
    more = f" and {len(names) - max_names:,} more" if len(names) > max_names else ""
    return ", ".join(names[:max_names]) + more


def _count(images: list[Path]) -> str:
    return f"{len(images):,} image{'s' if len(images) > 1 else ''}"


def _belong(images: list[Path]) -> str:
    return "belong to" if len(images) > 1 else "belongs to"
