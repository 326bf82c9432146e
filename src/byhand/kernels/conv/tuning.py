"""The tuning table: this machine's speed of each algorithm against its estimated cost, measured once by `byhand tune`.

    cost of a problem = estimated FLOPs * factor of (algorithm, pass)

The estimates are fitted to one kind of processor. On another one an algorithm may be slower, or faster, than they say, mostly
by the same factor for all shapes: the table holds the median of some. Without a table all factors are 1. The choice stays a
function of sizes and table, so that it is the same in every run with the same table; a training records its table.

BYHAND_TUNING=off leaves the table unused.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from byhand.errors import ArgumentError
from byhand.files import cache_folder, write_whole
from byhand.kernels.conv.problem import BF16, FLOAT32, Algorithm, ConvShape, Problem
from byhand.kernels.runtime.cpu import processor, vector_unit
from byhand.kernels.runtime.types import Array

Factors = Mapping[str, Mapping[str, float]]  # by algorithm and pass

# Factors that a table may hold: others are no measurement.
MIN_FACTOR, MAX_FACTOR = 0.1, 10.0

# Runs of an algorithm, of which the fastest counts, and the seconds that each takes at least.
ROUNDS = 4
MIN_SECONDS = 0.01


class TunedShape(NamedTuple):
    """A convolution that is measured: images, size of an image, channels, filters, size of a filter, stride."""

    images: int
    size: int
    channels: int
    filters: int
    kernel: int
    stride: int

    @property
    def shape(self) -> ConvShape:
        """The shape, padded so that a stride of 1 keeps the size."""
        padding, output = self.kernel // 2, (self.size - 1) // self.stride + 1
        return ConvShape(
            image=(self.size, self.size),
            output=(output, output),
            kernel=(self.kernel, self.kernel),
            stride=(self.stride, self.stride),
            padding=(padding,) * 4,
            dilation=(1, 1),
            groups=1,
            depth=self.channels,
            filters_per_group=self.filters,
        )


SHAPES = (
    TunedShape(16, 32, 16, 16, 3, 1),
    TunedShape(16, 16, 32, 32, 3, 1),
    TunedShape(4, 28, 64, 64, 3, 1),
    TunedShape(2, 28, 128, 128, 3, 1),
    TunedShape(4, 14, 256, 256, 3, 1),
    TunedShape(4, 28, 64, 128, 3, 2),
    TunedShape(4, 28, 64, 256, 1, 1),
    TunedShape(2, 56, 3, 64, 7, 2),
)


class Measurement(NamedTuple):
    """The speed of an algorithm on a problem: CPU seconds of one thread, and the FLOPs that its cost is estimated at."""

    problem: Problem
    algorithm: str
    seconds: float
    cost: float


class TuningTable:
    """A table; two of the same factors are two tables: what was chosen by the one is chosen anew by the other."""

    def __init__(self, factors: Factors) -> None:
        self.factors = factors

    def factor(self, algorithm: Algorithm, problem: Problem) -> float:
        """Return the factor of an algorithm's cost in a pass."""
        return self.factors.get(algorithm.name, {}).get(problem.pass_name, 1.0)


_lock = threading.Lock()
_used: TuningTable | None = None  # what `use` gave
_own: TuningTable | None = None  # this machine's, once it was read


def in_use() -> TuningTable:
    """Return the table in use: the one that `use` gave, else that of this machine, else an empty one."""
    global _own  # noqa: PLW0603
    if _used is not None:
        return _used
    own = _own
    if own is None:
        with _lock:
            own = _own = _own or TuningTable(_of_this_machine())
    return own


def use(factors: Factors | None) -> None:
    """Use a table from now on, such as that of a run which is resumed; None: that of this machine, read anew."""
    global _own, _used  # noqa: PLW0603
    table = None if factors is None else TuningTable(checked(factors))
    with _lock:
        _own = None
        _used = table


def _of_this_machine() -> Factors:
    """Return this machine's factors; none where there is no table, or it is left unused."""
    setting = os.environ.get("BYHAND_TUNING")
    if setting not in (None, "", "off"):
        raise ArgumentError(f"BYHAND_TUNING is {setting!r}; expected off, or nothing")
    if setting != "off":
        with suppress(OSError, ValueError, LookupError, TypeError, ArgumentError):
            return checked(json.loads(table_path().read_bytes())["factors"])
    return {}


def checked(factors: object) -> Factors:
    """Return a table as it is, or raise ArgumentError where it is none."""
    if isinstance(factors, dict) and all(isinstance(passes, dict) for passes in factors.values()):
        numbers = [number for passes in factors.values() for number in passes.values()]
        if all(isinstance(number, (int, float)) and MIN_FACTOR <= number <= MAX_FACTOR for number in numbers):
            return factors
    raise ArgumentError(
        f"a tuning table maps algorithms and passes to factors from {MIN_FACTOR} to {MAX_FACTOR}; "
        "`byhand tune` measures one"
    )


