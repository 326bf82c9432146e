"""`byhand bench scaling`: cost formulas, the fit of the network model, and a small run."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from math import log2

import numpy as np
import pytest

from byhand.bench import scaling, scaling_rank
from byhand.bench.scaling import LINKS, MACHINE_COUNTS, Link, all_reduce, fit, predict
from byhand.errors import ArgumentError
from byhand.train.distributed.mpi import Communicator
from tests.train.test_ranks import ROOT, needs_mpi

SLOW = Link("slow", 1e-3, 1e-6)


def ring(size, machines, link, add):
    """Walk the ring of Patarasuk & Yuan: p-1 rounds that add up a part each, p-1 that pass the sums on."""
    part, seconds = size / machines, 0.0
    for step in range(2 * (machines - 1)):
        seconds += link.latency + part * link.byte + (part * add if step < machines - 1 else 0)
    return seconds


def halving(size, machines, link, add):
    """Walk Rabenseifner's: halve with ever nearer partners, add up, then double on the way back."""
    seconds, part = 0.0, size
    while machines > 1:
        part, machines = part / 2, machines // 2
        seconds += 2 * (link.latency + part * link.byte) + part * add
    return seconds


@pytest.mark.parametrize("machines", [2, 8, 64, 1024])
@pytest.mark.parametrize("size", [4, 1e6, 1e8])
def test_the_formulas_are_their_algorithms(machines, size):
    times = all_reduce(size, machines, SLOW, 1e-7)
    assert times["ring"] == pytest.approx(ring(size, machines, SLOW, 1e-7))
    assert times["halving and doubling"] == pytest.approx(halving(size, machines, SLOW, 1e-7))
    assert times["recursive doubling"] == pytest.approx(log2(machines) * (1e-3 + size * 1.1e-6))


def test_few_bytes_go_by_recursive_doubling_and_many_do_not():
    assert predict(1, 1, 4, 64, SLOW)["algorithm"] == "recursive doubling"
    assert predict(1, 1, 1e8, 64, SLOW)["algorithm"] == "halving and doubling"


def test_a_prediction_is_bounded_by_its_work_and_falls_with_the_machines():
    for link in LINKS:
        rows = [predict(1.0, 32, 1e8, machines, link, 1e-10) for machines in MACHINE_COUNTS]
        assert all(row["efficiency"] > other["efficiency"] for row, other in pairwise(rows))
        for row in rows:
            assert 1.0 <= row["overlapped"]["step"] <= row["step"] == pytest.approx(1.0 + row["all_reduce"])
            assert row["images_per_second"] == pytest.approx(row["machines"] * 32 * row["efficiency"])


def test_the_fit_finds_the_line_through_noise():
    rng = np.random.default_rng(0)
    times = [(size, (30e-6 + size * 8e-9) * rng.uniform(0.95, 1.05)) for size in scaling.ALL_REDUCE_BYTES]
    latency, byte = fit(times)
    assert latency == pytest.approx(30e-6, rel=0.05) and byte == pytest.approx(8e-9, rel=0.05)


def test_a_rank_is_measured_without_communication():
    """Half the images take about half the work; here only what it computed is looked at, not how long it took."""
    result = scaling_rank.measure({"model": "lenet5", "batch": 8, "seconds": 0.01, "of": 2, "hand": "arrays"})
    assert result["ranks"] == 2 and result["parameters"] == 61706 and result["bytes"] == 4 * 61706
    assert 0 < result["step"] < 10


def test_a_short_call_is_timed_as_several():
    calls = []
    seconds = scaling_rank.time_call(lambda: calls.append(0), 0.02, Communicator())
    assert len(calls) > 100 and 0 < seconds < 1e-3


@needs_mpi
def test_ranks_measure_together():
    job = {"model": "lenet5", "batch": 8, "seconds": 0.01, "sizes": [4, 4096], "hand": "arrays"}
    done = subprocess.run(
        [scaling.launcher(), "-n", "2", sys.executable, "-m", "byhand.bench.scaling_rank", json.dumps(job)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | ROOT,
    )
    result = json.loads(done.stdout)
    assert result["ranks"] == 2 and [size for size, _ in result["all_reduce"]] == [4, 4096]
    assert all(0 < seconds < 1 for _, seconds in result["all_reduce"])


def test_the_report_says_what_was_measured_and_what_is_paper(monkeypatch):
    def run(launch, job, threads=None):
        """Answer as a machine of round numbers would."""
        many = bool(launch) and "of" not in job
        result = {"ranks": 2 if many else 1, "bytes": 1_000_000, "threads": threads or 2, "add": 1e-10}
        result["step"] = 0.1 if many else 0.09
        result["all_reduce"] = [[size, 1e-5 + size * 1e-9] for size in job.get("sizes", [])]
        return result

    monkeypatch.setattr(scaling, "run", run)
    monkeypatch.setattr(scaling, "launcher", lambda: "mpiexec")
    result = scaling.scaling(seconds=0.01)
    here = result["measured"]
    assert here["predicted"] == pytest.approx(0.09 + 1e-5 + 1e-3)
    assert (here["latency"], here["byte"]) == (pytest.approx(1e-5), pytest.approx(1e-9))
    assert [len(paper["rows"]) for paper in result["paper"].values()] == [9, 9]
    text = scaling.report(json.loads(json.dumps(result)))
    assert "fitted: 10.0 us and 1.000 ns a byte" in text and "-9% against the measurement" in text
    assert "on paper: resnet50, 32 images a machine" in text
    assert max(map(len, text.splitlines()[1:])) <= 120


def test_without_mpi_there_is_one_line(monkeypatch):
    monkeypatch.setattr(scaling.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r"needs mpi4py and an MPI: pip install 'byhand\[mpi\]'"):
        scaling.launcher()
    monkeypatch.undo()
    monkeypatch.setattr(scaling.shutil, "which", lambda *names, path: None)
    with pytest.raises(ArgumentError, match="needs mp"):
        scaling.launcher()
