"""`DiscoveredFiles`: the image files of a data set and their classes, as folders.py and tables/ find them, not decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from byhand.text import printable


@dataclass
class DiscoveredFiles:
    """Image files: (file, class) pairs by split; "all" where there are no splits.

    notes: what was found and left out, a line each; the first says how folders or columns were understood.
    bad: what can't be used, with the reason.
    """

    name: str
    root: Path
    parts: dict[str, list[tuple[Path, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)

    def shown(self, path: Path) -> str:
        """Return a file's name for messages: relative to the data set's folder."""
        return printable(str(path.relative_to(self.root) if path.is_relative_to(self.root) else path))

    @property
    def labels(self) -> set[str]:
        """The classes of all splits."""
        return {label for pairs in self.parts.values() for _, label in pairs}


def count_of(items: Sequence[object], what: str = "image") -> str:
    """Return a number and what it counts, as "1 image" or "2,000 images"."""
    return f"{len(items):,} {what}{'s' if len(items) != 1 else ''}"
