"""The parallel loop: one compiled function that runs a table of launches, block by block, on all threads.

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
from pathlib import Path

import numba
from llvmlite import binding, ir
from numba import cfunc, njit, prange, types
from numba.core.cgutils import get_or_insert_function
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from numba.extending import intrinsic

from byhand.kernels.runtime import cache as disk
from byhand.kernels.runtime import interruptible
from byhand.kernels.runtime.arguments import LAUNCH_ROW_BYTES, WORD_BYTES
from byhand.kernels.runtime.cache import LibraryState
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES, MAX_THREADS, processor
from byhand.kernels.runtime.llvm import (
    INT32,
    WORD,
    CodegenContext,
    CodeLibrary,
    IntrinsicBody,
    IRBuilder,
    NumbaType,
    Signature,
    TypingContext,
    Value,
    Values,
)

COUNTER_BYTES = 2 * CACHE_LINE_BYTES  # from one thread's counter to the next's: some processors fetch lines in pairs
ARM = binding.get_default_triple().startswith(("aarch64", "arm64"))
FLUSH_DENORMALS = 1 << 24 if ARM else (1 << 15) | (1 << 6)  # FPCR.FZ; MXCSR.FTZ and MXCSR.DAZ
SIGNATURE = types.void(*[types.intp] * 6)


@intrinsic
def load_word(typing: TypingContext, address: NumbaType) -> IntrinsicBody:
    """Return the word at an address."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        return builder.load(builder.inttoptr(arguments[0], WORD.as_pointer()), typ=WORD)

    return types.intp(types.intp), codegen


@intrinsic
def add_to_word(typing: TypingContext, address: NumbaType, step: NumbaType) -> IntrinsicBody:
    """Add to the word at an address."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        builder.store(builder.add(builder.load(pointer, typ=WORD), arguments[1]), pointer)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def counters(typing: TypingContext) -> IntrinsicBody:
    """Return the address of a counter for each thread, on the stack."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        with builder.goto_entry_block():
            return builder.ptrtoint(builder.alloca(ir.IntType(8), COUNTER_BYTES * MAX_THREADS), WORD)

    return types.intp(), codegen


@intrinsic
def store_word(typing: TypingContext, address: NumbaType, value: NumbaType) -> IntrinsicBody:
    """Write a word."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        builder.store(arguments[1], builder.inttoptr(arguments[0], WORD.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def fetch_add(typing: TypingContext, address: NumbaType) -> IntrinsicBody:
    """Return a counter and add 1 to it, atomically: no two threads get the same number."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        return builder.atomic_rmw("add", pointer, WORD(1), "monotonic")

    return types.intp(types.intp), codegen


@intrinsic
def call(
    typing: TypingContext, entry: NumbaType, address: NumbaType, block: NumbaType, worker: NumbaType
) -> IntrinsicBody:
    """Call a kernel's entry."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        kind = ir.FunctionType(ir.VoidType(), [WORD] * 3)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), codegen


@intrinsic
def flush_denormals(typing: TypingContext) -> IntrinsicBody:
    """Make this thread treat numbers below 1.2e-38 as 0 (they take 40 to 100 times as long); return its control word before."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        before = _control(builder, None)
        _control(builder, builder.or_(before, WORD(FLUSH_DENORMALS)))
        return before

    return types.intp(), codegen


@intrinsic
def restore(typing: TypingContext, before: NumbaType) -> IntrinsicBody:
    """Restore the control word that `flush_denormals` returned."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        _control(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


def _control(builder: IRBuilder, value: Value | None) -> Value:
    """Read this thread's floating point control register, or write it."""
    if ARM:
        kind = ir.FunctionType(WORD if value is None else ir.VoidType(), [] if value is None else [WORD])
        name = "llvm.aarch64.get.fpcr" if value is None else "llvm.aarch64.set.fpcr"
        return builder.call(get_or_insert_function(builder.module, kind, name), [] if value is None else [value])
    byte = ir.IntType(8).as_pointer()
    slot = builder.alloca(INT32)
    if value is not None:
        builder.store(builder.trunc(value, INT32), slot)
    name = "llvm.x86.sse.stmxcsr" if value is None else "llvm.x86.sse.ldmxcsr"
    function = get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [byte]), name)
    builder.call(function, [builder.bitcast(slot, byte)])
    return builder.zext(builder.load(slot, typ=INT32), WORD)


@njit(error_model="numpy")
def run_blocks(entry: int, address: int, blocks: int, counts: int, worker: int, workers: int) -> None:
    """Run one worker's blocks of a launch, then what is left of the others'."""
    before = flush_denormals()
    for turn in range(workers):
        owner = (worker + turn) % workers
        count, end = counts + COUNTER_BYTES * owner, (owner + 1) * blocks // workers
        block = fetch_add(count)
        while block < end:
            if entry != 0:
                call(entry, address, block, worker)
            else:
                first, end_row = address + WORD_BYTES * block, address + WORD_BYTES * (block + 1)
                for row in range(load_word(first), load_word(end_row), LAUNCH_ROW_BYTES):
                    for part in range(load_word(row + 2 * WORD_BYTES)):
                        call(load_word(row), load_word(row + WORD_BYTES), part, 0)
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
        for i in range(advance_count):
            pair = advances + 2 * WORD_BYTES * i
            add_to_word(load_word(pair), load_word(pair + WORD_BYTES))
    for i in range(advance_count):
        pair = advances + 2 * WORD_BYTES * i
        add_to_word(load_word(pair), -steps * load_word(pair + WORD_BYTES))


@cache
def loop() -> Callable[..., None]:
    """Return the loop as a C function of six words, from the cache if it is there."""
    layout = (LAUNCH_ROW_BYTES, WORD_BYTES, COUNTER_BYTES, MAX_THREADS)
    parts = (Path(__file__).read_bytes(), layout, numba.__version__, binding.llvm_version_info, processor())
    name = f"parallel_loop-{disk.key(*parts)}"
    found = disk.load(name)
    if found is None:
        disk.notify_build("the parallel loop")
        library, symbol = interruptible.run(lambda: _compile_loop(name))
    else:
        symbol, state = found
        library = load_library(state)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)(library.get_pointer_to_function(symbol))


def _compile_loop(name: str) -> tuple[CodeLibrary, str]:
    """Compile the loop and store it in the cache under a name; return its library and its symbol."""
    inner = njit(SIGNATURE, parallel=True, error_model="numpy")(run)

    def entry(table: int, count: int, advances: int, advance_count: int, steps: int, workers: int) -> None:
        inner(table, count, advances, advance_count, steps, workers)

    outer = cfunc(SIGNATURE, error_model="numpy")(entry)
    library, symbol = outer._library, outer.native_name
    disk.store(name, symbol, library.serialize_using_object_code())
    return library, symbol


def load_library(state: LibraryState) -> CodeLibrary:
    """Load a library serialized by Numba."""
    context = cpu_target.target_context
    rtsys.initialize(context)
    return context.codegen().unserialize_library(state)
