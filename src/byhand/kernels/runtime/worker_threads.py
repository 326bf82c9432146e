"""The thread pool on Linux: threads that sleep on a futex, and that no launch waits for unless they have taken a block.

A pool is words in memory that all its threads read: the open launch (its generation, entry, arguments, blocks), and for each
worker a counter (generation, blocks that are left of its range). A worker takes a block by a compare-and-swap of a counter,
which fails once the launch is over. So a worker that the system wakes late, or that has lost its core to another program, does
nothing wrong and is not waited for: the caller (the thread that launches, worker 0) takes blocks as all others do, and returns
when those that were taken are done. Only a worker that loses its core *within* a block holds the caller up. (An OpenMP region
ends when each of its threads has come: on a busy machine after milliseconds.)

A launch has the pool to itself. Where several Python threads launch at once, one has it, and the others run their blocks
themselves.

    table  ->  run: for each launch, run_launch -> take_blocks      the caller
                              work: wait        -> take_blocks      workers 1, 2, ...
"""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial

from numba import cfunc, njit, types

from byhand.kernels.runtime.arguments import LAUNCH_ROW_BYTES, WORD_BYTES
from byhand.kernels.runtime.atomics import (
    COUNTER_BYTES,
    FUTEX_WAIT,
    FUTEX_WAKE,
    atomic_add,
    atomic_load,
    atomic_store,
    compare_and_swap,
    current_core,
    flush_denormals,
    futex,
    load_word,
    nanoseconds,
    pause,
    relaxed_load,
    relaxed_store,
    restore,
)
from byhand.kernels.runtime.llvm import CFunc
from byhand.kernels.runtime.parallel_loop import advance, function_address, run_block

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


@njit(error_model="numpy")
def take_blocks(pool: int, generation: int, worker: int) -> int:
    """Run blocks of a launch as long as it has any, first those of the worker's own range; return how many.

    A swap succeeds only while the launch has a block that no one has taken. Its caller opens no other launch before that block
    is done, and so the words below, which were read after its generation and before the swap, are those of this launch. Where
    they are not, because the caller has gone on, all counters of this generation are at 0 and no swap succeeds.
    """
    entry, address = relaxed_load(pool + ENTRY), relaxed_load(pool + ADDRESS)
    blocks, ranges = relaxed_load(pool + BLOCKS), relaxed_load(pool + RANGES)
    total = 0
    for turn in range(ranges):
        owner, done = (worker + turn) % ranges, 0
        counter, end = pool + RECORDS + COUNTER_BYTES * owner + COUNTER, (owner + 1) * blocks // ranges
        count = relaxed_load(counter)
        while count >> BLOCK_BITS == generation and count & MAX_BLOCKS > 0:
            if compare_and_swap(counter, count, count - 1):
                if atomic_load(pool + SLEEPERS) > 0:
                    wake_one(pool, ranges)
                run_block(entry, address, end - (count & MAX_BLOCKS), worker)
                done += 1
            count = relaxed_load(counter)
        if worker > 0 and done > 0:
            atomic_add(pool + DONE, done)  # the caller sees all that these blocks have written
            if atomic_load(pool + WAITING) == 1:
                futex(pool + DONE, FUTEX_WAKE, 1)
        total += done
    return total


@njit(error_model="numpy")
def wake_one(pool: int, ranges: int) -> None:
    """Wake one of the workers that have a range, if one has slept long enough; it wakes the next."""
    now = nanoseconds()
    for worker in range(1, ranges):
        record = pool + RECORDS + COUNTER_BYTES * worker
        rested = relaxed_load(record + ASLEEP) == 1 and now >= relaxed_load(record + ASLEEP_UNTIL)
        if rested and compare_and_swap(record + ASLEEP, 1, 0):
            futex(record + ASLEEP, FUTEX_WAKE, 1)
            return


@njit(error_model="numpy")
def run_launch(pool: int, entry: int, address: int, blocks: int, workers: int) -> None:
    """Run a launch with all workers that come; the caller has the pool.

    All blocks of the launch before are done and have been added to DONE, and nothing is added until a worker has taken a block
    of this one: DONE can be set to 0.
    """
    generation, ranges = (relaxed_load(pool + GENERATION) + 1) & GENERATION_MASK, min(workers, blocks)
    relaxed_store(pool + ENTRY, entry)
    relaxed_store(pool + ADDRESS, address)
    relaxed_store(pool + BLOCKS, blocks)
    relaxed_store(pool + RANGES, ranges)
    relaxed_store(pool + LIMIT, workers)
    relaxed_store(pool + CORE, current_core())
    relaxed_store(pool + DONE, 0)
    for owner in range(ranges):
        size = (owner + 1) * blocks // ranges - owner * blocks // ranges
        relaxed_store(pool + RECORDS + COUNTER_BYTES * owner + COUNTER, (generation << BLOCK_BITS) | size)
    atomic_store(pool + GENERATION, generation)
    others, spins = blocks - take_blocks(pool, generation, 0), 0
    done = atomic_load(pool + DONE)
    while done < others:
        if spins < SPINS:
            spins += 1
            pause()
        else:  # a worker that has taken a block has lost its core, or the block is long
            atomic_store(pool + WAITING, 1)
            futex(pool + DONE, FUTEX_WAIT, done)
            atomic_store(pool + WAITING, 0)
        done = atomic_load(pool + DONE)


