"""Rounding to bfloat16 as LLVM IR: vcvtne2ps2bf16 rounds two vectors of 16 float32 numbers to one of 32 bfloat16 numbers.

Each loop does 16 words a time. Masks hide what is beyond the last, so that nothing outside of an array is read or written.
Needs AVX-512 with BF16 (`vector_unit().bfloat16`).
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import binding, ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from byhand.kernels.microkernel.simd import element, operands
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

binding.initialize_native_asmparser()  # `multiply_add_broadcast` is assembly, and Numba reads none

LANES = 16  # words of a vector
REAL = ir.FloatType()
VECTOR, INTEGERS = ir.VectorType(REAL, LANES), ir.VectorType(INT32, LANES)
BITS = ir.IntType(16)  # of a bfloat16 number
HALVES = ir.VectorType(BITS, 2 * LANES)
INTERLEAVED = [lane // 2 + lane % 2 * LANES for lane in range(2 * LANES)]  # the first, the one a vector further, ...


class BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, for which llvmlite has no name."""

    null = "0.0"

    def __str__(self) -> str:
        return "bfloat"

    _to_string = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash(BFloat)


PAIRS = ir.VectorType(BFloat(), 2 * LANES)


def multiply_add_pairs(builder: IRBuilder, a: Value, b: Value, total: Value) -> Value:
    """Return a total plus both products of each pair of a and b: vdpbf16ps, for a vector of any size."""
    lanes = total.type.count
    pairs = ir.VectorType(BFloat(), 2 * lanes)
    kind = ir.FunctionType(total.type, [total.type, pairs, pairs])
    dot = get_or_insert_function(builder.module, kind, f"llvm.x86.avx512bf16.dpbf16ps.{32 * lanes}")
    return builder.call(dot, [total, builder.bitcast(a, pairs), builder.bitcast(b, pairs)])


def multiply_add_broadcast(builder: IRBuilder, a: Value, at: Value, b: Value, total: Value) -> Value:
    """Return a total plus both products of the pair at a[at] and each pair of b.

    The instruction broadcasts the pair while it reads it, which LLVM does not make of a broadcast and vdpbf16ps: with one
    vector of columns, Zen 4 takes 1.4 times as long for two instructions.
    """
    lanes = total.type.count
    kind = ir.FunctionType(total.type, [a.type, at.type, b.type, total.type])
    assembly = f"vdpbf16ps ($1,$2,4){{1to{lanes}}}, $3, $0"
    return builder.asm(kind, assembly, "=v,r,r,v,0,~{memory}", [a, at, b, total], side_effect=False)


def store_rounded(builder: IRBuilder, value: Value, pointer: Value, mask: Value | None) -> None:
    """Write a vector of float32 numbers, or those that a mask leaves, rounded, side by side."""
    numbers = ir.VectorType(BFloat(), LANES)
    convert = get_or_insert_function(
        builder.module, ir.FunctionType(numbers, [VECTOR]), "llvm.x86.avx512bf16.cvtneps2bf16.512"
    )
    vector = ir.VectorType(BITS, LANES)
    bits = builder.bitcast(builder.call(convert, [value]), vector)
    address = builder.bitcast(pointer, vector.as_pointer())
    if mask is None:
        builder.store(bits, address, align=2)
        return
    kind = ir.FunctionType(ir.VoidType(), [vector, address.type, INT32, mask.type])
    store = get_or_insert_function(builder.module, kind, f"llvm.masked.store.v{LANES}i16.p0")
    builder.call(store, [bits, address, INT32(2), mask])


