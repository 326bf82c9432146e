"""What all tests share: the way to their helpers (`tests.oracle` and the like), hypothesis's settings, the oracle's name."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

os.environ.setdefault(
    "BYHAND_POISON", "1"
)  # unwritten memory is NaN: kernels/memory.py, which nothing has imported yet
sys.path.insert(0, str(Path(__file__).parent.parent))  # --import-mode=importlib leaves it out

from tests.oracle import IN_CI, RECORDED, TORCH

# A draw of arrays is slow beside hypothesis's own idea of an example; no database, so that a run depends on no run before.
settings.register_profile(
    "byhand", max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("byhand"), derandomize=True)  # the same examples at every push
settings.load_profile("ci" if IN_CI else "byhand")


ORACLE = f"oracle: {f'PyTorch {TORCH}' if TORCH else RECORDED}"


def pytest_report_header():
    return ORACLE


def pytest_terminal_summary(terminalreporter):
    if terminalreporter.verbosity < 0:  # -q leaves the header out
        terminalreporter.write_line(ORACLE)
