"""The images below a folder, as a tree: links entered once, and files of the system and of byhand passed over."""

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from byhand.data.class_names import natural_key
from byhand.data.image_formats import IMAGE_SUFFIXES
from byhand.errors import FileError

SYSTEM_NAMES = {  # of folders and files that operating systems, archives and storage devices add; hidden ones begin with a dot
    *("__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "lost+found"),
    *("@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information"),
}
FIRST_BYTES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")  # of images
RUN_FILE = "run.json"  # in the folder of a training, and the keys that it has
RUN_KEYS = {"model", "data", "seed", "hand"}
MAX_RUN_FILE_BYTES = 16 << 20  # a run.json lists the skipped files too
FIGURE_MARK = b"Software\0byhand"  # in the first chunk of text of a PNG that byhand drew
FIGURE_MARK_BYTES = 512  # from a PNG's beginning
MAX_FOLDERS = 500_000  # below a data set's folder; ImageNet-21k has 22,000


@dataclass
class Folder:
    """A folder: its images, its folders, and the number of all images below it."""

    path: Path
    images: list[Path] = field(default_factory=list)
    folders: list["Folder"] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # files that are no images by their names
    own: list[Path] = field(default_factory=list)  # runs and figures of byhand
    total: int = 0

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def filled(self) -> list["Folder"]:
        """The folders in it that hold an image somewhere."""
        return [folder for folder in self.folders if folder.total]

    def walk(self) -> Iterator["Folder"]:
        """Yield this folder and all below it, in natural order."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += reversed(folder.folders)

    def images_below(self) -> list[Path]:
        """Return every image in this folder and below it."""
        return [path for folder in self.walk() for path in folder.images]

    def kinds_below(self) -> Counter[str]:
        """Return the number of files that are no images, by ending."""
        return Counter(path.suffix.lower() for folder in self.walk() for path in folder.others)


@dataclass
class FolderTree:
    """A root folder, links to folders that were entered already, and what can't be read, with the reason."""

    root: Folder
    links: list[Path] = field(default_factory=list)
    bad: list[tuple[Path, str]] = field(default_factory=list)


def read_folder_tree(path: Path) -> FolderTree:
    """Return the tree of a folder.

    A folder is entered once: first by its own path, then by links. So a circle of links ends, and a link takes no image from
    the folder it leads to. A link to a folder that holds this one, as /proc/self/root, is not entered.
    Raises FileError for more than MAX_FOLDERS folders.
    """
    tree = FolderTree(Folder(path))
    order, seen = [tree.root], {_identity(folder) for folder in (path, *path.resolve().parents)}
    waiting, linked = [tree.root], list[tuple[Folder, Path]]()
    while waiting or linked:
        if not waiting:
            parent, link = linked.pop(0)
            if (identity := _identity(link)) in seen:
                tree.links.append(link)
                continue
            seen.add(identity)
            parent.folders.append(Folder(link))
            order.append(parent.folders[-1])
            waiting.append(parent.folders[-1])
        folder = waiting.pop()
        below = _read(folder, tree)
        for child, is_link in below:
            if is_link:
                linked.append((folder, child))
            elif (identity := _identity(child)) in seen:  # by a link that was entered before
                tree.links.append(child)
            else:
                seen.add(identity)
                folder.folders.append(Folder(child))
        order += folder.folders
        waiting += folder.folders
        if len(order) > MAX_FOLDERS:
            raise FileError(f"{path} holds more than {MAX_FOLDERS:,} folders; give the folder of the images")
    parents = {id(child): folder for folder in order for child in folder.folders}
    for folder in reversed(order):
        folder.folders.sort(key=lambda child: natural_key(child.name))
        folder.total += len(folder.images)
        if id(folder) in parents:
            parents[id(folder)].total += folder.total
    return tree


def is_image_name(name: str) -> bool:
    """Return whether a file's name has the ending of an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def has_odd_ending(name: str) -> bool:
    """Return whether a file's name has no ending, or more behind an image's: such a file may be an image.

    >>> [has_odd_ending(name) for name in ("photo", "cat.jpg_large", "cat.png?w=200", "cat.jpg~", "notes.txt")]
    [True, True, True, False, False]
    """
    ending = PurePath(name).suffix.lower()
    return not ending or any(
        re.match(rf"{re.escape(suffix)}[^\w~]|{re.escape(suffix)}_", ending) for suffix in IMAGE_SUFFIXES
    )


def _begins_as_image(path: Path) -> bool:
    """Return whether a regular file begins as a JPEG, PNG, GIF, TIFF, BMP or WebP does."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            first = file.read(12)
    except OSError:
        return False
    is_bmp = first[:2] == b"BM" and first[6:10] == bytes(4)  # a text may begin with BM
    return first.startswith(FIRST_BYTES) or is_bmp or (first[:4] == b"RIFF" and first[8:] == b"WEBP")


def is_system_name(name: str) -> bool:
    """Return whether a name is hidden, or one of an operating system's own files."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def is_run_folder(path: Path) -> bool:
    """Return whether a folder is the run of a training, by the content of its run.json."""
    file = path / RUN_FILE
    try:
        if not stat.S_ISREG(file.stat().st_mode) or file.stat().st_size > MAX_RUN_FILE_BYTES:
            return False
        settings = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and settings.keys() >= RUN_KEYS


def is_own_figure(path: Path) -> bool:
    """Return whether a PNG is a figure that byhand drew: a contact sheet, an explanation, a learning curve."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for its writer
            return False
        with path.open("rb") as file:
            return FIGURE_MARK in file.read(FIGURE_MARK_BYTES)
    except OSError:
        return False


def _read(folder: Folder, tree: FolderTree) -> list[tuple[Path, bool]]:
    """Read the entries of a folder; return its folders, each with whether it is a link."""
    below: list[tuple[Path, bool]] = []
    try:
        with os.scandir(folder.path) as entries:
            for entry in entries:
                if is_system_name(entry.name):
                    continue
                path = folder.path / entry.name
                if is_folder(entry):
                    if is_run_folder(path):
                        folder.own.append(path)
                    else:
                        below.append((path, entry.is_symlink()))
                elif entry.name.lower().endswith(".png") and is_own_figure(path):
                    folder.own.append(path)
                else:
                    is_image = is_image_name(entry.name) or (has_odd_ending(entry.name) and _begins_as_image(path))
                    (folder.images if is_image else folder.others).append(path)
    except OSError as error:
        tree.bad.append((folder.path, f"the folder can't be read: {error.strerror or error}"))
    for paths in (folder.images, folder.others, folder.own):
        paths.sort(key=lambda path: natural_key(path.name))
    return sorted(below, key=lambda child: natural_key(child[0].name))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(folder: Path) -> tuple[int, int]:
    try:
        facts = folder.stat()
    except OSError:
        return (0, hash(folder))
    return facts.st_dev, facts.st_ino
