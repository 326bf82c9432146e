"""Threads of our own (Linux): asleep on a futex while there is no work, and never waited for unless they have taken a block.

The threads share a pool, words in memory: the launch that is open (its entry, arguments and blocks), and a counter of blocks
for each worker, which holds (generation of the launch, next block). A worker takes a block by a compare-and-swap of a counter,
which fails once its launch is over. So a worker that the system wakes late, or that has lost its core to another program, does
nothing wrong, and nobody waits for it: the thread that launches takes blocks as all others do, and returns when those that
were taken are done. (An OpenMP region ends when each of its threads has come: on a busy machine after milliseconds.)

One Python thread at a time owns the pool. Another one that launches meanwhile runs its blocks itself.

    table  ->  run: for each launch, open -> take_blocks      the thread that launches, worker 0
                          work: wait   ->   take_blocks       workers 1, 2, ...
"""

from __future__ import annotations

import atexit
import ctypes
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

from byhand.kernels.runtime.cpu import COUNTER_BYTES, MAX_THREADS
from byhand.kernels.runtime.machine_code import loop_address
from byhand.kernels.runtime.worker_pool import ALL, COUNTERS, FUTEX_CALL, FUTEX_WAKE, GENERATION, STOPPED

if TYPE_CHECKING:  # it imports Numba
    from byhand.kernels.runtime.llvm import CFunc


@cache
def functions() -> tuple[Callable[..., None], Callable[..., None]]:
    """Return `run` and `work` as C functions of words, from the cache if they are there."""

    def compiled(name: str, words: int) -> CFunc:
        from byhand.kernels.runtime import worker_loops  # noqa: PLC0415  (Numba)

        return worker_loops.compiled(name, words)

    found = []
    for name, words in (("run", 7), ("work", 2)):
        address = loop_address(f"threads_{name}", partial(compiled, name, words))
        found.append(ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * words)(address))
    return found[0], found[1]


class WorkerThreads:
    """The threads of a process, and their pool; the thread that launches is one of the workers."""

    def __init__(self, workers: int) -> None:
        self._memory = ctypes.create_string_buffer(COUNTERS + COUNTER_BYTES * (MAX_THREADS + 1))
        self._pool = -(-ctypes.addressof(self._memory) // COUNTER_BYTES) * COUNTER_BYTES
        self._run, work = functions()
        self._threads: list[threading.Thread] = []
        for worker in range(1, workers):
            thread = threading.Thread(target=work, args=(self._pool, worker), name=f"byhand-{worker}", daemon=True)
            thread.start()
            self._threads.append(thread)
        atexit.register(self.stop)  # before Python frees the machine code that they run

    def run(self, table: int, count: int, advances: int, advance_count: int, steps: int, workers: int) -> None:
        """Run a table of launches, see `run` above."""
        self._run(table, count, advances, advance_count, steps, workers, self._pool)

    def stop(self) -> None:
        """Let the threads end, and wait for them; what is launched from then on runs on the thread that launches it."""
        ctypes.c_int64.from_address(self._pool + STOPPED).value = 1
        system_call = ctypes.CDLL(None).syscall
        for thread in self._threads:
            while thread.is_alive():
                system_call(FUTEX_CALL, ctypes.c_void_p(self._pool + GENERATION), FUTEX_WAKE, ALL, None, None, 0)
                thread.join(0.01)
