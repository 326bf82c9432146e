"""The depthwise row as LLVM IR: tiles of neighboring pixels, and for each the vectors of channels one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from byhand.kernels.microkernel.activation_ir import call_activate
from byhand.kernels.microkernel.depthwise_row import OVERLAPPING
from byhand.kernels.microkernel.operands import BIAS, RELU, RESIDUAL, SCALE
from byhand.kernels.microkernel.simd import REALS, Vectors, element, operands
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.llvm import (
    INT32,
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

# Pixels of a tile, largest first: 7 divides the rows of most networks (112, 56, 28, 14, 7). With AVX2, 7 sums, up to 7
# weights and an element of x take 15 of the 16 registers.
TILE_PIXELS = (7, 3, 1)

# The same for channels that are fewer than a vector: less code.
MASKED_TILE_PIXELS = (7, 1)


class RowArguments(NamedTuple):
    """The arguments of the function of a row: pointers to the first element of each operand, steps, and counts.

    x points to where the first tap of the first pixel would be.
    """

    x: Value
    x_first: Value
    x_pixels: Value
    x_step: Value
    x_row_step: Value
    x_column_step: Value
    weight: Value
    weight_row_step: Value
    weight_column_step: Value
    y: Value
    y_step: Value
    pixels: Value
    channels: Value
    rows: Value
    columns: Value
    initial: Value
    steps: Value
    bias: Value
    scale: Value
    residual: Value


def depthwise_row_intrinsic(dtype: str) -> NumbaIntrinsic:
    """Return `depthwise_row` as an intrinsic."""

    @intrinsic
    def depthwise_row(
        typing: TypingContext,
        x: NumbaType,
        weight: NumbaType,
        y: NumbaType,
        row: NumbaType,
        taps: NumbaType,
        initial: NumbaType,
        epilogue: NumbaType,
    ) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            x, weight, y, row, taps, initial, epilogue = operands(context, builder, signature, values)
            start = partial(element, builder, REALS[dtype])
            elements = partial(builder.mul, row.channels)
            arguments = RowArguments(
                x=start(x, builder.add(row.x_start, elements(row.x_first))),
                x_first=row.x_first,
                x_pixels=row.x_pixels,
                x_step=elements(row.x_stride),
                x_row_step=taps.x_row_step,
                x_column_step=elements(taps.x_column_step),
                weight=start(weight, taps.weight_start),
                weight_row_step=taps.weight_row_step,
                weight_column_step=taps.weight_column_step,
                y=start(y, row.y_start),
                y_step=elements(row.y_stride),
                pixels=row.pixels,
                channels=row.channels,
                rows=taps.rows,
                columns=taps.columns,
                initial=initial,
                steps=epilogue.steps,
                bias=epilogue.bias,
                scale=epilogue.scale,
                residual=start(epilogue.residual, row.y_start),
            )
            _call_row(builder, dtype, taps.form, arguments)
            block = arguments.y, row.y_offsets, row.pixels, row.channels
            call_activate(builder, dtype, *block, epilogue.steps)
            return context.get_dummy_value()

        return types.void(x, weight, y, row, taps, initial, epilogue), codegen

    return depthwise_row


def _call_row(builder: IRBuilder, dtype: str, form: Value, arguments: RowArguments) -> None:
    """Emit the call of the function of a form of the window."""
    other, after = builder.append_basic_block(), builder.append_basic_block()
    kinds = [value.type for value in arguments]
    switch = builder.switch(form, other)
    for number, (columns, stride) in enumerate(OVERLAPPING, 1):
        block = builder.append_basic_block()
        switch.add_case(WORD(number), block)
        builder.position_at_end(block)
        builder.call(_row_function(builder.module, kinds, dtype, columns, stride), arguments)
        builder.branch(after)
    builder.position_at_end(other)
    builder.call(_row_function(builder.module, kinds, dtype, 0, 0), arguments)
    builder.branch(after)
    builder.position_at_end(after)


def _row_function(module: Module, kinds: list[Type], dtype: str, columns: int, stride: int) -> Function:
    """Return the function of a row for a form of the window; columns: 0 for any."""
    name = f"byhand_depthwise_{dtype}_{columns}_{stride}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("optsize")  # loops are unrolled here: LLVM would double them, and take twice as long
    DepthwiseRow(function, dtype, columns, stride).emit()
    return function


class DepthwiseRow(Vectors):
    """Emits the function of a row; columns: of the window, side by side, 0: any; stride: that of the form."""

    def __init__(self, function: Function, dtype: str, columns: int, stride: int) -> None:
        super().__init__(function, dtype, vector_unit().lanes(dtype), 1, masked=False)
        self.columns, self.stride = columns, stride
        self.given = RowArguments(*function.args)

    def emit(self) -> None:
        """Write the function: all whole vectors of channels, and then, with a mask, the channels that are left over."""
        build, new, given = self.builder, self.function.append_basic_block, self.given
        whole = build.mul(build.sdiv(given.channels, WORD(self.lanes)), WORD(self.lanes))
        self._tiles(WORD(0), whole, TILE_PIXELS)
        rest, done = new(), new()
        build.cbranch(build.icmp_signed("<", whole, given.channels), rest, done)
        build.position_at_end(rest)
        self.masked = True
        self.make_masks(build.sub(given.channels, whole))
        self._tiles(whole, given.channels, MASKED_TILE_PIXELS)
        build.branch(done)
        build.position_at_end(done)
        build.ret_void()

    def _tiles(self, first: Value, end: Value, sizes: tuple[int, ...]) -> None:
        """Write tiles of pixels, and of each the vectors of channels from the first up to an end."""
        build = self.builder
        for m, pixels in self.row_loops(self.given.pixels, sizes):
            x = self.at(self.given.x, build.mul(m, self.given.x_step))
            in_y = [build.mul(build.add(m, WORD(i)), self.given.y_step) for i in range(pixels)]
            inside = self._pixels_inside(m, pixels)
            before, head, body, after = build.block, *(self.function.append_basic_block() for _ in range(3))
            build.branch(head)
            build.position_at_end(head)
            c = build.phi(WORD)
            c.add_incoming(first, before)
            build.cbranch(build.icmp_signed("<", c, end), body, after)
            build.position_at_end(body)
            self._tile(self.at(x, c), in_y, inside, c)
            c.add_incoming(build.add(c, WORD(self.lanes)), build.block)
            build.branch(head)
            build.position_at_end(after)

    def _pixels_inside(self, m: Value, pixels: int) -> dict[int, Value]:
        """Return a mask for each pixel of x that may lie beyond the row: by its number among those that the tile sees."""
        build, given, masks = self.builder, self.given, {}
        first = build.add(given.x_first, build.mul(m, WORD(self.stride)))
        seen, beyond = (pixels - 1) * self.stride + self.columns, self.columns // 2
        for q in (*range(beyond), *range(seen - beyond, seen)):
            inside = build.icmp_unsigned("<", build.add(first, WORD(q)), given.x_pixels)
            mask = self.splat(build.zext(inside, INT32), INT32)
            masks[q] = build.icmp_signed("!=", mask, ir.Constant(mask.type, [0] * self.lanes))
            if self.masked:
                masks[q] = build.and_(masks[q], self.masks[0])
        return masks

    def _tile(self, x: Value, in_y: list[Value], inside: dict[int, Value], c: Value) -> None:
        """Write a vector of channels, from c on, of some neighboring pixels; in_y: their offsets."""
        build, given = self.builder, self.given
        bias, scale, weight = (self.at(pointer, c) for pointer in (given.bias, given.scale, given.weight))
        first = self.where_asked(given.initial, BIAS, [self.zero], lambda: [self.load(bias, 0)])

        def taps(sums: list[Value], r: Value) -> list[Value]:
            row = self.at(x, build.mul(r, given.x_row_step))
            weights = self.at(weight, build.mul(r, given.weight_row_step))
            return self._overlapping(row, weights, sums, inside) if self.columns else self._any(row, weights, sums)

        sums = self._loop(given.rows, first * len(in_y), taps)

        def scaled() -> list[Value]:
            factor, term = self.load(scale, 0), self.load(bias, 0)
            return [self.multiply_add(value, factor, term) for value in sums]

        def added() -> list[Value]:
            rows = [self.at(self.at(given.residual, offset), c) for offset in in_y]
            return [build.fadd(value, self.load(row, 0)) for row, value in zip(rows, sums)]

        def clipped() -> list[Value]:
            return self.clipped(sums, given.steps)

        for flag, change in ((SCALE, scaled), (RESIDUAL, added), (RELU, clipped)):
            sums = self.where_asked(given.steps, flag, sums, change)
        for value, offset in zip(sums, in_y):
            self.store(value, self.at(self.at(given.y, offset), c), 0)

    def _overlapping(self, x: Value, weight: Value, sums: list[Value], inside: dict[int, Value]) -> list[Value]:
        """Return the sums with a row of taps added: each pixel of x that the tile sees is loaded once."""
        build, sums = self.builder, list(sums)
        in_weights = [build.mul(WORD(s), self.given.weight_column_step) for s in range(self.columns)]
        weights = [self.load(self.at(weight, offset), 0) for offset in in_weights]
        for q in range((len(sums) - 1) * self.stride + self.columns):
            pixel = self.at(x, build.mul(WORD(q), self.given.x_column_step))
            value = self.masked_load(pixel, inside[q]) if q in inside else self.load(pixel, 0)
            for i, total in enumerate(sums):
                if 0 <= q - i * self.stride < self.columns:
                    sums[i] = self.multiply_add(value, weights[q - i * self.stride], total)
        return sums

    def _any(self, x: Value, weight: Value, sums: list[Value]) -> list[Value]:
        """Return the sums with a row of taps added, one tap after the other."""
        build, given = self.builder, self.given

        def tap(values: list[Value], s: Value) -> list[Value]:
            factor = self.load(self.at(weight, build.mul(s, given.weight_column_step)), 0)
            first = self.at(x, build.mul(s, given.x_column_step))
            pixels = [self.at(first, build.mul(WORD(i), given.x_step)) for i in range(len(values))]
            return [self.multiply_add(self.load(pixel, 0), factor, value) for pixel, value in zip(pixels, values)]

        return self._loop(given.columns, sums, tap)

    def _loop(
        self, count: Value, values: list[Value], body: Callable[[list[Value], Value], list[Value]]
    ) -> list[Value]:
        """Emit a loop that carries values: values = body(values, i) for each i below a count; return the last ones."""
        build = self.builder
        before, head, inside, after = build.block, *(self.function.append_basic_block() for _ in range(3))
        build.branch(head)
        build.position_at_end(head)
        i, *carried = build.phi(WORD), *(build.phi(self.vector) for _ in values)
        build.cbranch(build.icmp_signed("<", i, count), inside, after)
        build.position_at_end(inside)
        results = body(carried, i)
        for phi, value, result in zip((i, *carried), (WORD(0), *values), (build.add(i, WORD(1)), *results)):
            phi.add_incoming(value, before)
            phi.add_incoming(result, build.block)
        build.branch(head)
        build.position_at_end(after)
        return carried
