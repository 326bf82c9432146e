"""Pooling along a row of pixels as LLVM IR; pool_rows.py has each function in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from byhand.kernels.microkernel.simd import REALS, operands
from byhand.kernels.pool_operands import VECTOR_BYTES, PoolTaps, Row
from byhand.kernels.runtime.llvm import (
    INT32,
    WORD,
    CodegenContext,
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

UNROLLED_MAX = ((2, 2), (3, 3))  # (rows, columns) of pooling windows that need no loop
UNROLLED_OVERLAPS = ((1, 1), (1, 2), (2, 1), (2, 2))  # of the windows over one pixel
SCALES: dict[str, NumbaType] = {"f4": types.float32, "f8": types.float64}


def window_max(dtype: str) -> NumbaIntrinsic:
    """Return `window_max` in vectors."""

    @intrinsic
    def vectors(
        typing: TypingContext,
        x: NumbaType,
        row: NumbaType,
        taps: NumbaType,
        tap_index: NumbaType,
        y: NumbaType,
        argmax: NumbaType,
    ) -> IntrinsicBody:
        return types.void(x, row, taps, tap_index, y, argmax), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, row, taps, tap_index, y, argmax = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def start(i: Value, c: Value) -> list[Value]:
            return [write.load(x, write.offset(row.start, c, i, row.step)), write.tap_number(tap_index.first)]

        def tap(state: list[Value], i: Value, c: Value, r: Value, s: Value) -> list[Value]:
            largest, largest_tap = state
            value = write.load(x, write.offset(row.start, c, i, row.step, r, taps.row_stride, s, taps.column_stride))
            below = builder.fcmp_unordered("<=", value, largest)  # true for any NaN ...
            stays = builder.and_(below, builder.fcmp_ordered("ord", value, value))  # ... but a NaN replaces the maximum
            number = write.tap_number(write.offset(tap_index.first, s, r, tap_index.row_stride))
            return [builder.select(stays, largest, value), builder.select(stays, largest_tap, number)]

        def finish(state: list[Value], i: Value, c: Value) -> None:
            write.store(state[0], y, write.offset(row.out_start, c, i, row.channels))
            write.store(state[1], argmax, write.offset(row.out_start, c, i, row.channels))

        write.windows(row, taps, WindowSteps(start, tap, finish, first=1), UNROLLED_MAX)
        return context.get_dummy_value()

    return vectors


def window_sum(dtype: str) -> NumbaIntrinsic:
    """Return `window_sum` in vectors."""

    @intrinsic
    def vectors(
        typing: TypingContext, x: NumbaType, row: NumbaType, taps: NumbaType, scale: NumbaType, y: NumbaType
    ) -> IntrinsicBody:
        return types.void(x, row, taps, SCALES[dtype], y), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, row, taps, scale, y = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def tap(state: list[Value], i: Value, c: Value, r: Value, s: Value) -> list[Value]:
            at = write.offset(row.start, c, i, row.step, r, taps.row_stride, s, taps.column_stride)
            return [builder.fadd(state[0], write.load(x, at))]

        def finish(state: list[Value], i: Value, c: Value) -> None:
            write.store(builder.fmul(state[0], write.splat(scale)), y, write.offset(row.out_start, c, i, row.channels))

        write.windows(row, taps, WindowSteps(lambda i, c: [write.zeros], tap, finish), (*UNROLLED_OVERLAPS, (3, 3)))
        return context.get_dummy_value()

    return vectors


def gather_by_argmax(dtype: str) -> NumbaIntrinsic:
    """Return `gather_by_argmax` in vectors."""

    @intrinsic
    def vectors(
        typing: TypingContext,
        x: NumbaType,
        argmax: NumbaType,
        row: NumbaType,
        taps: NumbaType,
        tap_index: NumbaType,
        y: NumbaType,
    ) -> IntrinsicBody:
        return types.void(x, argmax, row, taps, tap_index, y), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, argmax, row, taps, tap_index, y = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def tap(state: list[Value], i: Value, c: Value, r: Value, s: Value) -> list[Value]:
            at = write.offset(row.start, c, r, taps.row_stride, s, taps.column_stride)
            number = write.offset(tap_index.first, WORD(0), r, tap_index.row_stride, s, tap_index.column_stride)
            mine = builder.icmp_signed("==", write.load(argmax, at, INT32), write.tap_number(number))
            return [builder.fadd(state[0], builder.select(mine, write.load(x, at), write.zeros))]

        def finish(state: list[Value], i: Value, c: Value) -> None:
            write.store(state[0], y, builder.add(row.out_start, c))

        pixel = row._replace(windows=WORD(1))
        write.windows(pixel, taps, WindowSteps(lambda i, c: [write.zeros], tap, finish), UNROLLED_OVERLAPS)
        return context.get_dummy_value()

    return vectors


def scatter_by_argmax(dtype: str) -> NumbaIntrinsic:
    """Return `scatter_by_argmax` in vectors."""

    @intrinsic
    def vectors(
        typing: TypingContext,
        x: NumbaType,
        argmax: NumbaType,
        row: NumbaType,
        columns: NumbaType,
        first: NumbaType,
        y: NumbaType,
    ) -> IntrinsicBody:
        return types.void(x, argmax, row, types.intp, types.intp, y), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, argmax, row, columns, first, y = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def start(i: Value, c: Value) -> list[Value]:
            at = write.offset(row.start, c, i, row.channels)
            return [write.load(x, at), write.load(argmax, at, INT32)]

        def value(state: list[Value], s: Value) -> Value:
            mine = builder.icmp_signed("==", state[1], write.tap_number(builder.add(first, s)))
            return builder.select(mine, state[0], write.zeros)

        write.copies(row, columns, start, value, y)
        return context.get_dummy_value()

    return vectors


def repeat(dtype: str) -> NumbaIntrinsic:
    """Return `repeat` in vectors."""

    @intrinsic
    def vectors(
        typing: TypingContext, x: NumbaType, row: NumbaType, columns: NumbaType, scale: NumbaType, y: NumbaType
    ) -> IntrinsicBody:
        return types.void(x, row, types.intp, SCALES[dtype], y), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, row, columns, scale, y = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def start(i: Value, c: Value) -> list[Value]:
            return [builder.fmul(write.load(x, write.offset(row.start, c, i, row.channels)), write.splat(scale))]

        write.copies(row, columns, start, lambda state, s: state[0], y)
        return context.get_dummy_value()

    return vectors


class WindowSteps(NamedTuple):
    """The code for channel c of window i; each function emits IR and returns the values that it computes.

    state = start(i, c);  state = tap(state, i, c, r, s) for each tap (r, s) from number `first` on;  finish(state, i, c)
    """

    start: Callable[[Value, Value], list[Value]]
    tap: Callable[[list[Value], Value, Value, Value, Value], list[Value]]
    finish: Callable[[list[Value], Value, Value], None]
    first: int = 0


class ChannelVectors:
    """Emits IR that does the same to all channels of a pixel, a vector of channels at a time."""

    def __init__(self, builder: IRBuilder, dtype: str) -> None:
        self.builder, self.real, self.lanes = builder, REALS[dtype], VECTOR_BYTES // int(dtype[1])
        self.align = int(dtype[1])
        self.zeros = ir.Constant(ir.VectorType(self.real, self.lanes), [0.0] * self.lanes)

    def windows(self, row: Row, taps: PoolTaps, steps: WindowSteps, unrolled: tuple[tuple[int, int], ...]) -> None:
        """Write the steps for all windows of a row; those of the unrolled sizes without a loop over taps."""
        builder = self.builder
        after = builder.append_basic_block()
        for shape in unrolled:
            sizes = zip((taps.rows, taps.columns), shape)
            same = [builder.icmp_signed("==", count, WORD(size)) for count, size in sizes]
            with builder.if_then(builder.and_(*same)):
                for i, c in self._pixels(row.windows, row.channels):
                    state = steps.start(i, c)
                    for tap in range(steps.first, shape[0] * shape[1]):
                        state = steps.tap(state, i, c, *map(WORD, divmod(tap, shape[1])))
                    steps.finish(state, i, c)
                builder.branch(after)
        for i, c in self._pixels(row.windows, row.channels):
            state = steps.start(i, c)
            with builder.goto_entry_block():
                slots = [builder.alloca(value.type) for value in state]
            for slot, value in zip(slots, state):
                builder.store(value, slot)
            with cgutils.for_range(builder, taps.rows) as down, cgutils.for_range(builder, taps.columns) as across:
                state = [builder.load(slot, typ=value.type) for slot, value in zip(slots, state)]
                for slot, value in zip(slots, steps.tap(state, i, c, down.index, across.index)):
                    builder.store(value, slot)
            steps.finish([builder.load(slot, typ=value.type) for slot, value in zip(slots, state)], i, c)
        builder.branch(after)
        builder.position_at_end(after)

    def copies(
        self,
        row: Row,
        columns: Value,
        start: Callable[[Value, Value], list[Value]],
        value: Callable[[list[Value], Value], Value],
        y: Value,
    ) -> None:
        """Write state = start(i, c), then value(state, s) to each pixel of the window in this row."""
        builder = self.builder
        after, wide = builder.append_basic_block(), builder.mul(columns, row.channels)
        with builder.if_then(builder.icmp_signed("==", columns, WORD(2))):
            for i, c in self._pixels(row.windows, row.channels):
                state = start(i, c)
                for s in (WORD(0), WORD(1)):
                    self.store(value(state, s), y, self.offset(row.out_start, c, i, wide, s, row.channels))
            builder.branch(after)
        for i, c in self._pixels(row.windows, row.channels):
            state = start(i, c)
            with cgutils.for_range(builder, columns) as across:
                at = self.offset(row.out_start, c, i, wide, across.index, row.channels)
                self.store(value(state, across.index), y, at)
        builder.branch(after)
        builder.position_at_end(after)

    def _pixels(self, count: Value, channels: Value) -> Iterator[tuple[Value, Value]]:
        """Write a loop over pixels and their channels."""
        with cgutils.for_range(self.builder, count) as pixel:
            for c in self._channels(channels):
                yield pixel.index, c

    def _channels(self, channels: Value) -> Iterator[Value]:
        """Write a loop over the channels, one vector per iteration; the last one is moved back to end with the last channel."""
        builder, lanes = self.builder, WORD(self.lanes)
        count = builder.sdiv(builder.add(channels, WORD(self.lanes - 1)), lanes)
        last = builder.sub(channels, lanes)
        with cgutils.for_range(builder, count) as vector:
            c = builder.mul(vector.index, lanes)
            c = builder.select(builder.icmp_signed("<", last, c), last, c)
            yield builder.select(builder.icmp_signed("<", c, WORD(0)), WORD(0), c)

    def offset(self, start: Value, more: Value, *steps: Value) -> Value:
        """Return start + more + r * down + s * across: the sum of two offsets and of the products of the pairs that follow."""
        offset = self.builder.add(start, more)
        for count, step in zip(steps[::2], steps[1::2]):
            offset = self.builder.add(offset, self.builder.mul(count, step))
        return offset

    def splat(self, value: Value) -> Value:
        """Return a vector of one number."""
        kind = ir.VectorType(value.type, self.lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, INT32(0))
        same = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), same)

    def tap_number(self, number: Value) -> Value:
        """Return a vector of the number of one tap, as argmax holds it."""
        return self.splat(self.builder.trunc(number, INT32))

    def load(self, array: Value, at: Value, kind: Type | None = None) -> Value:
        """Return the vector at an element."""
        pointer, vector = self._at(array, at, kind or self.real)
        return self.builder.load(pointer, align=self.align if kind is None else 4, typ=vector)

    def store(self, value: Value, array: Value, at: Value) -> None:
        """Write the vector at an element."""
        item = value.type.element
        pointer, _ = self._at(array, at, item)
        self.builder.store(value, pointer, align=self.align if item == self.real else 4)

    def _at(self, array: Value, at: Value, item: Type) -> tuple[Value, Value]:
        vector = ir.VectorType(item, self.lanes)
        pointer = self.builder.gep(array, [at], source_etype=item)
        return self.builder.bitcast(pointer, vector.as_pointer()), vector
