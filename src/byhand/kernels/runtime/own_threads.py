"""Threads that take blocks of work: started once, asleep while there is none, and never waited for unless they took a block.

Draft. One launch at a time is open: its entry, arguments and number of blocks lie in a pool that all threads see, beside a
counter of blocks for each of them. A counter holds (generation of the launch, next block): a thread takes a block by a compare
and exchange, which fails for launches that are over. The caller takes blocks as the others do, and returns once all that were
taken are done: a thread that the system has not woken yet, or that has lost its core, has none.
"""

from __future__ import annotations

import atexit
import ctypes
import threading
from collections.abc import Callable

import numba
import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from byhand.kernels.runtime.arguments import LAUNCH_ROW_BYTES, WORD_BYTES
from byhand.kernels.runtime.cpu import MAX_THREADS
from byhand.kernels.runtime.llvm import INT32, WORD
from byhand.kernels.runtime.parallel_loop import add_to_word, call, flush_denormals, load_word, restore, store_word

LINE = 128
GENERATION, SLEEPERS, ENTRY, ADDRESS, BLOCKS, WORKERS, FINISHED, OWNER, STOP, COUNTERS = (LINE * i for i in range(10))
SPINS = 3000
YIELD_SPINS = 200
FUTEX = 202


@intrinsic
def load_shared(typing, address):
    def codegen(context, builder, signature, arguments):
        return builder.load_atomic(builder.inttoptr(arguments[0], WORD.as_pointer()), "seq_cst", 8, typ=WORD)

    return types.intp(types.intp), codegen


