"""LLVM IR for rows of vectors: loads, stores, masks, broadcasts and multiply-adds, from which the tiles are built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from byhand.kernels.microkernel.operands import CAP
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES, vector_unit
from byhand.kernels.runtime.llvm import (
    INT32,
    WORD,
    CodegenContext,
    Function,
    IntrinsicBody,
    IRBuilder,
    NumbaIntrinsic,
    NumbaType,
    Signature,
    Type,
    TypingContext,
    Value,
    Values,
)

REALS = {"f4": ir.FloatType(), "f8": ir.DoubleType()}


def operands(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> list[Value]:
    """Return an intrinsic's arguments as LLVM values: of arrays their addresses, of a NamedTuple one of such values."""
    return [operand(context, builder, kind, value) for kind, value in zip(signature.args, values)]


def operand(context: CodegenContext, builder: IRBuilder, kind: NumbaType, value: Value) -> Value | tuple[Value, ...]:
    """Return an argument of a Numba type as LLVM values."""
    if isinstance(kind, types.Array):
        return context.make_array(kind)(context, builder, value).data
    if isinstance(kind, (types.NamedTuple, types.NamedUniTuple)):
        members = [builder.extract_value(value, i) for i in range(len(kind.types))]
        return kind.instance_class(*(operand(context, builder, *pair) for pair in zip(kind.types, members)))
    return value


def element(builder: IRBuilder, real: Type, pointer: Value, offset: Value) -> Value:
    """Return the address of an element."""
    return builder.gep(pointer, [offset], source_etype=real)


