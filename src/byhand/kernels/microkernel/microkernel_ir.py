"""The register tile as LLVM IR: sums in registers, a loop over segments t, and in it a loop over their elements k.

`tile` becomes a call of a macro kernel: a function for one number of vectors of columns, which walks the rows, tile by tile.
It is not inlined: each macro kernel is compiled once per kernel and called from every `tile` in it.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from byhand.kernels.microkernel.activation_ir import call_activate
from byhand.kernels.microkernel.operands import ADD, BIAS, RELU, RESIDUAL, SCALE
from byhand.kernels.microkernel.rounding_ir import multiply_add_broadcast, multiply_add_pairs
from byhand.kernels.microkernel.scatter_ir import SCATTER_ROWS, Scatter, ScatterArguments
from byhand.kernels.microkernel.simd import REALS, Vectors, element, operands
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.llvm import (
    WORD,
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

# Rows of the tiles that do what whole tiles of runtime/cpu.py's `tile_rows` leave over, largest first. They also serve a form
# whose a has an element per column: there 6 rows of 2 vectors are 12 sums, and 2 of the 16 registers of AVX2 hold b.
REMAINDER_ROWS = (6, 2, 1)

# Rows of a tile whose b is one number per segment. Its tiles are twice as wide: with AVX-512, 5 rows of 4 vectors are 20 sums
# in 32 registers, with NEON 5 rows of 6 are 30 in 32. (AVX2 has 16, and keeps some of its 20 sums in the L1 cache.)
LIST_ROWS = (5, 3, 1)

# Rows of a tile of a single vector. Each row needs an address in one of the 16 general registers; beyond 9 rows some addresses
# are reloaded from the stack for each k. A tile of two vectors hides that: it does twice the arithmetic per address.
MAX_SINGLE_VECTOR_ROWS = 9

# Steps k by which a whole tile prefetches b: where b comes from memory (filters of deep layers, one image), sums hide the wait.
PREFETCH_STEPS = 32


class TileForm(NamedTuple):
    """A form of the tile: whether a and b have an element per column; whether its segments have length 1; rows of its tiles.

    pairs: an element of a and b is a pair of bfloat16 numbers; the products of both are added.
    """

    a_wide: bool
    b_wide: bool
    flat: bool
    rows: tuple[int, ...]
    pairs: bool = False


FORMS = {
    "matrix": TileForm(False, True, False, REMAINDER_ROWS),
    "bfloat16": TileForm(False, True, False, REMAINDER_ROWS, True),
    "channel": TileForm(True, True, False, REMAINDER_ROWS),
    "tap": TileForm(True, True, True, REMAINDER_ROWS),
    "list": TileForm(True, False, True, LIST_ROWS),  # and twice as many vectors
    "scatter": TileForm(True, False, True, SCATTER_ROWS),  # its factors are one number per segment
}


def tile_intrinsic(dtype: str, how: str) -> NumbaIntrinsic:
    """Return the tile as an intrinsic, which picks a macro kernel by the number of columns."""

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
            _call_macro_kernel(builder, dtype, how, extent.columns, arguments)
            block = arguments.c, c.rows, extent.rows, extent.columns
            call_activate(builder, dtype, *block, epilogue.steps)
            return context.get_dummy_value()

        return types.void(a, b, c, extent, initial, epilogue), codegen

    return tile


def scatter_intrinsic(dtype: str) -> NumbaIntrinsic:
    """Return `scatter` as an intrinsic."""

    @intrinsic
    def scatter(
        typing: TypingContext,
        block: NumbaType,
        offsets: NumbaType,
        factors: NumbaType,
        target: NumbaType,
        rows: NumbaType,
        columns: NumbaType,
    ) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            block, offsets, factors, target, rows, columns = operands(context, builder, signature, values)
            count = context.make_array(signature.args[1])(context, builder, values[1]).nitems
            start = partial(element, builder, REALS[dtype])
            arguments = ScatterArguments(
                block=start(block.array, block.start),
                block_rows=block.rows,
                offsets=offsets,
                count=count,
                factors=factors,
                target=start(target.array, target.start),
                target_rows=target.rows,
                rows=rows,
                columns=columns,
            )
            _call_macro_kernel(builder, dtype, "scatter", columns, arguments)
            return context.get_dummy_value()

        return types.void(block, offsets, factors, target, rows, columns), codegen

    return scatter


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


def _call_macro_kernel(builder: IRBuilder, dtype: str, how: str, columns: Value, arguments: tuple[Value, ...]) -> None:
    """Emit the call of the macro kernel that fits the columns."""
    after = builder.append_basic_block()
    form = FORMS[how]
    for lanes, vectors, masked, more_than in _choices(dtype, form):
        kinds = [value.type for value in arguments]
        function = _macro_kernel(builder.module, kinds, dtype, lanes, vectors, masked, how)
        if more_than:
            use, other = builder.append_basic_block(), builder.append_basic_block()
            builder.cbranch(builder.icmp_signed(">", columns, WORD(more_than)), use, other)
            builder.position_at_end(use)
        builder.call(function, arguments)
        builder.branch(after)
        if more_than:
            builder.position_at_end(other)
    builder.position_at_end(after)


def _choices(dtype: str, form: TileForm) -> list[tuple[int, int, bool, int]]:
    """Return the macro kernels, widest first: (lanes, vectors, masked, chosen for more than so many columns).

    Full width has a macro kernel without masks. With AVX-512 masks cost nothing, except where a loaded vector is multiplied by
    another: without a mask load and multiplication are one instruction, which needs no register for the loaded vector.
    """
    widest = vector_unit().tile_vectors * (1 if form.b_wide else 2)
    lanes = vector_unit().lanes(dtype)
    if lanes * widest == 1:
        return [(1, 1, False, 0)]
    choices = [(lanes, n, True, lanes * (n - 1)) for n in range(widest, 0, -1)]
    if vector_unit().target != "avx512" or form.a_wide:
        choices.insert(0, (lanes, widest, False, lanes * widest - 1))
    if vector_unit().vector_bytes >= 32:  # half a vector is twice as fast for few columns
        choices[-1] = (lanes, 1, True, lanes // 2)
        choices.append((lanes // 2, 1, True, 0))
    return choices


def _macro_kernel(
    module: Module, kinds: list[Type], dtype: str, lanes: int, vectors: int, masked: bool, how: str
) -> Function:
    """Return the macro kernel: a function that does all rows of one block of columns, tile by tile."""
    name = f"byhand_{how}_{dtype}_{lanes}x{vectors}_{'masked' if masked else 'full'}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    if how == "scatter":
        Scatter(function, dtype, lanes, vectors, masked).emit()
    else:
        MacroKernel(function, dtype, lanes, vectors, masked, FORMS[how]).emit()
    return function


class MacroKernel(Vectors):
    """Emits a macro kernel: loops over tiles of rows, each of which holds its sums in registers."""

    def __init__(self, function: Function, dtype: str, lanes: int, vectors: int, masked: bool, form: TileForm) -> None:
        super().__init__(function, dtype, lanes, vectors, masked)
        self.form = form
        self.given = TileArguments(*function.args)

    def emit(self) -> None:
        """Write the function: whole tiles as long as there are rows, then smaller ones."""
        self.make_masks(self.given.columns)
        for m, rows in self.row_loops(self.given.rows, self._tile_rows()):
            self._tile(m, rows)
        self.builder.ret_void()

    def _tile_rows(self) -> list[int]:
        """Return the rows of the tiles, largest first."""
        if self.form.a_wide:
            return list(self.form.rows)
        whole = vector_unit().tile_rows
        if self.vectors == 1:
            whole = min(whole, MAX_SINGLE_VECTOR_ROWS)
        return [whole, *(rows for rows in self.form.rows if rows < whole)]

    def _tile(self, m: Value, rows: int) -> None:
        """Write one tile: sums in registers, a loop over segments t, in it a loop over k."""
        build, new, pairs, given = self.builder, self.function.append_basic_block, rows * self.vectors, self.given
        a_rows, c_rows = (
            self.rows_at(*operand, m, rows) for operand in ((given.a, given.a_rows), (given.c, given.c_rows))
        )
        sums = self._first_sums(c_rows)
        for row in c_rows:  # while the sums are computed
            self.prefetch_row(row, write=True)
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
            build.load(self.at(given.b_segments, t, WORD), typ=WORD) if self.form.b_wide else build.mul(t, given.b_step)
        )
        b_start = self.at(given.b, in_b)
        if self.form.flat:
            results = self._products(a_rows, offset, b_start, outer)
        else:
            results = self._segment(a_rows, offset, b_start, outer)
        for phi, value in zip([t, *outer], [build.add(t, WORD(1)), *results]):
            phi.add_incoming(value, build.block)
        build.branch(head)

        build.position_at_end(after)
        self._epilogue(outer, c_rows, m)

    def _segment(self, a_rows: list[Value], offset: Value, b_start: Value, sums: list[Value]) -> list[Value]:
        """Write the loop over the elements k of a segment; return the sums after it."""
        build, before, inner = self.builder, self.builder.block, self.function.append_basic_block()
        after = self.function.append_basic_block()
        build.branch(inner)
        build.position_at_end(inner)
        k, at, by = build.phi(WORD), build.phi(WORD), build.phi(self.given.b.type)
        running = [build.phi(self.vector) for _ in sums]
        for phi, value in zip([k, at, by, *running], [WORD(0), offset, b_start, *sums]):
            phi.add_incoming(value, before)
        if len(a_rows) == vector_unit().tile_rows:
            self.prefetch_row(self.at(by, build.mul(self.given.b_step, WORD(PREFETCH_STEPS))), write=False)
        results = self._products(a_rows, at, by, running)
        k_next = build.add(k, WORD(1))
        steps = [k_next, build.add(at, self.given.a_step), self.at(by, self.given.b_step), *results]
        for phi, value in zip([k, at, by, *running], steps):
            phi.add_incoming(value, inner)
        build.cbranch(build.icmp_signed("<", k_next, self.given.length), inner, after)
        build.position_at_end(after)
        return results

    def _products(self, a_rows: list[Value], at: Value, by: Value, sums: list[Value]) -> list[Value]:
        """Return the sums with the products of one k added."""
        build, columns, results = self.builder, range(self.vectors), []
        b = [self.load(by, n) for n in columns] if self.form.b_wide else [self.broadcast(by)] * self.vectors
        for i, row in enumerate(a_rows):
            if self.form.pairs and self.vectors == 1:
                results.append(multiply_add_broadcast(build, row, at, b[0], sums[i]))
                continue
            address = self.at(row, at)
            a = (
                [self.load(address, n) for n in columns]
                if self.form.a_wide
                else [self.broadcast(address)] * self.vectors
            )
            add = partial(multiply_add_pairs, build) if self.form.pairs else self.multiply_add
            results += [add(a[n], b[n], sums[i * self.vectors + n]) for n in columns]
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

    def _epilogue(self, sums: list[Value], c_rows: list[Value], m: Value) -> None:
        """Write the steps of the epilogue that are asked for, and store the sums."""
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
            return self.clipped(sums, self.given.steps)

        for flag, change in ((SCALE, scaled), (RESIDUAL, added), (RELU, clipped)):
            sums = self.where_asked(self.given.steps, flag, sums, change)
        for i, value in enumerate(sums):
            self.store(value, c_rows[i // self.vectors], i % self.vectors)
