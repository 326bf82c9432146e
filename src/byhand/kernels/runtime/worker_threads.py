"""The thread pool on Linux: threads that sleep on a futex, and that no launch waits for unless they have taken a block.

A pool is words in memory that all its threads read: the open launch (its generation, entry, arguments, blocks), and for each
worker a counter (generation, blocks that are left of its range). A worker takes a block by a compare-and-swap of a counter,
which fails once the launch is over. So a worker that the system wakes late, or that has lost its core to another program, does
nothing wrong and is not waited for: the caller (the thread that launches, worker 0) takes blocks as all others do, and returns
when those that were taken are done. Only a worker that loses its core *within* a block holds the caller up: one that lacks a
core too often rests, and takes no block until it keeps one. (An OpenMP region ends when each of its threads has come: on a busy
machine after milliseconds.)

A launch has the pool to itself. Where several Python threads launch at once, one has it, and the others run their blocks
themselves.

    table  ->  run: for each launch, run_launch -> take_blocks      the caller
                              work: wait        -> take_blocks      workers 1, 2, ...

Those loops are in worker_loops.py, the words in worker_pool.py.
"""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import TYPE_CHECKING

from byhand.kernels.runtime.cpu import COUNTER_BYTES
from byhand.kernels.runtime.machine_code import loop_address
from byhand.kernels.runtime.worker_pool import MAX_LACK, MAX_LACK_PERCENT, NUMBER, POOL, RECORDS, WORKERS

if TYPE_CHECKING:  # it imports Numba
    from byhand.kernels.runtime.llvm import CFunc

# Signals of the thread itself: blocked, they end the process without a word of Python's faulthandler.
FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP}


@cache
def functions() -> tuple[int, ...]:
    """Return the addresses of `run`, `work` and `stop` as C functions of words, from the cache if they are there."""

    def compiled(name: str) -> CFunc:
        from byhand.kernels.runtime import worker_loops  # noqa: PLC0415  (Numba)

        return worker_loops.compiled(name)

    return tuple(loop_address(f"threads_{name}", partial(compiled, name)) for name in ("run", "work", "stop"))


class WorkerThreads:
    """The threads of a process, and their pool.

    They are threads of the system, not of Python: `threading`, tracers and gevent do not see them, and they take no signals.
    """

    def __init__(self, workers: int) -> None:
        run_address, work_address, stop_address = functions()
        self._run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 7)(run_address)
        self._stop = ctypes.CFUNCTYPE(None, ctypes.c_int64)(stop_address)
        self._pool = new_pool(workers)
        self._word(MAX_LACK).value = MAX_LACK_PERCENT
        self._threads: list[ctypes.c_ulong] = []
        self._library = ctypes.CDLL(None)
        with signals_blocked():
            while len(self._threads) < workers - 1 and self._start(work_address, len(self._threads) + 1):
                pass
        self.workers = 1 + len(self._threads)  # fewer than were asked for where the system limits threads
        self._word(WORKERS).value = self.workers

    def _word(self, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self._pool + offset)

    def _start(self, work: int, worker: int) -> bool:
        """Start a thread; return whether the system let it."""
        record, thread = RECORDS + COUNTER_BYTES * worker, ctypes.c_ulong()
        self._word(record + POOL).value, self._word(record + NUMBER).value = self._pool, worker
        start = self._library.pthread_create
        if start(ctypes.byref(thread), None, ctypes.c_void_p(work), ctypes.c_void_p(self._pool + record)) != 0:
            return False
        self._threads.append(thread)
        with suppress(AttributeError):
            self._library.pthread_setname_np(thread, f"byhand-{worker}".encode())
        return True

    def run(self, table: int, count: int, advances: int, advance_count: int, steps: int, workers: int) -> None:
        """Run a table of launches, see worker_loops.run."""
        self._run(table, count, advances, advance_count, steps, workers, self._pool)

    def stop(self) -> None:
        """End the threads: machine code that they run is freed when Python ends."""
        if self._threads:
            self._stop(self._pool)
        while self._threads:
            self._library.pthread_join(self._threads.pop(), None)


_pools: list[ctypes.Array[ctypes.c_char]] = []  # their memory, never freed: Ctrl-C may interrupt a start


def new_pool(workers: int) -> int:
    """Return the address of a pool, zeros."""
    memory = ctypes.create_string_buffer(RECORDS + COUNTER_BYTES * (workers + 1))
    _pools.append(memory)
    return -(-ctypes.addressof(memory) // COUNTER_BYTES) * COUNTER_BYTES


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Start threads that take no signal: they are for the program's own threads."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - FAULTS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
