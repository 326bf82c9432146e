"""A run of the bench: byhand and its peers, each in a process of its own, measured in turns; medians are compared."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import fmean, median

from byhand.bench.benchmarks import BENCHMARKS, WORK_PER_SECOND, Benchmark
from byhand.bench.check import BF16_TOLERANCE, Numbers, PeerError, compare_numbers
from byhand.bench.comparison import best, compare, compare_line, performance_ratio
from byhand.bench.machine import machine
from byhand.bench.peers import BYHAND, BYHAND_BF16, CORES, PEERS, byhand
from byhand.bench.process import Process
from byhand.bench.results import Line, Result, Row, Side
from byhand.bench.spin_loop import SPINNING_PROCESSES, SpinLoop, spinning_processes
from byhand.bench.table import format_number
from byhand.errors import ArgumentError
from byhand.kernels.conv import tuning
from byhand.kernels.conv.problem import BF16, FLOAT32
from byhand.ops import DEFAULT_HAND
from byhand.translation import translate

ROUNDS = 5
TURN_SECONDS = 0.5
MIN_RATIO_TO_BEST = 0.5  # a peer below it in its first turn is not measured again
LIMIT = "limit"  # the benchmark that measures it


def measure(
    benchmarks: list[str],
    *,
    rounds: int = ROUNDS,
    seconds: float = TURN_SECONDS,
    hand: str = DEFAULT_HAND,
    busy: bool = False,
    only: Sequence[str] = (),
    progress: Callable[[str], None] = lambda line: None,
) -> Result:
    """Measure byhand and every peer that is installed in each benchmark.

    Returns the machine, its limits and a row for each benchmark; a ratio above 1: byhand is ahead of the best peer.
    `results.py` lists all fields. hand: byhand's implementation of the ops; busy: beside two processes that spin; only: texts,
    of which the name of a line has to contain one, or that of a benchmark of a single line; progress: called with each line of
    progress. Raises ArgumentError where no line does.
    """
    chosen = choose_lines(benchmarks, busy, only)
    spin_loop = SpinLoop(CORES)
    try:
        limits = measure_limits(spin_loop, progress) if hand == DEFAULT_HAND and _counts_flops(chosen) else {}
        rows = [
            BenchmarkRun(name, benchmark, spin_loop, limits, progress).measure(rounds, seconds, hand)
            for name, benchmark in chosen.items()
        ]
    finally:
        spin_loop.close()
    return {"machine": machine(), "threads": CORES, "limits": limits, "tuning": tuning.in_use().factors, "rows": rows}


def measure_limits(spin_loop: SpinLoop, progress: Callable[[str], None]) -> dict[str, float]:
    """Return the GFLOP/s that the register tile reaches on this machine, by each precision that it has."""
    row = BenchmarkRun(LIMIT, BENCHMARKS[LIMIT], spin_loop, {}, progress).measure(1, 0, DEFAULT_HAND)
    return {name: line["sides"][BYHAND]["value"] for name, line in row["lines"].items() if BYHAND in line["sides"]}


def choose_lines(benchmarks: Sequence[str], busy: bool, only: Sequence[str]) -> dict[str, Benchmark]:
    """Return the benchmarks that have a chosen line, with these lines alone, on a busy machine or not."""
    chosen, names = {}, list[str]()
    for name in benchmarks:
        benchmark = BENCHMARKS[name]
        names += [line or name for line in benchmark.lines]
        lines = {
            line: session
            for line, session in benchmark.lines.items()
            if not only or any(text in (line or name) for text in only)
        }
        if lines:
            spinning = SPINNING_PROCESSES if busy else benchmark.spinning
            chosen[name] = replace(benchmark, lines=lines, spinning=spinning)
    if not chosen:
        texts = " or ".join(only)
        if len(benchmarks) > 1:
            raise ArgumentError(
                f"no line of these benchmarks contains {texts}; name one alone, and its lines are listed"
            )
        raise ArgumentError(f"no line of {benchmarks[0]} contains {texts}; choose from: {', '.join(names)}")
    return chosen


def _counts_flops(benchmarks: Mapping[str, Benchmark]) -> bool:
    return any(benchmark.unit in WORK_PER_SECOND for name, benchmark in benchmarks.items() if name != LIMIT)


@dataclass
class Turns:
    """What a side measured in a line so far: values and CPU seconds a second, by turn."""

    error: float | None
    flops: float | None
    values: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    running: bool = True


class BenchmarkRun:
    """A benchmark and the processes of its sides, byhand's first."""

    def __init__(
        self,
        name: str,
        benchmark: Benchmark,
        spin_loop: SpinLoop,
        limits: dict[str, float],
        progress: Callable[[str], None],
    ) -> None:
        self.name, self.benchmark, self.spin_loop = name, benchmark, spin_loop
        self.limits, self.progress = limits, progress
        self.processes: dict[str, Process] = {}
        self.missing: dict[str, str] = {}
        # Of the line that is measured:
        self.turns: dict[str, Turns] = {}
        self.failed: dict[str, str] = {}
        self.expected: Numbers | None = None
        self.quiet: list[float] = []

    def measure(self, rounds: int, seconds: float, hand: str) -> Row:
        """Measure every line and return the row."""
        self._find_sides(hand)
        self.progress(f"{translate('measuring')}: {self.benchmark.title}")
        rounds = min(rounds, self.benchmark.rounds or rounds)
        try:
            with spinning_processes(self.benchmark.spinning):
                lines = {line: self._measure_line(line, rounds, seconds) for line in self.benchmark.lines}
        finally:
            for process in self.processes.values():
                process.stop()
        row = compare(self.benchmark, lines)
        return {**row, "missing": self.missing, "spinning": self.benchmark.spinning}

    def _find_sides(self, hand: str) -> None:
        """Make the process of each side that can run here."""
        specs = {BYHAND: byhand(hand)}
        if self.benchmark.bf16 and hand == DEFAULT_HAND:
            specs[BYHAND_BF16] = byhand(hand, BF16)
        specs |= {peer: PEERS[peer] for peer in self.benchmark.peers}
        for name, spec in specs.items():
            reason = spec.missing()
            if reason is None:
                self.processes[name] = Process(self.name, spec)
            else:
                self.missing[name] = reason

    def _measure_line(self, line: str, rounds: int, seconds: float) -> Line:
        """Prepare a line in every process and measure it, in turns."""
        started = time.perf_counter()
        self.turns, self.failed, self.expected, self.quiet = {}, {}, None, []
        for name in self.processes:
            if BYHAND not in self.failed:  # without its numbers there is nothing to compare with
                self._first_turn(name, line, seconds)
        for _ in range(rounds - 1):
            for name, turns in self.turns.items():
                if turns.running and name not in self.failed:
                    self._next_turn(name, line, seconds)
        sides = {name: self._side(name) for name in self.turns if name not in self.failed}
        found = compare_line(self.benchmark, sides, dict(self.failed), median(self.quiet or [1.0]))
        if line:
            self.progress(f"  {line}: {self._result(found)}, {time.perf_counter() - started:.0f} s")
        return found

    def _result(self, line: Line) -> str:
        """Return the two ratios of a line, or where there is no peer what byhand reached."""
        float32, of_any = line["float32"], line["any_precision"]
        if float32 is not None and of_any is not None:
            return (
                f"{translate('float32')} {float32['ratio']:.2f}x, {translate('any precision')} {of_any['ratio']:.2f}x"
            )
        if BYHAND in line["sides"]:
            return f"{format_number(line['sides'][BYHAND]['value']).strip()} {translate(self.benchmark.unit)}"
        return translate("failed")

    def _first_turn(self, name: str, line: str, seconds: float) -> None:
        """Prepare a side, compare its numbers with byhand's, and measure it once."""
        process = self.processes[name]
        with self._reporting(name, line):
            check = process.prepare(line)
            if self.expected is None:
                self.expected = check.numbers
            float32 = process.spec.precision == FLOAT32
            tolerance = self.benchmark.tolerance if float32 else BF16_TOLERANCE
            error = compare_numbers(self.expected, check.numbers, tolerance)
            turns = self.turns[name] = Turns(None if name == BYHAND or not check.numbers else error, check.flops)
            self._turn(name, turns, seconds)
            if not line:
                number = format_number(turns.values[0]).strip()
                self.progress(f"  {translate(name)}: {number} {translate(self.benchmark.unit)}")
        self._stop_slow_sides()

    def _next_turn(self, name: str, line: str, seconds: float) -> None:
        """Measure a side once more."""
        process = self.processes[name]
        with self._reporting(name, line):
            if self.benchmark.new_process:
                process.stop()
                process.prepare(line)
            self._turn(name, self.turns[name], seconds)

    def _turn(self, name: str, turns: Turns, seconds: float) -> None:
        """Measure a side between two spin loops."""
        before = self.spin_loop.measure()
        value, cores = self.processes[name].measure(seconds)
        turns.values.append(value)
        turns.cores.append(cores)
        self.quiet.append(fmean([before, self.spin_loop.measure()]))

    @contextmanager
    def _reporting(self, name: str, line: str) -> Iterator[None]:
        try:
            yield
        except PeerError as error:
            self.failed[name] = str(error)
            self.progress(f"  {translate(name)}{', ' if line else ''}{line}: {translate(str(error))}")

    def _stop_slow_sides(self) -> None:
        """End the processes of peers that are far behind the best of their precision: they need memory."""
        sides = {name: self._side(name) for name in self.turns if name not in self.failed}
        peers = [name for name in sides if name in PEERS]
        for name in peers:
            same = [other for other in peers if sides[other]["precision"] == sides[name]["precision"]]
            leader = best(self.benchmark, sides, same)
            if leader is not None and (
                performance_ratio(self.benchmark, sides[name]["value"], sides[leader]["value"]) < MIN_RATIO_TO_BEST
            ):
                self.turns[name].running = False
                self.processes[name].stop()

    def _side(self, name: str) -> Side:
        """Return the medians of a side's turns."""
        turns, precision = self.turns[name], self.processes[name].spec.precision
        value = median(turns.values)
        limit = self.limits.get(FLOAT32 if precision == FLOAT32 else BF16)
        return {
            "value": value,
            "precision": precision,
            "cores": median(turns.cores),
            "error": turns.error,
            "limit": _limit_fraction(self.benchmark, value, turns.flops, limit),
        }


def _limit_fraction(benchmark: Benchmark, value: float, flops: float | None, limit: float | None) -> float | None:
    """Return the FLOPs a second of a value, as a fraction of the limit in GFLOP/s."""
    if flops is None or not limit or benchmark.unit not in WORK_PER_SECOND:
        return None
    return flops * WORK_PER_SECOND[benchmark.unit](value) / limit / 1e9
