"""Peak memory of a process, and the size of an installation on disk."""

import sys
from importlib import metadata
from pathlib import Path
from typing import Protocol

from byhand.bench.check import Check, Session

MB = 1e6


def peak() -> float:
    """Return the most memory (MB) that this process has had so far."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / MB
    import resource  # noqa: PLC0415  (not on Windows)

    max_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max_rss * (1 if sys.platform == "darwin" else 1024) / MB


class PackagePeer(Protocol):
    """A framework that is installed as a package."""

    package: str


def install_size(peer: PackagePeer) -> Session:
    """Yield, for each turn, the MB of a peer's package and all its requirements, as installed here."""
    yield Check([])
    while True:
        yield sum(_bytes(name) for name in required_packages(peer.package)) / MB


def required_packages(package: str) -> set[str]:
    """Return a package and everything that it requires here, without extras."""
    from packaging.requirements import Requirement  # noqa: PLC0415  (needed here alone)

    found: set[str] = set()
    waiting = [package]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def _bytes(package: str) -> int:
    files = {Path(str(file.locate())) for file in metadata.files(package) or ()}
    if package == "byhand":  # also where it is installed in place, as a link
        files |= set(Path(__file__).parents[1].rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())