def table_path() -> Path:
    """Return the file of this machine's table: its name holds the processor and the vector unit."""
    machine = hashlib.sha256(f"{processor()} {vector_unit()}".encode()).hexdigest()[:16]
    return cache_folder("tuning") / f"{machine}.json"


def keep(factors: Factors) -> None:
    """Write this machine's table, whole or not at all; it is used unless another one is (`use`)."""
    global _own  # noqa: PLW0603
    text = json.dumps({"processor": processor().split()[0], "factors": factors}, indent=1)
    with _lock:
        write_whole(table_path(), f"{text}\n".encode())
        _own = None


def forget() -> bool:
    """Delete this machine's table; return whether there was one."""
    global _own  # noqa: PLW0603
    with _lock:
        there = table_path().exists()
        table_path().unlink(missing_ok=True)
        _own = None
    return there


# measurement ----------------------------------------------------------------------------------------------------------


def problems() -> list[tuple[Problem, TunedShape]]:
    """Return the problems that are measured: of bfloat16, for which float32 algorithms apply too, where the CPU has it."""
    passes, precision = ("forward", "backward_data", "backward_weights"), BF16 if vector_unit().bfloat16 else FLOAT32
    problem = Problem("", SHAPES[0].shape, 1, 4, precision=precision)
    return [
        (problem._replace(pass_name=name, shape=tuned.shape, images=tuned.images), tuned)
        for tuned in SHAPES
        for name in passes
    ]


def measure(algorithms: Iterable[Algorithm], problem: Problem, tuned: TunedShape) -> list[Measurement]:
    """Return the speed of algorithms on a problem; of one alone, which has nothing to be compared with, none."""
    able = [algorithm for algorithm in algorithms if isfinite(algorithm.cost(problem))]
    if len(able) < 2:
        return []
    seconds = _seconds(able, problem, tuned)
    return [Measurement(problem, a.name, taken, a.cost(problem)) for a, taken in zip(able, seconds)]


def _seconds(algorithms: list[Algorithm], problem: Problem, tuned: TunedShape) -> list[float]:
    """Return the CPU seconds of algorithms on a problem, measured in turns: the least of each."""
    from byhand.kernels.runtime.launch_graph import capture  # noqa: PLC0415  (it would import this module)
    from byhand.kernels.runtime.thread_pool import limit  # noqa: PLC0415

    with limit(1):
        graphs = [capture(a.launcher(problem.pass_name), *_arguments(problem, tuned))[0] for a in algorithms]  # type: ignore[arg-type]
        least = [float("inf")] * len(graphs)
        for _ in range(ROUNDS):
            for i, graph in enumerate(graphs):
                least[i] = min(least[i], _timed(graph.run))
    return least


def _timed(function: Callable[[], None]) -> float:
    """Return the CPU seconds of a call, the mean of as many as take MIN_SECONDS."""
    calls, start = 0, time.process_time()
    while (taken := time.process_time() - start) < MIN_SECONDS:
        function()
        calls += 1
    return taken / calls


def _arguments(problem: Problem, tuned: TunedShape) -> tuple[object, ...]:
    """Return random arguments of a pass."""
    from byhand.kernels.microkernel.microkernel import epilogue  # noqa: PLC0415

    rng, shape = np.random.default_rng(0), tuned.shape

    def normal(*size: int) -> Array:
        return rng.standard_normal(size, np.float32)

    x, y = normal(tuned.images, *shape.image, shape.depth), normal(tuned.images, *shape.output, shape.filters)
    weight = normal(*shape.kernel, shape.depth, shape.filters)
    return {
        "forward": (x, weight, y, epilogue(x), shape),
        "backward_data": (weight, y, x, shape),
        "backward_weights": (x, y, weight, shape),
    }[problem.pass_name]


def fit(measurements: list[Measurement]) -> Factors:
    """Return the factors that measurements give: the median of seconds per estimated FLOP, in that of all algorithms.

    >>> problem, _ = problems()[0]
    >>> fit([Measurement(problem, "direct", 2.0, 1e9), Measurement(problem, "winograd4x4", 2.0, 0.5e9)])
    {'direct': {'forward': 0.667}, 'winograd4x4': {'forward': 1.333}}
    """
    unit = median(m.seconds / m.cost for m in measurements)
    ratios: dict[str, dict[str, list[float]]] = {}
    for m in measurements:
        ratios.setdefault(m.algorithm, {}).setdefault(m.problem.pass_name, []).append(m.seconds / m.cost / unit)
    return {
        name: {key: min(max(round(median(values), 3), MIN_FACTOR), MAX_FACTOR) for key, values in passes.items()}
        for name, passes in ratios.items()
    }
