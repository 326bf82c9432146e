"""A kill during a save leaves the last good checkpoint, a hundred times."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import byhand as bh

KILLS = 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_kill_during_a_save_loses_nothing(tmp_path):
    run = bh.Run.create(tmp_path / "run", {})
    program = Path(__file__).with_name("kill_children.py")
    one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
    done = subprocess.run(
        [sys.executable, program, run.folder, str(KILLS), "0"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | one_thread,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    steps = told["steps"]
    assert len(steps) == KILLS
    assert all(before <= after for before, after in pairwise(steps)), "the steps of a checkpoint never go back"
    assert steps[-1] > KILLS / 4, "and the children did save"
    assert told["halves"] > KILLS / 10, "and were killed while they wrote"
    assert len(list(run.folder.glob(".*.part"))) == told["halves"]
    assert not list(bh.Run.open(run.folder).folder.glob(".*.part"))
    assert bh.Trainer.load(run.checkpoint).steps == steps[-1]
