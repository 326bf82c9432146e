"""The activations of an epilogue as LLVM IR: arithmetic on vectors without a branch, in loops over the rows of a block.

Errors in float32 against the exact value: sigmoid and silu 6 ULP, 10 where x < -14; gelu 1e-7 of |x|; the others are exact to
their last roundings. gelu of minus infinity is 0, its limit. float64 calls the C library for each number of a vector.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import sqrt

from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once_value, get_or_insert_function
from numba.extending import intrinsic

from byhand.kernels import vector_math
from byhand.kernels.microkernel.activation import ACTIVATIONS
from byhand.kernels.microkernel.operands import ACTIVATION_STEP
from byhand.kernels.microkernel.simd import REALS, Vectors, element, operands
from byhand.kernels.runtime.cpu import vector_unit
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
    TypingContext,
    Value,
    Values,
)

MANTISSA_BITS = 23  # of a float32

# 2^t on -1/2 <= t <= 1/2, and -log2(erfc(a / sqrt 2) / 2) on 0 <= a <= 6: minimax fits made for this file, the constant term
# first. The second grows beyond 6, too.
POWER_OF_2 = (1.0, 0.69314700, 0.24022242, 0.055507336, 0.009671513, 0.0013264727)
TAIL_EXPONENT = (
    1.0,
    1.1511052,
    0.45920819,
    0.05249618,
    -0.00706342,
    0.00013693646,
    0.0001861802,
    -3.9377686e-05,
    2.8349129e-06,
)

# Below MIN_EXPONENT a power of 2 is that of MIN_EXPONENT, almost 0; above MAX_EXPONENT it is infinity.
MIN_EXPONENT, MAX_EXPONENT = -126.9, 127.4

# For a larger |x|, the float32 gelu is 0 or x.
GELU_MAX = 20.0


def emit(vectors: Vectors, kind: str, value: Value) -> Value:
    """Return an activation of a vector; kind: of ACTIVATIONS."""
    return EMITTERS[kind](vectors, value)


def _hard_sigmoid(vectors: Vectors, x: Value) -> Value:
    gate = _at_most(vectors, _at_least(vectors, vectors.builder.fadd(x, _constant(vectors, 3.0)), 0.0), 6.0)
    return vectors.builder.fdiv(gate, _constant(vectors, 6.0))


def _hard_swish(vectors: Vectors, x: Value) -> Value:
    build = vectors.builder
    gate = _at_most(vectors, _at_least(vectors, build.fadd(x, _constant(vectors, 3.0)), 0.0), 6.0)
    return build.fmul(build.fmul(x, _constant(vectors, 1 / 6)), gate)


def _sigmoid(vectors: Vectors, x: Value) -> Value:
    """Return 1 / (1 + e^-x)."""
    build, one = vectors.builder, _constant(vectors, 1.0)
    return build.fdiv(one, build.fadd(one, _exp_of_negative(vectors, x)))


def _silu(vectors: Vectors, x: Value) -> Value:
    """Return x / (1 + e^-x)."""
    build = vectors.builder
    return build.fdiv(x, build.fadd(_constant(vectors, 1.0), _exp_of_negative(vectors, x)))


def _gelu(vectors: Vectors, x: Value) -> Value:
    """Return x (1 + erf(x / sqrt 2)) / 2 = max(x, 0) - a erfc(a / sqrt 2) / 2, with a = |x|: no difference of near numbers."""
    build = vectors.builder
    if vectors.real == REALS["f8"]:
        half = build.fmul(x, _constant(vectors, 0.5))
        erf = _scalar_calls(vectors, "erf", build.fmul(x, _constant(vectors, 1 / sqrt(2))))
        return vectors.multiply_add(half, erf, half)
    a = _at_most(vectors, _intrinsic(vectors, "fabs", x), GELU_MAX)
    tail = _power_of_2(vectors, build.fneg(_polynomial(vectors, a, TAIL_EXPONENT)))
    return vectors.multiply_add(build.fneg(a), tail, _at_least(vectors, x, 0.0))


# Of ACTIVATIONS, by name.
EMITTERS: dict[str, Callable[[Vectors, Value], Value]] = {
    "sigmoid": _sigmoid,
    "silu": _silu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "gelu": _gelu,
}


def _exp_of_negative(vectors: Vectors, x: Value) -> Value:
    """Return e^-x; infinity where it is too large."""
    build = vectors.builder
    if vectors.real == REALS["f8"]:
        return _scalar_calls(vectors, "exp", build.fneg(x))
    too_large = build.fcmp_ordered("<", x, _constant(vectors, -MAX_EXPONENT / vector_math.LOG2E))
    power = _power_of_2(vectors, _at_most(vectors, x, -MIN_EXPONENT / vector_math.LOG2E), -vector_math.LOG2E)
    return build.select(too_large, _constant(vectors, vector_math.INFINITY), power)


def _power_of_2(vectors: Vectors, x: Value, factor: float = 1.0) -> Value:
    """Return 2^(factor x) of a float32: 2^n 2^t with factor x = n + t; n is added to the exponent in the bits of 2^t."""
    build, add, constant = vectors.builder, vectors.multiply_add, partial(_constant, vectors)
    integers = ir.VectorType(INT32, vectors.lanes)
    if factor == 1.0:
        x = _at_least(vectors, x, MIN_EXPONENT)
    shifted = add(x, constant(factor), constant(vector_math.ROUND))  # its last bits are n
    t = add(x, constant(factor), build.fsub(constant(vector_math.ROUND), shifted))
    exponent = build.shl(build.bitcast(shifted, integers), ir.Constant(integers, [MANTISSA_BITS] * vectors.lanes))
    power = build.bitcast(_polynomial(vectors, t, POWER_OF_2), integers)
    return build.bitcast(build.add(power, exponent), vectors.vector)


def _polynomial(vectors: Vectors, x: Value, coefficients: tuple[float, ...]) -> Value:
    """Return coefficients[0] + x (coefficients[1] + x (...))."""
    result = _constant(vectors, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = vectors.multiply_add(x, result, _constant(vectors, coefficient))
    return result


def _at_most(vectors: Vectors, x: Value, limit: float) -> Value:
    """Return the lesser of x and a limit; NaN stays NaN."""
    bound = _constant(vectors, limit)
    return vectors.builder.select(vectors.builder.fcmp_ordered(">", x, bound), bound, x)


def _at_least(vectors: Vectors, x: Value, limit: float) -> Value:
    """Return the greater of x and a limit; NaN stays NaN."""
    bound = _constant(vectors, limit)
    return vectors.builder.select(vectors.builder.fcmp_ordered("<", x, bound), bound, x)


def _constant(vectors: Vectors, number: float) -> Value:
    """Return a vector of one number."""
    return ir.Constant(vectors.vector, [number] * vectors.lanes)


def _intrinsic(vectors: Vectors, name: str, *values: Value) -> Value:
    """Return LLVM's own function of vectors."""
    kind = ir.FunctionType(vectors.vector, [vectors.vector] * len(values))
    function = get_or_insert_function(vectors.function.module, kind, f"llvm.{name}.{vectors.suffix}")
    return vectors.builder.call(function, values)


