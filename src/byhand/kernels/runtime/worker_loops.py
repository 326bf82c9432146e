"""The compiled loops of the thread pool on Linux: the caller's, and those of its workers (worker_threads.py)."""

from __future__ import annotations

from numba import cfunc, njit, types

from byhand.kernels.runtime.arguments import LAUNCH_ROW_BYTES, WORD_BYTES
from byhand.kernels.runtime.atomics import (
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
from byhand.kernels.runtime.cpu import COUNTER_BYTES
from byhand.kernels.runtime.llvm import CFunc
from byhand.kernels.runtime.parallel_loop import advance, run_block
from byhand.kernels.runtime.worker_pool import (
    ADDRESS,
    ALL,
    BLOCK_MASK,
    BLOCKS,
    COUNTERS,
    DONE,
    ENTRY,
    FUTEX_WAIT,
    FUTEX_WAKE,
    GENERATION,
    GENERATION_MASK,
    OWNED,
    SLEEPERS,
    SPINS,
    SPINS_BEFORE_YIELD,
    STOPPED,
    WORKERS,
)


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


def compiled(name: str, words: int) -> CFunc:
    """Return `run` or `work` as a C function of words."""
    return cfunc(types.void(*[types.intp] * words), error_model="numpy")({"run": run, "work": work}[name])
