"""A helper that runs Python code in its own process and environment."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = (
    "BYHAND_THREADS",
    "BYHAND_TARGET",
    "BYHAND_DEBUG",
    "NUMBA_DISABLE_JIT",
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
)


def start(text, *words, **environment):
    """Start Python on a text; return the process."""
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    path = os.pathsep.join(filter(None, [str(ROOT), inherited.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", text, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": path, "PYTHONWARNINGS": "error"} | environment,
    )


def end(process, timeout=120):
    """Return what a process printed; fails where it failed, or said anything else."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, f"exit code {process.returncode}\n{err}"
    assert err == ""
    return out


def run(text, *words, **environment):
    """Run Python on a text; return what it printed."""
    return end(start(text, *words, **environment))
