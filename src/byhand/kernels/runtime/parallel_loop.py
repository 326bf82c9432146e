"""The one parallel loop of the project, for Numba: it runs a table of launches, block by block.

A table is rows of three words: a kernel's entry, the address of its packed arguments, its blocks. An entry of 0 stands for a
group of micro-batches, independent lists of launches, each run by one thread: the address is then that of a list of tables,
one a micro-batch, the last word their end. Micro-batches and blocks are what threads share out.

Each thread begins with blocks of its own, the same ones in every launch, so that it finds in its cache what it wrote there in
the last. A thread that is done steals blocks that others have not begun: where another program slows a core down, the others
make up for it. Which thread runs a block changes no bit of it.
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
from byhand.kernels.runtime.cache import LibraryState
from byhand.kernels.runtime.cpu import MAX_THREADS, processor
from byhand.kernels.runtime.llvm import (
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

WORD = ir.IntType(64)
ROW_BYTES = 24  # of a row of a table
COUNTER_BYTES = 128  # from one thread's counter to the next's: two cache lines, as some processors fetch them in pairs
ARM = binding.get_default_triple().startswith(("aarch64", "arm64"))
FLUSH = 1 << 24 if ARM else (1 << 15) | (1 << 6)  # results below 1.2e-38 become 0, and such arguments count as 0
SIGNATURE = types.void(*[types.intp] * 6)


@intrinsic
def word(typing: TypingContext, address: NumbaType) -> IntrinsicBody:
    """Return the word at an address."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        return builder.load(builder.inttoptr(arguments[0], WORD.as_pointer()), typ=WORD)

    return types.intp(types.intp), codegen


@intrinsic
def move(typing: TypingContext, address: NumbaType, step: NumbaType) -> IntrinsicBody:
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
def put(typing: TypingContext, address: NumbaType, value: NumbaType) -> IntrinsicBody:
    """Write a word."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        builder.store(arguments[1], builder.inttoptr(arguments[0], WORD.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def take(typing: TypingContext, address: NumbaType) -> IntrinsicBody:
    """Return a counter's number, and add 1 to it; no two threads get the same."""

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
    """Make this thread treat numbers below 1.2e-38 as 0 (they take 40 to 100 times as long); return what it did before."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        before = _control(builder, None)
        _control(builder, builder.or_(before, WORD(FLUSH)))
        return before

    return types.intp(), codegen


@intrinsic
def restore(typing: TypingContext, before: NumbaType) -> IntrinsicBody:
    """Make this thread treat small numbers as it did."""

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
    half, byte = ir.IntType(32), ir.IntType(8).as_pointer()
    slot = builder.alloca(half)
    if value is not None:
        builder.store(builder.trunc(value, half), slot)
    name = "llvm.x86.sse.stmxcsr" if value is None else "llvm.x86.sse.ldmxcsr"
    function = get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [byte]), name)
    builder.call(function, [builder.bitcast(slot, byte)])
    return builder.zext(builder.load(slot, typ=half), WORD)


@njit(error_model="numpy")
def run_blocks(entry: int, address: int, blocks: int, counts: int, worker: int, workers: int) -> None:
    """Run one worker's blocks of a launch, then what is left of the others'."""
    before = flush_denormals()
    for turn in range(workers):
        owner = (worker + turn) % workers
        count, end = counts + COUNTER_BYTES * owner, (owner + 1) * blocks // workers
        block = take(count)
        while block < end:
            if entry != 0:
                call(entry, address, block, worker)
            else:
                for row in range(word(address + 8 * block), word(address + 8 * block + 8), ROW_BYTES):
                    for part in range(word(row + 16)):
                        call(word(row), word(row + 8), part, 0)
            block = take(count)
    restore(before)


def run(table: int, count: int, moves: int, moved: int, steps: int, workers: int) -> None:
    """Run a table `steps` times; after each time the words that `moves` names (address, stride) move on."""
    counts = counters()
    for _ in range(steps):
        for i in range(count):
            row = table + ROW_BYTES * i
            entry, address, blocks = word(row), word(row + 8), word(row + 16)
            if workers == 1 or blocks == 1:
                put(counts, 0)
                run_blocks(entry, address, blocks, counts, 0, 1)
            else:
                for worker in range(workers):
                    put(counts + COUNTER_BYTES * worker, worker * blocks // workers)
                for worker in prange(workers):
                    run_blocks(entry, address, blocks, counts, worker, workers)
        for i in range(moved):
            move(word(moves + 16 * i), word(moves + 16 * i + 8))
    for i in range(moved):
        move(word(moves + 16 * i), -steps * word(moves + 16 * i + 8))


@cache
def loop() -> Callable[..., None]:
    """Return the loop as a C function of six words, from the cache where it is there."""
    name = disk.key(Path(__file__).read_bytes(), numba.__version__, binding.llvm_version_info, processor())
    found = disk.load(name)
    if found is None:
        disk.tell("the parallel loop")
        inner = njit(SIGNATURE, parallel=True, error_model="numpy")(run)

        def entry(table: int, count: int, moves: int, moved: int, steps: int, workers: int) -> None:
            inner(table, count, moves, moved, steps, workers)

        outer = cfunc(SIGNATURE, error_model="numpy")(entry)
        library, symbol = outer._library, outer.native_name
        disk.store(name, symbol, library.serialize_using_object_code())
    else:
        symbol, state = found
        library = revive(state)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)(library.get_pointer_to_function(symbol))


def revive(state: LibraryState) -> CodeLibrary:
    """Return a library that `serialize_using_object_code` took apart."""
    context = cpu_target.target_context
    rtsys.initialize(context)
    return context.codegen().unserialize_library(state)
