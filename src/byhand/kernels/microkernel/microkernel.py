"""The register tile: the inner loops of every convolution and matrix product, once in Python and once as LLVM IR.

    c[m, n] = initial[m, n] + sum over t, k of  a[m, t, k] * b[t, k, n]

then the epilogue, before it is stored:  c * scale[n] + bias[n],  + residual[m, n],  0 where negative,  6 where
greater;  and after it is stored, but still in the L1 cache, an activation (activation.py).

m counts rows of the result (pixels, images, filter taps), n its columns (filters), t segments and k the elements of one.
Tables of offsets say where rows and segments begin, so that a padded, strided, dilated or grouped convolution, its two
gradients and a matrix product are all the same sum. This is a batch-reduce GEMM: t is the batch that is summed over.

The operands `A`, `B` and `C` hold an array and its tables, `Extent` the counts, `Epilogue` the steps after the sum
(operands.py).

The IR keeps a tile of sums in registers, tile_rows x tile_vectors of them (runtime/cpu.py), and walks t and k once: a loaded
element of b serves all rows, one of a all columns. Rows left over at the end are done by smaller tiles, columns left over by
masks, with which nothing outside of an array is read or written.

Sources: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication" (the register tile); Georganas et al.
2019, arXiv 1906.06440 (batch-reduce GEMM); Dukhan 2019, arXiv 1907.02129 (offsets in place of im2col).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from byhand.kernels.microkernel.activation import activated, activation_steps, clipped
from byhand.kernels.microkernel.operands import ACTIVATION_STEP, ADD, BIAS, RELU, RESIDUAL, SCALE, ZERO, Epilogue
from byhand.kernels.microkernel.rounding import half
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.types import Array

if TYPE_CHECKING:
    from byhand.kernels.runtime.llvm import NumbaIntrinsic


def _sum(a_wide, b_wide, a, b, c, extent, initial, epilogue):
    """Write c[m, n] of all rows and columns: the Python twin of the IR; a_wide, b_wide: a and b have an element per column."""
    steps, bias, scale, residual = epilogue
    for m in range(extent.rows):
        for n in range(extent.columns):
            at_c, column = c.start + c.rows[m] + n, c.column + n
            total = c.array[at_c] if initial == ADD else bias[column] if initial == BIAS else 0.0
            for t in range(extent.segments):
                at_a = a.start + a.rows[m] + a.segments[t] + a_wide * n
                at_b = b.start + (b.segments[t] + n if b_wide else t * b.step)
                for k in range(extent.length):
                    total += a.array[at_a + k * a.step] * b.array[at_b + k * b.step]
            total = total * scale[column] + bias[column] if steps & SCALE else total
            total = total + residual[at_c] if steps & RESIDUAL else total
            c.array[at_c] = activated(steps // ACTIVATION_STEP, clipped(steps, total))


def _tile(*operands):
    _sum(0, 1, *operands)


def _tile_per_channel(*operands):
    _sum(1, 1, *operands)


def _tile_of_list(*operands):
    _sum(1, 0, *operands)


def _tile_bfloat16(a, b, c, extent, initial, epilogue):
    """Write c[m, n] of all rows and columns; an element of a and b is a pair of bfloat16 numbers (rounding.py)."""
    steps, bias, scale, residual = epilogue
    for m in range(extent.rows):
        for n in range(extent.columns):
            at_c, column = c.start + c.rows[m] + n, c.column + n
            total = c.array[at_c] if initial == ADD else bias[column] if initial == BIAS else 0.0
            for t in range(extent.segments):
                at_a = a.start + a.rows[m] + a.segments[t]
                at_b = b.start + b.segments[t] + n
                for k in range(extent.length):
                    left, right = a.array[at_a + k * a.step], b.array[at_b + k * b.step]
                    total += half(left, 0) * half(right, 0) + half(left, 1) * half(right, 1)
            total = total * scale[column] + bias[column] if steps & SCALE else total
            total = total + residual[at_c] if steps & RESIDUAL else total
            c.array[at_c] = activated(steps // ACTIVATION_STEP, clipped(steps, total))


def _scatter(block, offsets, factors, target, rows, columns):
    """Add a block of rows x columns, times factors[t], to a target at offsets[t], for one t after the other."""
    for t in range(offsets.size):
        for m in range(rows):
            for n in range(columns):
                at = target.start + offsets[t] + target.rows[m] + n
                target.array[at] += block.array[block.start + block.rows[m] + n] * factors[t]


def _prefetch(array, first, last):
    """Prefetch array[first:last], line by line: later scattered reads of it would each wait for the memory."""


def epilogue(
    like: Array,
    bias: Array | None = None,
    scale: Array | None = None,
    residual: Array | None = None,
    relu: bool = False,
    activation: str | None = None,
) -> Epilogue:
    """Return an epilogue; like: an array of the same type, for the empty ones that stand for None.

    activation: None, "relu", "relu6" or one of activation.py's ACTIVATIONS.
    """
    steps = RELU * relu + SCALE * (scale is not None) + RESIDUAL * (residual is not None) + activation_steps(activation)
    empty = like.reshape(-1)[:0]
    return Epilogue(steps, *(empty if array is None else array.reshape(-1) for array in (bias, scale, residual)))


def no_epilogue(array: Array) -> Epilogue:
    """Return the epilogue of a sum that is stored as it is."""
    return Epilogue(0, array, array, array)


def initial_of(epilogue: Epilogue) -> int:
    """Return what a sum starts from: its bias, unless that comes after a scale."""
    return BIAS if epilogue.bias.size > 0 and not epilogue.steps & SCALE else ZERO


def _emit(how: str) -> Callable[[str], NumbaIntrinsic]:
    def emit(dtype: str) -> NumbaIntrinsic:
        from byhand.kernels.microkernel import microkernel_ir, simd  # noqa: PLC0415  (llvmlite)

        own = {"scatter": microkernel_ir.scatter_intrinsic, "prefetch": simd.prefetch_intrinsic}
        return own[how](dtype) if how in own else microkernel_ir.tile_intrinsic(dtype, how)

    return emit


def _version(how: str) -> Callable[[], object]:
    own = ("microkernel.py", "microkernel_ir.py", "operands.py", "rounding_ir.py", "scatter_ir.py", "simd.py")
    files = (*own, "activation.py", "activation_ir.py")
    return lambda: (how, vector_unit(), [Path(__file__).with_name(name).read_bytes() for name in files])


# tile(a: A, b: B, c: C, extent: Extent, initial, epilogue: Epilogue), and its forms
tile = Intrinsic(_tile, _emit("matrix"), _version("matrix"))
tile_bfloat16 = Intrinsic(_tile_bfloat16, _emit("bfloat16"), _version("bfloat16"))
tile_per_channel = Intrinsic(_tile_per_channel, _emit("channel"), _version("channel"))
tile_of_list = Intrinsic(_tile_of_list, _emit("list"), _version("list"))  # b: one number per segment of length 1

# scatter(block: C, offsets, factors, target: C, rows, columns)
scatter = Intrinsic(_scatter, _emit("scatter"), _version("scatter"))

# prefetch(array, first, last)
prefetch = Intrinsic(_prefetch, _emit("prefetch"), _version("prefetch"))