def run(table: int, count: int, advances: int, advance_count: int, steps: int, workers: int, pool: int) -> None:
    """Run a table `steps` times; after each step, add to each word of `advances` (address, stride) its stride."""
    before, workers = flush_denormals(), min(workers, load_word(pool + WORKERS))
    for _ in range(steps):
        for i in range(count):
            row = table + LAUNCH_ROW_BYTES * i
            entry, address, blocks = load_word(row), load_word(row + WORD_BYTES), load_word(row + 2 * WORD_BYTES)
            if workers > 1 and 1 < blocks <= MAX_BLOCKS and compare_and_swap(pool + OWNED, 0, 1):
                run_launch(pool, entry, address, blocks, workers)
                atomic_store(pool + OWNED, 0)
            else:
                for block in range(blocks):
                    run_block(entry, address, block, 0)
        advance(advances, advance_count, 1)
    advance(advances, advance_count, -steps)
    restore(before)


def work(record: int) -> int:
    """Take blocks of each launch; sleep while there is none; return when the pool is stopped."""
    pool, worker = load_word(record + POOL), load_word(record + NUMBER)
    flush_denormals()
    seen, spins, refusals = 0, 0, 0
    while atomic_load(pool + STOPPED) == 0:
        generation = atomic_load(pool + GENERATION)
        if generation != seen and refusals < MAX_REFUSALS and on_core_of_caller(pool):
            refusals += 1
            sleep(pool, record, generation)
        elif generation != seen:
            seen, spins, refusals = generation, 0, 0
            if worker < relaxed_load(pool + LIMIT):
                take_blocks(pool, generation, worker)
        elif spins < SPINS:
            spins += 1
            pause()
        else:
            sleep(pool, record, seen)
            spins = 0
    return 0


@njit(error_model="numpy")
def on_core_of_caller(pool: int) -> bool:
    """Tell whether this worker would only take the caller's time."""
    core = current_core()
    return bool(core >= 0 and core == relaxed_load(pool + CORE))


@njit(error_model="numpy")
def sleep(pool: int, record: int, seen: int) -> None:
    """Sleep until this worker is woken, which it can be after SLEEP_NANOSECONDS; not where a launch has come since `seen`.

    A caller stores its generation and then looks who sleeps; a worker says that it sleeps and then looks at the generation. So
    one of them sees what the other has stored.
    """
    relaxed_store(record + ASLEEP_UNTIL, nanoseconds() + SLEEP_NANOSECONDS)
    atomic_store(record + ASLEEP, 1)
    atomic_add(pool + SLEEPERS, 1)
    if atomic_load(pool + GENERATION) == seen:
        futex(record + ASLEEP, FUTEX_WAIT, 1)  # it returns at once where ASLEEP is no longer 1
    atomic_add(pool + SLEEPERS, -1)
    atomic_store(record + ASLEEP, 0)


def stop(pool: int) -> None:
    """Let the threads end; what is launched from then on runs on the thread that launches it."""
    while not compare_and_swap(pool + OWNED, 0, 1):  # it is never given back
        pause()
    atomic_store(pool + STOPPED, 1)
    atomic_store(pool + GENERATION, (relaxed_load(pool + GENERATION) + 1) & GENERATION_MASK)
    for worker in range(1, load_word(pool + WORKERS)):
        asleep = pool + RECORDS + COUNTER_BYTES * worker + ASLEEP
        atomic_store(asleep, 0)
        futex(asleep, FUTEX_WAKE, 1)


@cache
def functions() -> tuple[int, int, int]:
    """Return the addresses of `run`, `work` and `stop` as C functions of words, from the cache if they are there."""

    def compiled(function: Callable[..., object], result: types.Type, words: int) -> CFunc:
        return cfunc(result(*[types.intp] * words), error_model="numpy")(function)

    addresses = [
        function_address(f"threads_{function.__name__}", partial(compiled, function, result, words))
        for function, result, words in ((run, types.void, 7), (work, types.intp, 1), (stop, types.void, 1))
    ]
    return addresses[0], addresses[1], addresses[2]


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
