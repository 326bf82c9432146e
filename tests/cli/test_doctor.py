"""Command `byhand doctor`."""

import json

import pytest

from byhand.bench import machine_limits
from byhand.cli import doctor
from tests.cli.run_cli import byhand
from tests.kernels.process import OURS

LIMITS = {
    "cores_free": 0.5,
    "busy": True,
    "launch_us": {"quiet": 0.31, "busy": 0.42, "busy_mean": 5.5},
    "spinning_processes": 2,
    "gflops_of_a_core": {"float32": 112.0, "bf16": 224.0},
    "gflops_of_all_threads": 221.0,
    "gigabytes_a_second": {"core": 20.0, "all_threads": 31.0},
}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in OURS:
        monkeypatch.delenv(name, raising=False)


def test_all_is_well():
    done = byhand("doctor")
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[0] for line in lines if line[0] in ("ok", "problem")] == ["ok"] * 4
    assert "compiled; a convolution agrees with NumPy's" in done.out


def test_problems_are_named_and_end_with_exit_code_1(monkeypatch):
    facts = doctor.examine()
    facts["cache"]["writable"] = False
    facts["threads"] |= {"used": 1, "cores": 2}
    monkeypatch.setattr(doctor, "examine", lambda: facts)
    monkeypatch.setattr(doctor, "kernel_error", lambda: 0.5)
    done = byhand("doctor")
    assert (done.code, done.err) == (1, "")
    out = " ".join(done.out.split())
    assert "ok versions" in out
    assert "problem kernels a convolution differs from NumPy's by 0.5; report it" in out
    assert "problem threads 1, on 2 of" in out
    assert "problem kernel cache" in out and "set BYHAND_CACHE to a folder" in out


def test_plain_python_is_a_problem_and_not_measured(monkeypatch):
    facts = doctor.examine() | {"runs": "python", "layer": None}
    monkeypatch.setattr(doctor, "examine", lambda: facts)
    done = byhand("doctor")
    assert done.code == 1
    assert "problem kernels plain Python: NUMBA_DISABLE_JIT is set" in " ".join(done.out.split())
    done = byhand("doctor", "--machine")
    assert (done.code, done.out) == (2, "")
    assert "only compiled kernels can be measured; unset NUMBA_DISABLE_JIT and BYHAND_DEBUG" in done.complaint


def test_the_limits_of_the_machine_are_measured(monkeypatch):
    monkeypatch.setattr(machine_limits, "TABLES", 10)
    monkeypatch.setattr(machine_limits, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(machine_limits, "READ_TURNS", 1)
    done = byhand("doctor", "--machine", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert all(check["ok"] for check in found["checks"].values())
    limits = found["machine"]
    assert limits.keys() == LIMITS.keys()
    assert limits["launch_us"].keys() == LIMITS["launch_us"].keys()
    assert all(value > 0 for value in limits["launch_us"].values())
    assert 0 < limits["cores_free"] <= 1
    assert limits["gflops_of_a_core"]["float32"] > 0.1
    assert limits["gigabytes_a_second"].keys() == {"core", "all_threads"}
    assert min(limits["gigabytes_a_second"].values()) > 0.1


def test_each_limit_has_a_line_with_its_meaning():
    lines = doctor.limits_as_text(LIMITS)
    assert lines["launch"] == "0.31 microseconds to start a kernel; each layer starts one or a few"
    assert lines["launch, busy"].startswith("0.42 microseconds, 5.50 on average, while 2 other processes")
    assert lines["float32"].startswith("112 GFLOP/s on one core, 221 on all threads (billions of ")
    assert lines["bfloat16"].startswith("224 GFLOP/s on one core, with --precision bf16")
    assert lines["memory"].startswith("20 GB/s on one core, 31 on all threads: how fast")
    assert lines["note"].startswith("other programs left 50% of the cores' time")
    without = doctor.limits_as_text(LIMITS | {"busy": False, "gflops_of_a_core": {"float32": 112.0}})
    assert "note" not in without
    assert without["bfloat16"].startswith("this processor can't multiply bfloat16")
