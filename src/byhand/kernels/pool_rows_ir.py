"""Pooling along a row of pixels as LLVM IR; pool_rows.py says what each function does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from byhand.kernels.microkernel.simd import HALF, REALS, WORD, operands
from byhand.kernels.pool_operands import VECTOR_BYTES, Row, Window
from byhand.kernels.runtime.llvm import (
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
W: NumbaType = types.intp
SCALES: dict[str, NumbaType] = {"f4": types.float32, "f8": types.float64}


def window_max(dtype: str) -> NumbaIntrinsic:
    """Return `window_max` in vectors."""

    @intrinsic
    def vectors(
        typing: TypingContext,
        x: NumbaType,
        row: NumbaType,
        window: NumbaType,
        numbering: NumbaType,
        y: NumbaType,
        argmax: NumbaType,
    ) -> IntrinsicBody:
        return types.void(x, row, window, numbering, y, argmax), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, row, window, numbering, y, argmax = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def start(i: Value, c: Value) -> list[Value]:
            return [write.load(x, write.place(row.start, c, i, row.step)), write.position(numbering.first)]

        def tap(state: list[Value], i: Value, c: Value, r: Value, s: Value) -> list[Value]:
            best, winner = state
            value = write.load(x, write.place(row.start, c, i, row.step, r, window.down, s, window.across))
            below = builder.fcmp_unordered("<=", value, best)  # true for any NaN ...
            stays = builder.and_(below, builder.fcmp_ordered("ord", value, value))  # ... but a NaN wins
            number = write.position(write.place(numbering.first, s, r, numbering.down))
            return [builder.select(stays, best, value), builder.select(stays, winner, number)]

        def finish(state: list[Value], i: Value, c: Value) -> None:
            write.store(state[0], y, write.place(row.to, c, i, row.channels))
            write.store(state[1], argmax, write.place(row.to, c, i, row.channels))

        write.windows(row, window, Steps(start, tap, finish, first=1), UNROLLED_MAX)
        return context.get_dummy_value()

    return vectors


def window_sum(dtype: str) -> NumbaIntrinsic:
    """Return `window_sum` in vectors."""

    @intrinsic
    def vectors(
        typing: TypingContext, x: NumbaType, row: NumbaType, window: NumbaType, scale: NumbaType, y: NumbaType
    ) -> IntrinsicBody:
        return types.void(x, row, window, SCALES[dtype], y), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, row, window, scale, y = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def tap(state: list[Value], i: Value, c: Value, r: Value, s: Value) -> list[Value]:
            at = write.place(row.start, c, i, row.step, r, window.down, s, window.across)
            return [builder.fadd(state[0], write.load(x, at))]

        def finish(state: list[Value], i: Value, c: Value) -> None:
            write.store(builder.fmul(state[0], write.splat(scale)), y, write.place(row.to, c, i, row.channels))

        write.windows(row, window, Steps(lambda i, c: [write.zeros], tap, finish), (*UNROLLED_OVERLAPS, (3, 3)))
        return context.get_dummy_value()

    return vectors


def gather_won(dtype: str) -> NumbaIntrinsic:
    """Return `gather_won` in vectors."""

    @intrinsic
    def vectors(
        typing: TypingContext,
        x: NumbaType,
        argmax: NumbaType,
        row: NumbaType,
        window: NumbaType,
        numbering: NumbaType,
        y: NumbaType,
    ) -> IntrinsicBody:
        return types.void(x, argmax, row, window, numbering, y), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, argmax, row, window, numbering, y = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def tap(state: list[Value], i: Value, c: Value, r: Value, s: Value) -> list[Value]:
            at = write.place(row.start, c, r, window.down, s, window.across)
            number = write.place(numbering.first, WORD(0), r, numbering.down, s, numbering.across)
            mine = builder.icmp_signed("==", write.load(argmax, at, HALF), write.position(number))
            return [builder.fadd(state[0], builder.select(mine, write.load(x, at), write.zeros))]

        def finish(state: list[Value], i: Value, c: Value) -> None:
            write.store(state[0], y, builder.add(row.to, c))

        pixel = row._replace(windows=WORD(1))
        write.windows(pixel, window, Steps(lambda i, c: [write.zeros], tap, finish), UNROLLED_OVERLAPS)
        return context.get_dummy_value()

    return vectors


def scatter_won(dtype: str) -> NumbaIntrinsic:
    """Return `scatter_won` in vectors."""

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
        return types.void(x, argmax, row, W, W, y), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, argmax, row, columns, first, y = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def start(i: Value, c: Value) -> list[Value]:
            at = write.place(row.start, c, i, row.channels)
            return [write.load(x, at), write.load(argmax, at, HALF)]

        def value(state: list[Value], s: Value) -> Value:
            mine = builder.icmp_signed("==", state[1], write.position(builder.add(first, s)))
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
        return types.void(x, row, W, SCALES[dtype], y), codegen

    def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, arguments: Values) -> Value:
        x, row, columns, scale, y = operands(context, builder, signature, arguments)
        write = ChannelVectors(builder, dtype)

        def start(i: Value, c: Value) -> list[Value]:
            return [builder.fmul(write.load(x, write.place(row.start, c, i, row.channels)), write.splat(scale))]

        write.copies(row, columns, start, lambda state, s: state[0], y)
        return context.get_dummy_value()

    return vectors


class Steps(NamedTuple):
    """What is written for a window: state = start(i, c), then tap(state, i, c, r, s) for each position from the `first` on."""

    start: Callable[[Value, Value], list[Value]]
    tap: Callable[[list[Value], Value, Value, Value, Value], list[Value]]
    finish: Callable[[list[Value], Value, Value], None]
    first: int = 0


class ChannelVectors:
    """Writes IR that does the same to all channels of a pixel, a vector of them at a time."""

    def __init__(self, builder: IRBuilder, dtype: str) -> None:
        self.builder, self.real, self.lanes = builder, REALS[dtype], VECTOR_BYTES // int(dtype[1])
        self.align = int(dtype[1])
        self.zeros = ir.Constant(ir.VectorType(self.real, self.lanes), [0.0] * self.lanes)

    def windows(self, row: Row, window: Window, steps: Steps, unrolled: tuple[tuple[int, int], ...]) -> None:
        """Write the steps for all windows of a row; those of the unrolled sizes without a loop over positions."""
        builder = self.builder
        after = builder.append_basic_block()
        for shape in unrolled:
            sizes = zip((window.rows, window.columns), shape)
            same = [builder.icmp_signed("==", have, WORD(size)) for have, size in sizes]
            with builder.if_then(builder.and_(*same)):
                for i, c in self._pixels(row.windows, row.channels):
                    state = steps.start(i, c)
                    for position in range(steps.first, shape[0] * shape[1]):
                        state = steps.tap(state, i, c, *map(WORD, divmod(position, shape[1])))
                    steps.finish(state, i, c)
                builder.branch(after)
        for i, c in self._pixels(row.windows, row.channels):
            state = steps.start(i, c)
            with builder.goto_entry_block():
                slots = [builder.alloca(value.type) for value in state]
            for slot, value in zip(slots, state):
                builder.store(value, slot)
            with cgutils.for_range(builder, window.rows) as down, cgutils.for_range(builder, window.columns) as across:
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
        """Write state = start(i, c), then value(state, s) into each of the window's pixels in this row."""
        builder = self.builder
        after, wide = builder.append_basic_block(), builder.mul(columns, row.channels)
        with builder.if_then(builder.icmp_signed("==", columns, WORD(2))):
            for i, c in self._pixels(row.windows, row.channels):
                state = start(i, c)
                for s in (WORD(0), WORD(1)):
                    self.store(value(state, s), y, self.place(row.to, c, i, wide, s, row.channels))
            builder.branch(after)
        for i, c in self._pixels(row.windows, row.channels):
            state = start(i, c)
            with cgutils.for_range(builder, columns) as across:
                place = self.place(row.to, c, i, wide, across.index, row.channels)
                self.store(value(state, across.index), y, place)
        builder.branch(after)
        builder.position_at_end(after)

    def _pixels(self, count: Value, channels: Value) -> Iterator[tuple[Value, Value]]:
        """Write a loop over pixels and their channels."""
        with cgutils.for_range(self.builder, count) as pixel:
            for c in self._channels(channels):
                yield pixel.index, c

    def _channels(self, channels: Value) -> Iterator[Value]:
        """Write a loop over the channels, a vector a turn; the last turn steps back where it would hang over."""
        builder, lanes = self.builder, WORD(self.lanes)
        turns = builder.sdiv(builder.add(channels, WORD(self.lanes - 1)), lanes)
        last = builder.sub(channels, lanes)
        with cgutils.for_range(builder, turns) as turn:
            c = builder.mul(turn.index, lanes)
            c = builder.select(builder.icmp_signed("<", last, c), last, c)
            yield builder.select(builder.icmp_signed("<", c, WORD(0)), WORD(0), c)

    def place(self, at: Value, more: Value, *steps: Value) -> Value:
        """Return at + more + r * down + s * across."""
        place = self.builder.add(at, more)
        for count, step in zip(steps[::2], steps[1::2]):
            place = self.builder.add(place, self.builder.mul(count, step))
        return place

    def splat(self, value: Value) -> Value:
        """Return a vector of one number."""
        kind = ir.VectorType(value.type, self.lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, HALF(0))
        same = ir.Constant(ir.VectorType(HALF, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), same)

    def position(self, number: Value) -> Value:
        """Return a vector of one position in a window."""
        return self.splat(self.builder.trunc(number, HALF))

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
