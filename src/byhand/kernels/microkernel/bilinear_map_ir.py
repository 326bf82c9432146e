"""A bilinear map as LLVM IR: the matrix times each column of the grid, then times each row, a vector of elements at a time."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from byhand.kernels.microkernel.bilinear_map import Grid, Matrix
from byhand.kernels.microkernel.operands import RELU, RESIDUAL
from byhand.kernels.microkernel.rounding_ir import BITS, store_rounded
from byhand.kernels.microkernel.simd import REALS, Vectors, element, operands
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES, vector_unit
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


def bilinear_map_intrinsic(dtype: str, matrix: Matrix, rounded: bool = False) -> NumbaIntrinsic:
    """Return the map by a matrix as an intrinsic; rounded: to bfloat16, and y counts such numbers."""

    @intrinsic
    def apply(typing: TypingContext, x: NumbaType, y: NumbaType, length: NumbaType) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            x, y, length = operands(context, builder, signature, values)
            _call_map(builder, dtype, matrix, x, y, [length], rounded)
            return context.get_dummy_value()

        return types.void(x, y, length), codegen

    return apply


def bilinear_map_with_epilogue_intrinsic(dtype: str, matrix: Matrix) -> NumbaIntrinsic:
    """Return the map by a matrix, and the epilogue after it, as an intrinsic."""

    @intrinsic
    def apply(
        typing: TypingContext, x: NumbaType, y: NumbaType, length: NumbaType, epilogue: NumbaType
    ) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            x, y, length, epilogue = operands(context, builder, signature, values)
            residual = element(builder, REALS[dtype], epilogue.residual, y.start)
            _call_map(builder, dtype, matrix, x, y, [length, epilogue.steps, residual])
            return context.get_dummy_value()

        return types.void(x, y, length, epilogue), codegen

    return apply


def _call_map(
    builder: IRBuilder, dtype: str, matrix: Matrix, x: Grid, y: Grid, others: list[Value], rounded: bool = False
) -> None:
    """Emit the call of a map's function; others: the length, and the steps and residual where there is an epilogue."""
    x_start = element(builder, REALS[dtype], x.array, x.start)
    y_start = element(builder, BITS if rounded else REALS[dtype], y.array, y.start)
    arguments = [x_start, x.row_step, x.column_step, y_start, y.row_step, y.column_step, *others]
    builder.call(_function(builder.module, [value.type for value in arguments], dtype, matrix, rounded), arguments)


class MapArguments(NamedTuple):
    """The arguments of a map's function; without an epilogue it has no steps and no residual."""

    x: Value
    x_row: Value
    x_column: Value
    y: Value
    y_row: Value
    y_column: Value
    length: Value
    steps: Value | None = None
    residual: Value | None = None


def _function(module: Module, kinds: list[Type], dtype: str, matrix: Matrix, rounded: bool) -> Function:
    """Return the function of a matrix in a module, written once."""
    form = "rounded_" if rounded else ""
    name = f"byhand_map_{form}{len(kinds)}_{dtype}_{hashlib.sha256(repr(matrix).encode()).hexdigest()[:12]}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.alignstack = CACHE_LINE_BYTES  # where vectors that find no register are kept
    BilinearMap(function, dtype, matrix, rounded).emit()
    return function


