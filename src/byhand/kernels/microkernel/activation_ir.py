"""The activations of an epilogue as LLVM IR: arithmetic on vectors without a branch, in loops over the rows of a block.

Errors in float32 against the exact value, for |x| < 80: sigmoid 2.5 ULP, silu 3, gelu 2e-7 of |x|; the others are exact to
their last rounding. float64 calls the C library for each number of a vector.
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

# For a smaller x, e^x is taken for that of this x: next to 1, to which it is added, both are 0.
EXP_MIN = -87.0

# Coefficients of kernels/vector_math.py, the constant term first.
EXP_TAIL = (0.49999994, 0.16666521, 0.04166828, 0.0083686942, 0.001381961)
ERF_NEAR = (0.12837917, -0.37612638, 0.11283758, -0.02686235, 0.0052072373, -0.0008202741, 8.5883e-05)
ERF_EXPONENT = (0.00022274577, 1.1275629, 0.63737357, 0.10376247, -0.022144852, 0.0030225075, -0.00019381529)
ERF_NEAR_MAX = 0.93
ERF_MAX = 4.0  # beyond it erf is 1 to the last digit


def emit(vectors: Vectors, kind: str, value: Value) -> Value:
    """Return an activation of a vector; kind: of ACTIVATIONS."""
    activation: Callable[[Vectors, Value], Value] = globals()[f"_{kind}"]
    return activation(vectors, value)


def _hard_sigmoid(vectors: Vectors, x: Value) -> Value:
    gate = _clip(vectors, vectors.builder.fadd(x, _constant(vectors, 3.0)), 0.0, 6.0)
    return vectors.builder.fdiv(gate, _constant(vectors, 6.0))


def _hard_swish(vectors: Vectors, x: Value) -> Value:
    build = vectors.builder
    gate = _clip(vectors, build.fadd(x, _constant(vectors, 3.0)), 0.0, 6.0)
    return build.fmul(build.fmul(x, _constant(vectors, 1 / 6)), gate)


def _sigmoid(vectors: Vectors, x: Value) -> Value:
    """Return 1 / (1 + e^-x)."""
    build, one = vectors.builder, _constant(vectors, 1.0)
    return build.fdiv(one, build.fadd(one, _exp(vectors, build.fneg(x))))


def _silu(vectors: Vectors, x: Value) -> Value:
    """Return x / (1 + e^-x)."""
    build = vectors.builder
    return build.fdiv(x, build.fadd(_constant(vectors, 1.0), _exp(vectors, build.fneg(x))))


def _gelu(vectors: Vectors, x: Value) -> Value:
    """Return x (1 + erf(x / sqrt 2)) / 2."""
    half = vectors.builder.fmul(x, _constant(vectors, 0.5))
    return vectors.multiply_add(half, _erf(vectors, vectors.builder.fmul(x, _constant(vectors, 1 / sqrt(2)))), half)


def _exp(vectors: Vectors, x: Value) -> Value:
    """Return e^x: 2^n e^r with x = n log 2 + r, as in vector_math.exp; infinity where it is too large, NaN for NaN."""
    if vectors.real == REALS["f8"]:
        return _scalar_calls(vectors, "exp", x)
    build, add, constant = vectors.builder, vectors.multiply_add, partial(_constant, vectors)
    integers = ir.VectorType(INT32, vectors.lanes)
    too_large = build.fcmp_ordered(">", x, constant(vector_math.EXP_MAX_FLOAT32))
    x = build.select(build.fcmp_ordered("<", x, constant(EXP_MIN)), constant(EXP_MIN), x)
    shifted = add(x, constant(vector_math.LOG2E), constant(vector_math.ROUND))
    whole = build.fsub(shifted, constant(vector_math.ROUND))
    r = add(whole, constant(-vector_math.LN2_HIGH), x)
    r = add(whole, constant(-vector_math.LN2_LOW), r)
    power = build.fadd(constant(1.0), add(build.fmul(r, r), _polynomial(vectors, r, EXP_TAIL), r))
    exponent = build.shl(build.bitcast(shifted, integers), ir.Constant(integers, [MANTISSA_BITS] * vectors.lanes))
    scaled = build.bitcast(build.add(build.bitcast(power, integers), exponent), vectors.vector)
    return build.select(too_large, constant(vector_math.INFINITY), scaled)


def _erf(vectors: Vectors, x: Value) -> Value:
    """Return erf x, as in vector_math.erf: a polynomial near 0, else 1 - e^-q."""
    if vectors.real == REALS["f8"]:
        return _scalar_calls(vectors, "erf", x)
    build, constant = vectors.builder, partial(_constant, vectors)
    positive = _intrinsic(vectors, "fabs", x)
    near = vectors.multiply_add(positive, _polynomial(vectors, build.fmul(x, x), ERF_NEAR), positive)
    capped = _clip(vectors, positive, 0.0, ERF_MAX)
    far = build.fsub(constant(1.0), _exp(vectors, build.fneg(_polynomial(vectors, capped, ERF_EXPONENT))))
    result = build.select(build.fcmp_ordered("<", positive, constant(ERF_NEAR_MAX)), near, far)
    return _intrinsic(vectors, "copysign", result, x)


def _polynomial(vectors: Vectors, x: Value, coefficients: tuple[float, ...]) -> Value:
    """Return coefficients[0] + x (coefficients[1] + x (...))."""
    result = _constant(vectors, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = vectors.multiply_add(x, result, _constant(vectors, coefficient))
    return result


def _clip(vectors: Vectors, x: Value, low: float, high: float) -> Value:
    """Return x, at least `low` and at most `high`; NaN stays NaN."""
    build = vectors.builder
    for sign, limit in (("<", _constant(vectors, low)), (">", _constant(vectors, high))):
        x = build.select(build.fcmp_ordered(sign, x, limit), limit, x)
    return x


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
        """Write the function: vector by vector of columns, and for each the loop of the kind over all rows."""
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
