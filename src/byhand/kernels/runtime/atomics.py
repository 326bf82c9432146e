"""Words in memory that threads share, calls by address, and the processor's control word: intrinsics of the compiled loops.

A word is 64 bits; its address is a number. Atomic operations are sequentially consistent, as those of C: every thread sees them
in one order, and what a thread wrote before one of them is there for who reads its result. Those called relaxed only never tear
a word.
"""

from __future__ import annotations

from llvmlite import binding, ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from byhand.kernels.runtime.arguments import WORD_BYTES
from byhand.kernels.runtime.cpu import COUNTER_BYTES, MAX_THREADS
from byhand.kernels.runtime.llvm import (
    INT32,
    WORD,
    CodegenContext,
    IntrinsicBody,
    IRBuilder,
    NumbaType,
    Signature,
    TypingContext,
    Value,
    Values,
)

ARM = binding.get_default_triple().startswith(("aarch64", "arm64"))
FLUSH_DENORMALS = 1 << 24 if ARM else (1 << 15) | (1 << 6)  # FPCR.FZ; MXCSR.FTZ and MXCSR.DAZ

# Linux' number of the system call, and its operations within one process.
FUTEX_CALL = 98 if ARM else 202
FUTEX_WAIT, FUTEX_WAKE = 128, 129
CLOCK_MONOTONIC, CLOCK_THREAD_CPU = 1, 3
CORE_MASK_WORDS = 16  # 1,024 cores


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


# atomic ---------------------------------------------------------------------------------------------------------------


@intrinsic
def atomic_load(typing: TypingContext, address: NumbaType) -> IntrinsicBody:
    """Return the word at an address that other threads write."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        return builder.load_atomic(pointer, "seq_cst", WORD_BYTES, typ=WORD)

    return types.intp(types.intp), codegen


@intrinsic
def atomic_store(typing: TypingContext, address: NumbaType, value: NumbaType) -> IntrinsicBody:
    """Write a word that other threads read; who reads it sees all that was written before it."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        builder.store_atomic(arguments[1], pointer, "seq_cst", WORD_BYTES)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def relaxed_load(typing: TypingContext, address: NumbaType) -> IntrinsicBody:
    """Return the word at an address that other threads write; it orders no other access to memory."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        return builder.load_atomic(pointer, "monotonic", WORD_BYTES, typ=WORD)

    return types.intp(types.intp), codegen


@intrinsic
def relaxed_store(typing: TypingContext, address: NumbaType, value: NumbaType) -> IntrinsicBody:
    """Write a word that other threads read; it orders no other access to memory."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        builder.store_atomic(arguments[1], pointer, "monotonic", WORD_BYTES)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def atomic_add(typing: TypingContext, address: NumbaType, value: NumbaType) -> IntrinsicBody:
    """Add to a word."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        builder.atomic_rmw("add", builder.inttoptr(arguments[0], WORD.as_pointer()), arguments[1], "seq_cst")
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def compare_and_swap(typing: TypingContext, address: NumbaType, expected: NumbaType, value: NumbaType) -> IntrinsicBody:
    """Write a word if it has the expected value; return 1 if it had, else 0."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        pair = builder.cmpxchg(pointer, arguments[1], arguments[2], "seq_cst", "seq_cst")
        return builder.zext(builder.extract_value(pair, 1), WORD)

    return types.intp(types.intp, types.intp, types.intp), codegen


# waiting --------------------------------------------------------------------------------------------------------------


@intrinsic
def pause(typing: TypingContext) -> IntrinsicBody:
    """Wait for 10 to 40 nanoseconds, which leaves the core to its other hardware thread."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        # Arm's YIELD takes one cycle on most processors; an instruction barrier takes as long as a pause of x86.
        name, operands = ("llvm.aarch64.isb", [INT32(15)]) if ARM else ("llvm.x86.sse2.pause", [])
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in operands])
        builder.call(get_or_insert_function(builder.module, kind, name), operands)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def futex(typing: TypingContext, address: NumbaType, operation: NumbaType, value: NumbaType) -> IntrinsicBody:
    """Call Linux' futex on the low half of a word: FUTEX_WAIT while it is `value`, or FUTEX_WAKE for `value` threads."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        function = get_or_insert_function(builder.module, ir.FunctionType(WORD, [WORD] * 7), "syscall")
        builder.call(function, [WORD(FUTEX_CALL), *arguments, WORD(0), WORD(0), WORD(0)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@intrinsic
def nanoseconds(typing: TypingContext, clock: NumbaType) -> IntrinsicBody:
    """Return the time of one of the system's clocks: CLOCK_MONOTONIC takes 25 ns, CLOCK_THREAD_CPU a system call."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        with builder.goto_entry_block():
            time = builder.alloca(WORD, 2)  # seconds, nanoseconds
        kind = ir.FunctionType(INT32, [INT32, WORD.as_pointer()])
        function = get_or_insert_function(builder.module, kind, "clock_gettime")
        builder.call(function, [builder.trunc(arguments[0], INT32), time])
        below = builder.gep(time, [INT32(1)], source_etype=WORD)
        return builder.add(builder.mul(builder.load(time, typ=WORD), WORD(10**9)), builder.load(below, typ=WORD))

    return types.intp(types.intp), codegen


@intrinsic
def current_core(typing: TypingContext) -> IntrinsicBody:
    """Return the number of the core that this thread runs on, below 0 where the system does not tell."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        function = get_or_insert_function(builder.module, ir.FunctionType(INT32, []), "sched_getcpu")
        return builder.sext(builder.call(function, []), WORD)

    return types.intp(), codegen


# cores ----------------------------------------------------------------------------------------------------------------


@intrinsic
def core_mask(typing: TypingContext) -> IntrinsicBody:
    """Return the address of a mask of cores on the stack, a bit for each."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        with builder.goto_entry_block():
            return builder.ptrtoint(builder.alloca(WORD, CORE_MASK_WORDS), WORD)

    return types.intp(), codegen


@intrinsic
def load_core_mask(typing: TypingContext, mask: NumbaType) -> IntrinsicBody:
    """Write the cores that this thread may run on to a mask; return 0, or below 0 where there are more than it holds."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        return _affinity(builder, "sched_getaffinity", arguments[0])

    return types.intp(types.intp), codegen


@intrinsic
def use_core_mask(typing: TypingContext, mask: NumbaType) -> IntrinsicBody:
    """Let this thread run on the cores of a mask, from now on; return 0, or below 0 where it may run on none of them."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        return _affinity(builder, "sched_setaffinity", arguments[0])

    return types.intp(types.intp), codegen


def _affinity(builder: IRBuilder, name: str, mask: Value) -> Value:
    """Call one of Linux' functions for the cores of a thread, for this one."""
    kind = ir.FunctionType(INT32, [INT32, WORD, WORD.as_pointer()])
    function = get_or_insert_function(builder.module, kind, name)
    pointer = builder.inttoptr(mask, WORD.as_pointer())
    return builder.sext(builder.call(function, [INT32(0), WORD(WORD_BYTES * CORE_MASK_WORDS), pointer]), WORD)
