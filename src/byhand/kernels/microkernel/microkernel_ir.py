"""The register tile as LLVM IR: sums in registers, a loop over segments, in it one over their numbers.

`tile` becomes a call of a panel, a function for so many vectors of columns; a panel walks the rows, tile by tile. Numba
inlines nothing of it: each panel is compiled once in a kernel, and called from every place that needs it.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from byhand.kernels.microkernel.operands import ADD, BIAS, RELU, RESIDUAL, SCALE
from byhand.kernels.microkernel.scatter_ir import Scatter, ScatterArguments
from byhand.kernels.microkernel.simd import CACHE_LINE, REALS, WORD, Vectors, element, operands, prefetch
from byhand.kernels.runtime.cpu import host
from byhand.kernels.runtime.llvm import (
    CodegenContext,
    Function,
    IntrinsicBody,
    IRBuilder,
    Module,
    NumbaIntrinsic,
    NumbaType,
    Signature,
    Type,
    TypingContext,
    Value,
    Values,
)


class TileForm(NamedTuple):
    """A form of the tile: whether a and b have a number for each column; whether its segments are of length 1."""

    a_wide: bool
    b_wide: bool
    flat: bool
    rows: tuple[int, ...]  # of the tiles


# The rows of a tile are as many as registers allow (of a matrix: runtime/cpu.py); rows left over are done in tiles of fewer.
KINDS = {
    "matrix": TileForm(False, True, False, (6, 2, 1)),
    "channel": TileForm(True, True, False, (6, 2, 1)),
    "tap": TileForm(True, True, True, (6, 2, 1)),
    "list": TileForm(True, False, True, (5, 3, 1)),  # and twice as many vectors
}


def tile_intrinsic(dtype: str, how: str) -> NumbaIntrinsic:
    """Return the tile as an intrinsic: it picks, by the number of columns, one of a few panels."""

    @intrinsic
    def tile(
        typing: TypingContext,
        a: NumbaType,
        b: NumbaType,
        c: NumbaType,
        extent: NumbaType,
        initial: NumbaType,
        epilogue: NumbaType,
    ) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            a, b, c, extent, initial, epilogue = operands(context, builder, signature, values)
            start = partial(element, builder, REALS[dtype])
            arguments = TileArguments(
                a=start(a.array, a.start),
                a_rows=a.rows,
                a_segments=a.segments,
                a_step=a.step,
                b=start(b.array, b.start),
                b_segments=b.segments,
                b_step=b.step,
                c=start(c.array, c.start),
                c_rows=c.rows,
                rows=extent.rows,
                columns=extent.columns,
                segments=extent.segments,
                length=extent.length,
                initial=initial,
                steps=epilogue.steps,
                bias=start(epilogue.bias, c.column),
                scale=start(epilogue.scale, c.column),
                residual=start(epilogue.residual, c.start),
            )
            _call_panel(builder, dtype, how, extent.columns, arguments)
            return context.get_dummy_value()

        return types.void(a, b, c, extent, initial, epilogue), codegen

    return tile


def scatter_intrinsic(dtype: str) -> NumbaIntrinsic:
    """Return `scatter` as an intrinsic."""

    @intrinsic
    def scatter(
        typing: TypingContext,
        block: NumbaType,
        places: NumbaType,
        numbers: NumbaType,
        target: NumbaType,
        rows: NumbaType,
        columns: NumbaType,
    ) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            block, places, numbers, target, rows, columns = operands(context, builder, signature, values)
            count = context.make_array(signature.args[1])(context, builder, values[1]).nitems
            start = partial(element, builder, REALS[dtype])
            arguments = ScatterArguments(
                block=start(block.array, block.start),
                block_rows=block.rows,
                places=places,
                count=count,
                numbers=numbers,
                target=start(target.array, target.start),
                target_rows=target.rows,
                rows=rows,
                columns=columns,
            )
            _call_panel(builder, dtype, "scatter", columns, arguments)
            return context.get_dummy_value()

        return types.void(block, places, numbers, target, rows, columns), codegen

    return scatter


def fetch_intrinsic(dtype: str) -> NumbaIntrinsic:
    """Return `fetch` as an intrinsic."""

    @intrinsic
    def fetch(typing: TypingContext, a: NumbaType, first: NumbaType, last: NumbaType) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            a, first, last = operands(context, builder, signature, values)
            before, head, body, after = builder.block, *(builder.append_basic_block() for _ in range(3))
            builder.branch(head)
            builder.position_at_end(head)
            i = builder.phi(WORD)
            i.add_incoming(first, before)
            builder.cbranch(builder.icmp_signed("<", i, last), body, after)
            builder.position_at_end(body)
            prefetch(builder, element(builder, REALS[dtype], a, i), False)
            i.add_incoming(builder.add(i, WORD(CACHE_LINE // int(dtype[1]))), body)
            builder.branch(head)
            builder.position_at_end(after)
            return context.get_dummy_value()

        return types.void(a, first, last), codegen

    return fetch


class TileArguments(NamedTuple):
    """The arguments of a tile's function: pointers to the first number of each operand and table, and counts."""

    a: Value
    a_rows: Value
    a_segments: Value
    a_step: Value
    b: Value
    b_segments: Value
    b_step: Value
    c: Value
    c_rows: Value
    rows: Value
    columns: Value
    segments: Value
    length: Value
    initial: Value
    steps: Value
    bias: Value
    scale: Value
    residual: Value