def _scalar_calls(vectors: Vectors, name: str, x: Value) -> Value:
    """Return a function of the C library of each number of a vector."""
    build, result = vectors.builder, x
    function = get_or_insert_function(vectors.function.module, ir.FunctionType(vectors.real, [vectors.real]), name)
    for lane in range(vectors.lanes):
        number = build.call(function, [build.extract_element(x, INT32(lane))])
        result = build.insert_element(result, number, INT32(lane))
    return result


# loops over the rows of a block ---------------------------------------------------------------------------------------


class ActivateRows(Vectors):
    """Emits the function activate_rows(c, rows table, rows, columns, kind): c[m, n] = activation(c[m, n])."""

    def emit(self) -> None:
        """Write the function: for each vector of columns, a loop over the rows with the activation of the kind."""
        build, new = self.builder, self.function.append_basic_block
        c, table, rows, columns, kind = self.function.args
        before, head, body, following, done = build.block, new(), new(), new(), new()
        build.branch(head)
        build.position_at_end(head)
        column = build.phi(WORD)
        column.add_incoming(WORD(0), before)
        build.cbranch(build.icmp_signed("<", column, columns), body, done)
        build.position_at_end(body)
        self.make_masks(build.sub(columns, column))
        start, other = self.at(c, column), new()
        if self.masked:  # whole vectors need none
            whole, part = new(), new()
            build.cbranch(build.icmp_signed(">=", build.sub(columns, column), WORD(self.lanes)), whole, part)
            build.position_at_end(whole)
            self.masked = False
            self._loops(start, table, rows, kind, following, other)
            build.position_at_end(part)
            self.masked = True
        self._loops(start, table, rows, kind, following, other)
        build.position_at_end(other)
        build.branch(following)
        build.position_at_end(following)
        column.add_incoming(build.add(column, WORD(self.lanes)), following)
        build.branch(head)
        build.position_at_end(done)
        build.ret_void()

    def _loops(
        self, start: Value, table: Value, rows: Value, kind: Value, following: ir.Block, other: ir.Block
    ) -> None:
        """Write a loop over the rows for each activation."""
        build = self.builder
        switch = build.switch(kind, other)
        for number, name in enumerate(ACTIVATIONS, 1):
            block = self.function.append_basic_block()
            switch.add_case(WORD(number), block)
            build.position_at_end(block)
            for m, count in self.row_loops(rows, (1,)):
                (row,) = self.rows_at(start, table, m, count)
                self.store(emit(self, name, self.load(row, 0)), row, 0)
            build.branch(following)


def call_activate(
    builder: IRBuilder, dtype: str, c: Value, table: Value, rows: Value, columns: Value, steps: Value
) -> None:
    """Emit the activation that the steps of an epilogue name, if any."""
    name, module = f"byhand_activate_{dtype}", builder.module
    kind = builder.lshr(steps, WORD(ACTIVATION_STEP.bit_length() - 1))
    arguments = c, table, rows, columns, kind
    if name not in module.globals:
        lanes = vector_unit().lanes(dtype)
        function: Function = ir.Function(
            module, ir.FunctionType(ir.VoidType(), [value.type for value in arguments]), name
        )
        function.linkage = "internal"
        function.attributes.add("noinline")
        ActivateRows(function, dtype, lanes, 1, masked=lanes > 1).emit()
    with builder.if_then(builder.icmp_signed("!=", kind, WORD(0)), likely=False):
        builder.call(module.globals[name], arguments)


def activate_intrinsic(dtype: str) -> NumbaIntrinsic:
    """Return `activate` as an intrinsic: a block of one row."""

    @intrinsic
    def activate(
        typing: TypingContext, array: NumbaType, start: NumbaType, count: NumbaType, steps: NumbaType
    ) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            array, start, count, steps = operands(context, builder, signature, values)
            table = alloca_once_value(builder, WORD(0))
            call_activate(builder, dtype, element(builder, REALS[dtype], array, start), table, WORD(1), count, steps)
            return context.get_dummy_value()

        return types.void(array, start, count, steps), codegen

    return activate
