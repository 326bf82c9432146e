"""The memory that the threads of a pool share: words, by their offset from its address."""

from __future__ import annotations

import platform

from byhand.kernels.runtime.cpu import COUNTER_BYTES

# Linux' number of the system call, and its operations within one process.
FUTEX_CALL = 98 if platform.machine() == "aarch64" else 202
FUTEX_WAIT, FUTEX_WAKE = 128, 129

# Words of the pool, each in cache lines of its own: the number of the open launch, the workers that sleep, the open launch,
# the blocks of it that others than the caller have done, whether a Python thread owns the pool, whether the workers shall end.
GENERATION, SLEEPERS, ENTRY, ADDRESS, BLOCKS, WORKERS, DONE, OWNED, STOPPED, COUNTERS = (
    COUNTER_BYTES * i for i in range(10)
)
GENERATION_MASK = (1 << 30) - 1
BLOCK_MASK = (1 << 32) - 1

# Pauses of a worker before it sleeps, some 40 to 100 us; those of a caller before it lets another thread have its core.
SPINS = 2000
SPINS_BEFORE_YIELD = 200

ALL = 1 << 30  # workers to wake
