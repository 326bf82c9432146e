"""The CPU that kernels are compiled for: its vector unit, the register tile that fits it, caches and cores."""

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
from byhand.kernels.runtime.toolchain import toolchain

MAX_THREADS = 1024

# Bytes of the cache line of nearly every processor.
CACHE_LINE_BYTES = 64

# Bytes from a word that one thread writes to the next thread's: some processors fetch lines in pairs.
COUNTER_BYTES = 2 * CACHE_LINE_BYTES

# (bytes of a vector, rows of the register tile, vectors in a row of it). The tile's sums fill the vector registers: AVX-512 has
# 32 of them, AVX2 16, NEON 32. `scalar` runs on every processor.
TARGETS = {"avx512": (64, 14, 2), "avx2": (32, 6, 2), "neon": (16, 8, 3), "scalar": (4, 4, 1)}


@dataclass(frozen=True)
class VectorUnit:
    """A vector unit: the size of its vectors, and the register tile that its registers hold."""

    target: str
    vector_bytes: int
    tile_rows: int  # of the register tile
    tile_vectors: int  # in a row of the tile
    fma: bool  # multiply and add in one rounding
    bfloat16: bool = False  # multiply pairs of bfloat16 numbers: vdpbf16ps

    def lanes(self, dtype: npt.DTypeLike) -> int:
        """Return how many elements a vector holds."""
        return max(1, self.vector_bytes // int(np.dtype(dtype).itemsize))

    def tile_columns(self, dtype: npt.DTypeLike) -> int:
        """Return how many columns the register tile has."""
        return self.tile_vectors * self.lanes(dtype)


@cache
def vector_unit() -> VectorUnit:
    """Return the vector unit that kernels are built for: the widest of this processor, or the one that BYHAND_TARGET names."""
    has = {feature[1:] for feature in toolchain().features.split(",") if feature.startswith("+")}
    arm = toolchain().triple.startswith(("aarch64", "arm64"))
    best = "neon" if arm else "avx512" if "avx512f" in has else "avx2" if {"avx2", "fma"} <= has else "scalar"
    target = os.environ.get("BYHAND_TARGET") or best
    if target not in TARGETS:
        raise UnknownNameError("BYHAND_TARGET", target, TARGETS)
    has_bfloat16 = target == "avx512" and {"avx512bf16", "avx512bw"} <= has
    return VectorUnit(target, *TARGETS[target], fma=arm or "fma" in has, bfloat16=has_bfloat16)


@cache
def processor() -> str:
    """Return the processor's name and features, as LLVM gives them."""
    return f"{toolchain().processor} {toolchain().features}"


@cache
def processor_name() -> str:
    """Return the processor's brand name, where the system gives it."""
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
    """Return the bytes of a core's data cache, as Linux reports them; elsewhere a common size."""
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            found = int((folder / "level").read_text())
            if found == level and (folder / "type").read_text().strip() != "Instruction":
                return int((folder / "size").read_text().strip().rstrip("K")) * 1024
        except (OSError, ValueError):
            continue
    return {1: 32 * 1024, 2: 512 * 1024}.get(level, 8 * 1024 * 1024)
