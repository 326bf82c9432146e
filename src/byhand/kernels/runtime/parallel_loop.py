"""The parallel loop: one compiled function that runs a table of launches, block by block, on all threads.

It runs on the threads of Numba (OpenMP, TBB or workqueue), on systems without a futex; on Linux, worker_loops.py takes its
place, with `run_block` and `advance` of this file.

A table has rows of three words: a kernel's entry, the address of its packed arguments, its blocks. An entry of 0 marks a
group of micro-batches, independent lists of launches, each run by one thread: the address is then that of a list of tables,
one per micro-batch, and the last word their end. Threads distribute the blocks of a launch and the micro-batches of a group.

Each thread begins with blocks of its own, the same in every launch, and so finds in its cache what it wrote in the launch
before. A thread that is done steals blocks that others have not begun: when another program slows a core down, the others
take over its work. The thread that runs a block does not change the bits of its result.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from numba import cfunc, njit, prange, types

from byhand.kernels.runtime.arguments import LAUNCH_ROW_BYTES, WORD_BYTES
from byhand.kernels.runtime.atomics import (
    add_to_word,
    call,
    counters,
    fetch_add,
    flush_denormals,
    load_word,
    restore,
    store_word,
)
from byhand.kernels.runtime.cpu import COUNTER_BYTES
from byhand.kernels.runtime.llvm import CFunc
from byhand.kernels.runtime.machine_code import loop_address

SIGNATURE = types.void(*[types.intp] * 6)


@njit(error_model="numpy")
def run_block(entry: int, address: int, block: int, worker: int) -> None:
    """Run a block of a launch, or a micro-batch of a group."""
    if entry != 0:
        call(entry, address, block, worker)
        return
    first, end_row = address + WORD_BYTES * block, address + WORD_BYTES * (block + 1)
    for row in range(load_word(first), load_word(end_row), LAUNCH_ROW_BYTES):
        for part in range(load_word(row + 2 * WORD_BYTES)):
            call(load_word(row), load_word(row + WORD_BYTES), part, 0)


@njit(error_model="numpy")
def run_blocks(entry: int, address: int, blocks: int, counts: int, worker: int, workers: int) -> None:
    """Run one worker's blocks of a launch, then what is left of the others'."""
    before = flush_denormals()
    for turn in range(workers):
        owner = (worker + turn) % workers
        count, end = counts + COUNTER_BYTES * owner, (owner + 1) * blocks // workers
        block = fetch_add(count)
        while block < end:
            run_block(entry, address, block, worker)
            block = fetch_add(count)
    restore(before)


def run(table: int, count: int, advances: int, advance_count: int, steps: int, workers: int) -> None:
    """Run a table `steps` times; after each step, add to each word of `advances` (address, stride) its stride."""
    counts = counters()
    for _ in range(steps):
        for i in range(count):
            row = table + LAUNCH_ROW_BYTES * i
            entry, address, blocks = load_word(row), load_word(row + WORD_BYTES), load_word(row + 2 * WORD_BYTES)
            if workers == 1 or blocks == 1:
                store_word(counts, 0)
                run_blocks(entry, address, blocks, counts, 0, 1)
            else:
                for worker in range(workers):
                    store_word(counts + COUNTER_BYTES * worker, worker * blocks // workers)
                for worker in prange(workers):
                    run_blocks(entry, address, blocks, counts, worker, workers)
        advance(advances, advance_count, 1)
    advance(advances, advance_count, -steps)


@njit(error_model="numpy")
def advance(advances: int, count: int, steps: int) -> None:
    """Add to each word of `advances` (address, stride) its stride, times `steps`."""
    for i in range(count):
        pair = advances + 2 * WORD_BYTES * i
        add_to_word(load_word(pair), steps * load_word(pair + WORD_BYTES))


@cache
def loop() -> Callable[..., None]:
    """Return the loop as a C function of six words, from the cache if it is there."""

    def compiled() -> CFunc:
        inner = njit(SIGNATURE, parallel=True, error_model="numpy")(run)

        def entry(table: int, count: int, advances: int, advance_count: int, steps: int, workers: int) -> None:
            inner(table, count, advances, advance_count, steps, workers)

        return cfunc(SIGNATURE, error_model="numpy")(entry)

    address = loop_address("parallel_loop", compiled)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)(address)