def _call_panel(builder: IRBuilder, dtype: str, how: str, columns: Value, arguments: tuple[Value, ...]) -> None:
    """Call the panel that fits the columns."""
    after = builder.append_basic_block()
    kind = KINDS.get(how, KINDS["list"])
    for width, vectors, masked, more_than in _choices(dtype, kind):
        kinds = [value.type for value in arguments]
        function = _panel(builder.module, kinds, dtype, width, vectors, masked, how)
        if more_than:
            use, other = builder.append_basic_block(), builder.append_basic_block()
            builder.cbranch(builder.icmp_signed(">", columns, WORD(more_than)), use, other)
            builder.position_at_end(use)
        builder.call(function, arguments)
        builder.branch(after)
        if more_than:
            builder.position_at_end(other)
    builder.position_at_end(after)


def _choices(dtype: str, how: TileForm) -> list[tuple[int, int, bool, int]]:
    """Return the panels, widest first: lanes, vectors, masked, and how many columns are too few for it to be chosen.

    A whole panel has a function of its own, without masks. AVX-512 has them for nothing, but where what is loaded is multiplied
    by a vector: without a mask that is one instruction, and the register that holds it is free.
    """
    most = host().vectors * (1 if how.b_wide else 2)
    lanes = host().lanes(dtype)
    if lanes * most == 1:
        return [(1, 1, False, 0)]
    choices = [(lanes, n, True, lanes * (n - 1)) for n in range(most, 0, -1)]
    if host().target != "avx512" or how.a_wide:
        choices.insert(0, (lanes, most, False, lanes * most - 1))
    if host().width >= 32:  # half a vector serves few columns at twice the pace
        choices[-1] = (lanes, 1, True, lanes // 2)
        choices.append((lanes // 2, 1, True, 0))
    return choices


def _panel(module: Module, kinds: list[Type], dtype: str, lanes: int, vectors: int, masked: bool, how: str) -> Function:
    """Return a function that does all rows of one block of columns, tile by tile."""
    name = f"byhand_{how}_{dtype}_{lanes}x{vectors}_{'masked' if masked else 'full'}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    if how == "scatter":
        Scatter(function, dtype, lanes, vectors, masked).emit()
    else:
        Panel(function, dtype, lanes, vectors, masked, KINDS[how]).emit()
    return function


class Panel(Vectors):
    """Writes a tile's function: sums in registers, a loop over segments, in it one over their places."""

    def __init__(self, function: Function, dtype: str, lanes: int, vectors: int, masked: bool, how: TileForm) -> None:
        super().__init__(function, dtype, lanes, vectors, masked)
        self.how = how
        self.given = TileArguments(*function.args)

    def emit(self) -> None:
        """Write the function: whole tiles as long as there are rows, then fewer and fewer rows at once."""
        self.make_masks(self.given.columns)
        whole = host().rows if self.vectors > 1 else min(9, host().rows)  # so many addresses stay in registers
        most = [] if self.how.a_wide else [whole]
        for m, rows in self.row_loops(
            self.given.rows, [*most, *(fewer for fewer in self.how.rows if not most or fewer < most[0])]
        ):
            self._tile(m, rows)
        self.builder.ret_void()

    def _tile(self, m: Value, rows: int) -> None:
        """Write one tile: sums in registers, a loop over segments, in it one over their places."""
        build, new, pairs, given = self.builder, self.function.append_basic_block, rows * self.vectors, self.given
        a_rows, c_rows = (
            self.rows_at(*operand, m, rows) for operand in ((given.a, given.a_rows), (given.c, given.c_rows))
        )
        sums = self._first_sums(c_rows)
        for row in c_rows:  # their lines come while the sums are made
            self.prefetch_row(row)
        before, head, body, after = build.block, new(), new(), new()
        build.branch(head)

        build.position_at_end(head)  # the next segment
        t, outer = build.phi(WORD), [build.phi(self.vector) for _ in range(pairs)]
        for phi, value in zip([t, *outer], [WORD(0), *sums]):
            phi.add_incoming(value, before)
        build.cbranch(build.icmp_signed("<", t, given.segments), body, after)
        build.position_at_end(body)
        offset = build.load(self.at(given.a_segments, t, WORD), typ=WORD)
        in_b = (
            build.load(self.at(given.b_segments, t, WORD), typ=WORD) if self.how.b_wide else build.mul(t, given.b_step)
        )
        b_start = self.at(given.b, in_b)
        if self.how.flat:
            results = self._products(a_rows, offset, b_start, outer)
        else:
            results = self._segment(a_rows, offset, b_start, outer)
        for phi, value in zip([t, *outer], [build.add(t, WORD(1)), *results]):
            phi.add_incoming(value, build.block)
        build.branch(head)

        build.position_at_end(after)
        self._finish(outer, c_rows, m)

    def _segment(self, a_rows: list[Value], offset: Value, b_start: Value, sums: list[Value]) -> list[Value]:
        """Write the loop over the places of a segment; return the sums after it."""
        build, before, inner = self.builder, self.builder.block, self.function.append_basic_block()
        after = self.function.append_basic_block()
        build.branch(inner)
        build.position_at_end(inner)
        k, at, by = build.phi(WORD), build.phi(WORD), build.phi(self.given.b.type)
        running = [build.phi(self.vector) for _ in sums]
        for phi, value in zip([k, at, by, *running], [WORD(0), offset, b_start, *sums]):
            phi.add_incoming(value, before)
        results = self._products(a_rows, at, by, running)
        k_next = build.add(k, WORD(1))
        steps = [k_next, build.add(at, self.given.a_step), self.at(by, self.given.b_step), *results]
        for phi, value in zip([k, at, by, *running], steps):
            phi.add_incoming(value, inner)
        build.cbranch(build.icmp_signed("<", k_next, self.given.length), inner, after)
        build.position_at_end(after)
        return results

    def _products(self, a_rows: list[Value], at: Value, by: Value, sums: list[Value]) -> list[Value]:
        """Return the sums with the products of one place added."""
        columns, results = range(self.vectors), []
        b = [self.load(by, n) for n in columns] if self.how.b_wide else [self.broadcast(by)] * self.vectors
        for i, row in enumerate(a_rows):
            place = self.at(row, at)
            a = [self.load(place, n) for n in columns] if self.how.a_wide else [self.broadcast(place)] * self.vectors
            results += [self.multiply_add(a[n], b[n], sums[i * self.vectors + n]) for n in columns]
        return results

    def _first_sums(self, c_rows: list[Value]) -> list[Value]:
        """Return what the sums start from: 0, what c holds, or the bias."""
        build, new = self.builder, self.function.append_basic_block
        count = len(c_rows) * self.vectors
        add, other, bias, after = new(), new(), new(), new()
        build.cbranch(build.icmp_signed("==", self.given.initial, WORD(ADD)), add, other)
        build.position_at_end(add)
        held = [self.load(row, n) for row in c_rows for n in range(self.vectors)]
        build.branch(after)
        build.position_at_end(other)
        build.cbranch(build.icmp_signed("==", self.given.initial, WORD(BIAS)), bias, after)
        build.position_at_end(bias)
        biases = [self.load(self.given.bias, n) for n in range(self.vectors)] * len(c_rows)
        build.branch(after)
        build.position_at_end(after)
        sums = [build.phi(self.vector) for _ in range(count)]
        for i, phi in enumerate(sums):
            phi.add_incoming(held[i], add)
            phi.add_incoming(self.zero, other)
            phi.add_incoming(biases[i], bias)
        return sums

    def _finish(self, sums: list[Value], c_rows: list[Value], m: Value) -> None:
        """Finish the sums as is asked for, and store them."""
        build, columns = self.builder, range(self.vectors)

        def scaled() -> list[Value]:
            scales, terms = ([self.load(row, n) for n in columns] for row in (self.given.scale, self.given.bias))
            return [
                self.multiply_add(value, scales[i % len(columns)], terms[i % len(columns)])
                for i, value in enumerate(sums)
            ]

        def added() -> list[Value]:
            rows = self.rows_at(self.given.residual, self.given.c_rows, m, len(c_rows))
            return [
                build.fadd(value, self.load(rows[i // self.vectors], i % self.vectors)) for i, value in enumerate(sums)
            ]

        def clipped() -> list[Value]:
            return [build.select(build.fcmp_ordered("<", value, self.zero), self.zero, value) for value in sums]

        for flag, change in ((SCALE, scaled), (RESIDUAL, added), (RELU, clipped)):
            before, then, after = build.block, *(self.function.append_basic_block() for _ in range(2))
            build.cbranch(build.icmp_signed("!=", build.and_(self.given.steps, WORD(flag)), WORD(0)), then, after)
            build.position_at_end(then)
            changed = change()
            build.branch(after)
            build.position_at_end(after)
            for i, value in enumerate(changed):
                phi = build.phi(self.vector)
                phi.add_incoming(sums[i], before)
                phi.add_incoming(value, then)
                sums[i] = phi
        for i, value in enumerate(sums):
            self.store(value, c_rows[i // self.vectors], i % self.vectors)
