"""The bench: each peer in a process of its own, taking turns; medians are compared."""

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from statistics import geometric_mean
from typing import Any

from byhand.bench.peers import PEERS, Entry, byhand, family
from byhand.bench.process import Failed, Numbers, Process
from byhand.bench.table import figure
from byhand.bench.work import WORKS, Work
from byhand.kernels.runtime import cpu
from byhand.ops import DEFAULT_HAND

ROUNDS, SECONDS = 5, 0.5
SAME = 1e-3  # how far a peer's numbers may be from byhand's, relative to the largest: float32, summed in another order
BEHIND = 0.5  # a peer below this part of the best one, after its first turn, has no second


def measure(
    works: list[str],
    *,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    hand: str = DEFAULT_HAND,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure byhand and every peer that is installed on each work.

    Returns {"machine": ..., "rows": [{"work", "byhand", "peers": {name: value}, "unit", "ratio", ...}]}; a ratio above 1:
    byhand is ahead of the best peer. A row also has
        "best", "families": the best peer, and the ratio to the best of each framework
        "goal", "aim", "rival": ratios to reach, and the framework they speak of ("" for all of them)
        "lines": the same for each line, where there are several; the row has their geometric means
        "missing", "failed": peers that can't take part here; those that broke, or whose numbers were others
    """
    return {"machine": machine(), "rows": [_row(name, rounds, seconds, hand, tell) for name in works]}


class Race:
    """A work's peers and how far they are; byhand is the first of them."""

    def __init__(self, name: str, tell: Callable[[str], None]) -> None:
        self.name, self.work, self.tell = name, WORKS[name], tell
        self.processes: dict[str, Process] = {}
        self.failed: dict[str, str] = {}
        self.first: Numbers = []

    def enter(self, peer: str, entry: Entry, seconds: float) -> None:
        """Start a peer, compare its numbers with byhand's, and give it its first turn."""
        process = self.processes[peer] = Process(self.name, entry)
        with self._reporting(peer):
            numbers = process.start()
            self.first = self.first or numbers
            check(self.first, numbers)
            process.turn(seconds)
            self.tell(f"  {peer}: {figure(_mean(process.result)).strip()} {self.work.unit}")
        self._stop_those_behind()

    def round(self, seconds: float) -> None:
        """Give everyone who is still in it another turn."""
        for peer, process in list(self.processes.items()):
            if process.process is not None:
                with self._reporting(peer):
                    if self.work.fresh:
                        process.stop()
                        process.start()
                    process.turn(seconds)

    def stop(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.stop()

    @contextmanager
    def _reporting(self, peer: str) -> Iterator[None]:
        try:
            yield
        except Failed as error:
            self.failed[peer] = str(error)
            self.tell(f"  {peer}: {error}")
            self.processes.pop(peer).stop()

    def _stop_those_behind(self) -> None:
        peers = {name: process for name, process in self.processes.items() if name != "byhand"}
        best = [_best(self.work, values) for values in zip(*(process.result for process in peers.values()))]
        for process in peers.values():
            if all(ahead(self.work, ours, theirs) < BEHIND for ours, theirs in zip(process.result, best)):
                process.stop()


def _row(name: str, rounds: int, seconds: float, hand: str, tell: Callable[[str], None]) -> dict[str, Any]:
    work, race = WORKS[name], Race(name, tell)
    entries = {"byhand": byhand(hand)} | {peer: PEERS[peer] for peer in work.peers}
    missing = {peer: reason for peer, entry in entries.items() if (reason := entry.missing())}
    tell(f"measuring: {work.title}")
    try:
        for peer, entry in entries.items():
            if peer not in missing:
                race.enter(peer, entry, seconds)
        for _ in range(min(rounds, work.rounds or rounds) - 1):
            race.round(seconds)
    finally:
        race.stop()
    values = {peer: process.result for peer, process in race.processes.items()}
    return compare(work, values) | {"missing": missing, "failed": race.failed}


def compare(work: Work, values: dict[str, list[float]]) -> dict[str, Any]:
    """Return the row of what was measured: each line beside the best peer in it, and the geometric means."""
    means = {name: _mean(numbers) for name, numbers in values.items()}
    lines = [_line(work, {name: numbers[i] for name, numbers in values.items()}) for i in range(len(work.lines))]
    ratios = [line["ratio"] for line in lines if line["ratio"] is not None]
    row = {"work": work.title} | _line(work, means) | {"unit": work.unit, "ratio": _mean(ratios) if ratios else None}
    row |= {"families": _families(work, row["byhand"], row["peers"])}
    row |= {"goal": work.goal, "aim": work.aim, "rival": work.rival}
    return row if len(lines) == 1 else row | {"lines": dict(zip(work.lines, lines))}


def _line(work: Work, values: dict[str, float]) -> dict[str, Any]:
    ours, peers = values.get("byhand"), {name: value for name, value in values.items() if name != "byhand"}
    best = (min if work.less else max)(peers, key=peers.__getitem__, default=None)
    ratio = None if ours is None or best is None else ahead(work, ours, peers[best])
    return {"byhand": ours, "peers": peers, "best": best, "ratio": ratio}


def _families(work: Work, ours: float | None, peers: dict[str, float]) -> dict[str, float]:
    """Return byhand's ratio to the best of each framework."""
    families: dict[str, list[float]] = {}
    for name, value in peers.items():
        families.setdefault(family(name), []).append(value)
    return {} if ours is None else {name: ahead(work, ours, _best(work, values)) for name, values in families.items()}


def _best(work: Work, numbers: Iterable[float]) -> float:
    return min(numbers) if work.less else max(numbers)


def ahead(work: Work, ours: float, theirs: float) -> float:
    """Return the ratio of two results; above 1: ours is ahead."""
    return theirs / ours if work.less else ours / theirs


def _mean(numbers: list[float]) -> float:
    return numbers[0] if len(numbers) == 1 else geometric_mean(numbers)


def check(first: Numbers, numbers: Numbers) -> None:
    """Raise Failed where a peer's numbers are not those of the first, byhand."""
    if list(map(len, first)) != list(map(len, numbers)):
        raise Failed(
            f"it computed {list(map(len, numbers))} numbers, byhand {list(map(len, first))}: not the same work"
        )
    for ours, theirs in zip(first, numbers):
        allowed = SAME * max(map(abs, ours))
        if not all(abs(one - other) <= allowed for one, other in zip(ours, theirs)):
            shown = [", ".join(f"{value:.4g}" for value in values[:5]) for values in (theirs, ours)]
            raise Failed(f"it computed {shown[0]}, byhand {shown[1]}: not the same work")


def machine() -> str:
    """Return the processor's name, its cores, and the versions that matter."""
    name = cpu.name()
    name += {"avx512": " with AVX-512", "avx2": " with AVX2"}.get(cpu.host().target, "")
    return f"{name}, {os.cpu_count()} cores, {', '.join(f'{title} {number}' for title, number in versions().items())}"


def versions() -> dict[str, str]:
    """Return the versions that matter to speed: Python's, and those of the packages that are installed."""
    found = {"Python": platform.python_version()}
    packages = {"numpy": "NumPy", "numba": "Numba", "torch": "PyTorch", "jax": "JAX", "onnxruntime": "onnxruntime"}
    for package, title in packages.items():
        with suppress(metadata.PackageNotFoundError):
            found[title] = metadata.version(package)
    return found
