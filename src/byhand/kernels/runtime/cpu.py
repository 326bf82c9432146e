"""This CPU, as far as kernels have to know it: vector width, register tile, caches, cores."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from byhand.errors import UnknownNameError

MAX_THREADS = 1024

# Width of a vector in bytes, and the register tile: rows of the result, vectors in a row. The tile's sums fill the registers,
# of which AVX-512 has 32, the others 16 or 32. `scalar` works everywhere.
TARGETS = {"avx512": (64, 14, 2), "avx2": (32, 6, 2), "neon": (16, 8, 3), "scalar": (4, 4, 1)}


@dataclass(frozen=True)
class Host:
    """The vector unit that kernels are written for."""

    target: str
    width: int  # bytes of a vector
    rows: int
    vectors: int
    fma: bool  # multiply and add in one rounding

    def lanes(self, dtype: npt.DTypeLike) -> int:
        """Return how many numbers a vector holds."""
        return max(1, self.width // int(np.dtype(dtype).itemsize))

    def columns(self, dtype: npt.DTypeLike) -> int:
        """Return how many columns a tile of the result has."""
        return self.vectors * self.lanes(dtype)


@cache
def host() -> Host:
    """Return what kernels are built for: the widest unit this processor has, or what BYHAND_TARGET names."""
    from llvmlite import binding  # noqa: PLC0415

    has = {name for name, there in binding.get_host_cpu_features().items() if there}
    arm = binding.get_default_triple().startswith(("aarch64", "arm64"))
    best = "neon" if arm else "avx512" if "avx512f" in has else "avx2" if {"avx2", "fma"} <= has else "scalar"
    name = os.environ.get("BYHAND_TARGET") or best
    if name not in TARGETS:
        raise UnknownNameError("BYHAND_TARGET", name, TARGETS)
    return Host(name, *TARGETS[name], fma=arm or "fma" in has)


@cache
def processor() -> str:
    """Return the processor's name and everything it can do, as LLVM says it."""
    from llvmlite import binding  # noqa: PLC0415

    return f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"


@cache
def name() -> str:
    """Return the processor's name as its maker has it, where the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def cores() -> int:
    """Return how many cores this process may use: those it is bound to, but no more than a container's share of time."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no such file, or no limit: "max"
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        bound = min(bound, ceil(int(quota) / int(period)))
    return max(1, bound)


@cache
def cache_size(level: int) -> int:
    """Return the size in bytes of a core's cache of data, as Linux tells it; elsewhere what most processors have."""
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            found = int((folder / "level").read_text())
            if found == level and (folder / "type").read_text().strip() != "Instruction":
                return int((folder / "size").read_text().strip().rstrip("K")) * 1024
        except (OSError, ValueError):
            continue
    return {1: 32 * 1024, 2: 512 * 1024}.get(level, 8 * 1024 * 1024)
