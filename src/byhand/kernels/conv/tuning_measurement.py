"""The measurement of a tuning table: each algorithm's time on some convolutions, beside what its cost estimates.

    factor of (algorithm, pass) = time / estimated FLOPs, over the same of the register tile's own algorithms (direct, packed)

The algorithms that apply to a convolution run in short turns, one after the other, in CPU time of one thread; the fastest turn
of each counts, so that what other programs do for a while changes nothing. The factor is the median over the convolutions,
moved towards 1 by the standard error: where convolutions disagree, the estimate stays.

Where most turns are much slower than the fastest (`spread`), other programs use the memory or the core all the time, and the
fastest turns are no measure either.

Not tuned are sparse, depthwise, gemv and transposed: their costs are compared with those of direct and packed, of which the
mean stays 1.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import exp, isfinite, log, sqrt
from statistics import fmean, median, stdev
from typing import NamedTuple

import numpy as np

from byhand.kernels.conv.algorithm import ALGORITHMS, supports
from byhand.kernels.conv.problem import BF16, FLOAT32, PASSES, Algorithm, ConvShape, Problem
from byhand.kernels.conv.tuning import MAX_FACTOR, MIN_FACTOR, Factors
from byhand.kernels.microkernel.microkernel import epilogue
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.launch_graph import capture
from byhand.kernels.runtime.thread_pool import limit
from byhand.kernels.runtime.types import Array

# Turns of each algorithm, and the CPU seconds that each takes at least.
ROUNDS = 10
TURN_SECONDS = 0.004

# By how much the median turn may exceed the fastest: 0.01 to 0.05 on a quiet machine, 0.15 where others use its memory.
MAX_SPREAD = 0.1

# Algorithms whose mean factor is 1: those of the register tile, in whose FLOPs all costs are estimated.
BASE = ("direct", "packed")

DIGITS = 3  # of a factor


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
    """The algorithms on a problem: of each its estimated cost, and the CPU seconds of its turns."""

    problem: Problem
    costs: Mapping[str, float]
    turns: Mapping[str, Sequence[float]]

    @property
    def factors(self) -> dict[str, float]:
        """The factor of each algorithm on this problem; empty where none of BASE runs."""
        ratios = {name: log(min(turns) / self.costs[name]) for name, turns in self.turns.items()}
        base = [ratio for name, ratio in ratios.items() if name in BASE]
        return {name: exp(ratio - fmean(base)) for name, ratio in ratios.items()} if base else {}

    @property
    def spreads(self) -> list[float]:
        """By how much the median turn of each algorithm exceeds its fastest."""
        return [median(turns) / min(turns) - 1 for turns in self.turns.values()]


def problems() -> list[tuple[Problem, TunedShape]]:
    """Return the problems that are measured: of bfloat16, for which float32 algorithms apply too, where the CPU has it."""
    precision = BF16 if vector_unit().bfloat16 else FLOAT32
    problem = Problem("", SHAPES[0].shape, 1, 4, precision=precision)
    return [
        (problem._replace(pass_name=name, shape=tuned.shape, images=tuned.images), tuned)
        for tuned in SHAPES
        for name in PASSES
    ]


def competitors(problem: Problem) -> list[Algorithm]:
    """Return the algorithms that are chosen from for a problem."""
    return [found for found in ALGORITHMS.values() if supports(found, problem) and isfinite(found.cost(problem))]


def estimates() -> str:
    """Return a hash of the costs of all problems: a table corrects these estimates, and no others."""
    costs = [
        [(found.name, f"{found.cost(problem):.6g}") for found in competitors(problem)] for problem, _ in problems()
    ]
    return hashlib.sha256(repr(costs).encode()).hexdigest()[:16]


def measure(algorithms: Iterable[Algorithm], problem: Problem, tuned: TunedShape) -> Measurement:
    """Return the times of algorithms on a problem."""
    algorithms = list(algorithms)
    with limit(1):
        graphs = [capture(a.launcher(problem.pass_name), *_arguments(problem, tuned))[0] for a in algorithms]  # type: ignore[arg-type]
        for graph in graphs:
            graph.run()
        rounds = [[_timed(graph.run) for graph in graphs] for _ in range(ROUNDS)]
    return Measurement(
        problem,
        {a.name: a.cost(problem) for a in algorithms},
        {a.name: turns for a, turns in zip(algorithms, zip(*rounds))},
    )


def _timed(function: Callable[[], None]) -> float:
    """Return the CPU seconds of a call, the mean of as many as take TURN_SECONDS."""
    calls, start = 0, time.process_time()
    while (taken := time.process_time() - start) < TURN_SECONDS:
        function()
        calls += 1
    return taken / calls


def _arguments(problem: Problem, tuned: TunedShape) -> tuple[object, ...]:
    """Return random arguments of a pass."""
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


def fit(measurements: Iterable[Measurement]) -> Factors:
    """Return the factors that measurements give.

    >>> problem, _ = problems()[0]
    >>> costs, packed = {"packed": 1e9, "winograd4x4": 0.5e9}, [1.0, 1.1]
    >>> fit(Measurement(problem, costs, {"packed": packed, "winograd4x4": [1.0, 1.5]}) for _ in range(3))
    {'packed': {'forward': 1.0}, 'winograd4x4': {'forward': 2.0}}
    """
    found: dict[str, dict[str, list[float]]] = {}
    for measurement in measurements:
        for name, factor in measurement.factors.items():
            found.setdefault(name, {}).setdefault(measurement.problem.pass_name, []).append(factor)
    return {name: {key: _agreed(factors) for key, factors in passes.items()} for name, passes in found.items()}


def _agreed(factors: list[float]) -> float:
    """Return the median of factors, moved towards 1 by their standard error; 1 for a single one.

    >>> _agreed([1.2, 1.2, 1.3]), _agreed([0.8, 1.1, 1.4]), _agreed([3.0])
    (1.168, 1.0, 1.0)
    """
    if len(factors) < 2:
        return 1.0
    logs = [log(factor) for factor in factors]
    middle, error = median(logs), stdev(logs) / sqrt(len(logs))
    shrunk = max(0.0, abs(middle) - error)
    return min(max(round(exp(shrunk if middle > 0 else -shrunk), DIGITS), MIN_FACTOR), MAX_FACTOR)


def spread(measurements: Iterable[Measurement]) -> float:
    """Return by how much the median turn exceeds the fastest, the median over all algorithms and problems."""
    return median(spread for measurement in measurements for spread in measurement.spreads)
