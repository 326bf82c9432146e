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

from numba import cfunc, njit, types

from byhand.kernels.runtime.arguments import LAUNCH_ROW_BYTES, WORD_BYTES
from byhand.kernels.runtime.atomics import (
    COUNTER_BYTES,
    FUTEX_CALL,
    FUTEX_WAIT,
    FUTEX_WAKE,
    add_shared,
    compare_and_swap,
    flush_denormals,
    futex,
    load_shared,
    load_word,
    pause,
    restore,
    store_shared,
    store_word,
    yield_core,
)
from byhand.kernels.runtime.cpu import MAX_THREADS
from byhand.kernels.runtime.llvm import CFunc
from byhand.kernels.runtime.parallel_loop import advance, function_address, run_block

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


@njit(error_model="numpy")
def take_blocks(pool: int, generation: int, worker: int, workers: int) -> int:
    """Run blocks of a launch as long as it has any, a worker's own first; return how many."""
    entry, address, blocks = load_word(pool + ENTRY), load_word(pool + ADDRESS), load_word(pool + BLOCKS)
    before, done = flush_denormals(), 0
    for turn in range(workers):
        owner = (worker + turn) % workers
        counter, end = pool + COUNTERS + COUNTER_BYTES * owner, (owner + 1) * blocks // workers
        count = load_shared(counter)
        while count >> 32 == generation and count & BLOCK_MASK < end:
            if compare_and_swap(
                counter, count, count + 1
            ):  # the launch is open, so that what was read above is its own
                run_block(entry, address, count & BLOCK_MASK, worker)
                done += 1
            count = load_shared(counter)
    restore(before)
    return done


@njit(error_model="numpy")
def run_launch(pool: int, entry: int, address: int, blocks: int, workers: int) -> None:
    """Run a launch, with all workers that come."""
    generation = (load_word(pool + GENERATION) + 1) & GENERATION_MASK
    store_word(pool + ENTRY, entry)
    store_word(pool + ADDRESS, address)
    store_word(pool + BLOCKS, blocks)
    store_word(pool + WORKERS, workers)
    store_word(pool + DONE, 0)
    for worker in range(workers):
        counter = pool + COUNTERS + COUNTER_BYTES * worker
        store_shared(counter, (generation << 32) | (worker * blocks // workers))
    store_shared(pool + GENERATION, generation)
    if load_shared(pool + SLEEPERS) > 0:
        futex(pool + GENERATION, FUTEX_WAKE, ALL)
    done, spins = take_blocks(pool, generation, 0, workers), 0
    while done + load_shared(pool + DONE) < blocks:
        spins += 1
        if spins % SPINS_BEFORE_YIELD == 0:
            yield_core()
        pause()


def run(table: int, count: int, advances: int, advance_count: int, steps: int, workers: int, pool: int) -> None:
    """Run a table `steps` times; after each step, add to each word of `advances` (address, stride) its stride."""
    owner = workers > 1 and compare_and_swap(pool + OWNED, 0, 1) == 1
    for _ in range(steps):
        for i in range(count):
            row = table + LAUNCH_ROW_BYTES * i
            entry, address, blocks = load_word(row), load_word(row + WORD_BYTES), load_word(row + 2 * WORD_BYTES)
            if owner and blocks > 1:
                run_launch(pool, entry, address, blocks, workers)
            else:
                before = flush_denormals()
                for block in range(blocks):
                    run_block(entry, address, block, 0)
                restore(before)
        advance(advances, advance_count, 1)
    advance(advances, advance_count, -steps)
    if owner:
        store_shared(pool + OWNED, 0)


def work(pool: int, worker: int) -> None:
    """Take blocks of each launch; sleep while there is none; return when the pool is stopped."""
    seen, spins = 0, 0
    while load_shared(pool + STOPPED) == 0:
        generation = load_shared(pool + GENERATION)
        if generation != seen:
            seen, spins = generation, 0
            workers = load_shared(pool + WORKERS)
            done = take_blocks(pool, generation, worker, workers) if worker < workers else 0
            if done > 0:
                add_shared(pool + DONE, done)
        elif spins < SPINS:
            spins += 1
            pause()
        else:
            add_shared(pool + SLEEPERS, 1)
            if load_shared(pool + STOPPED) == 0:
                futex(pool + GENERATION, FUTEX_WAIT, seen)  # it returns at once where a launch has come meanwhile
            add_shared(pool + SLEEPERS, -1)
            spins = 0


@cache
def functions() -> tuple[Callable[..., None], Callable[..., None]]:
    """Return `run` and `work` as C functions of words, from the cache if they are there."""

    def compiled(function: Callable[..., None], words: int) -> CFunc:
        return cfunc(types.void(*[types.intp] * words), error_model="numpy")(function)

    found = []
    for function, words in ((run, 7), (work, 2)):
        address = function_address(f"threads_{function.__name__}", partial(compiled, function, words))
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