@intrinsic
def store_shared(typing, address, value):
    def codegen(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], builder.inttoptr(arguments[0], WORD.as_pointer()), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def add_shared(typing, address, value):
    def codegen(context, builder, signature, arguments):
        builder.atomic_rmw("add", builder.inttoptr(arguments[0], WORD.as_pointer()), arguments[1], "seq_cst")
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def exchange(typing, address, expected, value):
    """Tell whether the word was as expected, and has been replaced."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        pair = builder.cmpxchg(pointer, arguments[1], arguments[2], "seq_cst", "seq_cst")
        return builder.zext(builder.extract_value(pair, 1), WORD)

    return types.intp(types.intp, types.intp, types.intp), codegen


@intrinsic
def pause(typing):
    def codegen(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.call(get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def futex(typing, address, operation, value):
    def codegen(context, builder, signature, arguments):
        kind = ir.FunctionType(WORD, [WORD] * 7)
        function = get_or_insert_function(builder.module, kind, "syscall")
        builder.call(function, [WORD(FUTEX), *arguments, WORD(0), WORD(0), WORD(0)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@intrinsic
def give_way(typing):
    def codegen(context, builder, signature, arguments):
        function = get_or_insert_function(builder.module, ir.FunctionType(INT32, []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


WAIT, WAKE = 128, 129  # FUTEX_WAIT and FUTEX_WAKE of this process alone


@njit(error_model="numpy")
def do_block(entry, address, block, worker):
    if entry != 0:
        call(entry, address, block, worker)
    else:
        first, end_row = address + WORD_BYTES * block, address + WORD_BYTES * (block + 1)
        for row in range(load_word(first), load_word(end_row), LAUNCH_ROW_BYTES):
            for part in range(load_word(row + 2 * WORD_BYTES)):
                call(load_word(row), load_word(row + WORD_BYTES), part, 0)


@njit(error_model="numpy")
def take_blocks(pool, generation, entry, address, blocks, worker, workers):
    """Do blocks of a launch while there are any; return how many."""
    before, done = flush_denormals(), 0
    for turn in range(workers):
        owner = (worker + turn) % workers
        counter, end = pool + COUNTERS + LINE * owner, (owner + 1) * blocks // workers
        while True:
            count = load_shared(counter)
            if count >> 32 != generation:
                restore(before)
                return done
            block = count & 0xFFFFFFFF
            if block >= end:
                break
            if exchange(counter, count, count + 1):
                do_block(entry, address, block, worker)
                done += 1
    restore(before)
    return done


@njit(error_model="numpy")
def launch_shared(pool, entry, address, blocks, workers):
    generation = (load_word(pool + GENERATION) + 1) & 0x3FFFFFFF
    store_word(pool + ENTRY, entry)
    store_word(pool + ADDRESS, address)
    store_word(pool + BLOCKS, blocks)
    store_word(pool + WORKERS, workers)
    store_shared(pool + FINISHED, 0)
    for worker in range(workers):
        store_shared(pool + COUNTERS + LINE * worker, (generation << 32) | (worker * blocks // workers))
    store_shared(pool + GENERATION, generation)
    if load_shared(pool + SLEEPERS) > 0:
        futex(pool + GENERATION, WAKE, workers - 1)
    done, spins = take_blocks(pool, generation, entry, address, blocks, 0, workers), 0
    while done + load_shared(pool + FINISHED) < blocks:
        spins += 1
        if spins % YIELD_SPINS == 0:
            give_way()
        pause()


def run(table: int, count: int, advances: int, advance_count: int, steps: int, workers: int, pool: int) -> None:
    shared = workers > 1 and exchange(pool + OWNER, 0, 1) == 1
    for _ in range(steps):
        for i in range(count):
            row = table + LAUNCH_ROW_BYTES * i
            entry, address, blocks = load_word(row), load_word(row + WORD_BYTES), load_word(row + 2 * WORD_BYTES)
            if blocks == 1 or not shared:
                before = flush_denormals()
                for block in range(blocks):
                    do_block(entry, address, block, 0)
                restore(before)
            else:
                launch_shared(pool, entry, address, blocks, workers)
        for i in range(advance_count):
            pair = advances + 2 * WORD_BYTES * i
            add_to_word(load_word(pair), load_word(pair + WORD_BYTES))
    for i in range(advance_count):
        pair = advances + 2 * WORD_BYTES * i
        add_to_word(load_word(pair), -steps * load_word(pair + WORD_BYTES))
    if shared:
        store_shared(pool + OWNER, 0)


def work(pool: int, worker: int) -> None:
    """Take blocks of every launch until the pool stops."""
    seen, spins = 0, 0
    while load_shared(pool + STOP) == 0:
        generation = load_shared(pool + GENERATION)
        if generation == seen:
            spins += 1
            if spins < SPINS:
                pause()
                continue
            add_shared(pool + SLEEPERS, 1)
            if load_shared(pool + GENERATION) == seen and load_shared(pool + STOP) == 0:
                futex(pool + GENERATION, WAIT, seen)
            add_shared(pool + SLEEPERS, -1)
            spins = 0
            continue
        seen, spins = generation, 0
        workers = load_shared(pool + WORKERS)
        if worker < workers:
            done = take_blocks(
                pool, generation, load_word(pool + ENTRY), load_word(pool + ADDRESS), load_word(pool + BLOCKS), worker, workers
            )
            if done > 0:
                add_shared(pool + FINISHED, done)


class Pool:
    """The threads."""

    def __init__(self, workers: int) -> None:
        self.memory = ctypes.create_string_buffer(COUNTERS + LINE * (MAX_THREADS + 2))
        self.address = -(-ctypes.addressof(self.memory) // LINE) * LINE
        self._run = cfunc(types.void(*[types.intp] * 7), error_model="numpy")(run)
        self._work = cfunc(types.void(*[types.intp] * 2), error_model="numpy")(work)
        self.loop_function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 7)(self._run.address)
        body = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2)(self._work.address)
        self.threads = [threading.Thread(target=body, args=(self.address, w), daemon=True) for w in range(1, workers)]
        for thread in self.threads:
            thread.start()
        atexit.register(self.stop)

    def loop(self, *words: int) -> None:
        self.loop_function(*words, self.address)

    def stop(self) -> None:
        words = ctypes.c_int64.from_address(self.address + STOP)
        words.value = 1
        generation = ctypes.c_int64.from_address(self.address + GENERATION)
        libc = ctypes.CDLL(None)
        for thread in self.threads:
            while thread.is_alive():
                libc.syscall(FUTEX, ctypes.c_void_p(self.address + GENERATION), WAKE, 1000, None, None, 0)
                thread.join(0.001)
