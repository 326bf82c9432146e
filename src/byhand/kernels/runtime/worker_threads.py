"""The thread pool on Linux: threads that sleep on a futex, and that no launch waits for unless they have taken a block.

A pool is words in memory that all its threads read: the open launch (its generation, entry, arguments, blocks), and for each
worker a counter (generation, blocks that are left of its range). A worker takes a block by a compare-and-swap of a counter,
which fails once the launch is over. So a worker that the system wakes late, or that has lost its core to another program, does
nothing wrong and is not waited for: the caller (the thread that launches, worker 0) takes blocks as all others do, and returns
when those that were taken are done. Only a worker that loses its core *within* a block holds the caller up. (An OpenMP region
ends when each of its threads has come: on a busy machine after milliseconds.)

A launch has the pool to itself. Where several Python threads launch at once, one has it, and the others run their blocks
themselves.

worker_loops.py has the loops:

    table  ->  run: for each launch, run_launch -> take_blocks      the caller
                              work: wait        -> take_blocks      workers 1, 2, ...
"""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import TYPE_CHECKING

from byhand.kernels.runtime.arguments import WORD_BYTES
from byhand.kernels.runtime.cpu import COUNTER_BYTES
from byhand.kernels.runtime.machine_code import loop_address

if TYPE_CHECKING:  # it imports Numba
    from byhand.kernels.runtime.llvm import CFunc

# Words of a pool, by offset. First the open launch, in one cache line: its generation, kernel, arguments, blocks; over how
# many ranges its blocks are distributed, how many workers may take them, and the core that its caller runs on.
GENERATION, ENTRY, ADDRESS, BLOCKS, RANGES, LIMIT, CORE = (WORD_BYTES * i for i in range(7))
# Words that different threads write, in lines of their own: blocks that others than the caller have done, and whether the
# caller sleeps until more are; whether a caller has the pool; how many workers sleep; whether the threads shall end.
DONE, OWNED, SLEEPERS, STOPPED = (COUNTER_BYTES * i for i in range(1, 5))
WAITING = DONE + WORD_BYTES
WORKERS = STOPPED + WORD_BYTES  # the caller too
# A record for each worker: its counter; whether it sleeps, and until when it is not to be woken; its pool and its number.
RECORDS = 5 * COUNTER_BYTES
COUNTER, ASLEEP, ASLEEP_UNTIL, POOL, NUMBER = (WORD_BYTES * i for i in range(5))

# A counter holds the generation, then the blocks left. A generation comes again after 2^39 launches, hours: as long a worker
# would have to stand between two instructions of take_blocks to take a launch for another.
BLOCK_BITS = 24
MAX_BLOCKS = (1 << BLOCK_BITS) - 1
GENERATION_MASK = (1 << (63 - BLOCK_BITS)) - 1

# Pauses before a thread that waits sleeps, 25 to 100 us: about twice what it takes to wake it.
SPINS = 2000
# The shortest sleep of a worker. To wake one costs some 3 us, which this keeps below 3 % of the time.
SLEEP_NANOSECONDS = 100_000
# How often in a row a worker goes to sleep again because it was woken on the caller's core: the next time it may be another.
# Then it takes blocks all the same: Linux moves only threads that are ready to run to a core with less work.
MAX_REFUSALS = 16

# Signals of the thread itself: blocked, they end the process without a word of Python's faulthandler.
FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP}


class WorkerThreads:
    """The threads of a process, and their pool.

    They are threads of the system, not of Python: `threading`, tracers and gevent do not see them, and they take no signals.
    """

    def __init__(self, workers: int) -> None:
        run_address, work_address, stop_address = functions()
        self._run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 7)(run_address)
        self._stop = ctypes.CFUNCTYPE(None, ctypes.c_int64)(stop_address)
        self._pool = new_pool(workers)
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
        """Run a table of launches, see `run` above."""
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


@cache
def functions() -> tuple[int, int, int]:
    """Return the addresses of `run`, `work` and `stop` as C functions of words, from the cache if they are there."""

    def compiled(name: str) -> CFunc:
        from byhand.kernels.runtime import worker_loops  # noqa: PLC0415  (Numba)

        return worker_loops.compiled(name)

    run, work, stop = (loop_address(f"threads_{name}", partial(compiled, name)) for name in ("run", "work", "stop"))
    return run, work, stop
