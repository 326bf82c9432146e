"""A run of a benchmark: byhand and its peers, each in a process of its own, measured in turns; medians are compared."""

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from statistics import geometric_mean

from byhand.bench.benchmarks import BENCHMARKS, Benchmark
from byhand.bench.peers import PEERS, PeerSpec, byhand, family
from byhand.bench.process import Numbers, PeerError, Process
from byhand.bench.results import Comparison, Line, Result, Row
from byhand.bench.table import format_number
from byhand.kernels.runtime import cpu
from byhand.ops import DEFAULT_HAND
from byhand.translation import translate

ROUNDS = 5
TURN_SECONDS = 0.5
RELATIVE_TOLERANCE = 1e-3  # of a peer's numbers, beside the largest of byhand's: float32, summed in another order
MIN_RATIO_TO_BEST = 0.5  # a peer below it in its first turn is not measured again


def measure(
    benchmarks: list[str],
    *,
    rounds: int = ROUNDS,
    seconds: float = TURN_SECONDS,
    hand: str = DEFAULT_HAND,
    progress: Callable[[str], None] = lambda line: None,
) -> Result:
    """Measure byhand and every peer that is installed in each benchmark.

    Returns the machine and a row for each benchmark; a ratio above 1: byhand is ahead of the best peer. `results.py` lists all
    fields. hand: byhand's implementation of the ops; progress: called with each line of progress.
    """
    return {"machine": machine(), "rows": [_row(name, rounds, seconds, hand, progress) for name in benchmarks]}


