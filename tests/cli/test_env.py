"""Command `byhand env`."""

import json
import os
import re

import pytest

from byhand.kernels.runtime.cpu import TARGETS, cores
from tests.cli.run_cli import byhand
from tests.kernels.process import OURS

TITLES = (
    "processor",
    "instruction set",
    "bfloat16",
    "caches per core",
    "threads",
    "threading layer",
    "parallel loop cost",
    "versions",
    "kernel cache",
    "tuning table",
)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in OURS:
        monkeypatch.delenv(name, raising=False)


def test_each_fact_has_a_line():
    done = byhand("env")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert tuple(line[:22].strip() for line in lines) == TITLES
    assert all(line[23:].strip() for line in lines)
    assert done.out == "".join(f"{line.rstrip()}\n" for line in lines)  # plain


def test_json_holds_the_same():
    done = byhand("env", "--json", process=True)  # its threads, not those of this one
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["kernels"]["target"] in TARGETS
    assert found["kernels"]["chosen_by"] == "processor"
    assert found["caches"].keys() == {"L1", "L2", "L3"}
    assert all(size >= 8192 for size in found["caches"].values())
    assert found["threads"] == {"used": cores(), "cores": cores(), "of": os.cpu_count()}
    assert found["layer"]["name"] in ("own", "omp", "tbb", "workqueue")
    assert found["layer"]["why"]
    assert 0 < found["parallel_loop_us"] < 10_000
    assert found["runs"] == "native"
    assert found["versions"].keys() == {"numba", "llvmlite", "numpy", "python"}
    assert found["cache"]["kernels"] > 0
    assert found["cache"]["writable"] is True
    assert found["tuning"]["used"] in (True, False) and found["tuning"]["file"].endswith(".json")


def test_environment_settings_and_an_unwritable_cache_are_shown(tmp_path):
    (tmp_path / "file").write_text("in the way")
    out = byhand("env", BYHAND_TARGET="scalar", BYHAND_THREADS="3", BYHAND_CACHE=str(tmp_path / "file")).out
    assert "scalar, vectors of 32 bits, register tile of 4 rows x 1 vector, set by BYHAND_TARGET" in out
    assert "threads                3, on " in out
    assert "set by BYHAND_THREADS" in out
    assert re.search("/kernels: [24] kernels, ", out)  # that which does nothing, and the loop that runs it
    assert "not writable, so kernels compile on each run: set BYHAND_CACHE to a folder" in " ".join(out.split())


@pytest.mark.parametrize(
    ("name", "says"), [("NUMBA_DISABLE_JIT", "plain Python"), ("BYHAND_DEBUG", "checked machine code")]
)
def test_debug_mode_is_shown(name, says):
    done = byhand("env", **{name: "1"})
    assert (done.code, done.err) == (0, "")
    assert f"kernels run as         {says}" in done.out
    assert "threading layer" not in done.out


@pytest.mark.parametrize(
    ("words", "environment", "complaint"),
    [
        ([], {"BYHAND_TARGET": "avx51"}, "there is no BYHAND_TARGET 'avx51'; did you mean 'avx512'?"),
        ([], {"BYHAND_THREADS": "all"}, "BYHAND_THREADS is 'all'; expected a number of threads, 1 to 1024"),
        ([], {"NUMBA_THREADING_LAYER": "opm"}, "NUMBA_THREADING_LAYER is 'opm'; expected one that can be loaded here"),
        (["folder"], {}, "folder"),
        (["--machine"], {}, "--machine"),
    ],
)
def test_bad_input_gets_one_line(words, environment, complaint):
    done = byhand("env", *words, **environment)
    assert (done.code, done.out) == (2, "")
    assert complaint in done.complaint


def test_it_tells_whether_the_cpu_multiplies_bfloat16():
    assert "bfloat16               no instruction for it (vdpbf16ps)" in byhand("env", BYHAND_TARGET="avx2").out
    assert json.loads(byhand("env", "--json", BYHAND_TARGET="avx2").out)["kernels"]["bfloat16"] is False
