"""`byhand bench scaling`: the time of a data-parallel step, measured here with two ranks and predicted for many machines.

A step is its computation and an all-reduce of n bytes between p machines. With a latency of a seconds a message, b seconds
a byte on the link, and c seconds to add a byte:

    ring                  2 (p-1) a + 2 (p-1)/p n b + (p-1)/p n c       each byte crosses a link twice
    recursive doubling    log2(p) (a + n b + n c)                        few messages, of all bytes
    halving and doubling  2 log2(p) a + 2 (p-1)/p n b + (p-1)/p n c     MPI's choice for long messages, 2^k ranks

The fastest counts. Without overlap, step = computation + all-reduce. With it, the all-reduce hides behind backward, which is
taken for two thirds of the computation: step = computation / 3 + max(2/3 computation, all-reduce), a lower bound.

Not in the model: waiting for the slowest machine, links that several machines share, and the epochs that larger batches need.

Sources: Thakur, Rabenseifner & Gropp 2005, "Optimization of collective communication operations in MPICH" (all three);
Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations" (the ring).
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import log2
from pathlib import Path

from rich.cells import cell_len

from byhand.bench import child_process
from byhand.bench.check import PeerError
from byhand.bench.machine import machine
from byhand.bench.results import (
    Extrapolation,
    PredictedStep,
    Prediction,
    RankJob,
    RankResult,
    ScalingMeasurement,
    ScalingResult,
)
from byhand.console import pad
from byhand.errors import ArgumentError
from byhand.kernels.runtime.cpu import cores
from byhand.ops import DEFAULT_HAND
from byhand.translation import translate

MACHINE_COUNTS = (8, 64, 1024)
PREDICTED_MODELS = {"resnet18": 32, "resnet50": 32}  # extrapolated: images of 224 x 224 per machine and step
MEASURED_MODEL = ("resnet20_cifar", 64)  # measured at 1 and 2 ranks: images per step of all ranks
ALL_REDUCE_BYTES = tuple(4**power for power in range(1, 14))  # bytes of an all-reduce: 4 bytes to 64 MB
BACKWARD_FRACTION = 2 / 3  # of the computation of a step
TIMEOUT_SECONDS = 900  # of one measurement


@dataclass(frozen=True)
class Link:
    """A network link between machines: its latency, and the seconds of a byte."""

    name: str
    latency: float
    byte: float


LINKS = (  # assumed: latencies of TCP between two programs, and of InfiniBand verbs
    Link("1 Gbit/s", 50e-6, 8e-9),
    Link("10 Gbit/s", 30e-6, 8e-10),
    Link("100 Gbit/s", 2e-6, 8e-11),
)


# the model ------------------------------------------------------------------------------------------------------------


def all_reduce(size: float, machines: int, link: Link, add: float = 0.0) -> dict[str, float]:
    """Return the seconds of an all-reduce by each algorithm: size in bytes; add: the seconds of adding a byte up.

    >>> times = all_reduce(46.8e6, 8, Link("10 Gbit/s", 30e-6, 8e-10))
    >>> {name: round(seconds, 4) for name, seconds in times.items()}
    {'ring': 0.0659, 'recursive doubling': 0.1124, 'halving and doubling': 0.0657}
    """
    part, rounds = (machines - 1) / machines, log2(machines)
    moved = 2 * part * size * link.byte + part * size * add
    return {
        "ring": 2 * (machines - 1) * link.latency + moved,
        "recursive doubling": rounds * (link.latency + size * (link.byte + add)),
        "halving and doubling": 2 * rounds * link.latency + moved,
    }


def predict(computation: float, images: int, size: float, machines: int, link: Link, add: float = 0.0) -> Prediction:
    """Return a step between machines, each with so many images: seconds, images a second, efficiency.

    computation: the seconds of a machine's own part. Efficiency is that of a machine beside one that is alone.

    >>> row = predict(1.0, 32, 46.8e6, 8, Link("1 Gbit/s", 50e-6, 8e-9))
    >>> round(row["step"], 3), round(row["efficiency"], 3), round(row["overlapped"]["step"], 3)
    (1.655, 0.604, 1.0)
    """
    times = all_reduce(size, machines, link, add)
    name = min(times, key=times.__getitem__)

    def row(step: float) -> PredictedStep:
        return {"step": step, "images_per_second": machines * images / step, "efficiency": computation / step}

    hidden = (1 - BACKWARD_FRACTION) * computation + max(BACKWARD_FRACTION * computation, times[name])
    return {
        "machines": machines,
        "link": link.name,
        "computation": computation,
        "all_reduces": times,
        "all_reduce": times[name],
        "algorithm": name,
        **row(computation + times[name]),
        "overlapped": row(hidden),
    }


def fit(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return (latency, seconds a byte) of a line through (bytes, seconds): least squares of the relative errors.

    >>> latency, byte = fit([(4, 50e-6), (1e6, 50e-6 + 8e-3), (4e6, 50e-6 + 32e-3)])
    >>> round(latency * 1e6), round(byte * 1e9, 2)
    (50, 8.0)
    """
    weights = [1 / seconds**2 for _, seconds in times]
    total = sum(weights)
    mean_size = sum(w * size for w, (size, _) in zip(weights, times)) / total
    mean_time = sum(w * seconds for w, (_, seconds) in zip(weights, times)) / total
    spread = sum(w * (size - mean_size) ** 2 for w, (size, _) in zip(weights, times))
    slope = sum(w * (size - mean_size) * (t - mean_time) for w, (size, t) in zip(weights, times)) / spread
    return max(0.0, mean_time - slope * mean_size), max(0.0, slope)