def prefetch_line(builder: IRBuilder, pointer: Value, write: bool) -> None:
    """Prefetch the cache line of an address, for reading or for writing; an address that does not exist is ignored."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
    function = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.bitcast(pointer, byte), INT32(int(write)), INT32(3), INT32(1)])


def prefetch_intrinsic(dtype: str) -> NumbaIntrinsic:
    """Return `prefetch` as an intrinsic."""

    @intrinsic
    def prefetch(typing: TypingContext, a: NumbaType, first: NumbaType, last: NumbaType) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            a, first, last = operands(context, builder, signature, values)
            before, head, body, after = builder.block, *(builder.append_basic_block() for _ in range(3))
            builder.branch(head)
            builder.position_at_end(head)
            i = builder.phi(WORD)
            i.add_incoming(first, before)
            builder.cbranch(builder.icmp_signed("<", i, last), body, after)
            builder.position_at_end(body)
            prefetch_line(builder, element(builder, REALS[dtype], a, i), False)
            i.add_incoming(builder.add(i, WORD(CACHE_LINE_BYTES // int(dtype[1]))), body)
            builder.branch(head)
            builder.position_at_end(after)
            return context.get_dummy_value()

        return types.void(a, first, last), codegen

    return prefetch


class Vectors:
    """Emits operations on rows of vectors; masks hide the columns beyond the last."""

    def __init__(self, function: Function, dtype: str, lanes: int, vectors: int, masked: bool) -> None:
        self.function, self.real, self.lanes, self.vectors, self.masked = function, REALS[dtype], lanes, vectors, masked
        self.align, self.suffix = int(dtype[1]), f"v{lanes}{'f32' if dtype == 'f4' else 'f64'}"
        self.vector = ir.VectorType(self.real, lanes)
        self.zero = ir.Constant(self.vector, [0.0] * lanes)
        self.builder = ir.IRBuilder(function.append_basic_block())
        self.masks: list[Value] = []

    def make_masks(self, columns: Value) -> None:
        """Make the masks that hide all but the first `columns` columns."""
        self.masks = [self._mask(n, columns) for n in range(self.vectors)] if self.masked else []

    def _mask(self, n: int, columns: Value) -> Value:
        kind = ir.VectorType(INT32, self.lanes)
        indices = ir.Constant(kind, [n * self.lanes + i for i in range(self.lanes)])
        return self.builder.icmp_signed("<", indices, self.splat(self.builder.trunc(columns, INT32), INT32))

    def row_loops(self, count: Value, sizes: Sequence[int]) -> Iterator[tuple[Value, int]]:
        """Emit a loop over rows for each block size, the largest first; yield (first row of a block, its rows)."""
        build, first = self.builder, WORD(0)
        for rows in sizes:
            before, head, body, after = build.block, *(self.function.append_basic_block() for _ in range(3))
            build.branch(head)
            build.position_at_end(head)
            m = build.phi(WORD)
            m.add_incoming(first, before)
            end = build.add(m, WORD(rows))
            build.cbranch(build.icmp_signed("<=", end, count), body, after)
            build.position_at_end(body)
            yield m, rows
            m.add_incoming(end, build.block)
            build.branch(head)
            build.position_at_end(after)
            first = m

    def rows_at(self, base: Value, table: Value, m: Value, rows: int) -> list[Value]:
        """Return the addresses of rows: base plus their offsets in a table."""
        build = self.builder
        offsets = [build.load(self.at(table, build.add(m, WORD(i)), WORD), typ=WORD) for i in range(rows)]
        return [self.at(base, offset) for offset in offsets]

    def at(self, pointer: Value, offset: Value, kind: Type | None = None) -> Value:
        """Return an address some elements further."""
        return self.builder.gep(pointer, [offset], source_etype=kind or self.real)

    def splat(self, value: Value, kind: Type) -> Value:
        """Return a vector of one number."""
        build, vector = self.builder, ir.VectorType(kind, self.lanes)
        undefined = ir.Constant(vector, ir.Undefined)
        same = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return build.shuffle_vector(build.insert_element(undefined, value, INT32(0)), undefined, same)

    def broadcast(self, pointer: Value) -> Value:
        """Return a vector of the number at an address."""
        return self.splat(self.builder.load(pointer, typ=self.real), self.real)

    def load(self, pointer: Value, n: int) -> Value:
        """Return a row's n-th vector."""
        build = self.builder
        address = build.bitcast(self.at(pointer, WORD(n * self.lanes)), self.vector.as_pointer())
        if not self.masked:
            return build.load(address, align=self.align, typ=self.vector)
        kind = ir.FunctionType(self.vector, [address.type, INT32, self.masks[n].type, self.vector])
        load = get_or_insert_function(self.function.module, kind, f"llvm.masked.load.{self.suffix}.p0")
        return build.call(load, [address, INT32(self.align), self.masks[n], self.zero])

    def store(self, value: Value, pointer: Value, n: int) -> None:
        """Write a row's n-th vector."""
        build = self.builder
        address = build.bitcast(self.at(pointer, WORD(n * self.lanes)), self.vector.as_pointer())
        if not self.masked:
            build.store(value, address, align=self.align)
            return
        kind = ir.FunctionType(ir.VoidType(), [self.vector, address.type, INT32, self.masks[n].type])
        store = get_or_insert_function(self.function.module, kind, f"llvm.masked.store.{self.suffix}.p0")
        build.call(store, [value, address, INT32(self.align), self.masks[n]])

    def where_asked(
        self, steps: Value, flag: int, values: list[Value], change: Callable[[], list[Value]]
    ) -> list[Value]:
        """Return values, changed where the steps of an epilogue have a flag."""
        build = self.builder
        before, then, after = build.block, *(self.function.append_basic_block() for _ in range(2))
        build.cbranch(build.icmp_signed("!=", build.and_(steps, WORD(flag)), WORD(0)), then, after)
        build.position_at_end(then)
        changed = change()
        build.branch(after)
        build.position_at_end(after)
        results = [build.phi(self.vector) for _ in values]
        for phi, value, other in zip(results, values, changed):
            phi.add_incoming(value, before)
            phi.add_incoming(other, then)
        return results

    def clipped(self, values: list[Value], steps: Value) -> list[Value]:
        """Return values after a ReLU, or a ReLU6 where the steps of an epilogue have CAP."""
        build = self.builder
        capped = build.icmp_signed("!=", build.and_(steps, WORD(CAP)), WORD(0))
        highest = self.splat(build.select(capped, self.real(6.0), self.real(float("inf"))), self.real)
        positive = [build.select(build.fcmp_ordered("<", value, self.zero), self.zero, value) for value in values]
        return [build.select(build.fcmp_ordered(">", value, highest), highest, value) for value in positive]

    def prefetch_row(self, pointer: Value, write: bool) -> None:
        """Prefetch the cache lines of a row, for reading or for writing."""
        vectors_of_line = max(1, CACHE_LINE_BYTES // (self.lanes * self.align))
        for n in range(0, self.vectors, vectors_of_line):
            prefetch_line(self.builder, self.at(pointer, WORD(n * self.lanes)), write)

    def multiply_add(self, a: Value, b: Value, total: Value) -> Value:
        """Return a * b + total, in one rounding where the processor has it."""
        build = self.builder
        if not vector_unit().fma:
            return build.fadd(build.fmul(a, b), total)
        fma = get_or_insert_function(
            self.function.module, ir.FunctionType(self.vector, [self.vector] * 3), f"llvm.fma.{self.suffix}"
        )
        return build.call(fma, [a, b, total])
