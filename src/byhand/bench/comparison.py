"""The comparison of byhand with its peers: float32 with float32, and the best of any precision with the best of any.

A ratio above 1: byhand is ahead. Over several lines it is the geometric mean of their ratios.
"""

from collections.abc import Iterable
from statistics import geometric_mean

from byhand.bench.benchmarks import MEMORY, Benchmark
from byhand.bench.peers import BYHAND, BYHAND_BF16, family
from byhand.bench.results import Comparison, Line, Mean, Ratio, Side
from byhand.kernels.conv.problem import FLOAT32

OWN = (BYHAND, BYHAND_BF16)  # byhand's sides, of which the best is compared


def compare(benchmark: Benchmark, lines: dict[str, Line]) -> Comparison:
    """Return a benchmark's row from its lines."""
    families = {name for line in lines.values() for name in line["families"]}
    names = list(dict.fromkeys(name for line in lines.values() for name in line["sides"]))
    whole = [name for name in names if all(name in line["sides"] for line in lines.values())]
    return {
        "benchmark": benchmark.title,
        "unit": benchmark.unit,
        "lower_is_better": benchmark.lower_is_better,
        "lines": lines,
        "values": {name: mean(line["sides"][name]["value"] for line in lines.values()) for name in whole},
        "float32": _mean({name: line["float32"] for name, line in lines.items()}),
        "any_precision": _mean({name: line["any_precision"] for name, line in lines.items()}),
        "families": {
            name: mean(line["families"][name] for line in lines.values() if name in line["families"])
            for name in sorted(families, key=[family(name) for name in names].index)
        },
        "goals": {name: list(goal) for name, goal in benchmark.goals.items()},
        "quiet": min((line["quiet"] for line in lines.values()), default=1.0),
    }


def compare_line(benchmark: Benchmark, sides: dict[str, Side], failed: dict[str, str], quiet: float) -> Line:
    """Return a line from its sides."""
    float32 = {name: side for name, side in sides.items() if side["precision"] == FLOAT32}
    families: dict[str, float] = {}
    if BYHAND in sides:
        for name in sides:
            if name not in OWN:
                ratio = performance_ratio(benchmark, sides[BYHAND]["value"], sides[name]["value"])
                families[family(name)] = min(ratio, families.get(family(name), ratio))
    return {
        "sides": sides,
        "failed": failed,
        "float32": _ratio(benchmark, float32),
        "any_precision": _ratio(benchmark, sides),
        "families": families,
        "quiet": quiet,
    }


def performance_ratio(benchmark: Benchmark, ours: float, theirs: float) -> float:
    """Return the ratio of two results; above 1: ours is the better."""
    return theirs / ours if benchmark.lower_is_better else ours / theirs


def best(benchmark: Benchmark, sides: dict[str, Side], names: Iterable[str]) -> str | None:
    """Return the name of the best of some sides, None of none."""
    return (min if benchmark.lower_is_better else max)(names, key=lambda name: sides[name]["value"], default=None)


def mean(numbers: Iterable[float]) -> float:
    """Return the geometric mean; of one number itself."""
    found = list(numbers)
    return found[0] if len(found) == 1 else geometric_mean(found)


def _ratio(benchmark: Benchmark, sides: dict[str, Side]) -> Ratio | None:
    ours = best(benchmark, sides, [name for name in sides if name in OWN])
    theirs = best(benchmark, sides, [name for name in sides if name not in OWN])
    if ours is None or theirs is None:
        return None
    ratio = performance_ratio(benchmark, sides[ours]["value"], sides[theirs]["value"])
    cores = sides[ours]["cores"], sides[theirs]["cores"]
    timed = min(cores) > 0 and benchmark.unit != MEMORY
    return {"byhand": ours, "peer": theirs, "ratio": ratio, "cpu_ratio": ratio * cores[1] / cores[0] if timed else None}


def _mean(ratios: dict[str, Ratio | None]) -> Mean | None:
    known = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    if not known:
        return None
    lowest = min(known, key=lambda name: known[name]["ratio"])
    of_cpu = [ratio["cpu_ratio"] for ratio in known.values() if ratio["cpu_ratio"] is not None]
    return {
        "ratio": mean(ratio["ratio"] for ratio in known.values()),
        "cpu_ratio": mean(of_cpu) if len(of_cpu) == len(known) else None,
        "lowest": known[lowest]["ratio"],
        "lowest_line": lowest,
    }