class BilinearMap(Vectors):
    """Emits a loop over vectors of columns, and after it the columns that are left, masked."""

    def __init__(self, function: Function, dtype: str, matrix: Matrix, rounded: bool) -> None:
        super().__init__(function, dtype, vector_unit().lanes(dtype), 1, False)
        self.matrix, self.rounded = matrix, rounded
        self.given = MapArguments(*function.args)

    def emit(self) -> None:
        """Write the function."""
        build, new, given = self.builder, self.function.append_basic_block, self.given
        before, head, body, rest, masked, after = build.block, *(new() for _ in range(5))
        build.branch(head)
        build.position_at_end(head)
        k = build.phi(WORD)
        k.add_incoming(WORD(0), before)
        end = build.add(k, WORD(self.lanes))
        build.cbranch(build.icmp_signed("<=", end, given.length), body, rest)
        build.position_at_end(body)
        self._columns(k)
        k.add_incoming(end, build.block)
        build.branch(head)
        build.position_at_end(rest)
        build.cbranch(build.icmp_signed("<", k, given.length), masked, after)
        build.position_at_end(masked)
        self.masked = True
        self.make_masks(build.sub(given.length, k))
        self._columns(k)
        build.branch(after)
        build.position_at_end(after)
        build.ret_void()

    def _columns(self, k: Value) -> None:
        """Write one vector of elements of the whole grid."""
        build, given = self.builder, self.given
        x, y = self.at(given.x, k), self.at(given.y, k, BITS if self.rounded else None)
        inputs, outputs = range(len(self.matrix[0])), range(len(self.matrix))
        columns = []
        for q in inputs:
            column = self.at(x, build.mul(WORD(q), given.x_column))
            columns.append(
                self._product([self.load(self.at(column, build.mul(WORD(p), given.x_row)), 0) for p in inputs])
            )
        offsets = [
            [build.add(build.mul(WORD(i), given.y_row), build.mul(WORD(j), given.y_column)) for j in outputs]
            for i in outputs
        ]
        if given.steps is None:
            for i in outputs:
                for j, value in enumerate(self._product([columns[q][i] for q in inputs])):
                    if self.rounded:
                        target = self.at(y, offsets[i][j], BITS)
                        store_rounded(build, value, target, self.masks[0] if self.masked else None)
                    else:
                        self.store(value, self.at(y, offsets[i][j]), 0)
            return
        values = [value for i in outputs for value in self._product([columns[q][i] for q in inputs])]
        flat = [offset for row in offsets for offset in row]
        for value, offset in zip(self._epilogue(values, flat, k), flat):
            self.store(value, self.at(y, offset), 0)

    def _epilogue(self, values: list[Value], offsets: list[Value], k: Value) -> list[Value]:
        """Return the values after the steps of the epilogue that are asked for."""
        build, residual = self.builder, self.at(self.given.residual, k)

        def added() -> list[Value]:
            return [
                build.fadd(value, self.load(self.at(residual, offset), 0)) for value, offset in zip(values, offsets)
            ]

        def clipped() -> list[Value]:
            return self.clipped(values, self.given.steps)

        for flag, change in ((RESIDUAL, added), (RELU, clipped)):
            values = self.where_asked(self.given.steps, flag, values, change)
        return values

    def _product(self, values: list[Value]) -> list[Value]:
        """Return the matrix times a column of vectors."""
        build, results = self.builder, dict[int, Value]()
        for i, row in enumerate(self.matrix):
            if i in results:
                continue
            mate = next((m for m in range(i + 1, len(self.matrix)) if _mirrored(row, self.matrix[m])), None)
            if mate is None:
                results[i] = self._sum(row, values)
                continue
            other = self.matrix[mate]
            even = self._sum([a if a == b else 0.0 for a, b in zip(row, other)], values)
            odd = self._sum([a if a != b else 0.0 for a, b in zip(row, other)], values)
            results[i], results[mate] = build.fadd(even, odd), build.fsub(even, odd)
        return [results[i] for i in range(len(self.matrix))]

    def _sum(self, row: list[float] | tuple[float, ...], loaded: list[Value]) -> Value:
        """Return a row times the loaded vectors; terms of factor 1 first, which need no multiplication."""
        build, total = self.builder, None
        for j, factor in sorted(
            ((j, factor) for j, factor in enumerate(row) if factor), key=lambda term: abs(term[1]) != 1
        ):
            if total is None:
                total = loaded[j] if factor == 1 else build.fmul(loaded[j], self._constant(factor))
            elif abs(factor) == 1:
                total = (build.fadd if factor > 0 else build.fsub)(total, loaded[j])
            else:
                total = self.multiply_add(loaded[j], self._constant(factor), total)
        return self.zero if total is None else total

    def _constant(self, factor: float) -> Value:
        return ir.Constant(self.vector, [factor] * self.lanes)


def _mirrored(row: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Tell whether two rows differ in signs alone, and share and oppose at least one factor each."""
    pairs = [(a, b) for a, b in zip(row, other) if a or b]
    return all(abs(a) == abs(b) for a, b in pairs) and any(a == b for a, b in pairs) and any(a != b for a, b in pairs)