class BenchmarkRun:
    """A benchmark and the processes of its peers, byhand's first."""

    def __init__(self, name: str, progress: Callable[[str], None]) -> None:
        self.name, self.benchmark, self.progress = name, BENCHMARKS[name], progress
        self.processes: dict[str, Process] = {}
        self.failed: dict[str, str] = {}
        self.expected: Numbers = []

    def add_peer(self, peer: str, spec: PeerSpec, seconds: float) -> None:
        """Start a peer, compare its numbers with byhand's, and measure it once."""
        process = self.processes[peer] = Process(self.name, spec)
        with self._reporting(peer):
            numbers = process.start()
            self.expected = self.expected or numbers
            check(self.expected, numbers)
            process.measure(seconds)
            number = format_number(_mean(process.result)).strip()
            self.progress(f"  {translate(peer)}: {number} {translate(self.benchmark.unit)}")
        self._stop_slow_peers()

    def measure_round(self, seconds: float) -> None:
        """Measure every peer that still runs once more."""
        for peer, process in list(self.processes.items()):
            if process.process is not None:
                with self._reporting(peer):
                    if self.benchmark.new_process:
                        process.stop()
                        process.start()
                    process.measure(seconds)

    def stop(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.stop()

    @contextmanager
    def _reporting(self, peer: str) -> Iterator[None]:
        try:
            yield
        except PeerError as error:
            self.failed[peer] = str(error)
            self.progress(f"  {translate(peer)}: {translate(str(error))}")
            self.processes.pop(peer).stop()

    def _stop_slow_peers(self) -> None:
        peers = {name: process for name, process in self.processes.items() if name != "byhand"}
        best = [_best(self.benchmark, values) for values in zip(*(process.result for process in peers.values()))]
        for process in peers.values():
            if all(
                performance_ratio(self.benchmark, ours, theirs) < MIN_RATIO_TO_BEST
                for ours, theirs in zip(process.result, best)
            ):
                process.stop()


def _row(name: str, rounds: int, seconds: float, hand: str, progress: Callable[[str], None]) -> Row:
    benchmark, run = BENCHMARKS[name], BenchmarkRun(name, progress)
    specs = {"byhand": byhand(hand)} | {peer: PEERS[peer] for peer in benchmark.peers}
    missing = {peer: reason for peer, spec in specs.items() if (reason := spec.missing())}
    progress(f"measuring: {benchmark.title}")
    try:
        for peer, spec in specs.items():
            if peer not in missing:
                run.add_peer(peer, spec, seconds)
        for _ in range(min(rounds, benchmark.rounds or rounds) - 1):
            run.measure_round(seconds)
    finally:
        run.stop()
    values = {peer: process.result for peer, process in run.processes.items()}
    return {**compare(benchmark, values), "missing": missing, "failed": run.failed}


def compare(benchmark: Benchmark, values: dict[str, list[float]]) -> Comparison:
    """Return a row of results: each line beside its best peer, and the geometric means."""
    means = {name: _mean(numbers) for name, numbers in values.items()}
    lines = [
        _line(benchmark, {name: numbers[i] for name, numbers in values.items()}) for i in range(len(benchmark.lines))
    ]
    ratios = [line["ratio"] for line in lines if line["ratio"] is not None]
    mean = _line(benchmark, means)
    comparison: Comparison = {
        "benchmark": benchmark.title,
        "byhand": mean["byhand"],
        "peers": mean["peers"],
        "best": mean["best"],
        "ratio": _mean(ratios) if ratios else None,
        "unit": benchmark.unit,
        "families": _families(benchmark, mean["byhand"], mean["peers"]),
        "required_ratio": benchmark.required_ratio,
        "target_ratio": benchmark.target_ratio,
        "rival": benchmark.rival,
    }
    if len(lines) > 1:
        comparison["lines"] = dict(zip(benchmark.lines, lines))
    return comparison


def _line(benchmark: Benchmark, values: dict[str, float]) -> Line:
    ours, peers = values.get("byhand"), {name: value for name, value in values.items() if name != "byhand"}
    best = (min if benchmark.lower_is_better else max)(peers, key=peers.__getitem__, default=None)
    ratio = None if ours is None or best is None else performance_ratio(benchmark, ours, peers[best])
    return {"byhand": ours, "peers": peers, "best": best, "ratio": ratio}


def _families(benchmark: Benchmark, ours: float | None, peers: dict[str, float]) -> dict[str, float]:
    """Return byhand's ratio to the best of each framework."""
    families: dict[str, list[float]] = {}
    for name, value in peers.items():
        families.setdefault(family(name), []).append(value)
    return (
        {}
        if ours is None
        else {name: performance_ratio(benchmark, ours, _best(benchmark, values)) for name, values in families.items()}
    )


def _best(benchmark: Benchmark, numbers: Iterable[float]) -> float:
    return min(numbers) if benchmark.lower_is_better else max(numbers)


def performance_ratio(benchmark: Benchmark, ours: float, theirs: float) -> float:
    """Return the ratio of two results; above 1: ours is the better."""
    return theirs / ours if benchmark.lower_is_better else ours / theirs


def _mean(numbers: list[float]) -> float:
    return numbers[0] if len(numbers) == 1 else geometric_mean(numbers)


def check(expected: Numbers, numbers: Numbers) -> None:
    """Raise PeerError where a peer's numbers differ from byhand's."""
    if list(map(len, expected)) != list(map(len, numbers)):
        raise PeerError(
            f"it computed {list(map(len, numbers))} numbers, byhand {list(map(len, expected))}: not the same computation"
        )
    for ours, theirs in zip(expected, numbers):
        allowed = RELATIVE_TOLERANCE * max(map(abs, ours))
        if not all(abs(our - their) <= allowed for our, their in zip(ours, theirs)):
            shown = [", ".join(f"{value:.4g}" for value in values[:5]) for values in (theirs, ours)]
            raise PeerError(f"it computed {shown[0]}, byhand {shown[1]}: not the same computation")


def machine() -> str:
    """Return the processor's name, its cores, and the versions that matter."""
    name = cpu.processor_name()
    name += {"avx512": " with AVX-512", "avx2": " with AVX2"}.get(cpu.vector_unit().target, "")
    return f"{name}, {os.cpu_count()} cores, {', '.join(f'{title} {number}' for title, number in versions().items())}"


def versions() -> dict[str, str]:
    """Return the versions that matter to speed: Python's, and those of the packages that are installed."""
    found = {"Python": platform.python_version()}
    packages = {"numpy": "NumPy", "numba": "Numba", "torch": "PyTorch", "jax": "JAX", "onnxruntime": "onnxruntime"}
    for package, title in packages.items():
        with suppress(metadata.PackageNotFoundError):
            found[title] = metadata.version(package)
    return found
