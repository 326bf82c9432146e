"""The limits of this machine, measured: what a launch costs, what a core multiplies, what it reads from memory.

A launch is a kernel of one empty block a thread: what each layer of a network costs beside its work. It is measured as the
machine is, and beside as many processes that spin as there are cores.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from byhand.bench.spin_loop import BUSY_BELOW, SpinLoop, spinning_processes
from byhand.kernels import kernel, launch
from byhand.kernels.conv.problem import FLOAT32, PRECISIONS
from byhand.kernels.peak import peak_flops
from byhand.kernels.runtime import cpu
from byhand.kernels.runtime.launch import launch_times
from byhand.kernels.runtime.thread_pool import limit

TABLES = 2000  # of launches, in a quiet measurement
BUSY_SECONDS = 1.0
READ_TURNS = 4

# Bytes of the array that is read: more than fit a cache.
READ_MIN_BYTES = 64 * 2**20
READ_MAX_BYTES = 1024 * 2**20

# The reading of one part is timed: it takes less than a millisecond, in which other programs may not interrupt.
PART_BLOCKS = 16
BLOCK_BYTES = 2**19


@kernel(reassociate=True)
def read_memory(x, sums, block):  # type: ignore[no-untyped-def]
    """Add up a row."""
    row, total = x[block], x[block, 0]
    for i in range(row.size):
        total += row[i]
    sums[block] = total


def measure() -> dict[str, Any]:
    """Return the limits, as `byhand doctor --machine --json` prints them; takes about five seconds."""
    spin = SpinLoop(cpu.cores())
    try:
        free = spin.measure()
    finally:
        spin.close()
    with limit(1):
        precisions = PRECISIONS if cpu.vector_unit().bfloat16 else (FLOAT32,)
        one = {name: peak_flops(name) / 1e9 for name in precisions}
        one_reads = bytes_a_second() / 1e9
    return {
        "cores_free": round(free, 2),
        "busy": free < BUSY_BELOW,
        "launch_us": launch_costs(),
        "spinning_processes": cpu.cores(),
        "gflops_of_a_core": {name: round(rate, 1) for name, rate in one.items()},
        "gflops_of_all_threads": round(peak_flops() / 1e9, 1),
        "gigabytes_a_second": {"core": round(one_reads, 1), "all_threads": round(bytes_a_second() / 1e9, 1)},
    }


def launch_costs() -> dict[str, float]:
    """Return the microseconds of a launch: the median as the machine is, then the median and the mean on a busy one.

    The mean has in it the times when a thread that had taken a block lost its core.
    """
    quiet = launch_times(TABLES)
    with spinning_processes(cpu.cores()):
        busy, end = list[float](), time.perf_counter() + BUSY_SECONDS
        while time.perf_counter() < end:
            busy += launch_times(1)
    found = {"quiet": np.median(quiet), "busy": np.median(busy), "busy_mean": np.mean(busy)}
    return {name: round(1e6 * float(seconds), 3) for name, seconds in found.items()}


def bytes_a_second() -> float:
    """Return how fast the threads read memory: the fastest part of an array that no cache holds."""
    size = min(max(READ_MIN_BYTES, 4 * cpu.cache_size(3)), READ_MAX_BYTES)
    parts = np.ones((size // (PART_BLOCKS * BLOCK_BYTES), PART_BLOCKS, BLOCK_BYTES // 4), np.float32)
    sums, times = np.empty(PART_BLOCKS, np.float32), []
    for part in [part for _ in range(READ_TURNS) for part in parts]:
        started = time.perf_counter()
        launch(read_memory, PART_BLOCKS, part, sums)
        times.append(time.perf_counter() - started)
    return float(parts[0].nbytes / min(times))
