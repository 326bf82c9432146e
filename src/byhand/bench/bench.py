"""The bench: peers take turns, several rounds, and the medians are compared."""

import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from subprocess import PIPE
from typing import Any

from byhand.bench.work import WORKS
from byhand.errors import ByhandError

ROUNDS, SECONDS = 5, 0.5
SAME = 1e-3  # how far a peer's losses may be from byhand's, relative: float32, summed in another order


def measure(
    works: list[str], *, rounds: int = ROUNDS, seconds: float = SECONDS, tell: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measure every peer that is installed on each work.

    Returns {"machine": ..., "rows": [{"work", "byhand", "peers": {name: value}, "unit", "ratio"}]}: images a second; a ratio
    above 1: byhand's best hand is ahead of the best peer. Raises ByhandError where two sides computed different losses.
    """
    rows = []
    for name in works:
        tell(WORKS[name].title)
        rates = _interleaved(name, [peer for peer in WORKS[name].peers() if _installed(peer)], rounds, seconds)
        ours = {peer: rate for peer, rate in rates.items() if peer.startswith("byhand")}
        theirs = {peer: rate for peer, rate in rates.items() if peer not in ours}
        best = max(ours.values())
        ratio = best / max(theirs.values()) if theirs else None
        row = {
            "work": WORKS[name].title,
            "byhand": best,
            "hands": ours,
            "peers": theirs,
            "unit": "images/s",
            "ratio": ratio,
        }
        rows.append(row)
    return {"machine": machine(), "rows": rows}


def _installed(peer: str) -> bool:
    return not peer.startswith("PyTorch") or importlib.util.find_spec("torch") is not None


def _interleaved(work: str, peers: list[str], rounds: int, seconds: float) -> dict[str, float]:
    with ExitStack() as stack:
        processes = {}
        for peer in peers:
            command = [sys.executable, "-m", "byhand.bench.peer", peer, work]
            process = stack.enter_context(
                subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, start_new_session=True)
            )
            assert process.stdin is not None
            stack.callback(process.stdin.close)
            processes[peer] = process
        losses = {peer: json.loads(_answer(peer, process)) for peer, process in processes.items()}
        _check(work, losses)
        rates: dict[str, list[float]] = {peer: [] for peer in peers}
        for _ in range(rounds):
            for peer, process in processes.items():
                assert process.stdin is not None
                print(seconds, file=process.stdin, flush=True)
                rates[peer].append(float(_answer(peer, process)))
    return {peer: median(values) for peer, values in rates.items()}


def _answer(peer: str, process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ByhandError(f"the bench's process for {peer} ended early; its error stands above")
    return line


def _check(work: str, losses: dict[str, list[float]]) -> None:
    first = next(iter(losses))
    for peer, values in losses.items():
        for ours, theirs in zip(losses[first], values):
            if abs(ours - theirs) > SAME * abs(ours):
                raise ByhandError(
                    f"{work}: {peer} has the losses {values}, {first} has {losses[first]}: not the same work"
                )


def machine() -> str:
    """Return the processor's name, its cores, and the versions that matter."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
        flags = next((line.split() for line in lines if line.startswith("flags")), [])
        name += " with AVX-512" if "avx512f" in flags else " with AVX2" if "avx2" in flags else ""
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"