# measured -------------------------------------------------------------------------------------------------------------


def scaling(
    *,
    seconds: float = 2.0,
    quick: bool = False,
    hand: str = DEFAULT_HAND,
    progress: Callable[[str], None] = lambda line: None,
) -> ScalingResult:
    """Measure steps and all-reduces at 1 and 2 ranks on this machine, and predict those of many machines.

    seconds: of each measurement; quick: fewer of them, and on paper ResNet-18 alone. Raises ArgumentError without MPI.
    """
    start_two = [launcher(), "-n", "2"]
    model, batch = MEASURED_MODEL
    threads = max(1, cores() // 2)
    job: RankJob = {"model": model, "batch": batch, "seconds": seconds, "hand": hand}
    sizes = ALL_REDUCE_BYTES[::4] if quick else ALL_REDUCE_BYTES
    progress(f"measuring: {model}, a batch of {batch}, by 1 and by 2 ranks")
    one_rank = run([], job)
    # Two processes at once, because ranks share caches and memory bandwidth; each computes its shard alone.
    shard = run(start_two, {**job, "of": 2, "add": True}, threads)
    two_ranks = run(start_two, {**job, "sizes": [*sizes, shard["bytes"]]}, threads)
    *sweep, (_, gradient) = two_ranks["all_reduce"]
    latency, byte = fit([(size, time) for size, time in sweep])
    measured: ScalingMeasurement = {
        "model": model,
        "batch": batch,
        "bytes": shard["bytes"],
        "threads": [one_rank["threads"], threads],
        "one_rank": one_rank["step"],
        "two_ranks": two_ranks["step"],
        "computation": shard["step"],
        "all_reduce": gradient,
        "predicted": shard["step"] + gradient,
        "sweep": sweep,
        "latency": latency,
        "byte": byte,
        "add": shard["add"],
    }
    paper: dict[str, Extrapolation] = {}
    for name, images in PREDICTED_MODELS.items():
        if quick and paper:
            break
        images = 4 if quick else images
        progress(f"measuring: {name}, {images} images of 224 x 224")
        own = run([], {"model": name, "batch": images * 2, "of": 2, "seconds": seconds, "hand": hand})
        rows = [
            predict(own["step"], images, own["bytes"], count, link, shard["add"])
            for link in LINKS
            for count in MACHINE_COUNTS
        ]
        paper[name] = {"images": images, "bytes": own["bytes"], "computation": own["step"], "rows": rows}
    return {"machine": machine(), "measured": measured, "links": [asdict(link) for link in LINKS], "paper": paper}


def launcher() -> str:
    """Return where mpiexec is: the one beside this Python, or the system's."""
    if importlib.util.find_spec("mpi4py") is None:
        raise ArgumentError("byhand bench scaling needs mpi4py and an MPI: pip install 'byhand[mpi]'")
    beside = str(Path(sys.executable).parent)
    found = shutil.which("mpiexec", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise ArgumentError("byhand bench scaling needs mpiexec: pip install mpich, or the system's MPI")
    return found


def run(launch: Sequence[str], job: RankJob, threads: int | None = None) -> RankResult:
    """Return what a process, or those that `launch` starts, measured."""
    environment = os.environ | ({"BYHAND_THREADS": str(threads)} if threads else {})
    words = [*launch, sys.executable, "-m", "byhand.bench.scaling_rank", json.dumps(job)]
    with tempfile.TemporaryFile() as errors:
        process = child_process.start(["byhand.bench.run_command", str(TIMEOUT_SECONDS), *words], environment, errors)
        try:
            assert process.stdout is not None
            output, code = process.stdout.read(), process.wait()
        finally:
            child_process.stop(process)
        errors.seek(0)
        if code:
            raise PeerError(
                f"it ended with {code}: {(errors.read().decode(errors='replace').strip().splitlines() or [''])[-1]}"
            )
    return json.loads(output)  # type: ignore[no-any-return]


# report ---------------------------------------------------------------------------------------------------------------


def report(result: ScalingResult) -> str:
    """Return a result as text."""
    here = result["measured"]
    one_rank, two_ranks = here["threads"]
    error = here["predicted"] / here["two_ranks"] - 1
    step = f" {translate('a step')}"
    lines = [
        translate(result["machine"]),
        "",
        translate(
            f"measured here: {here['model']}, a batch of {here['batch']}, a gradient of {here['bytes'] / 1e6:.2f} MB"
        ),
        _fact(f"1 rank of {_threads(one_rank)}", f"{_time(here['one_rank'])}{step}"),
        _fact(f"2 ranks of {_threads(two_ranks)}", f"{_time(here['two_ranks'])}{step}"),
        _fact("computation of one rank", _time(here["computation"])),
        _fact("all-reduce of the gradient", _time(here["all_reduce"])),
        _fact(
            "model: computation + all-reduce",
            f"{_time(here['predicted'])}   {translate(f'{error:+.0%} against the measurement')}",
        ),
        "",
        translate("measured here: an all-reduce between 2 ranks"),
        *(f"  {_size(size):>12}{_time(seconds)}" for size, seconds in here["sweep"]),
        translate(
            f"  fitted: {here['latency'] * 1e6:.1f} us and {here['byte'] * 1e9:.3f} ns a byte;"
            f" adding up takes {here['add'] * 1e9:.3f} ns a byte"
        ),
    ]
    for name, paper in result["paper"].items():
        lines += [
            "",
            translate(
                f"on paper: {name}, {paper['images']} images a machine, a gradient of {paper['bytes'] / 1e6:.1f} MB; "
                f"computation measured here, {paper['computation']:.3f} s"
            ),
            f"  {'':20}{_centered('all-reduce by', 33)}{_right('without overlap', 29)}{_right('with overlap', 29)}",
            f"  {pad(translate('link'), 12)}{_right('machines', 8)}"
            + "".join(_right(name, 11) for name in ("ring", "doubling", "halving"))
            + f"{_right('a step', 12)}{_right('images/s', 10)}{_right('ideal', 7)}" * 2,
            *(_row(row) for row in paper["rows"]),
        ]
    return "\n".join(lines)


def _fact(name: str, value: str) -> str:
    return f"  {pad(translate(name), 44)}{value}"


def _right(head: str, columns: int) -> str:
    return pad(translate(head), columns, right=True)


def _centered(head: str, columns: int) -> str:
    text = translate(head)
    return pad(pad(text, (columns + cell_len(text)) // 2, right=True), columns)


def _row(row: Prediction) -> str:
    parts = [f"  {row['link']:12}{row['machines']:8,}", *(f"{_time(time):>11}" for time in row["all_reduces"].values())]
    for step in (row, row["overlapped"]):
        parts.append(f"{_time(step['step']):>12}{step['images_per_second']:10,.0f}{step['efficiency']:7.0%}")
    return "".join(parts)


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def _time(seconds: float) -> str:
    """Return a time in three digits, at least twelve places wide.

    >>> [_time(seconds).strip() for seconds in (12.3e-6, 1.234e-3, 12.34)]
    ['12.3 us', '1.23 ms', '12.3 s']
    """
    unit, name = next((pair for pair in ((1.0, "s "), (1e-3, "ms"), (1e-6, "us")) if seconds >= pair[0]), (1e-6, "us"))
    value = seconds / unit
    return f"{value:9,.{max(0, 2 - len(str(int(value))) + 1)}f} {name}"


def _size(count: float) -> str:
    return next(
        f"{count / unit:,.0f} {name}" for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")) if count >= unit
    )
