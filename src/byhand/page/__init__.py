"""A network as one HTML page that needs nothing else: its weights, its images, and its loops in JavaScript."""

from byhand.page.html import Look, document
from byhand.page.snapshot import Snapshot

__all__ = ["Look", "Snapshot", "document"]