@intrinsic
def round_pairs(
    typing: TypingContext, source: NumbaType, start: NumbaType, words: NumbaType, at: NumbaType, count: NumbaType
) -> IntrinsicBody:
    """Round neighbors, which are pairs already."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
        source, start, words, at, count = operands(context, builder, signature, values)
        total = builder.ashr(builder.add(count, WORD(1)), WORD(1))

        def body(i: Value, mask: Value) -> Value:
            twice = builder.shl(i, WORD(1))
            parts = []
            for part in range(2):
                offset = builder.add(twice, WORD(part * LANES))
                pointer = element(builder, REAL, source, builder.add(start, offset))
                parts.append(_load(builder, pointer, _mask(builder, builder.sub(count, offset))))
            return _convert(builder, *parts)

        _loop(builder, words, at, total, body)
        return context.get_dummy_value()

    return types.void(source, start, words, at, count), codegen


@intrinsic
def pair_rows(
    typing: TypingContext,
    source: NumbaType,
    first: NumbaType,
    second: NumbaType,
    words: NumbaType,
    at: NumbaType,
    count: NumbaType,
) -> IntrinsicBody:
    """Round two rows, and interleave them."""

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
        source, first, second, words, at, count = operands(context, builder, signature, values)
        there = [_mask(builder, builder.select(_is_row(builder, row), WORD(LANES), WORD(0))) for row in (first, second)]

        def body(i: Value, mask: Value) -> Value:
            rows = [
                _load(builder, element(builder, REAL, source, builder.add(row, i)), builder.and_(mask, whole))
                for row, whole in zip((first, second), there)
            ]
            halves = builder.bitcast(_convert(builder, *rows), HALVES)
            order = ir.Constant(ir.VectorType(INT32, 2 * LANES), INTERLEAVED)
            return builder.shuffle_vector(halves, ir.Constant(HALVES, ir.Undefined), order)

        _loop(builder, words, at, count, body)
        return context.get_dummy_value()

    return types.void(source, first, second, words, at, count), codegen


def _loop(builder: IRBuilder, words: Value, at: Value, count: Value, body: Callable[[Value, Value], Value]) -> None:
    """Emit a loop that stores `body(i, mask)` at words[at + i], a vector at a time; mask: of the words that there are."""
    before, head, inside, after = builder.block, *(builder.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(WORD)
    i.add_incoming(WORD(0), before)
    builder.cbranch(builder.icmp_signed("<", i, count), inside, after)
    builder.position_at_end(inside)
    mask = _mask(builder, builder.sub(count, i))
    value = builder.bitcast(body(i, mask), INTEGERS)
    pointer = builder.bitcast(element(builder, REAL, words, builder.add(at, i)), INTEGERS.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [INTEGERS, pointer.type, INT32, mask.type])
    store = get_or_insert_function(builder.module, kind, f"llvm.masked.store.v{LANES}i32.p0")
    builder.call(store, [value, pointer, INT32(4), mask])
    i.add_incoming(builder.add(i, WORD(LANES)), inside)
    builder.branch(head)
    builder.position_at_end(after)


def _is_row(builder: IRBuilder, start: Value) -> Value:
    return builder.icmp_signed(">=", start, WORD(0))


def _mask(builder: IRBuilder, count: Value) -> Value:
    """Return the mask of the first `count` lanes: none where it is negative, all where there are more."""
    capped = builder.select(builder.icmp_signed("<", count, WORD(LANES)), count, WORD(LANES))
    single = builder.insert_element(ir.Constant(INTEGERS, ir.Undefined), builder.trunc(capped, INT32), INT32(0))
    splat = builder.shuffle_vector(single, ir.Constant(INTEGERS, ir.Undefined), ir.Constant(INTEGERS, [0] * LANES))
    return builder.icmp_signed("<", ir.Constant(INTEGERS, list(range(LANES))), splat)


def _load(builder: IRBuilder, pointer: Value, mask: Value) -> Value:
    """Return the numbers at an address, 0 where they are masked."""
    address = builder.bitcast(pointer, VECTOR.as_pointer())
    kind = ir.FunctionType(VECTOR, [address.type, INT32, mask.type, VECTOR])
    load = get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LANES}f32.p0")
    return builder.call(load, [address, INT32(4), mask, ir.Constant(VECTOR, [0.0] * LANES)])


def _convert(builder: IRBuilder, low: Value, high: Value) -> Value:
    """Return two vectors rounded: first all of one, then all of the other."""
    kind = ir.FunctionType(PAIRS, [VECTOR, VECTOR])
    convert = get_or_insert_function(builder.module, kind, "llvm.x86.avx512bf16.cvtne2ps2bf16.512")
    return builder.call(convert, [high, low])
