"""Rows of pooled pixels as LLVM IR; window.py says what each does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from byhand.kernels.microkernel.simd import HALF, REALS, WORD, operands
from byhand.kernels.pool_rows import BYTES

WINDOWS = ((2, 2), (3, 3))  # (rows, columns) of pooling windows that need no loop
OVERLAPS = ((1, 1), (1, 2), (2, 1), (2, 2))  # of those of the windows over one pixel
W: Any = types.intp
SCALES: dict[str, Any] = {"f4": types.float32, "f8": types.float64}


def largest(dtype: str) -> Any:
    """Return `one_largest` in vectors."""

    @intrinsic
    def vectors(
        typing, x, at, step, count, down, across, rows, columns, place, wide, y, where, to, channels,
    ):  # fmt: skip
        return types.void(x, W, W, W, W, W, W, W, W, W, y, where, W, W), codegen

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, at, step, count, down, across, rows, columns, place, wide, y, where, to, channels = operands(
            context, builder, signature, arguments
        )
        write = Vectors(builder, dtype)

        def start(i: Any, c: Any) -> list[Any]:
            return [write.load(x, write.spot(at, c, i, step)), write.places(place)]

        def tap(state: list[Any], i: Any, c: Any, r: Any, s: Any) -> list[Any]:
            best, winner = state
            value = write.load(x, write.spot(at, c, i, step, r, down, s, across))
            below = builder.fcmp_unordered("<=", value, best)  # true for any NaN ...
            stays = builder.and_(below, builder.fcmp_ordered("ord", value, value))  # ... but a NaN wins
            number = write.places(write.spot(place, s, r, wide))
            return [builder.select(stays, best, value), builder.select(stays, winner, number)]

        def finish(state: list[Any], i: Any, c: Any) -> None:
            write.store(state[0], y, write.spot(to, c, i, channels))
            write.store(state[1], where, write.spot(to, c, i, channels))

        write.windows(count, rows, columns, channels, start, tap, finish, WINDOWS, first=1)
        return context.get_dummy_value()

    return vectors


def total(dtype: str) -> Any:
    """Return `one_total` in vectors."""

    @intrinsic
    def vectors(
        typing, x, at, step, count, down, across, rows, columns, scale, y, to, channels,
    ):  # fmt: skip
        return types.void(x, W, W, W, W, W, W, W, SCALES[dtype], y, W, W), codegen

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, at, step, count, down, across, rows, columns, scale, y, to, channels = operands(
            context, builder, signature, arguments
        )
        write = Vectors(builder, dtype)

        def tap(state: list[Any], i: Any, c: Any, r: Any, s: Any) -> list[Any]:
            return [builder.fadd(state[0], write.load(x, write.spot(at, c, i, step, r, down, s, across)))]

        def finish(state: list[Any], i: Any, c: Any) -> None:
            write.store(builder.fmul(state[0], write.splat(scale)), y, write.spot(to, c, i, channels))

        write.windows(count, rows, columns, channels, lambda i, c: [write.zeros], tap, finish, (*OVERLAPS, (3, 3)))
        return context.get_dummy_value()

    return vectors


def won(dtype: str) -> Any:
    """Return `one_won` in vectors."""

    @intrinsic
    def vectors(
        typing, x, at, down, across, rows, columns, place, upward, leftward, where, y, to, channels,
    ):  # fmt: skip
        return types.void(x, W, W, W, W, W, W, W, W, where, y, W, W), codegen

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, at, down, across, rows, columns, place, upward, leftward, where, y, to, channels = operands(
            context, builder, signature, arguments
        )
        write = Vectors(builder, dtype)

        def tap(state: list[Any], i: Any, c: Any, r: Any, s: Any) -> list[Any]:
            window = write.spot(at, c, r, down, s, across)
            number = write.places(write.spot(place, WORD(0), r, upward, s, leftward))
            mine = builder.icmp_signed("==", write.load(where, window, HALF), number)
            return [builder.fadd(state[0], builder.select(mine, write.load(x, window), write.zeros))]

        def finish(state: list[Any], i: Any, c: Any) -> None:
            write.store(state[0], y, builder.add(to, c))

        write.windows(WORD(1), rows, columns, channels, lambda i, c: [write.zeros], tap, finish, OVERLAPS)
        return context.get_dummy_value()

    return vectors


def dealt(dtype: str) -> Any:
    """Return `one_dealt` in vectors."""

    @intrinsic
    def vectors(typing, x, at, count, columns, place, where, y, to, channels):
        return types.void(x, W, W, W, W, where, y, W, W), codegen

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, at, count, columns, place, where, y, to, channels = operands(context, builder, signature, arguments)
        write = Vectors(builder, dtype)

        def start(i: Any, c: Any) -> list[Any]:
            window = write.spot(at, c, i, channels)
            return [write.load(x, window), write.load(where, window, HALF)]

        def value(state: list[Any], s: Any) -> Any:
            mine = builder.icmp_signed("==", state[1], write.places(builder.add(place, s)))
            return builder.select(mine, state[0], write.zeros)

        write.copies(count, columns, channels, start, value, y, to)
        return context.get_dummy_value()

    return vectors


def repeated(dtype: str) -> Any:
    """Return `one_repeated` in vectors."""

    @intrinsic
    def vectors(typing, x, at, count, columns, scale, y, to, channels):
        return types.void(x, W, W, W, SCALES[dtype], y, W, W), codegen

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, at, count, columns, scale, y, to, channels = operands(context, builder, signature, arguments)
        write = Vectors(builder, dtype)

        def start(i: Any, c: Any) -> list[Any]:
            return [builder.fmul(write.load(x, write.spot(at, c, i, channels)), write.splat(scale))]

        write.copies(count, columns, channels, start, lambda state, s: state[0], y, to)
        return context.get_dummy_value()

    return vectors


class Vectors:
    """Writes IR that does the same to all channels of a pixel, a vector of them at a time."""

    def __init__(self, builder: Any, dtype: str) -> None:
        self.builder, self.real, self.lanes = builder, REALS[dtype], BYTES // int(dtype[1])
        self.align = int(dtype[1])
        self.zeros = ir.Constant(ir.VectorType(self.real, self.lanes), [0.0] * self.lanes)

    def windows(
        self,
        count: Any,
        rows: Any,
        columns: Any,
        channels: Any,
        start: Callable[[Any, Any], list[Any]],
        tap: Callable[[list[Any], Any, Any, Any, Any], list[Any]],
        finish: Callable[[list[Any], Any, Any], None],
        unrolled: tuple[tuple[int, int], ...],
        first: int = 0,
    ) -> None:
        """Write state = start(i, c); state = tap(state, i, c, r, s) for all places but the `first`; finish(state, i, c)."""
        builder = self.builder
        after = builder.append_basic_block()
        for shape in unrolled:
            same = [builder.icmp_signed("==", have, WORD(size)) for have, size in zip((rows, columns), shape)]
            with builder.if_then(builder.and_(*same)):
                for i, c in self._pixels(count, channels):
                    state = start(i, c)
                    for place in range(first, shape[0] * shape[1]):
                        state = tap(state, i, c, *map(WORD, divmod(place, shape[1])))
                    finish(state, i, c)
                builder.branch(after)
        for i, c in self._pixels(count, channels):
            state = start(i, c)
            with builder.goto_entry_block():
                slots = [builder.alloca(value.type) for value in state]
            for slot, value in zip(slots, state):
                builder.store(value, slot)
            with cgutils.for_range(builder, rows) as down, cgutils.for_range(builder, columns) as across:
                state = [builder.load(slot, typ=value.type) for slot, value in zip(slots, state)]
                for slot, value in zip(slots, tap(state, i, c, down.index, across.index)):
                    builder.store(value, slot)
            finish([builder.load(slot, typ=value.type) for slot, value in zip(slots, state)], i, c)
        builder.branch(after)
        builder.position_at_end(after)

    def copies(
        self,
        count: Any,
        columns: Any,
        channels: Any,
        start: Callable[[Any, Any], list[Any]],
        value: Callable[[list[Any], Any], Any],
        y: Any,
        to: Any,
    ) -> None:
        """Write state = start(i, c), then value(state, s) into each of the window's pixels in this row."""
        builder = self.builder
        after, wide = builder.append_basic_block(), builder.mul(columns, channels)
        with builder.if_then(builder.icmp_signed("==", columns, WORD(2))):
            for i, c in self._pixels(count, channels):
                state = start(i, c)
                for s in (WORD(0), WORD(1)):
                    self.store(value(state, s), y, self.spot(to, c, i, wide, s, channels))
            builder.branch(after)
        for i, c in self._pixels(count, channels):
            state = start(i, c)
            with cgutils.for_range(builder, columns) as across:
                self.store(value(state, across.index), y, self.spot(to, c, i, wide, across.index, channels))
        builder.branch(after)
        builder.position_at_end(after)

    def _pixels(self, count: Any, channels: Any) -> Any:
        """Write a loop over pixels and their channels."""
        with cgutils.for_range(self.builder, count) as pixel:
            for c in self._channels(channels):
                yield pixel.index, c

    def _channels(self, channels: Any) -> Any:
        """Write a loop over the channels, a vector a turn; the last turn steps back where it would hang over."""
        builder, lanes = self.builder, WORD(self.lanes)
        turns = builder.sdiv(builder.add(channels, WORD(self.lanes - 1)), lanes)
        last = builder.sub(channels, lanes)
        with cgutils.for_range(builder, turns) as turn:
            c = builder.mul(turn.index, lanes)
            c = builder.select(builder.icmp_signed("<", last, c), last, c)
            yield builder.select(builder.icmp_signed("<", c, WORD(0)), WORD(0), c)

    def spot(self, at: Any, more: Any, *steps: Any) -> Any:
        """Return at + more + r * down + s * across."""
        place = self.builder.add(at, more)
        for count, step in zip(steps[::2], steps[1::2]):
            place = self.builder.add(place, self.builder.mul(count, step))
        return place

    def splat(self, value: Any) -> Any:
        """Return a vector of one number."""
        kind = ir.VectorType(value.type, self.lanes)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, HALF(0))
        same = ir.Constant(ir.VectorType(HALF, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), same)

    def places(self, number: Any) -> Any:
        """Return a vector of one place in a window."""
        return self.splat(self.builder.trunc(number, HALF))

    def load(self, array: Any, at: Any, kind: Any = None) -> Any:
        """Return the vector at an element."""
        pointer, vector = self._at(array, at, kind or self.real)
        return self.builder.load(pointer, align=self.align if kind is None else 4, typ=vector)

    def store(self, value: Any, array: Any, at: Any) -> None:
        """Write the vector at an element."""
        item = value.type.element
        pointer, _ = self._at(array, at, item)
        self.builder.store(value, pointer, align=self.align if item == self.real else 4)

    def _at(self, array: Any, at: Any, item: Any) -> tuple[Any, Any]:
        vector = ir.VectorType(item, self.lanes)
        pointer = self.builder.gep(array, [at], source_etype=item)
        return self.builder.bitcast(pointer, vector.as_pointer()), vector
