"""The mode in which kernels run in this process: as machine code, as checked machine code, or as plain Python.

native   the default: compiled by Numba, run by all threads
debug    BYHAND_DEBUG=1: compiled, one block after the other, each access to an array checked against its bounds
python   NUMBA_DISABLE_JIT=1: the Python that a kernel is written in, to be stepped through with a debugger
"""

from __future__ import annotations

import os
from functools import cache


@cache
def mode() -> str:
    """Return how kernels run in this process: "native", "debug" or "python"."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "python"
    return "debug" if os.environ.get("BYHAND_DEBUG", "0") not in ("", "0") else "native"
